#include "base/str.h"
#include "cli/cli.h"
#include "cli/help.h"

static int run(struct cli *cli, struct err **err)
{
        static const char *const known[] = {"bash", "man", NULL};
        const char *what = cli->args.operand[0];
        if (str_is(what, "bash")) {
                help_completion_bash(cli->out);
                return EXIT_FINE;
        }
        if (str_is(what, "man")) {
                help_manual(cli->out);
                return EXIT_FINE;
        }
        const char *near = str_nearest(what, known);
        if (near)
                return err_set(err, ERR_USAGE, "completion: there is no '%.60s'; did you mean '%s'?", what, near);
        return err_set(err, ERR_USAGE, "completion: there is no '%.60s'; one of: bash, man", what);
}

const struct command cmd_completion = {
        .name = "completion",
        .args = "bash|man",
        .summary = "print the bash completion, or the manual page",
        .details = "To use it now: source <(caas completion bash). An installed caas has both in their places.",
        .min = 1,
        .max = 1,
        .first = COMPLETE_SHELL,
        .run = run,
};
