#include <unistd.h>

#include "access/session.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/plan_text.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/summary.h"

static void print_line(const struct cli *cli, json_t *object)
{
        json_dumpf(object, cli->out, JSON_COMPACT);
        fputc('\n', cli->out);
        fflush(cli->out);
}

static void show_plan(const struct cli *cli, const struct session *session, const struct plan *plan)
{
        if (cli->json) {
                json_auto_t *line = json_pack("{s:s, s:s, s:o}", "event", "plan", "cluster", session_cluster(session),
                        "plan", plan_to_json(plan, false));
                print_line(cli, line);
        } else if (!cli->quiet) {
                struct plan_text_options options = {.color = cli->color, .brief = true, .grouped = true};
                plan_text(cli->out, plan, session_cluster(session), &options);
                if (session_changes(plan))
                        fputc('\n', cli->out);
                fflush(cli->out);
        }
}

/* A form is applied without asking: that is what the command is for. What replaces, removes or concerns people at work
 * is asked about where somebody can answer; what replaces or removes needs --yes where nobody can. */
static int ask(const struct cli *cli, const struct plan *plan, bool *ret_go, struct err **err)
{
        *ret_go = true;
        if (args_has(&cli->args, "yes") || plan->refuse)
                return 0;
        bool disturbs = plan_disturbs(plan);
        if (cli->interactive) {
                if (disturbs || plan_has_notices(plan))
                        *ret_go = cli_confirm(cli, "Go on?");
                return 0;
        }
        if (!disturbs)
                return 0;
        CLEANUP_FREE char *summary = plan_summary(plan);
        return err_set(err, ERR_REFUSED,
                "this would replace or remove something (%s) and nobody can be asked: "
                "look at 'caas plan', then give --yes",
                summary);
}

static void finish(const struct cli *cli, const struct session *session, const struct plan *plan, int64_t took_ms)
{
        const char *cluster = session_cluster(session);
        if (cli->json) {
                json_auto_t *line = json_pack("{s:s, s:s, s:b, s:o}", "event", "result", "cluster", cluster, "changed",
                        session_changes(plan) > 0, "summary",
                        summary_json(session_journal(session), cluster, session_form(session)));
                print_line(cli, line);
                return;
        }
        if (cli->quiet)
                return;
        if (session_changes(plan)) {
                char duration[32];
                fprintf(cli->out, "\n%s%s is as the form says%s (%s)\n", cli_style(cli->color, STYLE_GREEN), cluster,
                        cli_style(cli->color, STYLE_NONE), clock_duration(took_ms, duration));
        }
        if (session_changes(plan) || isatty(fileno(cli->out)))
                summary_print(cli, session_journal(session), cluster, session_form(session));
}

static int apply(struct cli *cli, struct progress *progress, struct err **err)
{
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_SESSION struct session *session = NULL;
        struct session_options options = change_options(cli, progress);
        int r = session_open_form(&options, cli->args.operand[0], SESSION_CHANGE, &session, &diags, err);
        change_tell(cli, cli->args.operand[0], &diags);
        const struct plan *plan = NULL;
        if (r == 0)
                r = session_plan(session, false, &plan, err);
        if (r < 0 || !plan)
                return r;
        progress_pause(progress);
        show_plan(cli, session, plan);
        bool go;
        r = ask(cli, plan, &go, err);
        if (r < 0)
                return r;
        if (!go)
                return err_set(err, ERR_CANCELLED, "nothing was changed");
        struct clock *clock = clock_system();
        int64_t began = clock->monotonic_ms(clock);
        r = session_run(session, "apply", err);
        progress_pause(progress);
        if (r == 0)
                finish(cli, session, plan, clock->monotonic_ms(clock) - began);
        session_leave(STEAL(session));
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        cli->cancel = signals_install();
        CLEANUP_PROGRESS struct progress *progress = progress_new(cli);
        int r = apply(cli, progress, err);
        if (r < 0 && err) {
                change_explain(*err);
                progress_shorten(progress, *err);
        }
        return r;
}

static const struct option options[] = {
        {"yes", 'y', NULL, false, "do not ask", COMPLETE_NOTHING},
        {"wait", 0, NULL, false, "if somebody else is changing the cluster, wait until that is done", COMPLETE_NOTHING},
        {"force-conflicts", 0, NULL, false, "on Kubernetes: take over fields of our objects that others have set",
                COMPLETE_NOTHING},
        {0},
};

const struct command cmd_apply = {
        .name = "apply",
        .args = "FORM",
        .summary = "make the cluster as the form says",
        .details = "Shows the plan, then carries it out and says where the cluster is. Only what differs is touched. "
                   "What would replace "
                   "or remove something is asked about first; without a terminal it needs --yes. Interrupted or killed "
                   "at any point, "
                   "the same command goes on from there: the first Ctrl-C lets what runs finish, the second stops at "
                   "once.\n\n"
                   "Everything that can be found wrong beforehand - the domain, ports, disk, memory, passwords - is, "
                   "and then nothing "
                   "is touched. With --json every event is one line of JSON.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_FILE,
        .json = true,
        .run = run,
};
