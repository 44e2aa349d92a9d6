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

static int last_runs(
        sqlite3 *db, sqlite3_stmt *stmt, const char *path, const char *cluster, json_t *list, struct err **err)
{
        int r;
        db_bind_text(stmt, 1, cluster);
        while ((r = sqlite3_step(stmt)) == SQLITE_ROW)
                json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "command", db_text_or_null(stmt, 0),
                                                    "began", db_int_or_null(stmt, 1), "ended", db_int_or_null(stmt, 2),
                                                    "outcome", db_text_or_null(stmt, 3)));
        return r == SQLITE_DONE ? 0 : db_error(db, path, err);
}

static int look(sqlite3 *db, const char *path, const char *cluster, json_t *list, struct err **err)
{
        sqlite3_stmt *stmt = NULL;
        static const char sql[] = "SELECT command, began, ended, outcome FROM run WHERE id IN"
                                  " (SELECT max(id) FROM run WHERE cluster = ?1 AND ended IS NOT NULL GROUP BY command)"
                                  " ORDER BY command";
        sqlite3_busy_timeout(db, LOOK_BUSY_MS);
        int r = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK
                        ? last_runs(db, stmt, path, cluster, list, err)
                        : db_error(db, path, err);
        sqlite3_finalize(stmt);
        return r;
}

int journal_last_runs(const char *path, const char *cluster, json_t **ret_array, struct err **err)
{
        sqlite3 *db = NULL;
        bool alone = !has_log(path);
        CLEANUP_FREE char *where = uri(path, alone);
        json_auto_t *list = json_array();
        if (!file_exists(path))
                return err_set(err, ERR_NOT_FOUND, "%s does not exist: no cluster was made here yet", path);
        int r = sqlite3_open_v2(where, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
        r = r == SQLITE_OK ? look(db, path, cluster, list, err) : db_error(db, path, err);
        sqlite3_close(db);
        if (r < 0)
                return r;
        if (alone && has_log(path))
                return err_set(err, ERR_BUSY, "%s: a run has just begun", path);
        *ret_array = STEAL(list);
        return 0;
}
