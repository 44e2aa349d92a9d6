/* Runs: one a command that changes a cluster. */
#include "journal/journal.h"

#include "journal/journal_impl.h"

static int begin_run(struct journal *journal, const char *cluster, const char *command, int64_t now, int64_t *ret_run,
        struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "INSERT INTO run (cluster, command, began) VALUES (?1, ?2, ?3)", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, command);
        db_bind_int(stmt, 3, now);
        r = db_run(journal, stmt, err);
        if (r < 0)
                return r;
        int64_t run = sqlite3_last_insert_rowid(journal->db);

        /* What is older than the runs we keep goes, and its steps with it. */
        r = db_query(journal,
                "DELETE FROM run WHERE cluster = ?1 AND id <="
                " (SELECT id FROM run WHERE cluster = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_int(stmt, 2, JOURNAL_RUNS_KEPT);
        r = db_run(journal, stmt, err);
        if (r < 0)
                return r;
        *ret_run = run;
        return 0;
}

int journal_run_begin(struct journal *journal, const char *cluster, const char *command, int64_t now, int64_t *ret_run,
        struct err **err)
{
        int64_t run = 0;
        int r = db_begin(journal, DB_WRITE, err);
        if (r < 0)
                return r;
        r = db_end(journal, begin_run(journal, cluster, command, now, &run, err), err);
        if (r < 0)
                return r;
        *ret_run = run;
        return 0;
}

/* What has no outcome when its run ends was cut off. */
static int interrupt_steps(struct journal *journal, int64_t run, int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "UPDATE step SET state = 'interrupted', ended = ?2 WHERE run = ?1 AND state = 'intent'", &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        db_bind_int(stmt, 2, now);
        return db_run(journal, stmt, err);
}

static int end_run(
        struct journal *journal, int64_t run, const char *outcome, const char *message, int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "UPDATE run SET ended = ?2, outcome = ?3, message = ?4 WHERE id = ?1", &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        db_bind_int(stmt, 2, now);
        db_bind_text(stmt, 3, outcome);
        db_bind_text(stmt, 4, message);
        r = db_run(journal, stmt, err);
        if (r < 0)
                return r;
        if (sqlite3_changes(journal->db) == 0)
                return err_set(err, ERR_NOT_FOUND, "no run %lld in the journal", (long long)run);
        return interrupt_steps(journal, run, now, err);
}

int journal_run_end(
        struct journal *journal, int64_t run, const char *outcome, const char *message, int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, end_run(journal, run, outcome, message, now, err), err);
}

static int close_dead(struct journal *journal, const char *cluster, int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "UPDATE step SET state = 'interrupted', ended = ?2 WHERE state = 'intent'"
                " AND run IN (SELECT id FROM run WHERE cluster = ?1 AND ended IS NULL)",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_int(stmt, 2, now);
        r = db_run(journal, stmt, err);
        if (r < 0)
                return r;
        r = db_query(journal, "UPDATE run SET ended = ?2, outcome = 'interrupted' WHERE cluster = ?1 AND ended IS NULL",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_int(stmt, 2, now);
        return db_run(journal, stmt, err);
}

int journal_runs_close_dead(struct journal *journal, const char *cluster, int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, close_dead(journal, cluster, now, err), err);
}

static int list_steps(struct journal *journal, int64_t run, json_t **ret, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "SELECT resource, action, reason, state, began, ended, message FROM step WHERE run = ?1 ORDER BY id",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_int(stmt, 1, run);
        json_auto_t *list = json_array();
        while ((r = db_step(journal, stmt, err)) > 0) {
                json_t *step = json_object();
                json_object_set_new(step, "resource", db_text_or_null(stmt, 0));
                json_object_set_new(step, "action", db_text_or_null(stmt, 1));
                json_object_set_new(step, "reason", db_text_or_null(stmt, 2));
                json_object_set_new(step, "state", db_text_or_null(stmt, 3));
                json_object_set_new(step, "began", db_int_or_null(stmt, 4));
                json_object_set_new(step, "ended", db_int_or_null(stmt, 5));
                json_object_set_new(step, "message", db_text_or_null(stmt, 6));
                json_array_append_new(list, step);
        }
        if (r < 0)
                return r;
        *ret = json_incref(list);
        return 0;
}

static int list_runs(struct journal *journal, const char *cluster, int limit, json_t *list, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "SELECT id, command, began, ended, outcome, message FROM run WHERE cluster = ?1 ORDER BY id DESC LIMIT "
                "?2",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_int(stmt, 2, limit > 0 ? limit : -1);
        while ((r = db_step(journal, stmt, err)) > 0) {
                json_t *steps = NULL;
                r = list_steps(journal, sqlite3_column_int64(stmt, 0), &steps, err);
                if (r < 0)
                        return r;
                json_t *run = json_object();
                json_object_set_new(run, "run", db_int_or_null(stmt, 0));
                json_object_set_new(run, "command", db_text_or_null(stmt, 1));
                json_object_set_new(run, "began", db_int_or_null(stmt, 2));
                json_object_set_new(run, "ended", db_int_or_null(stmt, 3));
                json_object_set_new(run, "outcome", db_text_or_null(stmt, 4));
                json_object_set_new(run, "message", db_text_or_null(stmt, 5));
                json_object_set_new(run, "steps", steps);
                json_array_append_new(list, run);
        }
        return r;
}

int journal_history(struct journal *journal, const char *cluster, int limit, json_t **ret_array, struct err **err)
{
        json_auto_t *list = json_array();
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, list_runs(journal, cluster, limit, list, err), err);
        if (r < 0)
                return r;
        *ret_array = json_incref(list);
        return 0;
}
