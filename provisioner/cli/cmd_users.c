#include <time.h>

#include "access/access.h"
#include "access/gateway.h"
#include "access/hub.h"
#include "access/membership.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/text.h"
#include "kind/kind.h"

#define USERS_MAX 10000

/* What the hub knows, laid beside what the directory says: {"server", "last_activity"}. */
static void add_hub(json_t *user, const json_t *known)
{
        json_t *server = json_object_get(known, "server"), *activity = json_object_get(known, "last_activity");
        json_object_set_new(user, "server", server ? json_incref(server) : json_null());
        json_object_set_new(user, "last_activity", activity ? json_incref(activity) : json_null());
}

/* Who is in by one of the groups is an admin of the hub by the form's word, too (identity.admins). */
static void add_form_admin(json_t *user, const json_t *form)
{
        const json_t *admins = json_object_get(json_object_get(form, "identity"), "admins");
        const char *name = json_string_value(json_object_get(user, "name"));
        size_t i;
        json_t *admin;
        json_array_foreach (admins, i, admin)
                if (str_is(json_string_value(admin), name))
                        json_object_set_new(user, "admin", json_true());
}

/* Somebody with a server who is in no group (any more) must not be overlooked. */
static void add_strangers(json_t *users, const json_t *seen, json_t *hub)
{
        const char *name;
        json_t *known;
        json_object_foreach (hub, name, known) {
                if (json_object_get(seen, name) || !json_is_object(json_object_get(known, "server")))
                        continue;
                json_t *user =
                        json_pack("{s:s, s:s, s:b, s:b}", "name", name, "full_name", "", "member", 0, "admin", 0);
                add_hub(user, known);
                json_array_append_new(users, user);
        }
}

static json_t *dask_of(struct journal *journal, const char *cluster)
{
        json_t *gateway = NULL, *answer = NULL;
        if (access_read(journal, cluster, "gateway", &gateway, NULL) == 0 &&
                gateway_clusters(gateway, NULL, &answer, NULL) < 0)
                answer = NULL;
        kind_forget(gateway);
        return answer;
}

static json_int_t dask_count(const json_t *dask, const char *name)
{
        json_int_t count = 0;
        size_t i;
        json_t *cluster;
        json_array_foreach (json_object_get(dask, "clusters"), i, cluster)
                count += str_is(json_string_value(json_object_get(cluster, "user")), name);
        return count;
}

/* Directory, hub and gateway together. A hub that does not answer is said, and the rest shown. */
static int gather(const struct cli *cli, struct cluster *cluster, json_t **ret, struct err **err)
{
        json_t *list = NULL;
        int r = membership_list(cluster->identity, USERS_MAX, &list, err);
        if (r < 0)
                return r;
        json_auto_t *hub = NULL, *seen = json_object(), *dask = dask_of(cluster->journal, cluster->name);
        CLEANUP_ERR struct err *fault = NULL;
        if (cluster_open_hub(cluster, &fault) < 0 || hub_users(cluster->hub, NULL, &hub, &fault) < 0) {
                fprintf(cli->notes, "caas: who has a server is not known: %s\n", fault->message);
                hub = NULL;
        }
        json_t *users = json_object_get(list, "users"), *user;
        size_t i;
        json_array_foreach (users, i, user) {
                const char *name = json_string_value(json_object_get(user, "name"));
                add_hub(user, json_object_get(hub, name));
                add_form_admin(user, json_object_get(cluster->row, "form"));
                json_object_set_new(seen, name, json_true());
        }
        add_strangers(users, seen, hub);
        json_array_foreach (users, i, user)
                json_object_set_new(user, "dask_clusters",
                        json_integer(dask_count(dask, json_string_value(json_object_get(user, "name")))));
        *ret = list;
        return 0;
}

