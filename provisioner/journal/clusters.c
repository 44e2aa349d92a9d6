/* The clusters that were made from this state folder. */
#include "journal/journal.h"

#include "journal/journal_impl.h"

static int read_cluster(struct journal *journal, sqlite3_stmt *stmt, json_t **ret, struct err **err)
{
        json_t *form = NULL;
        int r = db_json(journal, stmt, 2, &form, err);
        if (r < 0)
                return r;
        json_t *cluster = json_object();
        json_object_set_new(cluster, "name", db_text_or_null(stmt, 0));
        json_object_set_new(cluster, "target", db_text_or_null(stmt, 1));
        json_object_set_new(cluster, "form", form);
        json_object_set_new(cluster, "created", db_int_or_null(stmt, 3));
        json_object_set_new(cluster, "applied", db_int_or_null(stmt, 4));
        json_object_set_new(cluster, "version", db_text_or_null(stmt, 5));
        json_object_set_new(cluster, "destroyed", db_int_or_null(stmt, 6));
        json_object_set_new(cluster, "drift", db_int_or_null(stmt, 7));
        *ret = cluster;
        return 0;
}

static int find_cluster(struct journal *journal, const char *name, json_t **ret, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "SELECT name, target, form, created, applied, version, destroyed, drift FROM cluster WHERE name = ?1",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, name);
        r = db_step(journal, stmt, err);
        if (r < 0)
                return r;
        if (r == 0)
                return err_set(err, ERR_NOT_FOUND, "no cluster %s in %s", name, journal->state_dir);
        return read_cluster(journal, stmt, ret, err);
}

int journal_cluster(struct journal *journal, const char *name, json_t **ret, struct err **err)
{
        json_auto_t *found = NULL;
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, find_cluster(journal, name, &found, err), err);
        if (r < 0)
                return r;
        *ret = json_incref(found);
        return 0;
}

static int list_clusters(struct journal *journal, json_t *list, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "SELECT name, target, form, created, applied, version, destroyed, drift FROM cluster ORDER BY name",
                &stmt, err);
        if (r < 0)
                return r;
        while ((r = db_step(journal, stmt, err)) > 0) {
                json_t *cluster = NULL;
                r = read_cluster(journal, stmt, &cluster, err);
                if (r < 0)
                        return r;
                json_array_append_new(list, cluster);
        }
        return r;
}

int journal_clusters(struct journal *journal, json_t **ret_array, struct err **err)
{
        json_auto_t *list = json_array();
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, list_clusters(journal, list, err), err);
        if (r < 0)
                return r;
        *ret_array = json_incref(list);
        return 0;
}

/* One that was destroyed begins anew. */
static int put_cluster(struct journal *journal, const char *name, const char *target, const json_t *form, int64_t now,
        struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal,
                "INSERT INTO cluster (name, target, form, created) VALUES (?1, ?2, ?3, ?4)"
                " ON CONFLICT (name) DO UPDATE SET target = ?2, form = ?3,"
                "  created = iif(destroyed IS NULL, created, ?4), applied = iif(destroyed IS NULL, applied, NULL),"
                "  version = iif(destroyed IS NULL, version, NULL), drift = iif(destroyed IS NULL, drift, NULL),"
                "  destroyed = NULL",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, name);
        db_bind_text(stmt, 2, target);
        db_bind_json(stmt, 3, form);
        db_bind_int(stmt, 4, now);
        return db_run(journal, stmt, err);
}

int journal_put_cluster(struct journal *journal, const char *name, const char *target, const json_t *form, int64_t now,
        struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, put_cluster(journal, name, target, form, now, err), err);
}

static int put_drift(struct journal *journal, const char *name, int64_t count, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "UPDATE cluster SET drift = ?2 WHERE name = ?1", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, name);
        db_bind_int(stmt, 2, count);
        return db_run(journal, stmt, err);
}

int journal_put_drift(struct journal *journal, const char *name, int64_t count, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, put_drift(journal, name, count, err), err);
}

static int mark_applied(struct journal *journal, const char *name, const char *version, int64_t now, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "UPDATE cluster SET applied = ?2, version = ?3 WHERE name = ?1", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, name);
        db_bind_int(stmt, 2, now);
        db_bind_text(stmt, 3, version);
        r = db_run(journal, stmt, err);
        if (r == 0 && sqlite3_changes(journal->db) == 0)
                return err_set(err, ERR_NOT_FOUND, "no cluster %s in %s", name, journal->state_dir);
        return r;
}

int journal_mark_applied(struct journal *journal, const char *name, const char *version, int64_t now, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, mark_applied(journal, name, version, now, err), err);
}

static int run_for_cluster(struct journal *journal, const char *sql, const char *name, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, sql, &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, name);
        return db_run(journal, stmt, err);
}

static int forget_cluster(struct journal *journal, const char *name, bool keep_secrets, struct err **err)
{
        int r = run_for_cluster(journal, "DELETE FROM resource WHERE cluster = ?1", name, err);
        if (r < 0)
                return r;
        if (keep_secrets)
                return run_for_cluster(journal,
                        "UPDATE cluster SET applied = NULL, version = NULL, drift = NULL,"
                        " destroyed = coalesce((SELECT max(began) FROM run WHERE cluster = ?1), created) WHERE name = "
                        "?1",
                        name, err);
        r = run_for_cluster(journal, "DELETE FROM secret WHERE cluster = ?1", name, err);
        return r < 0 ? r : run_for_cluster(journal, "DELETE FROM cluster WHERE name = ?1", name, err);
}

int journal_forget_cluster(struct journal *journal, const char *name, bool keep_secrets, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, forget_cluster(journal, name, keep_secrets, err), err);
}
