#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "form/form.h"

static int known_target(const char *target, struct err **err)
{
        const char *const *targets = form_targets();
        for (size_t i = 0; targets[i]; i++)
                if (str_is(target, targets[i]))
                        return 0;
        const char *near = str_nearest(target, targets);
        return err_set(err, ERR_USAGE, "new: there is no target '%.60s'%s%s; one of: host, kubernetes", target,
                near ? "; did you mean " : "", near ? near : "");
}

static int run(struct cli *cli, struct err **err)
{
        const char *name = cli->args.count ? cli->args.operand[0] : NULL, *target = args_value(&cli->args, "target");
        int known = target ? known_target(target, err) : 0;
        if (known < 0)
                return known;
        if (!target)
                target = "host";
        /* A name that the form would refuse is refused here, with the form's own words. */
        CLEANUP_FREE char *problem = name ? form_cluster_problem(name) : NULL;
        if (problem)
                return err_set(err, ERR_INVALID, "%s", problem);
        CLEANUP_FREE char *text = form_template(name, target);
        fputs(text, cli->out);
        return EXIT_FINE;
}

static const struct option options[] = {
        {"target", 0, "TARGET", false, "host (this machine, the default) or kubernetes", COMPLETE_TARGET},
        {0},
};

const struct command cmd_new = {
        .name = "new",
        .args = "[CLUSTER]",
        .summary = "print a commented form to fill in",
        .details = "The form goes to standard output: caas new lab > lab.yaml. Every field is there with its meaning, "
                   "range and "
                   "default; those that may stay as they are are commented out.",
        .options = options,
        .min = 0,
        .max = 1,
        .run = run,
};
