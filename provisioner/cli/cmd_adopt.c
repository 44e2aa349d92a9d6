#include "access/session.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/text.h"

#define SHOWN_MAX 20

static void print_names(const struct cli *cli, const char *title, const json_t *names)
{
        size_t i, count = json_array_size(names);
        const json_t *name;
        if (count == 0)
                return;
        fprintf(cli->out, "%s:", title);
        json_array_foreach (names, i, name)
                if (i < SHOWN_MAX)
                        fprintf(cli->out, " %s", json_string_value(name));
        if (count > SHOWN_MAX)
                fprintf(cli->out, " and %zu more", count - SHOWN_MAX);
        fputc('\n', cli->out);
}

static void show(const struct cli *cli, const char *cluster, const struct adopted *adopted)
{
        if (cli->json) {
                json_auto_t *line = json_pack("{s:s, s:I, s:O, s:O, s:O}", "cluster", cluster, "adopted",
                        (json_int_t)adopted->count, "missing", adopted->missing, "strange", adopted->strange,
                        "new_secrets", adopted->new_secrets);
                cli_json(cli, line);
                return;
        }
        if (cli->quiet)
                return;
        fprintf(cli->out, "%s: %zu resources are in the journal again\n", cluster, adopted->count);
        print_names(cli, "not found, made by the next apply", adopted->missing);
        print_names(cli, "ours and not wanted any more, removed by the next apply", adopted->strange);
        print_names(cli, "secrets that were found nowhere and are new", adopted->new_secrets);
        CLEANUP_FREE char *caas = change_caas(cli);
        fprintf(cli->out, "Next: %s plan %s\n", caas, cli->args.operand[0]);
}

static int adopt(struct cli *cli, struct progress *progress, struct err **err)
{
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ADOPTED struct adopted adopted = {0};
        struct session_options options = change_options(cli, progress);
        json_auto_t *form = NULL;
        /* Looked at before a state folder is made: a form of this machine's leaves none behind. */
        if (session_read_form(cli->args.operand[0], NULL, &form, NULL, &diags, NULL) == 0 &&
                !str_is(json_string_value(json_object_get(form, "target")), "kubernetes"))
                return err_set(err, ERR_INVALID,
                        "only what runs on Kubernetes can be adopted: it carries our labels; on this machine the "
                        "journal and its key come back from a backup");
        diags_clear(&diags);
        int r = session_open_form(&options, cli->args.operand[0], SESSION_CHANGE, &session, &diags, err);
        change_tell(cli, cli->args.operand[0], &diags);
        if (r == 0)
                r = session_adopt(session, &adopted, err);
        progress_pause(progress);
        if (r == 0)
                show(cli, session_cluster(session), &adopted);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        cli->cancel = signals_install();
        CLEANUP_PROGRESS struct progress *progress = progress_new(cli);
        int r = adopt(cli, progress, err);
        if (r < 0 && err)
                change_explain(*err);
        return r;
}

static const struct option options[] = {
        {"wait", 0, NULL, false, "if somebody else is changing the cluster, wait until that is done", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_adopt = {
        .name = "adopt",
        .args = "FORM",
        .summary = "rebuild a lost journal from what runs on Kubernetes",
        .details =
                "For a cluster on Kubernetes whose state folder was lost: its objects carry labels that say what they "
                "are. What the form wants and what is there is written into a new journal as it is, secrets come back "
                "from the live Secret objects, and nothing is changed. Then 'caas plan' shows what really differs, "
                "and apply, grant and destroy work as before. Secrets that are nowhere to be found are made anew; they "
                "are named.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_FILE,
        .json = true,
        .run = run,
};
