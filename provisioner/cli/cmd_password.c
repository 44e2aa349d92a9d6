#include <string.h>

#include "access/clusters.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "journal/journal.h"

/* What can be asked for, and which secret of the journal it is. */
static const struct asked {
        const char *option, *user, *secret;
        bool embedded; /* only with a directory of our own */
} passwords[] = {
        {NULL, "admin", "identity/admin_password", true},
        {"directory", "cn=Directory Manager", "identity/root_password", true},
        {"metrics", "prometheus", "hub/prometheus_token", false},
};

static const struct asked *asked_for(const struct cli *cli)
{
        for (size_t i = 1; i < sizeof passwords / sizeof *passwords; i++)
                if (args_has(&cli->args, passwords[i].option))
                        return &passwords[i];
        return &passwords[0];
}

static int read_password(
        struct journal *journal, const char *cluster, const struct asked *asked, char **ret, struct err **err)
{
        json_auto_t *row = NULL;
        int r = clusters_find_running(journal, cluster, &row, err);
        if (r < 0)
                return r;
        const json_t *identity = json_object_get(json_object_get(row, "form"), "identity");
        const char *provider = json_string_value(json_object_get(identity, "provider"));
        if (asked->embedded && !str_is(provider, "embedded"))
                return err_set(err, ERR_REFUSED, "the accounts of %s are in %s: its passwords are not known here",
                        cluster, json_string_value(json_object_get(identity, "server")));
        CLEANUP_ERR struct err *fault = NULL;
        r = journal_secret(journal, cluster, asked->secret, ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return err_set(
                        err, ERR_NOT_FOUND, "there is no %s of %s yet: apply its form first", asked->user, cluster);
        if (r < 0)
                *err = STEAL(fault);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        const struct asked *asked = asked_for(cli);
        struct journal *journal = NULL;
        char *password = NULL;
        int r = journal_open(cli->state_dir, false, &journal, err);
        if (r == 0)
                r = read_password(journal, cli->args.operand[0], asked, &password, err);
        journal_close(journal);
        if (r < 0)
                return r;
        if (cli->json) {
                json_auto_t *document = json_pack("{s:s, s:s}", "user", asked->user, "password", password);
                cli_json(cli, document);
        } else {
                fprintf(cli->out, "%s\n", password);
        }
        cli_forget(password);
        return EXIT_FINE;
}

static const struct option options[] = {
        {"directory", '\0', NULL, false, "the password of the directory's own administrator (cn=Directory Manager)",
                COMPLETE_NOTHING},
        {"metrics", '\0', NULL, false, "the token that reads the hub's metrics (/hub/metrics), users and servers",
                COMPLETE_NOTHING},
        {NULL, '\0', NULL, false, NULL, COMPLETE_NOTHING},
};

const struct command cmd_password = {
        .name = "password",
        .args = "CLUSTER",
        .summary = "print the password that admin was given (embedded directory)",
        .details = "The one made at the first apply, as the journal keeps it. Whoever has changed it since, with user "
                   "passwd admin, knows "
                   "the new one; it is not kept.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
