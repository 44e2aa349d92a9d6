/* Runs of caas that changed the cluster: from the journal; on Kubernetes, where that is on another machine, from what
 * caas leaves of it in a ConfigMap. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/kube_read.h"
#include "exporter/source_list.h"
#include "exporter/source_run.h"
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

#define NOTE_KEY    "runs.json"
#define RUNS_MAX    32 /* commands that a note may tell of */
#define COMMAND_MAX 64 /* bytes of a command's name */

/* The journal is read again only when it, or its write-ahead log, is another than at the last time. */
struct look {
        struct timespec changed[2];
        off_t size[2];
        ino_t inode[2];
};

struct state {
        struct look look;
        json_t *found;
        struct kube *kube;
};

static bool wanted(const struct config *config)
{
        return config->journal || config->kubernetes.runs;
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

static int of_journal(const struct config *config, struct state *state, struct err **err)
{
        struct look look = look_at(config->journal); /* before reading: what changes meanwhile is read next time */
        if (state->found && same(&look, &state->look))
                return 0;
        json_t *found;
        int r = journal_look(config->journal, config->cluster, &found, err);
        if (r < 0)
                return r;
        json_decref(state->found);
        state->found = found;
        state->look = look;
        return 0;
}

/* ---- what caas leaves on Kubernetes: anybody may have written there who may write ConfigMaps ---- */

static bool is_run(const json_t *run)
{
        const json_t *command = json_object_get(run, "command");
        size_t length = json_string_length(command);
        return length > 0 && length <= COMMAND_MAX && json_is_integer(json_object_get(run, "began")) &&
               json_is_integer(json_object_get(run, "ended"));
}

static bool are_runs(const json_t *runs)
{
        json_auto_t *seen = json_object();
        size_t i;
        const json_t *run;
        if (!json_is_array(runs) || json_array_size(runs) > RUNS_MAX)
                return false;
        json_array_foreach (runs, i, run) {
                const char *command = json_string_value(json_object_get(run, "command"));
                if (!is_run(run) || json_object_get(seen, command))
                        return false;
                json_object_set_new(seen, command, json_true());
        }
        return true;
}

int run_of_note(const json_t *note, json_t **ret, struct err **err)
{
        const json_t *text = json_object_get(json_object_get(note, "data"), NOTE_KEY);
        json_auto_t *found =
                text ? json_loads(json_is_string(text) ? json_string_value(text) : "", JSON_REJECT_DUPLICATES, NULL)
                     : json_pack("{s:[]}", "runs");
        if (!are_runs(json_object_get(found, "runs")))
                return err_set(err, ERR_INVALID, NOTE_KEY " is not what caas writes there");
        *ret = STEAL(found);
        return 0;
}

static int of_note(const struct config *config, struct state *state, struct err **err)
{
        json_auto_t *note = NULL;
        json_t *found;
        const char *name = config->kubernetes.runs;
        int r = kube_read_one(config, &state->kube, "v1", "ConfigMap", name, &note, err);
        if (r < 0)
                return r;
        r = run_of_note(note, &found, err);
        if (r < 0)
                return err_prefix(err, "ConfigMap %s", name);
        json_decref(state->found);
        state->found = found;
        return 0;
}

/* ---- */

void run_write(const json_t *found, struct sample_sink *sink)
{
        size_t i;
        json_t *run;
        json_array_foreach (json_object_get(found, "runs"), i, run) {
                const char *const labels[] = {"command", json_string_value(json_object_get(run, "command")), NULL};
                double began = (double)json_integer_value(json_object_get(run, "began")) / 1000.0;
                double ended = (double)json_integer_value(json_object_get(run, "ended")) / 1000.0;
                bool success = str_is(json_string_value(json_object_get(run, "outcome")), "done");
                sink_add(sink, &WHEN, ended, labels);
                sink_add(sink, &DURATION, ended > began ? ended - began : 0, labels);
                sink_add(sink, &SUCCESS, success, labels);
        }
        const json_t *drift = json_object_get(found, "drift");
        if (json_is_integer(drift))
                sink_add(sink, &DRIFT, (double)json_integer_value(drift), NULL);
}

static int refresh(const struct config *config, void **memory, struct sample_sink *sink, struct err **err)
{
        struct state *state = *memory ? *memory : (*memory = mem_zero(sizeof *state));
        int r = config->journal ? of_journal(config, state, err) : of_note(config, state, err);
        if (r == 0)
                run_write(state->found, sink);
        return r;
}

static void done(void *memory)
{
        struct state *state = memory;
        if (state) {
                json_decref(state->found);
                kube_close(state->kube);
        }
        free(state);
}

const struct source source_run = {"run", FAMILIES, wanted, refresh, done};
