#include <string.h>

#include "access/clusters.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "journal/journal.h"

static const char *time_text(const json_t *object, const char *key, char text[32])
{
        const json_t *ms = json_object_get(object, key);
        return json_is_integer(ms) ? clock_format(json_integer_value(ms), text) : "-";
}

static const char *took(const json_t *object, char text[32])
{
        const json_t *began = json_object_get(object, "began"), *ended = json_object_get(object, "ended");
        if (!json_is_integer(began) || !json_is_integer(ended))
                return "-";
        return clock_duration(json_integer_value(ended) - json_integer_value(began), text);
}

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "-";
}

/* The first line of what a step says; all of it: --json. The caller frees. */
static char *first_line(const json_t *step, const char *key, const char *otherwise)
{
        const char *text = json_string_value(json_object_get(step, key));
        return text ? str_copy_n(text, strcspn(text, "\n")) : str_copy(otherwise);
}

static void print_steps(const struct cli *cli, const json_t *run)
{
        CLEANUP_TABLE struct text_table table = {.columns = 6};
        text_row(&table, (const char *const[]){"    STEP", "ACTION", "WHY", "STATE", "TOOK", "MESSAGE"});
        size_t i;
        json_t *step;
        json_array_foreach (json_object_get(run, "steps"), i, step) {
                char duration[32];
                CLEANUP_FREE char *reason = first_line(step, "reason", "-"), *message = first_line(step, "message", "");
                CLEANUP_FREE char *id = str_format("    %s", text_of(step, "resource"));
                text_row(&table, (const char *const[]){id, text_of(step, "action"), reason, text_of(step, "state"),
                                         took(step, duration), message});
        }
        if (i)
                text_print(&table, cli->out, cli_style(cli->color, STYLE_DIM), cli_style(cli->color, STYLE_NONE));
}

static void print_run(const struct cli *cli, const json_t *run, bool steps)
{
        char began[32], duration[32];
        const char *outcome = json_string_value(json_object_get(run, "outcome"));
        enum style style = str_is(outcome, "done") ? STYLE_GREEN : outcome ? STYLE_RED : STYLE_YELLOW;
        fprintf(cli->out, "%lld  %s  %s  %s%s%s  %zu %s  %s\n",
                (long long)json_integer_value(json_object_get(run, "run")), time_text(run, "began", began),
                text_of(run, "command"), cli_style(cli->color, style), outcome ? outcome : "running",
                cli_style(cli->color, STYLE_NONE), json_array_size(json_object_get(run, "steps")),
                json_array_size(json_object_get(run, "steps")) == 1 ? "step" : "steps", took(run, duration));
        const char *message = json_string_value(json_object_get(run, "message"));
        if (message) {
                CLEANUP_FREE char *safe = text_safe(message, true);
                for (char *line = safe, *next; line; line = next) {
                        next = strchr(line, '\n');
                        if (next)
                                *next++ = '\0';
                        fprintf(cli->out, "    %s\n", line);
                }
        }
        if (steps)
                print_steps(cli, run);
}

static int read_history(struct cli *cli, long limit, json_t **ret, struct err **err)
{
        struct journal *journal = NULL;
        json_auto_t *cluster = NULL;
        const char *name = cli->args.operand[0];
        int r = journal_open(cli->state_dir, false, &journal, err);
        if (r < 0)
                return r;
        CLEANUP_ERR struct err *fault = NULL;
        r = journal_history(journal, name, (int)limit, ret, err);
        /* A cluster that is gone still has its history; one that never was has a better message. */
        if (r == 0 && json_array_size(*ret) == 0 && clusters_find(journal, name, &cluster, &fault) < 0) {
                json_decref(*ret);
                *ret = NULL;
                r = -(int)fault->code;
                *err = STEAL(fault);
        }
        journal_close(journal);
        return r;
}

static int run(struct cli *cli, struct err **err)
{
        long limit = 10;
        json_auto_t *runs = NULL;
        int r = args_number(&cli->args, "number", 1, JOURNAL_RUNS_KEPT, &limit, err);
        if (r == 0)
                r = read_history(cli, limit, &runs, err);
        if (r < 0)
                return r;
        if (cli->json) {
                cli_json(cli, runs);
                return EXIT_FINE;
        }
        size_t i;
        json_t *one;
        json_array_foreach (runs, i, one)
                print_run(cli, one, args_has(&cli->args, "steps"));
        return EXIT_FINE;
}

static const struct option options[] = {
        {"number", 'n', "N", false, "how many runs, the newest first (default: 10)", COMPLETE_NOTHING},
        {"steps", 0, NULL, false, "also the steps of each run", COMPLETE_NOTHING},
        {0},
};

const struct command cmd_history = {
        .name = "history",
        .args = "CLUSTER",
        .summary = "show what was done to a cluster, and when",
        .options = options,
        .min = 1,
        .max = 1,
        .first = COMPLETE_CLUSTER,
        .json = true,
        .run = run,
};
