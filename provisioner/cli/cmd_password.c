#include <string.h>

#include "access/clusters.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "journal/journal.h"

#define ADMIN_SECRET "identity/admin_password"

static int read_password(struct journal *journal, const char *cluster, char **ret, struct err **err)
{
        json_auto_t *row = NULL;
        int r = clusters_find_running(journal, cluster, &row, err);
        if (r < 0)
                return r;
        const json_t *identity = json_object_get(json_object_get(row, "form"), "identity");
        const char *provider = json_string_value(json_object_get(identity, "provider"));
        if (!str_is(provider, "embedded"))
                return err_set(err, ERR_REFUSED, "the accounts of %s are in %s: its passwords are not known here",
                        cluster, json_string_value(json_object_get(identity, "server")));
        CLEANUP_ERR struct err *fault = NULL;
        r = journal_secret(journal, cluster, ADMIN_SECRET, ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return err_set(err, ERR_NOT_FOUND, "there is no admin of %s yet: apply its form first", cluster);
        if (r < 0)
                *err = STEAL(fault);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        struct journal *journal = NULL;
        char *password = NULL;
        int r = journal_open(cli->state_dir, false, &journal, err);
        if (r == 0)
                r = read_password(journal, cli->args.operand[0], &password, err);
        journal_close(journal);
        if (r < 0)
                return r;
        if (cli->json) {
                json_auto_t *document = json_pack("{s:s, s:s}", "user", "admin", "password", password);
                cli_json(cli, document);
        } else {
                fprintf(cli->out, "%s\n", password);
        }
        mem_wipe_free(password, strlen(password));
        return EXIT_FINE;
}

const struct command cmd_password = {
        .name = "password",
        .args = "CLUSTER",
        .summary = "print the password that admin was given (embedded directory)",
        .details = "The one made at the first apply, as the journal keeps it. Whoever has changed it since, with user "
                   "passwd admin, knows "
                   "the new one; it is not kept.",
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
