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

static int open_embedded(struct cli *cli, struct cluster *cluster, struct err **err)
{
        int r = cluster_open_identity(cli, cluster, err);
        if (r == 0 && !json_is_true(json_object_get(cluster->identity, "embedded")))
                r = err_set(err, ERR_REFUSED, "the accounts of %s are in %s and are managed there", cluster->name,
                        json_string_value(json_object_get(cluster->identity, "uri")));
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
                return err_suffix(err, "the account stays");
        r = membership_user_remove(cluster->identity, name, err);
        return r < 0 ? r : hub_delete_user(cluster->hub, NULL, name, err);
}

static int run_remove(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        const char *name = cli->args.operand[1];
        bool data = args_has(&cli->args, "delete-home");
        int r = check_name(name, err);
        if (r == 0)
                r = open_embedded(cli, &cluster, err);
        if (r == 0)
                r = cluster_open_hub(&cluster, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *question =
                str_format("remove the account %s%s?", name, data ? " AND ITS HOME" : " (its home is kept)");
        if (!args_has(&cli->args, "yes") && cli->interactive && !cli_confirm(cli, question))
                return err_set(err, ERR_CANCELLED, "nothing was removed");
        const struct homes_place homes = {cluster.journal, cli->state_dir, cluster.row};
        CLEANUP_FREE char *home = NULL; /* who never had a server has none */
        r = data ? 0 : homes_find(&homes, name, &home, err);
        if (r == 0)
                r = remove_user(&cluster, name, err);
        if (r == 0 && data)
                r = homes_delete(&homes, name, err);
        if (r < 0)
                return r;
        if (cli->json) {
                json_auto_t *document = json_pack("{s:s, s:s?}", "name", name, "home", home);
                cli_json(cli, document);
        } else if (!cli->quiet) {
                bool passes_on = home && reach_is_kubernetes(cluster.row); /* to whoever has the name */
                fprintf(cli->out, "%s is gone%s%s%s\n", name, home ? "; the home is kept: " : "", home ? home : "",
                        passes_on ? "; an account of the same name made later is given it" : "");
        }
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
                "number and cannot open the home that was kept; on Kubernetes it is given that home.",
        .options = remove_options,
        .min = 2,
        .max = 2,
        .first = COMPLETE_CLUSTER,
        .rest = COMPLETE_USER,
        .json = true,
        .run = run_remove,
};
