/* Runs of caas that changed the cluster, from the journal. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/source_list.h"
#include "journal/journal.h"

static const struct family WHEN = {.name = "caas_run_last_timestamp_seconds",
        .help = "When the last run of a command ended.",
        .unit = "seconds",
        .labels = "command"};
static const struct family DURATION = {.name = "caas_run_last_duration_seconds",
        .help = "How long the last run of a command took.",
        .unit = "seconds",
        .labels = "command"};
static const struct family SUCCESS = {.name = "caas_run_last_success",
        .help = "Whether the last run of a command did all it had to.",
        .labels = "command"};
static const struct family DRIFT = {
        .name = "caas_drift_resources", .help = "Resources that the last apply found changed by others."};
static const struct family *const FAMILIES[] = {&WHEN, &DURATION, &SUCCESS, &DRIFT, NULL};

/* The journal is read again only when it, or its write-ahead log, is another than at the last time. */
struct look {
        struct timespec changed[2];
        off_t size[2];
        ino_t inode[2];
};

struct state {
        struct look look;
        json_t *found;
};

static bool wanted(const struct config *config)
{
        return config->journal != NULL;
}

static struct look look_at(const char *path)
{
        struct look look = {0};
        CLEANUP_FREE char *log = str_format("%s-wal", path);
        const char *const files[] = {path, log};
        for (int i = 0; i < 2; i++) {
                struct stat st;
                if (stat(files[i], &st) < 0)
                        continue;
                look.changed[i] = st.st_mtim;
                look.size[i] = st.st_size;
                look.inode[i] = st.st_ino;
        }
        return look;
}

static bool same(const struct look *a, const struct look *b)
{
        for (int i = 0; i < 2; i++)
                if (a->changed[i].tv_sec != b->changed[i].tv_sec || a->changed[i].tv_nsec != b->changed[i].tv_nsec ||
                        a->size[i] != b->size[i] || a->inode[i] != b->inode[i])
                        return false;
        return true;
}

static int refresh(const struct config *config, void **memory, struct sample_sink *sink, struct err **err)
{
        struct state *state = *memory ? *memory : (*memory = mem_zero(sizeof *state));
        struct look look = look_at(config->journal); /* before reading: what changes meanwhile is read next time */
        if (!state->found || !same(&look, &state->look)) {
                json_t *found;
                int r = journal_look(config->journal, config->cluster, &found, err);
                if (r < 0)
                        return r;
                json_decref(state->found);
                state->found = found;
                state->look = look;
        }
        size_t i;
        json_t *run;
        json_array_foreach (json_object_get(state->found, "runs"), i, run) {
                const char *const labels[] = {"command", json_string_value(json_object_get(run, "command")), NULL};
                double began = (double)json_integer_value(json_object_get(run, "began")) / 1000.0;
                double ended = (double)json_integer_value(json_object_get(run, "ended")) / 1000.0;
                bool success = str_is(json_string_value(json_object_get(run, "outcome")), "done");
                sink_add(sink, &WHEN, ended, labels);
                sink_add(sink, &DURATION, ended > began ? ended - began : 0, labels);
                sink_add(sink, &SUCCESS, success, labels);
        }
        const json_t *drift = json_object_get(state->found, "drift");
        if (json_is_integer(drift))
                sink_add(sink, &DRIFT, (double)json_integer_value(drift), NULL);
        return 0;
}

static void done(void *memory)
{
        struct state *state = memory;
        if (state)
                json_decref(state->found);
        free(state);
}

const struct source source_run = {"run", FAMILIES, wanted, refresh, done};
