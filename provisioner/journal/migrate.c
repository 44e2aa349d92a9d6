/* The schema, as the steps that lead to it. user_version counts the steps that were taken. A step that was released is
 * never changed: what has to be different is a further step. */
#include "journal/journal_impl.h"

#define APPLICATION_ID 0x43614153 /* "CaAS": file(1) and we tell it from any other SQLite file by that */

static const char *const steps[] = {
        /* 0 -> 1 */
        "CREATE TABLE cluster ("
        "  name TEXT PRIMARY KEY NOT NULL, target TEXT NOT NULL, form TEXT NOT NULL,"
        "  created INTEGER NOT NULL, applied INTEGER, version TEXT, destroyed INTEGER"
        ") WITHOUT ROWID;"
        "CREATE TABLE run ("
        "  id INTEGER PRIMARY KEY AUTOINCREMENT, cluster TEXT NOT NULL, command TEXT NOT NULL,"
        "  began INTEGER NOT NULL, ended INTEGER, outcome TEXT, message TEXT"
        ");"
        "CREATE INDEX run_cluster ON run (cluster, id);"
        "CREATE TABLE step ("
        "  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,"
        "  resource TEXT NOT NULL, action TEXT NOT NULL,"
        "  state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed', 'interrupted')),"
        "  began INTEGER NOT NULL, ended INTEGER, message TEXT"
        ");"
        "CREATE INDEX step_run ON step (run, resource);"
        "CREATE TABLE resource ("
        "  cluster TEXT NOT NULL REFERENCES cluster (name) ON DELETE CASCADE, id TEXT NOT NULL,"
        "  position INTEGER NOT NULL, complete INTEGER NOT NULL, needs TEXT NOT NULL,"
        "  kind TEXT, spec TEXT, digest TEXT, state TEXT, outputs TEXT,"
        "  pending_kind TEXT, pending_spec TEXT,"
        "  PRIMARY KEY (cluster, id), CHECK (spec IS NOT NULL OR pending_spec IS NOT NULL)"
        ");"
        "CREATE INDEX resource_position ON resource (cluster, position);"
        "CREATE TABLE secret ("
        "  cluster TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, nonce BLOB NOT NULL, sealed BLOB NOT "
        "NULL,"
        "  PRIMARY KEY (cluster, name)"
        ") WITHOUT ROWID;",
        /* 1 -> 2: why a step was taken; what an apply found changed by others */
        "ALTER TABLE step ADD COLUMN reason TEXT;"
        "ALTER TABLE cluster ADD COLUMN drift INTEGER;",
};
#define STEP_COUNT ((int)(sizeof steps / sizeof steps[0]))

static int pragma_get(sqlite3 *db, const char *sql, const char *path, int *ret, struct err **err)
{
        sqlite3_stmt *stmt;
        if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
                return db_error(db, path, err);
        int r = sqlite3_step(stmt) == SQLITE_ROW ? 0 : db_error(db, path, err);
        if (r == 0)
                *ret = sqlite3_column_int(stmt, 0);
        sqlite3_finalize(stmt);
        return r;
}

static int run_sql(sqlite3 *db, const char *sql, const char *path, struct err **err)
{
        return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_error(db, path, err);
}

/* Inside the transaction: another process may have been faster. */
static int migrate_locked(sqlite3 *db, const char *path, const char *const *list, int count, struct err **err)
{
        int version, r = pragma_get(db, "PRAGMA user_version", path, &version, err);
        for (; r == 0 && version < count; version++) {
                r = run_sql(db, list[version], path, err);
                if (r < 0)
                        err_prefix(err, "cannot bring the journal from schema %d to %d", version, version + 1);
        }
        if (r < 0)
                return r;
        char pragma[64];
        sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version = %d", version);
        r = run_sql(db, pragma, path, err);
        if (r < 0)
                return r;
        sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA application_id = %d", APPLICATION_ID);
        return run_sql(db, pragma, path, err);
}

int migrate_to(sqlite3 *db, const char *path, const char *const *list, int count, struct err **err)
{
        int version, application, r = pragma_get(db, "PRAGMA user_version", path, &version, err);
        if (r == 0)
                r = pragma_get(db, "PRAGMA application_id", path, &application, err);
        if (r < 0)
                return r;
        if (application != 0 && application != APPLICATION_ID)
                return err_set(err, ERR_REFUSED,
                        "%s is the database of another program: choose another folder with --state", path);
        if (version < 0) /* it is an index below */
                return err_set(
                        err, ERR_CORRUPT, "%s: damaged (its schema is %d); bring it back from a backup", path, version);
        if (version > count)
                return err_set(err, ERR_VERSION,
                        "%s was written by a newer caas: its schema is %d, this caas knows up to %d; use the newer one",
                        path, version, count);
        if (version == count)
                return 0;
        r = run_sql(db, "BEGIN IMMEDIATE", path, err);
        if (r < 0)
                return r;
        r = migrate_locked(db, path, list, count, err);
        if (r == 0)
                r = run_sql(db, "COMMIT", path, err);
        if (r < 0 && !sqlite3_get_autocommit(db))
                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return r;
}

int migrate(sqlite3 *db, const char *path, struct err **err)
{
        return migrate_to(db, path, steps, STEP_COUNT, err);
}
