/* One stream of events for the terminal, --json, the journal and the portal. */
#ifndef CAAS_ENGINE_EVENT_H
#define CAAS_ENGINE_EVENT_H

#include <jansson.h>
#include <stdint.h>

enum event_type {
        EVENT_RUN_BEGIN,   /* text: command; total = steps to do */
        EVENT_PHASE,       /* text: "observing", "checking", "applying" */
        EVENT_STEP_BEGIN,  /* id, action */
        EVENT_PROGRESS,    /* id, text: what is being waited for */
        EVENT_RETRY,       /* id, text: why; done = attempt */
        EVENT_STEP_DONE,   /* id, action, duration_ms; action "none" if it turned out that nothing had to be done */
        EVENT_STEP_FAILED, /* id, text */
        EVENT_KEPT,        /* id, text: user data kept and where */
        EVENT_NOTICE,      /* id, text: what the change means for people */
        EVENT_RUN_END,     /* text: outcome "done", "failed", "cancelled"; done, total */
};
struct event {
        enum event_type type;
        int64_t wall_ms;
        const char *cluster, *id, *kind, *action, *text; /* NULL where they say nothing */
        size_t done, total;
        int64_t duration_ms;
};
typedef void (*event_sink)(void *data, const struct event *event);

const char *event_type_name(enum event_type type); /* "step_begin" */
json_t *event_to_json(const struct event *event);  /* new reference; one NDJSON line */

#endif
