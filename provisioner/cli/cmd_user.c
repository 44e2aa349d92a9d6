/* Accounts of an embedded directory. */
#include <string.h>

#include "access/homes.h"
#include "access/hub.h"
#include "access/membership.h"
#include "access/reach.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/signals.h"

static const char *uri_of(const struct cluster *cluster)
{
        return json_string_value(json_object_get(cluster->identity, "uri"));
}

static bool is_embedded(const struct cluster *cluster)
{
        return json_is_true(json_object_get(cluster->identity, "embedded"));
}

static int open_embedded(struct cli *cli, struct cluster *cluster, struct err **err)
{
        int r = cluster_open_identity(cli, cluster, err);
        if (r == 0 && !is_embedded(cluster))
                r = err_set(err, ERR_REFUSED, "the accounts of %s are in %s and are managed there", cluster->name,
                        uri_of(cluster));
        return r;
}

/* A name that cannot be should not cost typing a password. */
static int check_name(const char *name, struct err **err)
{
        if (membership_name_ok(name))
                return 0;
        return err_set(err, ERR_INVALID,
                "'%.60s' cannot be a user name: a small letter or _, then small letters, digits, _ . -, at most 32",
                name);
}

static int ask_password(struct cli *cli, const char *name, char **ret, struct err **err)
{
        cli->cancel = signals_install();
        signals_silent(true);
        CLEANUP_FREE char *prompt = str_format("new password of %s", name);
        return cli_password(cli, prompt, true, ret, err);
}

/* ---- add ---- */

static int grant_new(const struct cluster *cluster, const char *name, bool admin, struct err **err)
{
        const char *const names[] = {name, NULL};
        json_auto_t *granted = NULL;
        int r = membership_grant(cluster->identity, names, admin, &granted, err);
        return r < 0 ? err_prefix(err, "the account was made, but not let in") : 0;
}

static int run_add(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        const char *name = cli->args.operand[1];
        bool grant = args_has(&cli->args, "grant"), admin = args_has(&cli->args, "admin");
        char *password = NULL;
        json_auto_t *made = NULL;
        int r = check_name(name, err);
        if (r == 0)
                r = open_embedded(cli, &cluster, err);
        if (r == 0)
                r = ask_password(cli, name, &password, err);
        if (r < 0)
                return r;
        struct membership_user user = {.name = name,
                .full_name = args_value(&cli->args, "full-name"),
                .mail = args_value(&cli->args, "mail"),
                .password = password};
        r = membership_user_add(cluster.identity, &user, &made, err);
        cli_forget(password);
        if (r == 0 && (grant || admin))
                r = grant_new(&cluster, name, admin, err);
        if (r < 0)
                return r;
        if (cli->json)
                cli_json(cli, made);
        else if (!cli->quiet && (grant || admin))
                fprintf(cli->out, "%s has an account and is %s of %s\n", name, admin ? "an admin" : "a user",
                        cluster.name);
        else if (!cli->quiet)
                fprintf(cli->out, "%s has an account; 'caas grant %s %s' lets them in\n", name, cluster.name, name);
        return EXIT_FINE;
}

