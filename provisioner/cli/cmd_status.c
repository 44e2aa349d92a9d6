#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "access/clusters.h"
#include "access/gateway.h"
#include "access/hub.h"
#include "access/services.h"
#include "access/session.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/plan_text.h"
#include "cli/summary.h"
#include "cli/text.h"
#include "kind/kind.h"

/* What differs from the form as it was applied last: {"create": n, …, "total": n, "ids": […]}, or {"error"}. */
static json_t *drift(const struct cli *cli, const char *cluster)
{
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ERR struct err *err = NULL;
        struct session_options options = change_options(cli, NULL);
        const struct plan *plan = NULL;
        int r = session_open_cluster(&options, cluster, SESSION_LOOK, &session, &err);
        if (r == 0)
                r = session_plan(session, false, &plan, &err);
        if (r < 0 || !plan)
                return json_pack("{s:s}", "error", err ? err->message : "cannot be looked at");
        json_t *ids = json_array();
        for (size_t i = 0; i < plan->count; i++)
                if (plan->step[i].change.action != ACTION_NONE)
                        json_array_append_new(ids, json_string(plan->step[i].resource.id));
        CLEANUP_FREE char *summary = plan_summary(plan);
        return json_pack(
                "{s:I, s:s, s:o}", "total", (json_int_t)session_changes(plan), "summary", summary, "resources", ids);
}

/* {"users": known to the hub, "servers": running, "dask_clusters", "dask_workers"}; what does not answer is null. */
static json_t *use(const struct cli *cli, struct journal *journal, const char *cluster)
{
        json_t *hub = NULL, *gateway = NULL;
        json_auto_t *users = NULL, *dask = NULL;
        json_t *result = json_pack("{s:n, s:n, s:n}", "servers", "dask_clusters", "dask_workers");
        if (access_read(journal, cluster, "hub", &hub, NULL) == 0 && hub_users(hub, cli->cancel, &users, NULL) == 0) {
                const char *name;
                json_t *user;
                json_int_t servers = 0;
                json_object_foreach (users, name, user)
                        servers += json_is_object(json_object_get(user, "server"));
                json_object_set_new(result, "servers", json_integer(servers));
        }
        if (access_read(journal, cluster, "gateway", &gateway, NULL) == 0 &&
                gateway_clusters(gateway, cli->cancel, &dask, NULL) == 0) {
                const json_t *list = json_object_get(dask, "clusters");
                json_int_t workers = 0;
                size_t i;
                json_t *one;
                json_array_foreach (list, i, one)
                        workers += json_integer_value(json_object_get(one, "workers"));
                json_object_set_new(result, "dask_clusters", json_integer((json_int_t)json_array_size(list)));
                json_object_set_new(result, "dask_workers", json_integer(workers));
        }
        kind_forget(hub);
        kind_forget(gateway);
        return result;
}

static json_t *last_run(struct journal *journal, const char *cluster)
{
        json_auto_t *runs = NULL;
        if (journal_history(journal, cluster, 1, &runs, NULL) < 0 || json_array_size(runs) == 0)
                return json_null();
        json_t *run = json_deep_copy(json_array_get(runs, 0));
        json_object_del(run, "steps");
        return run;
}

static int look(const struct cli *cli, struct journal *journal, const json_t *row, json_t **ret, struct err **err)
{
        const char *cluster = json_string_value(json_object_get(row, "name"));
        const json_t *form = json_object_get(row, "form");
        bool destroyed = json_is_integer(json_object_get(row, "destroyed"));
        json_t *services = NULL;
        int r = services_status(journal, cluster, cli->state_dir, cli->cancel, &services, err);
        if (r < 0)
                return r;
        *ret = json_pack("{s:s, s:O, s:b, s:O, s:o, s:o, s:o, s:o, s:o}", "cluster", cluster, "target",
                json_object_get(row, "target"), "destroyed", (int)destroyed, "version", json_object_get(row, "version"),
                "last_run", last_run(journal, cluster), "access",
                destroyed ? json_null() : summary_json(journal, cluster, form), "differs",
                destroyed ? json_null() : drift(cli, cluster), "services", services, "use",
                destroyed ? json_null() : use(cli, journal, cluster));
        return 0;
}

