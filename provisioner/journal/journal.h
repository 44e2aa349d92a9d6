/* The journal: one SQLite file (WAL, each commit synced) that remembers clusters, runs, steps, resources and sealed
 * secrets. docs/JOURNAL.md has the tables and the state diagram. A struct journal is used by one thread at a time or
 * guarded by its own mutex: every function here is thread-safe. Two processes may have it open; each call is one
 * transaction, which is on the disk when it returns, but for outcomes of steps. Threads whose calls come together share
 * a sync. */
#ifndef CAAS_JOURNAL_JOURNAL_H
#define CAAS_JOURNAL_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "role/resource.h"

struct journal;

/* Opens state_dir (made with mode 0711 if it is not there and create is set) and its journal. The folder is ours if it
 * is empty, or holds our mark (the file "caas.state"). -ERR_REFUSED: somebody else's folder; -ERR_VERSION: written by a
 * newer caas (an older one is migrated); -ERR_CORRUPT, -ERR_DENIED, -ERR_NO_SPACE; -ERR_NOT_FOUND: not there and create
 * unset. */
int journal_open(const char *state_dir, bool create, struct journal **ret, struct err **err);
/* One that knows nothing and leaves nothing behind, in memory: to be read only, and neither locked nor asked for
 * secrets.
 */
int journal_open_blank(struct journal **ret, struct err **err);
struct journal *journal_close(struct journal *journal);

/* What this thread does to the journal from here to journal_end is one transaction: all of it or nothing, and one sync.
 * Other threads wait; nothing slow belongs between. After success, journal_end has to follow, with the result of what
 * was done; it returns that result, or why it could not be kept. */
int journal_begin(struct journal *journal, struct err **err);
int journal_end(struct journal *journal, int result, struct err **err);

/* ---- the lock of a cluster: one run at a time; a dead process cannot hold it (a lock on an open file) ---- */
struct journal_lock;
/* -ERR_BUSY names the holder: "cluster demo is being changed by process 4711 (apply, since 14:03:22)". */
int journal_lock(
        struct journal *journal, const char *cluster, const char *command, struct journal_lock **ret, struct err **err);
struct journal_lock *journal_unlock(struct journal_lock *lock);

/* ---- clusters ---- */
/* New reference: {"name", "target", "form", "created", "applied", "version", "destroyed", "drift"}; times in ms since
 * 1970, what is not so (yet) is null. -ERR_NOT_FOUND. */
int journal_cluster(struct journal *journal, const char *name, json_t **ret, struct err **err);
/* All of them, by name, destroyed ones whose data was kept included. */
int journal_clusters(struct journal *journal, json_t **ret_array, struct err **err);
int journal_put_cluster(struct journal *journal, const char *name, const char *target, const json_t *form, int64_t now,
        struct err **err);
int journal_mark_applied(struct journal *journal, const char *name, const char *version, int64_t now, struct err **err);
/* How many resources an apply found that are not as the one before had left them. */
int journal_put_drift(struct journal *journal, const char *name, int64_t count, struct err **err);
/* Forgets a cluster with all resources; its history stays. keep_secrets: user data was kept, so its secrets stay for a
 * later apply of the same name, and so does the cluster's row, with the time of its last run in "destroyed". */
int journal_forget_cluster(struct journal *journal, const char *name, bool keep_secrets, struct err **err);

/* ---- runs and steps ---- */
int journal_run_begin(struct journal *journal, const char *cluster, const char *command, int64_t now, int64_t *ret_run,
        struct err **err);
int journal_run_end(
        struct journal *journal, int64_t run, const char *outcome, const char *message, int64_t now, struct err **err);
/* Runs that never ended because their process died are closed as "interrupted" (call it with the cluster's lock held).
 */
int journal_runs_close_dead(struct journal *journal, const char *cluster, int64_t now, struct err **err);
/* Newest first, at most limit (0 = all that are kept: JOURNAL_RUNS_KEPT of a cluster):
 * {"run","command","began","ended","outcome","message",
 * "steps":[{"resource","action","reason","state","began","ended","message"}]}; a step's state is "intent", "done",
 * "failed" or "interrupted". */
#define JOURNAL_RUNS_KEPT 200
int journal_history(struct journal *journal, const char *cluster, int limit, json_t **ret_array, struct err **err);

