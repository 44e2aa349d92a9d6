/* Steps: what is about to be done to a resource, and how it ended.
 *
 *                       plan says so                journal_step_intent
 *        (nothing) ───────────────────▶ planned ──────────────────────────▶ intent
 *                                     (in memory)                             │
 *                        journal_step_applied / journal_step_removed          │
 *              done ◀─────────────────────────────────────────────────────────┤
 *                        journal_step_failed                                  │
 *            failed ◀─────────────────────────────────────────────────────────┤
 *                        the run ended, or its process died                   │
 *       interrupted ◀─────────────────────────────────────────────────────────┘
 *
 * The row of the resource goes along, in the same transaction:
 *
 *                        intent (create)                applied
 *        (no row) ─────────────────────▶ incomplete ──────────────▶ complete
 *            ▲                            ▲  │   ▲                     │
 *            │          removed           │  │   │   intent (any)      │
 *            └────────────────────────────┼──┘   └─────────────────────┘
 *                                         │
 *                                         └── failed, interrupted, intent again: stays incomplete
 *
 * The intent is on the disk before the kind is called, the outcome is written after the kind has returned. So whatever
 * was begun has a row, and a complete row means that nothing is under way. */
#include "journal/journal.h"

#include "base/str.h"
#include "journal/journal_impl.h"

static json_t *needs_to_json(char *const *needs)
{
        json_t *list = json_array();
        for (; needs && *needs; needs++)
                json_array_append_new(list, json_string(*needs));
        return list;
}

static int insert_step(struct journal *journal, int64_t run, const char *id, const char *action, const char *reason,
        int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "INSERT INTO step (run, resource, action, state, began, reason) VALUES (?1, ?2, ?3, 'intent', ?4, ?5)",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        db_bind_text(stmt, 2, id);
        db_bind_text(stmt, 3, action);
        db_bind_int(stmt, 4, now);
        db_bind_text(stmt, 5, reason);
        return db_run(journal, stmt, err);
}

/* Gives the step that is under way its outcome. Returns how many there were. */
static int set_outcome(struct journal *journal, int64_t run, const char *id, const char *state, const char *message,
        int64_t began, int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "UPDATE step SET state = ?3, message = ?4, began = max(began, ?6), ended = ?5 WHERE run = ?1 AND "
                "resource = ?2 AND state = "
                "'intent'",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        db_bind_text(stmt, 2, id);
        db_bind_text(stmt, 3, state);
        db_bind_text(stmt, 4, message);
        db_bind_int(stmt, 5, now);
        db_bind_int(stmt, 6, began);
        r = db_run(journal, stmt, err);
        return r < 0 ? r : sqlite3_changes(journal->db);
}

static int end_step(struct journal *journal, int64_t run, const char *id, int64_t began, int64_t now, struct err **err)
{
        int r = set_outcome(journal, run, id, "done", NULL, began, now, err);
        if (r == 0)
                return err_set(err, ERR_INVALID, "%s has no step under way in run %lld", id, (long long)run);
        return r < 0 ? r : 0;
}

/* A step may fail while it is looked at, before its intent: then nothing was touched, and its action is "none". */
static int fail_step(struct journal *journal, int64_t run, const char *id, const char *message, int64_t began,
        int64_t now, struct err **err)
{
        int r = set_outcome(journal, run, id, "failed", message, began, now, err);
        if (r != 0)
                return r < 0 ? r : 0;
        r = insert_step(journal, run, id, "none", NULL, now, err);
        if (r == 0)
                r = set_outcome(journal, run, id, "failed", message, began, now, err);
        return r < 0 ? r : 0;
}

static int intend_apply(struct journal *journal, const char *cluster, const struct resource *resource, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "INSERT INTO resource (cluster, id, position, complete, needs, pending_kind, pending_spec) VALUES"
                " (?1, ?2, 1 + coalesce((SELECT max(position) FROM resource WHERE cluster = ?1), 0), 0, ?3, ?4, ?5)"
                " ON CONFLICT (cluster, id) DO UPDATE SET complete = 0, needs = ?3, pending_kind = ?4, pending_spec = "
                "?5",
                &stmt, err);
        if (r < 0)
                return r;
        json_auto_t *needs = needs_to_json(resource->needs);
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, resource->id);
        db_bind_json(stmt, 3, needs);
        db_bind_text(stmt, 4, resource->kind);
        db_bind_json(stmt, 5, resource->spec);
        return db_run(journal, stmt, err);
}

