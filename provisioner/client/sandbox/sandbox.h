/* A user's own small machine: bubblewrap's namespaces, the user's identity, nothing of anybody else.
 *
 * Inside there are /usr, read-only and without effect of setuid bits; the folders asked for, read-only; the user's home
 * as /home/<name>; own /tmp, /dev/shm, /run, pseudo terminals, process list and System V objects; an /etc of a fixed
 * list of entries with one user in it. The network is the host's. The command has no capability, cannot get one, and
 * cannot make user namespaces.
 *
 *   caller ── supervisor (root) ── bubblewrap (root) ──│namespaces│── first process (the user) ── command (the user)
 *                     └──────────── control pipe ─────────────────────────┘
 *
 * The supervisor is the process the caller knows. A signal it gets (TERM, INT, HUP, QUIT, USR1, USR2) is written to the
 * control pipe and the first process passes it on to the command. When the supervisor dies, however that happens, the
 * pipe closes, the first process ends, and the kernel ends everything else in there. The first process also reaps what
 * the command leaves behind. When the command ends, its exit status goes back the same way. */
#ifndef CAAS_CLIENT_SANDBOX_SANDBOX_H
#define CAAS_CLIENT_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct sandbox_mount {
        const char *source; /* on the host */
        const char *target; /* inside; may be source */
        bool writable;
};

struct sandbox_spec {
        const char *user;      /* see str_user_name() */
        uid_t uid;             /* at least 1000 */
        gid_t gid;             /* at least 1000 */
        const char *home;      /* folder of the host that becomes /home/<user> */
        const char *directory; /* where the command starts; NULL = the home */
        const struct sandbox_mount *mounts;
        size_t mount_count;
        int64_t memory;          /* /tmp and /dev/shm hold at most half of it each; 0 = the kernel's default */
        const char *const *env;  /* the command's environment, NULL-terminated, already clean */
        const char *const *argv; /* the command, NULL-terminated; looked up in the environment's PATH */
        const char *program;     /* path of the program that calls sandbox_first_process() when run with `first_word` */
        const char *first_word;
};

/* Runs the command and waits for it. *ret_status is its exit status, 128 + n if signal n ended it. To be called with
 * one thread and as root. -ERR_INVALID (spec), -ERR_NOT_FOUND (bubblewrap, a folder), -ERR_FAILED. */
int sandbox_run(const struct sandbox_spec *spec, int *ret_status, struct err **err);

/* The words that follow the program's first word, when bubblewrap starts it inside. Returns the exit status. */
int sandbox_first_process(int argc, char **argv);

/* An environment for the command: `inherited` without what could harm a program run on the way or means something only
 * outside (LD_*, NOTIFY_SOCKET …), then the entries of extra (may be NULL) under the same rule, then HOME, USER,
 * LOGNAME, SHELL and, if missing, PATH. The caller frees it with sandbox_env_free(). */
char **sandbox_env(const char *const *inherited, const char *const *extra, const char *user);
char **sandbox_env_free(char **env);

/* May a variable ("NAME=value") pass? */
bool sandbox_env_allowed(const char *entry);

/* bubblewrap's words, for tests; control, environment, passwd and group are descriptors. */
char **sandbox_words(const struct sandbox_spec *spec, int control, int environment, int passwd, int group);

#endif
