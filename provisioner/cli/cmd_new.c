#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "form/form.h"

static int run(struct cli *cli, struct err **err)
{
        const char *name = cli->args.count ? cli->args.operand[0] : NULL;
        if (name) {
                /* A name that the form would refuse is refused here, with the form's own words. */
                CLEANUP_FREE char *text =
                        str_format("cluster: \"%.200s\"\nnotebook: {cpus: 1, ram: 1, storage: 1}\n", name);
                CLEANUP_DIAGS struct diags diags = {0};
                json_auto_t *form = NULL;
                int r = form_read(text, strlen(text), &(struct form_facts){0}, &form, NULL, &diags);
                if (r < 0)
                        return err_set(err, ERR_INVALID, "%s",
                                diags.count ? diags.item[0].message : "not a name for a cluster");
        }
        CLEANUP_FREE char *text = form_template(name);
        fputs(text, cli->out);
        return EXIT_FINE;
}

const struct command cmd_new = {
        .name = "new",
        .args = "[CLUSTER]",
        .summary = "print a commented form to fill in",
        .details = "The form goes to standard output: caas new lab > lab.yaml. Every field is there with its meaning, "
                   "range and "
                   "default; those that may stay as they are are commented out.",
        .min = 0,
        .max = 1,
        .run = run,
};