/* ---- for people ---- */

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "-";
}

static void print_services(const struct cli *cli, const json_t *services)
{
        struct clock *clock = clock_system();
        size_t i;
        int width = 13;
        json_t *service;
        json_array_foreach (services, i, service)
                width = (int)strlen(text_of(service, "name")) > width ? (int)strlen(text_of(service, "name")) : width;
        json_array_foreach (services, i, service) {
                const json_t *since = json_object_get(service, "since"), *ready = json_object_get(service, "ready");
                bool running = json_is_true(json_object_get(service, "running"));
                const char *state = !running               ? "down"
                                    : json_is_false(ready) ? "not ready"
                                    : json_is_true(ready)  ? "ready"
                                                           : "up";
                enum style style = running && !json_is_false(ready) ? STYLE_GREEN : STYLE_RED;
                char duration[32];
                const char *how_long = "";
                if (json_is_integer(since))
                        how_long = clock_duration(clock->wall_ms(clock) - json_integer_value(since), duration);
                const char *message = json_string_value(json_object_get(service, "message"));
                CLEANUP_FREE char *safe = text_safe(message ? message : "", false);
                fprintf(cli->out, "  %-*s %s%-10s%s %-12s %s\n", width, text_of(service, "name"),
                        cli_style(cli->color, style), state, cli_style(cli->color, STYLE_NONE), how_long, safe);
        }
}

static void print_last_run(const struct cli *cli, const json_t *run)
{
        char began[32];
        if (!json_is_object(run))
                return;
        const char *outcome = json_string_value(json_object_get(run, "outcome"));
        bool good = str_is(outcome, "done");
        fprintf(cli->out, "  %-13s %s at %s: %s%s%s\n", "last run", text_of(run, "command"),
                clock_format(json_integer_value(json_object_get(run, "began")), began),
                cli_style(cli->color, good ? STYLE_GREEN : STYLE_RED), outcome ? outcome : "has not ended",
                cli_style(cli->color, STYLE_NONE));
}

static void print_differs(const struct cli *cli, const json_t *differs)
{
        const char *error = json_string_value(json_object_get(differs, "error"));
        json_int_t total = json_integer_value(json_object_get(differs, "total"));
        if (error) {
                CLEANUP_FREE char *safe = text_safe(error, false);
                fprintf(cli->out, "  %-13s %scannot tell: %s%s\n", "as applied", cli_style(cli->color, STYLE_RED), safe,
                        cli_style(cli->color, STYLE_NONE));
        } else if (total == 0) {
                fprintf(cli->out, "  %-13s yes\n", "as applied");
        } else {
                fprintf(cli->out, "  %-13s %sno: %s%s (apply its form again)\n", "as applied",
                        cli_style(cli->color, STYLE_YELLOW), text_of(differs, "summary"),
                        cli_style(cli->color, STYLE_NONE));
        }
}

static void print_use(const struct cli *cli, const json_t *in_use)
{
        const json_t *servers = json_object_get(in_use, "servers"), *dask = json_object_get(in_use, "dask_clusters");
        json_int_t workers = json_integer_value(json_object_get(in_use, "dask_workers"));
        if (!json_is_integer(servers) && !json_is_integer(dask))
                return;
        fprintf(cli->out, "  %-13s ", "in use");
        if (json_is_integer(servers))
                fprintf(cli->out, "%lld notebook %s", (long long)json_integer_value(servers),
                        json_integer_value(servers) == 1 ? "server" : "servers");
        if (json_is_integer(dask))
                fprintf(cli->out, "%s%lld Dask %s with %lld %s", json_is_integer(servers) ? ", " : "",
                        (long long)json_integer_value(dask), json_integer_value(dask) == 1 ? "cluster" : "clusters",
                        (long long)workers, workers == 1 ? "worker" : "workers");
        fputc('\n', cli->out);
}