static const struct option add_options[] = {
        {"full-name", 0, "TEXT", false, "first and last name (default: the user name)", COMPLETE_NOTHING},
        {"mail", 0, "ADDRESS", false, "mail address", COMPLETE_NOTHING},
        {"grant", 0, NULL, false, "let them in as well", COMPLETE_NOTHING},
        {"admin", 0, NULL, false, "let them in as an admin", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_user_add = {
        .name = "user add",
        .args = "CLUSTER USER",
        .summary = "make an account (embedded directory)",
        .details = "The password is asked for, or read from the first line of standard input; at least 8 characters.",
        .options = add_options,
        .min = 2,
        .max = 2,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run_add,
};

/* ---- passwd ---- */

static int run_passwd(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        const char *name = cli->args.operand[1];
        char *password = NULL;
        int r = check_name(name, err);
        if (r == 0)
                r = open_embedded(cli, &cluster, err);
        if (r == 0)
                r = ask_password(cli, name, &password, err);
        if (r < 0)
                return r;
        r = membership_user_passwd(cluster.identity, name, password, err);
        cli_forget(password);
        if (r < 0)
                return r;
        if (cli->json) {
                json_auto_t *document = json_pack("{s:s}", "name", name);
                cli_json(cli, document);
        } else if (!cli->quiet) {
                fprintf(cli->out, "%s has a new password\n", name);
        }
        return EXIT_FINE;
}

const struct command cmd_user_passwd = {
        .name = "user passwd",
        .args = "CLUSTER USER",
        .summary = "set a password (embedded directory)",
        .details = "The password is asked for, or read from the first line of standard input. What the user has "
                   "running goes on.",
        .min = 2,
        .max = 2,
        .first = COMPLETE_CLUSTER,
        .rest = COMPLETE_USER,
        .json = true,
        .run = run_passwd,
};

/* ---- remove ---- */

/* Everything that runs is ended before the account goes: afterwards nobody would know whose it was. */
static int remove_user(const struct cluster *cluster, const char *name, struct err **err)
{
        int r = hub_revoke_all(cluster->hub, NULL, name, err);
        if (r < 0)
                return err_suffix(err, is_embedded(cluster) ? "the account stays" : "the home stays");
        if (is_embedded(cluster))
                r = membership_user_remove(cluster->identity, name, err);
        return r < 0 ? r : hub_delete_user(cluster->hub, NULL, name, err);
}

static int open_all(struct cli *cli, struct cluster *cluster, bool data, struct err **err)
{
        int r = data ? cluster_open_identity(cli, cluster, err) : open_embedded(cli, cluster, err);
        if (r == -ERR_REFUSED && cluster->identity && !is_embedded(cluster))
                err_suffix(err, "with --delete-home the home alone is deleted, of somebody who is no longer let in");
        return r < 0 ? r : cluster_open_hub(cluster, err);
}

/* The home of an account of somebody else's directory: of nobody who could come back to it in the next moment. */
static int check_left(const struct cluster *cluster, const char *name, const char *home, struct err **err)
{
        bool in = false;
        int r = membership_is_in(cluster->identity, name, &in, err);
        if (r == 0 && in)
                r = err_set(err, ERR_REFUSED,
                        "%s is let in to %s, and the home stays: 'caas revoke %s %s' comes first, and who is in by way "
                        "of another group has to be taken out of that one in %s",
                        name, cluster->name, cluster->name, name, uri_of(cluster));
        if (r == 0 && !home)
                r = err_set(err, ERR_NOT_FOUND, "%s has no home in %s", name, cluster->name);
        return r;
}

static char *question_of(const struct cluster *cluster, const char *name, bool data)
{
        if (is_embedded(cluster))
                return str_format("remove the account %s%s?", name, data ? " AND ITS HOME" : " (its home is kept)");
        return str_format("delete THE HOME of %s (the account is kept in %s)?", name, uri_of(cluster));
}

/* kept: the home, or NULL. */
static void say_removed(struct cli *cli, const struct cluster *cluster, const char *name, const char *kept)
{
        if (cli->json) {
                json_auto_t *document = json_pack("{s:s, s:s?}", "name", name, "home", kept);
                cli_json(cli, document);
        } else if (!cli->quiet && !is_embedded(cluster)) {
                fprintf(cli->out, "the home of %s is gone; the account is kept in %s\n", name, uri_of(cluster));
        } else if (!cli->quiet) {
                bool passes_on = kept && reach_is_kubernetes(cluster->row); /* to whoever has the name */
                fprintf(cli->out, "%s is gone%s%s%s\n", name, kept ? "; the home is kept: " : "", kept ? kept : "",
                        passes_on ? "; an account of the same name made later is given it" : "");
        }
}

static int run_remove(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        const char *name = cli->args.operand[1];
        bool data = args_has(&cli->args, "delete-home");
        int r = data && str_user_name(name) ? 0 : check_name(name, err); /* FreeIPA's may be longer than ours */
        if (r == 0)
                r = open_all(cli, &cluster, data, err);
        if (r < 0)
                return r;
        const struct homes_place homes = {cluster.journal, cli->state_dir, cluster.row};
        CLEANUP_FREE char *home = NULL; /* who never had a server has none */
        r = homes_find(&homes, name, &home, err);
        if (r == 0 && !is_embedded(&cluster))
                r = check_left(&cluster, name, home, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *question = question_of(&cluster, name, data);
        if (!args_has(&cli->args, "yes") && cli->interactive && !cli_confirm(cli, question))
                return err_set(err, ERR_CANCELLED, "nothing was removed");
        r = remove_user(&cluster, name, err);
        if (r == 0 && data)
                r = homes_delete(&homes, name, err);
        if (r < 0)
                return r;
        say_removed(cli, &cluster, name, data ? NULL : home);
        return EXIT_FINE;
}

static const struct option remove_options[] = {
        {"delete-home", 0, NULL, false, "delete the home, too", COMPLETE_NOTHING},
        {"yes", 'y', NULL, false, "do not ask", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_user_remove = {
        .name = "user remove",
        .args = "CLUSTER USER",
        .summary = "remove an account (embedded directory); the home is kept",
        .details =
                "Ends what the user has running first. On a host an account of the same name made later gets another "
                "number and cannot open the home that was kept; on Kubernetes it is given that home. With FreeIPA, "
                "--delete-home deletes the home alone, of somebody who is in none of the cluster's groups any more; "
                "the account is managed there.",
        .options = remove_options,
        .min = 2,
        .max = 2,
        .first = COMPLETE_CLUSTER,
        .rest = COMPLETE_USER,
        .json = true,
        .run = run_remove,
};
