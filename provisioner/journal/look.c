/* The journal as a bystander sees it, who must never be in the way of a run. */
#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal/journal.h"
#include "journal/journal_impl.h"

#define LOOK_BUSY_MS 500
#define URI_MAX      32768

static bool has_log(const char *path)
{
        CLEANUP_FREE char *log = str_format("%s-wal", path);
        return file_exists(log);
}

/* While a run has the journal open there is a write-ahead log, and the file alone would be old news: then it is read as
 * any reader does, whom no writer waits for. Otherwise (alone) nobody writes, and it is read without locks and without
 * leaving SQLite's two files behind, which would make the next backup of the file alone look incomplete. */
static char *uri(const char *path, bool alone)
{
        struct buf buf = BUF_INIT(URI_MAX);
        buf_str(&buf, "file:");
        for (const char *c = path; *c; c++) {
                if (isalnum((unsigned char)*c) || strchr("/._-", *c))
                        buf_add(&buf, c, 1);
                else
                        buf_format(&buf, "%%%02X", (unsigned)(unsigned char)*c);
        }
        buf_str(&buf, alone ? "?immutable=1" : "?mode=ro");
        return buf_steal(&buf);
}

/* Calls row() for each row of sql, whose ?1 is the cluster. */
static int each_row(sqlite3 *db, const char *path, const char *sql, const char *cluster,
        void (*row)(sqlite3_stmt *stmt, json_t *found), json_t *found, struct err **err)
{
        sqlite3_stmt *stmt = NULL;
        int r = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
        if (r == SQLITE_OK)
                db_bind_text(stmt, 1, cluster);
        while (r == SQLITE_OK && (r = sqlite3_step(stmt)) == SQLITE_ROW) {
                row(stmt, found);
                r = SQLITE_OK;
        }
        r = r == SQLITE_DONE ? 0 : db_error(db, path, err);
        sqlite3_finalize(stmt);
        return r;
}

static void add_run(sqlite3_stmt *stmt, json_t *found)
{
        json_array_append_new(json_object_get(found, "runs"),
                json_pack("{s:o, s:o, s:o, s:o}", "command", db_text_or_null(stmt, 0), "began", db_int_or_null(stmt, 1),
                        "ended", db_int_or_null(stmt, 2), "outcome", db_text_or_null(stmt, 3)));
}

static void set_drift(sqlite3_stmt *stmt, json_t *found)
{
        json_object_set_new(found, "drift", db_int_or_null(stmt, 0));
}

static int look(sqlite3 *db, const char *path, const char *cluster, json_t *found, struct err **err)
{
        int r = each_row(db, path,
                "SELECT command, began, ended, outcome FROM run WHERE id IN"
                " (SELECT max(id) FROM run WHERE cluster = ?1 AND ended IS NOT NULL GROUP BY command)"
                " ORDER BY command",
                cluster, add_run, found, err);
        return r < 0 ? r
                     : each_row(db, path, "SELECT drift FROM cluster WHERE name = ?1", cluster, set_drift, found, err);
}

static json_t *nothing_yet(void)
{
        return json_pack("{s:[], s:n}", "runs", "drift");
}

int journal_last_runs(struct journal *journal, const char *cluster, json_t **ret, struct err **err)
{
        json_auto_t *found = nothing_yet();
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, look(journal->db, journal->path, cluster, found, err), err);
        if (r < 0)
                return r;
        *ret = STEAL(found);
        return 0;
}

int journal_look(const char *path, const char *cluster, json_t **ret, struct err **err)
{
        sqlite3 *db = NULL;
        bool alone = !has_log(path);
        CLEANUP_FREE char *where = uri(path, alone);
        json_auto_t *found = nothing_yet();
        if (!file_exists(path))
                return err_set(err, ERR_NOT_FOUND, "%s does not exist: no cluster was made here yet", path);
        int r = sqlite3_open_v2(where, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
        if (r == SQLITE_OK)
                sqlite3_busy_timeout(db, LOOK_BUSY_MS);
        r = r == SQLITE_OK ? look(db, path, cluster, found, err) : db_error(db, path, err);
        sqlite3_close(db);
        if (r < 0)
                return r;
        if (alone && has_log(path))
                return err_set(err, ERR_BUSY, "%s: a run has just begun", path);
        *ret = STEAL(found);
        return 0;
}