/* sql speaks of one resource: ?1 is the cluster, ?2 the id. */
static int change_resource(
        struct journal *journal, const char *sql, const char *cluster, const char *id, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, sql, &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, id);
        return db_run(journal, stmt, err);
}

/* What an apply that was cut off may have left stays noted: it has to be cleaned up as well. */
static int intend_removal(struct journal *journal, const char *cluster, const char *id, struct err **err)
{
        return change_resource(
                journal, "UPDATE resource SET complete = 0 WHERE cluster = ?1 AND id = ?2", cluster, id, err);
}

static int intend(struct journal *journal, int64_t run, const char *cluster, const struct journal_intent *intent,
        int64_t now, struct err **err)
{
        const struct resource *resource = intent->resource;
        int r = insert_step(journal, run, resource->id, intent->action, intent->reason, now, err);
        if (r < 0)
                return r;
        return str_is(intent->action, "remove") ? intend_removal(journal, cluster, resource->id, err)
                                                : intend_apply(journal, cluster, resource, err);
}

int journal_steps_intend(struct journal *journal, int64_t run, const char *cluster, const struct journal_intent *intent,
        size_t count, int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < count; i++)
                r = intend(journal, run, cluster, &intent[i], now, err);
        return db_end(journal, r, err);
}

int journal_step_intent(struct journal *journal, int64_t run, const char *cluster, const struct resource *resource,
        const char *action, const char *reason, int64_t now, struct err **err)
{
        const struct journal_intent intent = {.resource = resource, .action = action, .reason = reason};
        return journal_steps_intend(journal, run, cluster, &intent, 1, now, err);
}

static int withdraw(struct journal *journal, int64_t run, const char *cluster, const struct journal_intent *intent,
        struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "DELETE FROM step WHERE run = ?1 AND resource = ?2 AND state = 'intent'", &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        db_bind_text(stmt, 2, intent->resource->id);
        r = db_run(journal, stmt, err);
        if (r < 0)
                return r;
        return change_resource(journal,
                intent->known ? "UPDATE resource SET complete = 1, pending_kind = NULL, pending_spec = NULL"
                                " WHERE cluster = ?1 AND id = ?2"
                              : "DELETE FROM resource WHERE cluster = ?1 AND id = ?2",
                cluster, intent->resource->id, err);
}

int journal_steps_withdraw(struct journal *journal, int64_t run, const char *cluster,
        const struct journal_intent *intent, size_t count, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < count; i++)
                r = withdraw(journal, run, cluster, &intent[i], err);
        return db_end(journal, r, err);
}

/* What was pending is what is there now: it is not written a second time. */
static int complete(struct journal *journal, const char *cluster, const char *id, const char *digest,
        const json_t *state, const json_t *outputs, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "UPDATE resource SET complete = 1, kind = pending_kind, spec = pending_spec, digest = ?3, state = ?4, "
                "outputs = ?5, pending_kind = NULL, pending_spec = NULL WHERE cluster = ?1 AND id = ?2 AND pending_kind"
                " IS NOT NULL",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, id);
        db_bind_text(stmt, 3, digest);
        db_bind_json(stmt, 4, state);
        db_bind_json(stmt, 5, outputs);
        r = db_run(journal, stmt, err);
        if (r == 0 && sqlite3_changes(journal->db) == 0)
                return err_set(err, ERR_INVALID, "%s was applied without an intent", id);
        return r;
}

int journal_step_applied(struct journal *journal, int64_t run, const char *cluster, const char *id, const char *digest,
        const json_t *state, const json_t *outputs, int64_t began, int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        if (r < 0)
                return r;
        r = end_step(journal, run, id, began, now, err);
        if (r == 0)
                r = complete(journal, cluster, id, digest, state, outputs, err);
        return db_end_soon(journal, r, err);
}

int journal_step_removed(struct journal *journal, int64_t run, const char *cluster, const char *id, int64_t began,
        int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        if (r < 0)
                return r;
        r = end_step(journal, run, id, began, now, err);
        if (r == 0)
                r = change_resource(journal, "DELETE FROM resource WHERE cluster = ?1 AND id = ?2", cluster, id, err);
        return db_end_soon(journal, r, err);
}

int journal_step_failed(struct journal *journal, int64_t run, const char *cluster, const char *id, const char *message,
        int64_t began, int64_t now, struct err **err)
{
        (void)cluster; /* the row is incomplete since the intent */
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end_soon(journal, fail_step(journal, run, id, message, began, now, err), err);
}
