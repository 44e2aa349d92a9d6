/* Subprocesses. No shell, every descriptor closed but 0, 1 and 2, output bounded, a time-out always. */
#ifndef CAAS_BASE_PROC_H
#define CAAS_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cancel.h"
#include "base/err.h"

struct proc_spec {
        const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH. Secrets never stand here */
        const char *const *env;  /* NULL-terminated "A=b" added to (or replacing in) ours; NULL = ours as it is */
        bool clean_env;          /* begin with nothing but PATH, LANG and HOME */
        const char *directory;   /* NULL = ours */
        const char *input;       /* for standard input; NULL = /dev/null. Secrets go here */
        size_t input_length;
        size_t output_max;     /* bytes kept of stdout and of stderr each: the LAST so many; 0 = 64 KiB */
        int timeout_ms;        /* 0 = 10 minutes */
        struct cancel *cancel; /* level 2: TERM, then KILL after 5 s. May be NULL */
        /* Called for each line of stdout or stderr as it comes, without its newline. May be NULL. */
        void (*on_line)(void *data, const char *line);
        void *data;
        bool die_with_us; /* it is killed when the calling thread ends, however that ends: for work that can be done
                             again */
        bool new_session; /* own process group, so that Ctrl-C at the terminal does not reach it. Usually true */
};

struct proc_result {
        int status; /* exit status; 128 + n when killed by signal n */
        char *output, *error;
        bool output_truncated;
};
void proc_result_clear(struct proc_result *result);
#define CLEANUP_PROC __attribute__((cleanup(proc_result_clear)))

/* Runs it and waits. 0 means it ran, whatever its status. -ERR_NOT_FOUND (no such program), -ERR_TIMEOUT,
 * -ERR_CANCELLED, -ERR_IO. Thread-safe. */
int proc_run(const struct proc_spec *spec, struct proc_result *ret, struct err **err);

/* proc_run, and a status other than 0 is -ERR_FAILED with the program's name and the last lines of its output.
 * ret may be NULL. */
int proc_must(const struct proc_spec *spec, struct proc_result *ret, struct err **err);

/* Starts a process that outlives us: own session, output appended to log_path, its pid in *ret_pid. */
int proc_daemon(const char *const *argv, const char *const *env, const char *directory, const char *log_path,
        pid_t *ret_pid, struct err **err);

/* Puts into our own environment what makes libraries take less memory; what somebody has set stays. No process that is
 * started by the functions above inherits it. Before there are threads. */
void proc_own_environment(void);

#endif
