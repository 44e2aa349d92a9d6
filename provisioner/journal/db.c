/* SQLite for the journal: transactions under the journal's mutex, cached statements, errors in our words. All that is
 * known of SQLite's conventions ends here. */
#include "journal/journal_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#define CAAS_JOURNAL_TEST_ALLOWED /* the hooks are defined here */
#include "journal/journal_test.h"

static int io_error(sqlite3 *db, const char *path, struct err **err)
{
        int number = sqlite3_system_errno(db);
        if (number == ENOSPC || number == EDQUOT)
                return err_set(err, ERR_NO_SPACE,
                        "%s: no space left on the disk; nothing was lost, free some and run it again", path);
        if (number == EACCES || number == EPERM)
                return err_set(err, ERR_DENIED, "%s: permission denied; run caas as root", path);
        if (number != 0)
                return err_set_errno(err, number, "%s", path);
        return err_set(err, ERR_IO, "%s: %s", path, sqlite3_errmsg(db));
}

int db_error(sqlite3 *db, const char *path, struct err **err)
{
        if (!db)
                return err_set(err, ERR_IO, "%s: cannot open it", path);
        switch (sqlite3_errcode(db)) {
        case SQLITE_FULL:
                return err_set(err, ERR_NO_SPACE,
                        "%s: no space left on the disk; nothing was lost, free some and run it again", path);
        case SQLITE_READONLY:
                return err_set(err, ERR_DENIED, DB_READ_ONLY, path);
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return err_set(err, ERR_DENIED, "%s: permission denied", path);
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return err_set(err, ERR_BUSY, "%s: another process has been writing to it for too long", path);
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return err_set(
                        err, ERR_CORRUPT, "%s: damaged (%s); bring it back from a backup", path, sqlite3_errmsg(db));
        case SQLITE_CONSTRAINT:
                return err_set(err, ERR_INVALID, "%s: %s", path, sqlite3_errmsg(db));
        default:
                return io_error(db, path, err);
        }
}

static int killed(struct err **err)
{
        return err_set(err, ERR_CANCELLED, "the journal was killed by a test");
}

static int begin_locked(struct journal *journal, enum db_access access, struct err **err)
{
        if (journal->dead)
                return killed(err);
        if (access == DB_WRITE) {
                journal->writes++;
                if (journal->writes == journal->fault_at && !journal->fault_after) {
                        journal->dead = true;
                        return killed(err);
                }
        }
        journal->writing = access == DB_WRITE;
        sqlite3_stmt *stmt;
        int r = access == DB_WRITE ? db_query(journal, "BEGIN IMMEDIATE", &stmt, err)
                                   : db_query(journal, "BEGIN", &stmt, err);
        return r < 0 ? r : db_run(journal, stmt, err);
}

int db_begin(struct journal *journal, enum db_access access, struct err **err)
{
        pthread_mutex_lock(&journal->mutex);
        int r = journal->depth ? 0 : begin_locked(journal, access, err);
        if (r < 0)
                pthread_mutex_unlock(&journal->mutex);
        else
                journal->depth++;
        return r;
}

static int end_locked(struct journal *journal, int result, struct err **err)
{
        if (--journal->depth > 0) {
                journal->spoiled = journal->spoiled || result < 0;
                return result;
        }
        if (journal->spoiled && result >= 0)
                result = err_set(err, ERR_FAILED, "a part of it failed");
        journal->spoiled = false;
        for (size_t i = 0; i < journal->statement_count; i++) /* a reader left in the middle would keep its snapshot */
                sqlite3_reset(journal->statement[i].stmt);
        int r = result;
        if (result >= 0) {
                sqlite3_stmt *stmt;
                r = db_query(journal, "COMMIT", &stmt, err);
                if (r >= 0)
                        r = db_run(journal, stmt, err);
        }
        if (r < 0) { /* many failures have rolled back already */
                if (!sqlite3_get_autocommit(journal->db))
                        sqlite3_exec(journal->db, "ROLLBACK", NULL, NULL, NULL);
                return r;
        }
        if (journal->writing)
                sync_committed(&journal->sync);
        if (journal->fault_after && journal->fault_at > 0 && journal->writes >= journal->fault_at) {
                journal->dead = true;
                return killed(err);
        }
        return result;
}

int db_end_soon(struct journal *journal, int result, struct err **err)
{
        int r = end_locked(journal, result, err);
        pthread_mutex_unlock(&journal->mutex);
        return r;
}