static void print(const struct cli *cli, const json_t *status)
{
        const json_t *access = json_object_get(status, "access");
        fprintf(cli->out, "%s%s%s%s\n", cli_style(cli->color, STYLE_BOLD), text_of(status, "cluster"),
                cli_style(cli->color, STYLE_NONE),
                json_is_true(json_object_get(status, "destroyed")) ? "  destroyed, its data is kept" : "");
        if (json_is_string(json_object_get(access, "url")))
                fprintf(cli->out, "  %-13s %s\n", "address", text_of(access, "url"));
        const char *ca = json_string_value(json_object_get(json_object_get(access, "ca"), "path"));
        if (ca)
                fprintf(cli->out, "  %-13s verified by %s\n", "certificate", ca);
        const json_t *grafana = json_object_get(access, "grafana");
        if (json_is_object(grafana)) {
                fprintf(cli->out, "  %-13s %s", "grafana", text_of(grafana, "url"));
                if (json_is_string(json_object_get(grafana, "files")))
                        fprintf(cli->out, "; its files: %s", text_of(grafana, "files"));
                fputc('\n', cli->out);
        }
        print_last_run(cli, json_object_get(status, "last_run"));
        if (json_is_object(json_object_get(status, "differs")))
                print_differs(cli, json_object_get(status, "differs"));
        print_use(cli, json_object_get(status, "use"));
        print_services(cli, json_object_get(status, "services"));
}

/* ---- the command ---- */

/* A service that is down or not ready: exit status 1, for scripts. */
static bool healthy(const json_t *status)
{
        size_t i;
        json_t *service;
        json_array_foreach (json_object_get(status, "services"), i, service)
                if (!json_is_true(json_object_get(service, "running")) ||
                        json_is_false(json_object_get(service, "ready")))
                        return false;
        return true;
}

static int rows_of(struct cli *cli, struct journal *journal, json_t **ret, struct err **err)
{
        if (cli->args.count == 0)
                return journal_clusters(journal, ret, err);
        json_t *row = NULL;
        int r = clusters_find(journal, cli->args.operand[0], &row, err);
        if (r == 0)
                *ret = json_pack("[o]", row);
        return r;
}

/* No state folder: no clusters. Who asks for one of them is told. */
static int open_rows(struct cli *cli, struct journal **ret_journal, json_t **ret_rows, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_open(cli->state_dir, false, ret_journal, &fault);
        if (r == 0)
                return rows_of(cli, *ret_journal, ret_rows, err);
        if (r == -ERR_NOT_FOUND && cli->args.count == 0)
                return 0;
        if (err)
                *err = STEAL(fault);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        struct journal *journal = NULL;
        json_auto_t *rows = NULL, *list = json_array();
        bool good = true;
        int r = open_rows(cli, &journal, &rows, err);
        size_t i;
        json_t *row;
        json_array_foreach (rows, i, row) {
                json_t *status = NULL;
                if (r == 0)
                        r = look(cli, journal, row, &status, err);
                if (r < 0)
                        break;
                good = healthy(status) && good;
                if (!cli->json)
                        print(cli, status);
                json_array_append_new(list, status);
        }
        journal_close(journal);
        if (r < 0)
                return r;
        if (cli->json)
                cli_json(cli, cli->args.count ? json_array_get(list, 0) : list);
        else if (json_array_size(list) == 0)
                fprintf(cli->out, "no clusters in %s\n", cli->state_dir);
        return good ? EXIT_FINE : EXIT_NO;
}

const struct command cmd_status = {
        .name = "status",
        .args = "[CLUSTER]",
        .summary = "show how a cluster does: address, services, use, last run",
        .details = "Without CLUSTER, all of them, which may be none. The exit status is 1 when a service is down or "
                   "not ready.",
        .min = 0,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
