#include "access/hub.h"
#include "access/membership.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/text.h"

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

/* ---- grant ---- */

static int run_grant(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        CLEANUP_FREE const char **names = cluster_operands(cli);
        bool admins = args_has(&cli->args, "admin");
        json_auto_t *granted = NULL;
        int r = cluster_open_identity(cli, &cluster, err);
        if (r == 0)
                r = membership_grant(cluster.identity, names, admins, &granted, err);
        if (r < 0)
                return r;
        if (cli->json) {
                cli_json(cli, granted);
                return EXIT_FINE;
        }
        size_t i;
        json_t *user;
        json_array_foreach (granted, i, user) {
                CLEANUP_FREE char *name = text_safe(text_of(user, "name"), false);
                CLEANUP_FREE char *full = text_safe(text_of(user, "full_name"), false);
                bool changed = json_is_true(json_object_get(user, "changed"));
                if (!cli->quiet)
                        fprintf(cli->out, "%s (%s): %s %s of %s\n", name, full, changed ? "is now" : "was already",
                                admins ? "an admin" : "a user", cluster.name);
        }
        return EXIT_FINE;
}

static const struct option grant_options[] = {
        {"admin", 0, NULL, false, "into the group of admins instead of that of users", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_grant = {
        .name = "grant",
        .args = "CLUSTER USER...",
        .summary = "let users of the directory sign in",
        .details = "Puts them into the group CLUSTER_notebook_users of the directory. All names are looked up first: "
                   "with an unknown one "
                   "among them, nobody is put in.",
        .options = grant_options,
        .min = 2,
        .max = -1,
        .first = COMPLETE_CLUSTER,
        .rest = COMPLETE_USER,
        .json = true,
        .run = run_grant,
};

/* ---- revoke ---- */

/* "team, staff". The caller frees. */
static char *joined(const json_t *list)
{
        struct buf buf = BUF_INIT(2000);
        size_t i;
        json_t *item;
        json_array_foreach (list, i, item)
                buf_format(&buf, "%s%s", i ? ", " : "", json_string_value(item) ? json_string_value(item) : "?");
        CLEANUP_FREE char *raw = buf_steal(&buf);
        return text_safe(raw, false);
}

/* The hub counts what it ended. */
static void print_ended(const struct cli *cli, const json_t *ended)
{
        static const struct {
                const char *key, *one, *many;
        } parts[] = {{"servers", "server", "servers"}, {"clusters", "Dask cluster", "Dask clusters"},
                {"tokens", "token", "tokens"}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                json_int_t count = json_integer_value(json_object_get(ended, parts[i].key));
                fprintf(cli->out, "%s%lld %s", i ? ", " : "; ended: ", (long long)count,
                        count == 1 ? parts[i].one : parts[i].many);
        }
}

/* What one user lost; false if something of it could not be ended, or does not hold. */
static bool report_one(const struct cli *cli, const json_t *user)
{
        const json_t *ended = json_object_get(user, "ended");
        const char *error = json_string_value(json_object_get(user, "error"));
        const json_t *via = json_object_get(user, "via"), *errors = json_object_get(ended, "errors");
        CLEANUP_FREE char *name = text_safe(text_of(user, "name"), false);
        bool good = !error && json_array_size(via) == 0 && json_array_size(errors) == 0;
        if (!cli->json && !cli->quiet) {
                fprintf(cli->out, "%s: %s", name,
                        json_is_true(json_object_get(user, "changed")) ? "taken out"
                                                                       : "was in no group of this cluster");
                if (ended)
                        print_ended(cli, ended);
                fputc('\n', cli->out);
        }
        if (error) {
                CLEANUP_FREE char *safe = text_safe(error, false);
                fprintf(cli->notes, "caas: %s: what runs was not ended: %s\n", name, safe);
        }
        if (json_array_size(errors)) {
                CLEANUP_FREE char *list = joined(errors);
                fprintf(cli->notes, "caas: %s: not all could be ended: %s\n", name, list);
        }
        if (json_array_size(via)) {
                CLEANUP_FREE char *list = joined(via);
                fprintf(cli->notes,
                        "caas: %s can sign in again, being a member of %s, which is in the group: "
                        "take them out there, too\n",
                        name, list);
        }
        return good;
}

static int run_revoke(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        CLEANUP_FREE const char **names = cluster_operands(cli);
        json_auto_t *revoked = NULL;
        int r = cluster_open_identity(cli, &cluster, err);
        if (r == 0)
                r = cluster_open_hub(&cluster, err);
        /* The directory first: who is thrown out of the hub before could come straight back. */
        if (r == 0)
                r = membership_revoke(cluster.identity, names, &revoked, err);
        if (r < 0)
                return r;
        bool good = true;
        size_t i;
        json_t *user;
        json_array_foreach (revoked, i, user) {
                CLEANUP_ERR struct err *fault = NULL;
                json_t *report = NULL;
                if (hub_revoke(cluster.hub, NULL, text_of(user, "name"), &report, &fault) < 0)
                        json_object_set_new(user, "error", json_string(fault->message));
                else
                        json_object_set_new(user, "ended", report);
                good = report_one(cli, user) && good;
        }
        if (cli->json)
                cli_json(cli, revoked);
        return good ? EXIT_FINE : EXIT_NO;
}

const struct command cmd_revoke = {
        .name = "revoke",
        .args = "CLUSTER USER...",
        .summary = "take users out, and end all they have running",
        .details = "Takes them out of both groups of the directory and ends their servers, Dask clusters, sessions and "
                   "tokens at once. "
                   "Homes stay. The exit status is 1 if something could not be ended, or if somebody is still let in "
                   "by way of another "
                   "group.",
        .min = 2,
        .max = -1,
        .first = COMPLETE_CLUSTER,
        .rest = COMPLETE_USER,
        .json = true,
        .run = run_revoke,
};
