/* The processes of one service, as /proc shows them. */
#ifndef CAAS_EXPORTER_PROCESSES_H
#define CAAS_EXPORTER_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESSES_MAX 256 /* of one service; those over it are not counted */

struct process {
        pid_t pid, parent, session;
        uint64_t ticks; /* of processors, in its own life; children that it waited for are not among them */
        uint64_t start; /* in clock ticks since the machine began: tells it from an earlier one of the same pid */
        int64_t memory; /* bytes that are its own alone: neither page cache nor shared */
};

/* From /proc/PID/stat: everything but pid and memory. False: that is not in it. Pure. */
bool process_parse(const char *stat, struct process *ret);

/* From /proc/PID/statm: pages that are neither a file's nor shared; 0 if it does not say. Pure. */
int64_t process_own_pages(const char *statm);

/* Does /proc/PID/cgroup name a group in a folder `parent`, at whatever depth? Pure. */
bool process_within(const char *cgroup, const char *parent);

/* When a process began, in seconds since 1970; 0 = the clocks do not say. */
int64_t process_began(uint64_t start);

/* A process and all that came of it, but for those in a group of `apart` (the users'; NULL = none) with all that came
 * of them. proc: "/proc". The caller frees *ret; it is empty if first is gone, or leads no session: then it is not what
 * runit has started, or not yet. Children whose parent has ended are not found. */
size_t processes_of(const char *proc, pid_t first, const char *apart, struct process **ret);

#endif
