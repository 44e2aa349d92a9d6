#include "access/session.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/plan_text.h"

static int show(const struct cli *cli, const struct session *session, const struct plan *plan)
{
        if (cli->json) {
                json_auto_t *document = plan_to_json(plan, args_has(&cli->args, "full"));
                json_object_set_new(document, "cluster", json_string(session_cluster(session)));
                cli_json(cli, document);
        } else if (cli->quiet) {
                CLEANUP_FREE char *summary = plan_summary(plan);
                fprintf(cli->out, "%s: %s\n", session_cluster(session), summary);
        } else {
                struct plan_text_options options = {.color = cli->color, .full = args_has(&cli->args, "full")};
                plan_text(cli->out, plan, session_cluster(session), &options);
        }
        if (plan->refuse)
                return EXIT_NO;
        return session_changes(plan) ? EXIT_PENDING : EXIT_FINE;
}

static int run(struct cli *cli, struct err **err)
{
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_SESSION struct session *session = NULL;
        struct session_options options = change_options(cli, NULL);
        int r = session_open_form(&options, cli->args.operand[0], SESSION_LOOK, &session, &diags, err);
        change_tell(cli, cli->args.operand[0], &diags);
        if (r < 0)
                return r;
        const struct plan *plan;
        r = session_plan(session, false, &plan, err);
        return r < 0 ? r : show(cli, session, plan);
}

static const struct option options[] = {
        {"full", 0, NULL, false, "every field, also of what is made, and texts without limit", COMPLETE_NOTHING},
        {"force-conflicts", 0, NULL, false, "on Kubernetes: take over fields of our objects that others have set",
                COMPLETE_NOTHING},
        {0},
};

const struct command cmd_plan = {
        .name = "plan",
        .args = "FORM",
        .summary = "say what apply would change, and change nothing",
        .details = "What the form wants is compared with what was done and with what is there: + is made, ~ changed, "
                   "+/- replaced, - "
                   "removed, ! refused. Secrets are never shown. The exit status is 0 when there is nothing to do and "
                   "2 when there "
                   "is something.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_FILE,
        .json = true,
        .run = run,
};
