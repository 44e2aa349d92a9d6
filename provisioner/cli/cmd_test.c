#include <string.h>

#include "access/health.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/signals.h"
#include "cli/text.h"

static void on_check(void *data, const json_t *check)
{
        const struct cli *cli = data;
        if (cli->json) {
                json_dumpf(check, cli->out, JSON_COMPACT);
                fputc('\n', cli->out);
                fflush(cli->out);
                return;
        }
        bool ok = json_is_true(json_object_get(check, "ok"));
        if (cli->quiet && ok)
                return;
        char duration[32];
        clock_duration((int64_t)(json_number_value(json_object_get(check, "seconds")) * 1000), duration);
        const char *message = json_string_value(json_object_get(check, "message"));
        CLEANUP_FREE char *name = text_safe(json_string_value(json_object_get(check, "check")), false);
        CLEANUP_FREE char *text = text_safe(message ? message : "", false);
        fprintf(cli->out, "%s%-6s%s  %-9s  %8s  %s\n", cli_style(cli->color, ok ? STYLE_GREEN : STYLE_RED),
                ok ? "ok" : "FAILED", cli_style(cli->color, STYLE_NONE), name, duration, text);
        fflush(cli->out);
}

/* A user that was named brings a password; otherwise a temporary account is made. */
static int who(struct cli *cli, struct health_options *options, char **ret_password, struct err **err)
{
        options->user = args_value(&cli->args, "user");
        if (!options->user)
                return 0;
        CLEANUP_FREE char *prompt = str_format("password of %.60s", options->user);
        int r = cli_password(cli, prompt, false, ret_password, err);
        options->password = *ret_password;
        return r;
}

static int test(struct cli *cli, struct cluster *cluster, bool *ret_ok, struct err **err)
{
        long workers = 2;
        struct health_options options = {.cluster = cluster->name,
                .state_dir = cli->state_dir,
                .journal = cluster->journal,
                .address = args_value(&cli->args, "address"),
                .cancel = cli->cancel,
                .on_check = on_check,
                .data = cli};
        char *password = NULL;
        int r = args_number(&cli->args, "workers", 1, 100, &workers, err);
        if (r == 0)
                r = who(cli, &options, &password, err);
        options.workers = (int)workers;
        if (r == 0)
                r = health_run(&options, ret_ok, err);
        cli_forget(password);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        CLEANUP_CLUSTER struct cluster cluster = {0};
        cli->cancel = signals_install_at_once();
        bool ok = false;
        int r = cluster_open(cli, &cluster, err);
        if (r == 0)
                r = test(cli, &cluster, &ok, err);
        if (r == -ERR_REFUSED && !args_has(&cli->args, "user"))
                err_prefix(err, "test needs --user NAME");
        if (r < 0)
                return r;
        return ok ? EXIT_FINE : EXIT_NO;
}

static const struct option options[] = {
        {"user", 0, "NAME", false, "sign in as this user; the password is asked for, or read from standard input",
                COMPLETE_USER},
        {"workers", 0, "N", false, "workers of the Dask cluster (default: 2)", COMPLETE_NOTHING},
        {"address", 0, "IP", false, "connect there, instead of where the cluster's name leads", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_test = {
        .name = "test",
        .args = "CLUSTER",
        .summary = "sign in, start a server, compute on Dask; says what fails",
        .details = "With the embedded directory a temporary account does it and is gone afterwards with all it had, "
                   "also after Ctrl-C. "
                   "With another directory --user says who.",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
