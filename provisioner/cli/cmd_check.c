#include "access/session.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/text.h"

/* One form. Findings go to the output: they are the result of this command. */
static bool check(const struct cli *cli, const char *path, json_t *report)
{
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *form = NULL;
        bool good = session_read_form(path, NULL, &form, NULL, &diags, &err) == 0;
        bool unread = !good && diags.count == 0; /* then the message names the file itself */
        if (unread)
                diags_add(&diags, 0, 0, "%s", err ? err->message : "cannot be read");
        const char *cluster = json_string_value(json_object_get(form, "cluster"));
        CLEANUP_FREE char *shown = utf8_make(str_copy(path));
        if (cli->json)
                json_array_append_new(report, json_pack("{s:s, s:b, s:s?, s:o}", "file", shown, "ok", (int)good,
                                                      "cluster", cluster, "findings", change_findings_json(&diags)));
        else if (!good && !unread)
                change_findings(cli->out, path, &diags);
        else if (unread || !cli->quiet) {
                CLEANUP_FREE char *safe = text_safe(unread ? diags.item[0].message : path, false);
                if (unread)
                        fprintf(cli->out, "%s\n", safe);
                else
                        fprintf(cli->out, "%s: ok (cluster %s)\n", safe, cluster);
        }
        return good;
}

static int run(struct cli *cli, struct err **err)
{
        (void)err;
        json_auto_t *report = json_array();
        bool good = true;
        for (size_t i = 0; i < cli->args.count; i++)
                good = check(cli, cli->args.operand[i], report) && good;
        if (cli->json)
                cli_json(cli, report);
        return good ? EXIT_FINE : EXIT_NO;
}

const struct command cmd_check = {
        .name = "check",
        .args = "FORM...",
        .summary = "check forms, touching nothing",
        .details = "Every error of every form is printed as file:line:column: message, in order of line. The cluster "
                   "itself and the files that a form names are not looked at: plan does that.",
        .min = 1,
        .max = -1,
        .first = COMPLETE_FILE,
        .rest = COMPLETE_FILE,
        .json = true,
        .run = run,
};
