/* What the services of a cluster wrote, where runit keeps their logs. (systemd's journal has its own reader.) */
#ifndef CAAS_ACCESS_LOGS_H
#define CAAS_ACCESS_LOGS_H

#include <stddef.h>

#include "base/cancel.h"
#include "base/err.h"

struct log_source {
        const char *name;   /* of the service; borrowed */
        const char *folder; /* of svlogd: current and what was rotated away; borrowed */
};

/* One line, not NUL-terminated: stamp is "2026-11-21_14:03:22.12345" (UTC) or empty. A line over 64 KiB comes in
 * pieces. */
struct log_line {
        const char *name;
        const char *stamp, *text;
        size_t stamp_length, text_length;
};
typedef void (*log_sink)(void *data, const struct log_line *line);

/* The last `lines` of all sources together, by time. A log that is not there counts as empty. -ERR_DENIED and others.
 */
int logs_tail(
        const struct log_source *sources, size_t count, size_t lines, log_sink sink, void *data, struct err **err);

/* What is written from now on, until cancel is raised. Rotation is followed. */
void logs_follow(const struct log_source *sources, size_t count, struct cancel *cancel, log_sink sink, void *data);

#endif
