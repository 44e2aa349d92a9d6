#include "access/access.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "journal/journal.h"

static const char *state_of(const json_t *cluster)
{
        if (json_is_integer(json_object_get(cluster, "destroyed")))
                return "destroyed, data kept";
        return json_is_integer(json_object_get(cluster, "applied")) ? "applied" : "not complete";
}

static json_t *time_json(const json_t *cluster, const char *key)
{
        char text[32];
        const json_t *ms = json_object_get(cluster, key);
        return json_is_integer(ms) ? json_string(clock_format(json_integer_value(ms), text)) : json_null();
}

/* One cluster without its form. */
static json_t *entry(struct journal *journal, const json_t *cluster)
{
        const char *name = json_string_value(json_object_get(cluster, "name"));
        json_auto_t *hub = NULL;
        if (access_peek(journal, name, "hub", &hub, NULL) < 0)
                hub = NULL;
        const char *url = json_string_value(json_object_get(hub, "url"));
        return json_pack("{s:s, s:O, s:s, s:s?, s:o, s:o, s:O}", "name", name, "target",
                json_object_get(cluster, "target"), "state", state_of(cluster), "url", url, "created",
                time_json(cluster, "created"), "applied", time_json(cluster, "applied"), "version",
                json_object_get(cluster, "version"));
}

static void print(const struct cli *cli, const json_t *list)
{
        CLEANUP_TABLE struct text_table table = {.columns = 5};
        text_row(&table, (const char *const[]){"CLUSTER", "TARGET", "STATE", "LAST APPLIED", "ADDRESS"});
        size_t i;
        json_t *one;
        json_array_foreach (list, i, one) {
                const char *name = json_string_value(json_object_get(one, "name"));
                if (args_has(&cli->args, "names")) {
                        fprintf(cli->out, "%s\n", name);
                        continue;
                }
                const char *applied = json_string_value(json_object_get(one, "applied"));
                const char *url = json_string_value(json_object_get(one, "url"));
                text_row(&table, (const char *const[]){name, json_string_value(json_object_get(one, "target")),
                                         json_string_value(json_object_get(one, "state")), applied ? applied : "-",
                                         url ? url : "-"});
        }
        if (args_has(&cli->args, "names"))
                return;
        if (json_array_size(list))
                text_print(&table, cli->out, cli_style(cli->color, STYLE_DIM), cli_style(cli->color, STYLE_NONE));
        else if (!cli->quiet)
                fprintf(cli->out, "no clusters in %s\n", cli->state_dir);
}

static int run(struct cli *cli, struct err **err)
{
        struct journal *journal = NULL;
        json_auto_t *clusters = json_array(), *list = json_array();
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_open(cli->state_dir, false, &journal, &fault);
        if (r == 0) {
                json_decref(clusters);
                clusters = NULL;
                r = journal_clusters(journal, &clusters, &fault);
        }
        if (r < 0 && r != -ERR_NOT_FOUND) { /* no state folder: no clusters */
                journal_close(journal);
                *err = STEAL(fault);
                return r;
        }
        size_t i;
        json_t *cluster;
        json_array_foreach (clusters, i, cluster)
                json_array_append_new(list, entry(journal, cluster));
        journal_close(journal);
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

const struct command cmd_list = {
        .name = "list",
        .args = "",
        .summary = "list the clusters of this state folder",
        .options = options,
        .json = true,
        .run = run,
};