/* "2 h 05 min" since a time of the hub ("2026-11-21T14:03:22.123456Z"), or "-". */
static const char *ago(const json_t *time_text, char buffer[32])
{
        struct tm tm = {0};
        const char *text = json_string_value(time_text);
        if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
                return "-";
        struct clock *clock = clock_system();
        int64_t passed = clock->wall_ms(clock) - (int64_t)timegm(&tm) * 1000;
        return clock_duration(passed > 0 ? passed : 0, buffer);
}

static char *role_text(const json_t *user)
{
        if (json_is_true(json_object_get(user, "locked")))
                return str_copy("locked");
        const char *role = json_is_true(json_object_get(user, "admin"))    ? "admin"
                           : json_is_true(json_object_get(user, "member")) ? "user"
                                                                           : "not a member";
        const char *via = json_string_value(json_array_get(json_object_get(user, "via"), 0));
        return via ? str_format("%s, by %s", role, via) : str_copy(role);
}

static char *server_text(const json_t *user)
{
        char duration[32];
        const json_t *server = json_object_get(user, "server");
        if (!json_is_object(server))
                return str_copy("-");
        const char *pending = json_string_value(json_object_get(server, "pending"));
        return pending ? str_copy(pending) : str_format("for %s", ago(json_object_get(server, "started"), duration));
}

static void print(const struct cli *cli, const json_t *list)
{
        CLEANUP_TABLE struct text_table table = {.columns = 6};
        text_row(&table, (const char *const[]){"NAME", "FULL NAME", "ADMITTED AS", "SERVER", "DASK", "LAST ACTIVE"});
        size_t i;
        json_t *user;
        json_array_foreach (json_object_get(list, "users"), i, user) {
                char active[32], dask[24];
                CLEANUP_FREE char *role = role_text(user);
                CLEANUP_FREE char *server = server_text(user);
                const char *since = ago(json_object_get(user, "last_activity"), active);
                CLEANUP_FREE char *activity = str_is(since, "-") ? str_copy("-") : str_format("%s ago", since);
                json_int_t clusters = json_integer_value(json_object_get(user, "dask_clusters"));
                snprintf(dask, sizeof dask, "%lld", (long long)clusters);
                text_row(&table, (const char *const[]){json_string_value(json_object_get(user, "name")),
                                         json_string_value(json_object_get(user, "full_name")), role, server,
                                         clusters ? dask : "-", activity});
        }
        if (i == 0)
                fprintf(cli->out, "nobody yet: caas grant CLUSTER USER lets somebody in\n");
        else
                text_print(&table, cli->out, cli_style(cli->color, STYLE_DIM), cli_style(cli->color, STYLE_NONE));
        if (json_is_true(json_object_get(list, "more")))
                fprintf(cli->notes, "caas: only the first %d are shown\n", USERS_MAX);
}

/* For the completion of names: the directory alone, one name a line. */
static int print_names(const struct cli *cli, const struct cluster *cluster, struct err **err)
{
        json_auto_t *list = NULL;
        int r = membership_list(cluster->identity, USERS_MAX, &list, err);
        size_t i;
        json_t *user;
        json_array_foreach (json_object_get(list, "users"), i, user) {
                CLEANUP_FREE char *name = text_safe(json_string_value(json_object_get(user, "name")), false);
                fprintf(cli->out, "%s\n", name);
        }
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        json_auto_t *list = NULL;
        int r = cluster_open_identity(cli, &cluster, err);
        if (r == 0 && args_has(&cli->args, "names"))
                return print_names(cli, &cluster, err);
        if (r == 0)
                r = gather(cli, &cluster, &list, err);
        if (r < 0)
                return r;
        if (cli->json)
                cli_json(cli, list);
        else
                print(cli, list);
        return EXIT_FINE;
}

static const struct option options[] = {
        {"names", 0, NULL, false, "names only, one a line", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_users = {
        .name = "users",
        .args = "CLUSTER",
        .summary = "show who is in, who is admin, who has a server",
        .details =
                "Members of the two groups, nested groups included, and whoever has a server without being a member.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