int journal_sync(struct journal *journal, struct err **err)
{
        pthread_mutex_lock(&journal->mutex);
        int r = journal->dead ? killed(err) : 0;
        int64_t commit = atomic_load(&journal->sync.committed);
        pthread_mutex_unlock(&journal->mutex);
        return r < 0 ? r : sync_wait(journal, commit, err);
}

int db_end(struct journal *journal, int result, struct err **err)
{
        int r = end_locked(journal, result, err);
        int64_t commit = journal->writing && !journal->depth ? atomic_load(&journal->sync.committed) : 0;
        pthread_mutex_unlock(&journal->mutex);
        int synced = r < 0 ? r : sync_wait(journal, commit, err); /* others commit meanwhile, and share the next one */
        return synced < 0 ? synced : r;
}

int journal_begin(struct journal *journal, struct err **err)
{
        return db_begin(journal, DB_WRITE, err);
}

int journal_end(struct journal *journal, int result, struct err **err)
{
        return db_end(journal, result, err);
}

int db_query(struct journal *journal, const char *sql, sqlite3_stmt **ret, struct err **err)
{
        for (size_t i = 0; i < journal->statement_count; i++) {
                if (journal->statement[i].sql == sql) {
                        sqlite3_stmt *stmt = journal->statement[i].stmt;
                        sqlite3_reset(stmt);
                        sqlite3_clear_bindings(stmt);
                        *ret = stmt;
                        return 0;
                }
        }
        sqlite3_stmt *stmt;
        if (sqlite3_prepare_v3(journal->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
                return db_error(journal->db, journal->path, err);
        MEM_GROW(journal->statement, journal->statement_count, journal->statement_capacity);
        journal->statement[journal->statement_count++] = (struct journal_statement){.sql = sql, .stmt = stmt};
        *ret = stmt;
        return 0;
}

void db_bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
        if (text)
                sqlite3_bind_text(stmt, index, text, -1, SQLITE_TRANSIENT);
        else
                sqlite3_bind_null(stmt, index);
}

void db_bind_json(sqlite3_stmt *stmt, int index, const json_t *json)
{
        char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        if (text)
                sqlite3_bind_text(stmt, index, text, -1, free);
        else
                sqlite3_bind_null(stmt, index);
}

void db_bind_int(sqlite3_stmt *stmt, int index, int64_t value)
{
        sqlite3_bind_int64(stmt, index, value);
}

int db_step(struct journal *journal, sqlite3_stmt *stmt, struct err **err)
{
        switch (sqlite3_step(stmt)) {
        case SQLITE_ROW:
                return 1;
        case SQLITE_DONE:
                sqlite3_reset(stmt);
                return 0;
        default: {
                int r = db_error(journal->db, journal->path, err);
                sqlite3_reset(stmt);
                return r;
        }
        }
}

int db_run(struct journal *journal, sqlite3_stmt *stmt, struct err **err)
{
        int r = db_step(journal, stmt, err);
        return r < 0 ? r : 0;
}

char *db_text(sqlite3_stmt *stmt, int column)
{
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        return text ? str_copy(text) : NULL;
}

int db_json(struct journal *journal, sqlite3_stmt *stmt, int column, json_t **ret, struct err **err)
{
        const char *text = (const char *)sqlite3_column_text(stmt, column);
        if (!text) {
                *ret = NULL;
                return 0;
        }
        size_t length = (size_t)sqlite3_column_bytes(stmt, column);
        json_t *json = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!json)
                return err_set(err, ERR_CORRUPT, "%s: damaged: no JSON in column %s; bring it back from a backup",
                        journal->path, sqlite3_column_name(stmt, column));
        *ret = json;
        return 0;
}

/* A message may end with the log of some service, in whatever encoding: JSON takes UTF-8 only. */
json_t *db_text_or_null(sqlite3_stmt *stmt, int column)
{
        CLEANUP_FREE char *text = db_text(stmt, column);
        if (!text)
                return json_null();
        return json_string(utf8_make(text));
}

json_t *db_int_or_null(sqlite3_stmt *stmt, int column)
{
        return sqlite3_column_type(stmt, column) == SQLITE_NULL ? json_null()
                                                                : json_integer(sqlite3_column_int64(stmt, column));
}

int64_t journal_test_writes(struct journal *journal)
{
        pthread_mutex_lock(&journal->mutex);
        int64_t writes = journal->writes;
        pthread_mutex_unlock(&journal->mutex);
        return writes;
}

void journal_test_kill(struct journal *journal, int64_t countdown, bool after_commit)
{
        pthread_mutex_lock(&journal->mutex);
        journal->fault_at = countdown > 0 ? journal->writes + countdown : 0;
        journal->fault_after = after_commit;
        pthread_mutex_unlock(&journal->mutex);
}
