/* The sources at work: a thread each, and what each left last. */
#ifndef CAAS_EXPORTER_REGISTRY_H
#define CAAS_EXPORTER_REGISTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "exporter/config.h"
#include "exporter/sink_impl.h"
#include "exporter/source.h"

struct registry;

/* Starts a thread for each source that is wanted. config and clock are borrowed until registry_stop. */
int registry_start(const struct source *const *sources, const struct config *config, struct clock *clock,
        struct registry **ret, struct err **err);

/* Ends the threads; config.cancel has been raised. A source that does not notice within timeout_ms is left behind with
 * all it uses: false, and then the process should end (or this be called again). Accepts NULL. */
bool registry_stop(struct registry *registry, int timeout_ms);

/* What one source left last. It is shared and does not change; it lasts until snapshot_unref. */
struct snapshot;
const struct sample_sink *snapshot_sink(const struct snapshot *snapshot);
struct snapshot *snapshot_unref(struct snapshot *snapshot);

struct source_state {
        const char *name;
        bool up;                  /* the last refresh succeeded, and none is overdue */
        double seconds;           /* the last refresh took */
        int64_t last_success_ms;  /* wall clock; 0 = never */
        size_t dropped;           /* samples over the limit of a family */
        struct snapshot *samples; /* NULL: none, or stale. The caller's */
        char *problem;            /* why the last refresh failed; NULL = it did not. The caller's */
};

/* Never waits for a source. *ret_list has registry_count() entries; free with source_states_free. */
size_t registry_count(const struct registry *registry);
struct source_state *registry_look(struct registry *registry);
void source_states_free(struct source_state *list, size_t count);

/* The families the core itself adds; NULL-terminated. */
extern const struct family *const CORE_FAMILIES[];
/* Says of each source how it is. */
void registry_describe(const struct source_state *list, size_t count, struct sample_sink *sink);

/* Prints every family of the core and of all sources, wanted or not, as a JSON list. New reference. */
json_t *registry_families(const struct source *const *sources);

#endif
