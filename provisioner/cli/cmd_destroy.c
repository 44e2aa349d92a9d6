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

static int ask(
        const struct cli *cli, const struct session *session, const struct plan *plan, bool *ret_go, struct err **err)
{
        bool data = args_has(&cli->args, "delete-data");
        const char *cluster = session_cluster(session);
        *ret_go = true;
        if (args_has(&cli->args, "yes"))
                return 0;
        if (!cli->interactive)
                return err_set(err, ERR_REFUSED, "%s would be removed%s, and nobody can be asked: give --yes", cluster,
                        data ? " with all homes and accounts" : "");
        CLEANUP_FREE char *question =
                str_format("%s: %zu to remove; everybody who works there is stopped. %s Go on?", cluster, plan->remove,
                        data ? "HOMES AND ACCOUNTS ARE DELETED FOR GOOD." : "Homes and accounts are kept.");
        *ret_go = cli_confirm(cli, question);
        return 0;
}

static void finish(const struct cli *cli, const struct session *session)
{
        const char *cluster = session_cluster(session);
        bool data = args_has(&cli->args, "delete-data");
        if (cli->json) {
                json_auto_t *line =
                        json_pack("{s:s, s:s, s:b}", "event", "result", "cluster", cluster, "data_kept", (int)!data);
                json_dumpf(line, cli->out, JSON_COMPACT);
                fputc('\n', cli->out);
        } else if (!cli->quiet) {
                fprintf(cli->out,
                        data ? "%s is gone, with its data\n"
                             : "%s is gone; its data is kept: applying its form brings it back, destroy --delete-data "
                               "deletes it\n",
                        cluster);
        }
}

/* ---- a cluster whose Kubernetes is gone for good ---- */

static int ask_forget(const struct cli *cli, const char *cluster, const char *why, struct err **err)
{
        if (args_has(&cli->args, "yes"))
                return 0;
        if (!cli->interactive)
                return err_set(err, ERR_REFUSED, "%s would be forgotten (%s), and nobody can be asked: give --yes",
                        cluster, why);
        CLEANUP_FREE char *question =
                str_format("%s: %s. What is recorded of it here, its passwords and its CA are removed; whatever may be "
                           "left in Kubernetes stays there. Go on?",
                        cluster, why);
        return cli_confirm(cli, question) ? 0 : err_set(err, ERR_CANCELLED, "nothing was forgotten");
}

static int forget(struct cli *cli, struct progress *progress, struct err **err)
{
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_FREE char *why = NULL;
        struct session_options options = change_options(cli, progress);
        const char *cluster = cli->args.operand[0];
        if (args_has(&cli->args, "delete-data"))
                return err_set(err, ERR_USAGE, "--forget deletes nothing in Kubernetes: give it without --delete-data");
        int r = session_open_cluster(&options, cluster, SESSION_CHANGE, &session, err);
        if (r == 0)
                r = session_gone(session, &why, err);
        progress_pause(progress);
        if (r == 0)
                r = ask_forget(cli, cluster, why, err);
        if (r == 0)
                r = session_forget(session, err);
        if (r < 0)
                return r;
        if (cli->json) {
                json_auto_t *line = json_pack(
                        "{s:s, s:s, s:b, s:s}", "event", "result", "cluster", cluster, "forgotten", 1, "why", why);
                json_dumpf(line, cli->out, JSON_COMPACT);
                fputc('\n', cli->out);
        } else if (!cli->quiet) {
                fprintf(cli->out, "%s is forgotten: %s. What may be left of it in Kubernetes was not touched\n",
                        cluster, why);
        }
        return 0;
}

/* An API server that is away: what to do if it never comes back. */
static void mention_forget(const struct session *session, struct err *err)
{
        const char *target = session ? json_string_value(json_object_get(session_form(session), "target")) : NULL;
        if (!err || !str_is(target, "kubernetes") || (err->code != ERR_UNREACHABLE && err->code != ERR_TIMEOUT))
                return;
        err_suffix(&err, "if that Kubernetes cluster is gone for good: caas destroy %s --forget",
                session_cluster(session));
}

/* ---- */

static int destroy(struct cli *cli, struct progress *progress, struct err **err)
{
        CLEANUP_SESSION struct session *session = NULL;
        struct session_options options = change_options(cli, progress);
        int r = session_open_cluster(&options, cli->args.operand[0], SESSION_CHANGE, &session, err);
        const struct plan *plan = NULL;
        if (r == 0)
                r = session_plan(session, true, &plan, err);
        if (r < 0 && err)
                mention_forget(session, *err);
        if (r < 0 || !plan)
                return r;
        progress_pause(progress);
        bool go;
        r = ask(cli, session, plan, &go, err);
        if (r < 0)
                return r;
        if (!go)
                return err_set(err, ERR_CANCELLED, "nothing was removed");
        r = session_run(session, "destroy", err);
        progress_pause(progress);
        if (r == 0)
                finish(cli, session);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        cli->cancel = signals_install();
        CLEANUP_PROGRESS struct progress *progress = progress_new(cli);
        int r = args_has(&cli->args, "forget") ? forget(cli, progress, err) : destroy(cli, progress, err);
        if (r < 0 && err) {
                change_explain(*err);
                progress_shorten(progress, *err);
        }
        return r;
}

static const struct option options[] = {
        {"delete-data", 0, NULL, false, "delete homes, accounts of the embedded directory and their secrets, too",
                COMPLETE_NOTHING},
        {"forget", 0, NULL, false, "on Kubernetes that is gone for good: remove only what is recorded of it here",
                COMPLETE_NOTHING},
        {"yes", 'y', NULL, false, "do not ask", COMPLETE_NOTHING},
        {"wait", 0, NULL, false, "if somebody else is changing the cluster, wait until that is done", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_destroy = {
        .name = "destroy",
        .args = "CLUSTER",
        .summary = "remove a cluster; its homes and accounts are kept",
        .details =
                "Leaves no process, unit, account, group of ours, mount or file but user data, and says where that "
                "is. Applying the "
                "form again gives users their data back. --delete-data deletes it, also after an earlier destroy.\n\n"
                "Where the Kubernetes cluster itself is gone for good, --forget removes the records, secrets and "
                "folder that "
                "are kept of it here, and nothing else. It is refused while that Kubernetes cluster answers.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
