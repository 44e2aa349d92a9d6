/* One change, or one look, at one cluster: form, journal, roles, plan and engine put together. The command line and the
 * portal stand on it. */
#ifndef CAAS_ACCESS_SESSION_H
#define CAAS_ACCESS_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "journal/journal.h"
#include "plan/plan.h"
#include "tree/diag.h"
#include "tree/tree.h"

struct session_options {
        const char *state_dir, *cache_dir, *data_dir, *libexec_dir, *version; /* all needed, absolute */
        struct clock *clock;                                                  /* NULL = the system's */
        struct cancel *cancel;                                                /* may be NULL */
        event_sink on_event;                                                  /* may be NULL */
        void *event_data;
        const char *passwd;                               /* NULL = /etc/passwd: which clusters are here */
        bool wait;                                        /* for the lock, instead of -ERR_BUSY */
        void (*on_wait)(void *data, const char *message); /* who holds it; called once, with event_data. May be NULL */
        bool delete_data, force_conflicts;
};

enum session_mode {
        SESSION_LOOK,   /* writes nothing; the state folder need not be there */
        SESSION_CHANGE, /* takes the cluster's lock; makes the state folder */
};

struct session;

/* Reads a form and checks it; relative paths in it count from its own folder. address: for the default of external_ip;
 * NULL = this machine's. -ERR_INVALID with findings in diags, or (no findings) an error of reading. ret_tree may be
 * NULL. */
int session_read_form(const char *path, const char *address, json_t **ret_form, struct tree **ret_tree,
        struct diags *diags, struct err **err);

/* A session for the form's cluster. Findings about the form go to diags; err then holds one line about all of them.
 * -ERR_INVALID, -ERR_REFUSED (a fixed field changed), -ERR_BUSY, and what journal_open says. */
int session_open_form(const struct session_options *options, const char *path, enum session_mode mode,
        struct session **ret, struct diags *diags, struct err **err);

/* A session for a cluster as it was applied last. -ERR_NOT_FOUND names those that there are. */
int session_open_cluster(const struct session_options *options, const char *cluster, enum session_mode mode,
        struct session **ret, struct err **err);
struct session *session_close(struct session *session);

/* session_close for who ends right after it: memory, some ten thousand pieces of it after a first install, goes back
 * with the process. */
void session_leave(struct session *session);
static inline void session_cleanup(struct session **session)
{
        session_close(*session);
}
#define CLEANUP_SESSION __attribute__((cleanup(session_cleanup)))

/* Borrowed. */
const char *session_cluster(const struct session *session);
const json_t *session_form(const struct session *session); /* complete */
struct journal *session_journal(const struct session *session);
bool session_first(const struct session *session); /* never applied before, or destroyed since */

/* What has to be done for the form (or, destroy: to remove everything). Borrowed, as long as the session. */
int session_plan(struct session *session, bool destroy, const struct plan **ret, struct err **err);
size_t session_changes(const struct plan *plan); /* refused ones included */

/* Runs the plan made before; command ("apply", "destroy") goes to the journal. As engine_apply. With nothing to do and
 * the form as it was, nothing is written. After a destroy the cluster is forgotten, but for what kept user data needs.
 */
int session_run(struct session *session, const char *command, struct err **err);

/* Rebuilds a lost journal for the form's cluster from what is there. As engine_adopt. Not after session_plan. */
int session_adopt(struct session *session, struct adopted *ret, struct err **err);

/* For a cluster whose Kubernetes is gone for good. session_gone: -ERR_REFUSED while it is there (access/whose.h).
 * session_forget removes its records, secrets and folder here, and asks nobody. */
int session_gone(const struct session *session, char **ret_why, struct err **err);
int session_forget(struct session *session, struct err **err);

#endif