/* {"runs": [the last run of each command that has ended, by command: {"command", "began", "ended", "outcome"}],
 * "drift": what journal_put_drift said last, or null}. Reads the file `path` (the journal itself, not its folder)
 * without opening it for writing and without making a writer wait; needs no struct journal. -ERR_NOT_FOUND, -ERR_BUSY
 * (ask again), -ERR_CORRUPT and others. */
int journal_look(const char *path, const char *cluster, json_t **ret, struct err **err);
/* The same, for who has it open. */
int journal_last_runs(struct journal *journal, const char *cluster, json_t **ret, struct err **err);

/* Intent: committed before the kind is called. Writes the step and marks the resource row (made if need be) incomplete,
 * with the spec that is about to be applied; the last complete spec and state stay readable as long as it is
 * incomplete. The action "remove" wants no new spec: the row is only marked. reason: why it is done, for people
 * ("new", "drift" …), or NULL. -ERR_INVALID: no such run, or cluster not put. */
int journal_step_intent(struct journal *journal, int64_t run, const char *cluster, const struct resource *resource,
        const char *action, const char *reason, int64_t now, struct err **err);

/* The same for many, in one transaction: all of them or none. */
struct journal_intent {
        const struct resource *resource;
        const char *action, *reason;
        bool known; /* the inventory has it; for journal_steps_withdraw, whether it is complete there */
};
int journal_steps_intend(struct journal *journal, int64_t run, const char *cluster, const struct journal_intent *intent,
        size_t count, int64_t now, struct err **err);
/* Nothing was done about these: the steps go, and the resources are what they were. Only for those that were complete,
 * or not known. */
int journal_steps_withdraw(struct journal *journal, int64_t run, const char *cluster,
        const struct journal_intent *intent, size_t count, struct err **err);

/* The outcomes that follow are in the log when the call returns, and on the disk when journal_sync, or any later call
 * that writes something else, has returned. began: when it was really begun, if that was after the intent. */

/* Outcome of an apply: the resource is complete with the kind and spec of its intent, this digest, observed state and
 * outputs (state, outputs may be NULL). */
int journal_step_applied(struct journal *journal, int64_t run, const char *cluster, const char *id, const char *digest,
        const json_t *state, const json_t *outputs, int64_t began, int64_t now, struct err **err);
/* Outcome of a removal: the row is gone. */
int journal_step_removed(struct journal *journal, int64_t run, const char *cluster, const char *id, int64_t began,
        int64_t now, struct err **err);
/* It stays incomplete. Without an intent (it failed while it was looked at) it is noted as a step with the action
 * "none". */
int journal_step_failed(struct journal *journal, int64_t run, const char *cluster, const char *id, const char *message,
        int64_t began, int64_t now, struct err **err);
/* Everything written before is on the disk. */
int journal_sync(struct journal *journal, struct err **err);

/* ---- the inventory ---- */
struct journal_resource {
        struct resource resource; /* kind and spec as applied last; those of the first attempt if none ever ended */
        char *digest;             /* of that spec; NULL if no apply ever ended */
        json_t *state, *outputs;  /* or NULL */
        bool complete;            /* false: a run was cut off, or failed, inside an apply or a removal */
        char *pending_kind; /* what an apply that did not end wanted; NULL if there was none. Where these differ */
        json_t *pending;    /* from kind and spec (another path, say), a removal has to clean up after both */
        int64_t position;   /* grows in the order in which they were first applied: removal goes backwards */
};
struct journal_resources {
        struct journal_resource *item;
        size_t count;
};
int journal_resources(struct journal *journal, const char *cluster, struct journal_resources *ret, struct err **err);
void journal_resources_clear(struct journal_resources *resources);
/* Outputs of one resource; new reference; -ERR_NOT_FOUND if it is not there or incomplete. */
int journal_outputs(struct journal *journal, const char *cluster, const char *id, json_t **ret, struct err **err);

/* ---- secrets: AES-256-GCM under state_dir/key (0600), bound to cluster and name ---- */
/* Keeps the version when the value is the same, otherwise adds one. */
int journal_put_secret(
        struct journal *journal, const char *cluster, const char *name, const char *value, struct err **err);
/* The caller frees it with mem_wipe_free(value, strlen(value)). -ERR_NOT_FOUND; -ERR_CORRUPT: another key, or tampered
 * with. */
int journal_secret(struct journal *journal, const char *cluster, const char *name, char **ret_value, struct err **err);
/* {"hub/cookie": 1, …}: names and versions only. New reference. */
int journal_secret_versions(struct journal *journal, const char *cluster, json_t **ret, struct err **err);

#endif
