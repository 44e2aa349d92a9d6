#include "exporter/registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/note.h"
#include "exporter/version.h"

#define STACK_SIZE (512 * 1024) /* of a thread; the usual 8 MB are only promised, but add up where that is limited */
#define OVERDUE_MS 2000         /* a source may need that much longer than its time to give up */

static const struct family BUILD_INFO = {
        .name = "caas_exporter_build_info", .help = "Version of the exporter.", .labels = "version"};
static const struct family UP = {.name = "caas_source_up",
        .help = "Whether the last refresh of a source succeeded in time.",
        .labels = "source"};
static const struct family DURATION = {.name = "caas_source_duration_seconds",
        .help = "How long the last refresh of a source took.",
        .unit = "seconds",
        .labels = "source"};
static const struct family SUCCESS = {.name = "caas_source_last_success_timestamp_seconds",
        .help = "When a source was last refreshed.",
        .unit = "seconds",
        .labels = "source"};
static const struct family DROPPED = {.name = "caas_samples_dropped",
        .help = "Samples left out because a family of the source has too many.",
        .labels = "source"};
const struct family *const CORE_FAMILIES[] = {&BUILD_INFO, &UP, &DURATION, &SUCCESS, &DROPPED, NULL};

struct snapshot {
        atomic_int references;
        struct sample_sink *sink;
};

struct entry {
        const struct source *source;
        struct registry *registry;
        pthread_t thread;
        bool running;
        struct snapshot *last; /* from here on under the registry's mutex */
        char *problem;         /* NULL: the last refresh succeeded */
        bool refreshed;        /* at least once, whatever came of it */
        int64_t begun;         /* monotonic; -1: no refresh is running */
        int64_t good, good_wall;
        double seconds;
};

struct registry {
        const struct config *config;
        struct clock *clock;
        pthread_mutex_t mutex; /* held for some instructions only */
        struct entry *entry;
        size_t count;
};

const struct sample_sink *snapshot_sink(const struct snapshot *snapshot)
{
        return snapshot->sink;
}

struct snapshot *snapshot_unref(struct snapshot *snapshot)
{
        if (snapshot && atomic_fetch_sub(&snapshot->references, 1) == 1) {
                sink_free(snapshot->sink);
                free(snapshot);
        }
        return NULL;
}

static struct snapshot *snapshot_new(struct sample_sink *sink)
{
        struct snapshot *snapshot = mem_zero(sizeof *snapshot);
        atomic_init(&snapshot->references, 1);
        snapshot->sink = sink;
        return snapshot;
}

static void refresh(struct entry *entry, void **state)
{
        struct registry *registry = entry->registry;
        struct clock *clock = registry->clock;
        CLEANUP_ERR struct err *problem = NULL;
        int64_t begun = clock->monotonic_ms(clock);
        pthread_mutex_lock(&registry->mutex);
        entry->begun = begun;
        pthread_mutex_unlock(&registry->mutex);

        struct sample_sink *sink = sink_new(entry->source->families);
        int r = entry->source->refresh(registry->config, state, sink, &problem);
        struct snapshot *fresh = NULL, *old = NULL;
        if (r == 0) {
                sink_trim(sink);
                fresh = snapshot_new(STEAL(sink));
        }
        sink_free(sink);
        CLEANUP_FREE char *text = r < 0 ? err_text(problem) : NULL;
        log_trace("exporter", "%s: %s", entry->source->name, text ? text : "refreshed");
        if (!cancel_level(registry->config->cancel))
                note_change(entry->source->name, !entry->problem, text);

        int64_t now = clock->monotonic_ms(clock), wall = clock->wall_ms(clock);
        pthread_mutex_lock(&registry->mutex);
        entry->begun = -1;
        entry->refreshed = true;
        entry->seconds = (double)(now - begun) / 1000.0;
        char *before = entry->problem;
        entry->problem = STEAL(text);
        if (fresh) {
                old = entry->last;
                entry->last = fresh;
        }
        if (r >= 0) {
                entry->good = now;
                entry->good_wall = wall;
        }
        pthread_mutex_unlock(&registry->mutex);
        snapshot_unref(old);
        free(before);
}

static void *work(void *data)
{
        struct entry *entry = data;
        struct registry *registry = entry->registry;
        struct clock *clock = registry->clock;
        void *state = NULL;
        do
                refresh(entry, &state);
        while (clock->sleep_ms(clock, registry->config->refresh_ms, registry->config->cancel) == 0);
        if (entry->source->done)
                entry->source->done(state);
        return NULL;
}

static int start(struct entry *entry, struct err **err)
{
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        int problem = pthread_create(&entry->thread, &attributes, work, entry);
        pthread_attr_destroy(&attributes);
        if (problem)
                return err_set_errno(err, problem, "cannot start a thread for %s", entry->source->name);
        entry->running = true;
        return 0;
}

