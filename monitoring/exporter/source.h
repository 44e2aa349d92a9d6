/* A source: where some of the figures come from. Each has a thread of its own that refreshes it every
 * config.refresh_ms. A scrape only writes what refreshes have left, and never waits for one: a source that is slow or
 * dead costs its own figures, which are dropped once they are SOURCE_STALE refreshes old, and nothing else.
 *
 * The core says of each: caas_source_up, caas_source_duration_seconds, caas_source_last_success_timestamp_seconds and
 * caas_samples_dropped.
 *
 * Who says what Kubernetes would on a host: container_* is in source_cgroup.c (what is known of services:
 * source_service.c), kubelet_volume_stats_*,
 * dirsize_* and node_filesystem_* in source_home.c, kube_* in pods.c. On Kubernetes source_kube.c and source_kubelet.c
 * read it from there. A family belongs to exactly one source of those that a cluster can have. */
#ifndef CAAS_EXPORTER_SOURCE_H
#define CAAS_EXPORTER_SOURCE_H

#include <stdbool.h>

#include "base/err.h"
#include "exporter/config.h"
#include "exporter/family.h"
#include "exporter/sink.h"

#define SOURCE_STALE 5
#define SOURCE_SAME  1

struct source {
        const char *name;                     /* the label `source` */
        const struct family *const *families; /* all that it may add; NULL-terminated */
        bool (*wanted)(const struct config *config);
        /* *state is NULL at first, and the source's own: kept from one refresh to the next, for this thread only. 0;
         * SOURCE_SAME: nothing was added, and what the last success left is still how things are; or an error: then
         * what was added is thrown away and the figures of the last success stay until they are stale. It ends within
         * config.timeout_ms, and soon once config.cancel is raised. */
        int (*refresh)(const struct config *config, void **state, struct sample_sink *sink, struct err **err);
        void (*done)(void *state); /* may be NULL; state may be NULL */
};

/* sources.c: all of them, NULL-terminated. A new source is added there. */
extern const struct source *const SOURCES[];

#endif
