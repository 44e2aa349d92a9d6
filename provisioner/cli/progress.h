/* How a run is shown: live on a terminal, as lines elsewhere, as NDJSON with --json, not at all with --quiet. */
#ifndef CAAS_CLI_PROGRESS_H
#define CAAS_CLI_PROGRESS_H

#include "cli/cli.h"
#include "engine/event.h"

struct progress;

struct progress *progress_new(const struct cli *cli);
struct progress *progress_free(struct progress *progress); /* accepts NULL, returns NULL */
static inline void progress_cleanup(struct progress **progress)
{
        progress_free(*progress);
}
#define CLEANUP_PROGRESS __attribute__((cleanup(progress_cleanup)))

void progress_event(void *progress, const struct event *event); /* an event_sink */

/* A remark between events, such as who holds the lock: to the notes. */
void progress_note(void *progress, const char *text);

/* Takes the live part away, so that something else can be printed. */
void progress_pause(struct progress *progress);

/* A failure whose steps were shown as they failed is summed up: the same text need not stand there twice. */
void progress_shorten(const struct progress *progress, struct err *err);

#endif
