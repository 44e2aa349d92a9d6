#include "cli/cli.h"
#include "form/form.h"

static int run(struct cli *cli, struct err **err)
{
        (void)err;
        json_auto_t *schema = form_schema();
        json_dumpf(schema, cli->out, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        fputc('\n', cli->out);
        return EXIT_FINE;
}

const struct command cmd_schema = {
        .name = "schema",
        .args = "",
        .summary = "print the JSON Schema of the form",
        .details = "Editors that know YAML schemas complete and check a form with it while it is written. Made from "
                   "the same "
                   "table as the checks themselves.",
        .json = true,
        .run = run,
};
