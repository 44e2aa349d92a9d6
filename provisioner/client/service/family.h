/* A process and everything that came from it. */
#ifndef CAAS_CLIENT_SERVICE_FAMILY_H
#define CAAS_CLIENT_SERVICE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* When a process began, in ticks since boot: with the pid it names a process for ever. 0 if there is none (a dead one
 * that nobody has waited for yet counts as none). */
uint64_t family_start_time(pid_t pid);

struct family {
        struct member {
                pid_t pid;
                uint64_t start;
        } * member;
        size_t count, capacity;
};

/* Adds pid, its descendants, and all of its session. A pid of 0 adds nothing. */
void family_collect(struct family *family, pid_t pid);

/* Signals those that are still the same processes, without `except` (0 = nobody). Returns how many there were. */
size_t family_signal(const struct family *family, int number, pid_t except);

void family_clear(struct family *family);
#define CLEANUP_FAMILY __attribute__((cleanup(family_clear)))

#endif
