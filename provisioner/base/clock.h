/* Time, given as an object so that tests bring their own and never sleep. */
#ifndef CAAS_BASE_CLOCK_H
#define CAAS_BASE_CLOCK_H

#include <stdint.h>

struct cancel;

struct clock {
        int64_t (*monotonic_ms)(struct clock *clock);
        int64_t (*wall_ms)(struct clock *clock); /* since 1970 */
        /* Returns early, with -ERR_CANCELLED, when cancel (may be NULL) is raised. */
        int (*sleep_ms)(struct clock *clock, int64_t ms, struct cancel *cancel);
};

struct clock *clock_system(void); /* shared, thread-safe, never freed */

/* "2026-11-21T14:03:22Z"; buffer of 32 bytes. */
const char *clock_format(int64_t wall_ms, char buffer[32]);

/* "850 ms", "4.2 s", "3 min 07 s", "2 h 05 min", "3 d 4 h"; buffer of 32 bytes. */
const char *clock_duration(int64_t ms, char buffer[32]);

#endif