int registry_start(const struct source *const *sources, const struct config *config, struct clock *clock,
        struct registry **ret, struct err **err)
{
        size_t all = 0;
        while (sources[all])
                all++;
        struct registry *registry = mem_zero(sizeof *registry);
        registry->config = config;
        registry->clock = clock;
        registry->entry = mem_zero_array(all + 1, sizeof *registry->entry);
        pthread_mutex_init(&registry->mutex, NULL);
        for (size_t i = 0; i < all; i++) {
                if (!sources[i]->wanted(config))
                        continue;
                struct entry *entry = &registry->entry[registry->count++];
                *entry = (struct entry){.source = sources[i], .registry = registry, .begun = -1};
        }
        for (size_t i = 0; i < registry->count; i++) {
                int r = start(&registry->entry[i], err);
                if (r < 0) {
                        cancel_raise(config->cancel);
                        registry_stop(registry, config->timeout_ms);
                        return r;
                }
        }
        *ret = registry;
        return 0;
}

bool registry_stop(struct registry *registry, int timeout_ms)
{
        if (!registry)
                return true;
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += timeout_ms / 1000;
        end.tv_nsec += timeout_ms % 1000 * 1000000L;
        if (end.tv_nsec >= 1000000000L) {
                end.tv_sec++;
                end.tv_nsec -= 1000000000L;
        }
        for (size_t i = 0; i < registry->count; i++) {
                struct entry *entry = &registry->entry[i];
                if (entry->running && pthread_timedjoin_np(entry->thread, NULL, &end) != 0)
                        return false;
                entry->running = false;
        }
        for (size_t i = 0; i < registry->count; i++) {
                snapshot_unref(registry->entry[i].last);
                free(registry->entry[i].problem);
        }
        pthread_mutex_destroy(&registry->mutex);
        free(registry->entry);
        free(registry);
        return true;
}

size_t registry_count(const struct registry *registry)
{
        return registry->count;
}

struct source_state *registry_look(struct registry *registry)
{
        struct source_state *list = mem_zero_array(registry->count + 1, sizeof *list);
        const struct config *config = registry->config;
        int64_t now = registry->clock->monotonic_ms(registry->clock);
        pthread_mutex_lock(&registry->mutex);
        for (size_t i = 0; i < registry->count; i++) {
                const struct entry *entry = &registry->entry[i];
                bool overdue = entry->begun >= 0 && now - entry->begun > config->timeout_ms + OVERDUE_MS;
                bool stale = now - entry->good > (int64_t)SOURCE_STALE * config->refresh_ms + config->timeout_ms;
                list[i].name = entry->source->name;
                list[i].up = entry->refreshed && !entry->problem && !overdue;
                list[i].seconds = entry->seconds;
                list[i].last_success_ms = entry->good_wall;
                list[i].problem = entry->problem ? str_copy(entry->problem) : NULL;
                if (entry->last && !stale) {
                        atomic_fetch_add(&entry->last->references, 1);
                        list[i].samples = entry->last;
                        list[i].dropped = sink_dropped(entry->last->sink);
                }
        }
        pthread_mutex_unlock(&registry->mutex);
        return list;
}

void source_states_free(struct source_state *list, size_t count)
{
        for (size_t i = 0; list && i < count; i++) {
                snapshot_unref(list[i].samples);
                free(list[i].problem);
        }
        free(list);
}

void registry_describe(const struct source_state *list, size_t count, struct sample_sink *sink)
{
        sink_add(sink, &BUILD_INFO, 1, (const char *const[]){"version", exporter_version(), NULL});
        for (size_t i = 0; i < count; i++) {
                const char *const labels[] = {"source", list[i].name, NULL};
                sink_add(sink, &UP, list[i].up, labels);
                sink_add(sink, &DURATION, list[i].seconds, labels);
                sink_add(sink, &DROPPED, (double)list[i].dropped, labels);
                if (list[i].last_success_ms)
                        sink_add(sink, &SUCCESS, (double)list[i].last_success_ms / 1000.0, labels);
        }
}

static void add_families(json_t *list, const char *source, const struct family *const *families)
{
        for (; *families; families++) {
                const struct family *family = *families;
                json_t *labels = json_array();
                CLEANUP_FREE char *names = str_copy(family->labels ? family->labels : "");
                char *save = NULL;
                for (char *word = strtok_r(names, ",", &save); word; word = strtok_r(NULL, ",", &save))
                        json_array_append_new(labels, json_string(word));
                json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?, s:o, s:s}", "name", family->name, "type",
                                                    family_type_name(family->type), "help", family->help, "unit",
                                                    family->unit, "labels", labels, "source", source));
        }
}

json_t *registry_families(const struct source *const *sources)
{
        json_t *list = json_array();
        add_families(list, "exporter", CORE_FAMILIES);
        for (; *sources; sources++)
                add_families(list, (*sources)->name, (*sources)->families);
        return list;
}
