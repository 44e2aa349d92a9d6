#include "cli/change.h"

#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include "cli/version.h"

struct session_options change_options(const struct cli *cli, struct progress *progress)
{
        return (struct session_options){
                .state_dir = cli->state_dir,
                .cache_dir = cli->cache_dir,
                .data_dir = cli->data_dir,
                .libexec_dir = cli->libexec_dir,
                .version = caas_version,
                .cancel = cli->cancel,
                .on_event = progress ? progress_event : NULL,
                .on_wait = progress ? progress_note : NULL,
                .event_data = progress,
                .wait = args_has(&cli->args, "wait"),
                .delete_data = args_has(&cli->args, "delete-data"),
                .force_conflicts = args_has(&cli->args, "force-conflicts"),
        };
}

void change_findings(FILE *out, const char *path, const struct diags *diags)
{
        CLEANUP_FREE char *file = text_safe(path, false);
        for (size_t i = 0; i < diags->count; i++) {
                const struct diag *d = &diags->item[i];
                CLEANUP_FREE char *message = text_safe(d->message, false);
                if (d->line > 0)
                        fprintf(out, "%s:%d:%d: %s\n", file, d->line, d->column, message);
                else
                        fprintf(out, "%s: %s\n", file, message);
        }
}

json_t *change_findings_json(const struct diags *diags)
{
        json_t *list = json_array();
        for (size_t i = 0; i < diags->count; i++)
                json_array_append_new(list, json_pack("{s:i, s:i, s:s}", "line", diags->item[i].line, "column",
                                                    diags->item[i].column, "message", diags->item[i].message));
        return list;
}

void change_tell(struct cli *cli, const char *path, const struct diags *diags)
{
        if (!cli->json)
                change_findings(cli->notes, path, diags);
        else if (diags->count)
                cli->findings = change_findings_json(diags);
}

void change_explain(struct err *err)
{
        if (err && err->code == ERR_BUSY)
                err_suffix(&err, "--wait waits until it is done");
}

char *change_caas(const struct cli *cli)
{
        const char *state = args_value(&cli->args, "state");
        if (!state)
                return str_copy("caas");
        CLEANUP_FREE char *word = str_shell(state);
        return str_format("caas --state %s", word);
}
