/* Secrets of clusters: sealed values with a version that grows when the value changes. */
#include "journal/journal.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "journal/journal_impl.h"

/* 1 with *ret_version and *ret_value (the caller wipes it), 0 if there is none, or an error. */
static int find_secret(struct journal *journal, const char *cluster, const char *name, int64_t *ret_version,
        char **ret_value, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(
                journal, "SELECT version, nonce, sealed FROM secret WHERE cluster = ?1 AND name = ?2", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, name);
        r = db_step(journal, stmt, err);
        if (r <= 0)
                return r;
        r = seal_key(journal, false, err);
        if (r < 0)
                return r;
        if (sqlite3_column_bytes(stmt, 1) != SEAL_NONCE_SIZE || sqlite3_column_bytes(stmt, 2) == 0)
                return err_set(err, ERR_CORRUPT, "secret %s of cluster %s is damaged", name, cluster);
        struct sealed sealed;
        memcpy(sealed.nonce, sqlite3_column_blob(stmt, 1), SEAL_NONCE_SIZE);
        sealed.length = (size_t)sqlite3_column_bytes(stmt, 2);
        CLEANUP_FREE unsigned char *data = mem_copy(sqlite3_column_blob(stmt, 2), sealed.length);
        sealed.data = data;
        int64_t version = sqlite3_column_int64(stmt, 0);
        r = seal_open(journal->key, cluster, name, &sealed, ret_value, err);
        if (r < 0)
                return r;
        *ret_version = version;
        return 1;
}

static bool same(const char *a, const char *b)
{
        size_t length = strlen(a);
        return length == strlen(b) && CRYPTO_memcmp(a, b, length) == 0;
}

static int write_secret(struct journal *journal, const char *cluster, const char *name, int64_t version,
        const char *value, struct err **err)
{
        struct sealed sealed;
        int r = seal_close(journal->key, cluster, name, value, &sealed, err);
        if (r < 0)
                return r;
        CLEANUP_FREE unsigned char *data = sealed.data;
        sqlite3_stmt *stmt;
        r = db_query(journal,
                "INSERT INTO secret (cluster, name, version, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT (cluster, name) DO UPDATE SET version = ?3, nonce = ?4, sealed = ?5",
                &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        db_bind_text(stmt, 2, name);
        db_bind_int(stmt, 3, version);
        sqlite3_bind_blob(stmt, 4, sealed.nonce, SEAL_NONCE_SIZE, SQLITE_TRANSIENT);
        sqlite3_bind_blob(stmt, 5, data, (int)sealed.length, SQLITE_TRANSIENT);
        return db_run(journal, stmt, err);
}

/* The key is made for the first secret only: making a new one beside old secrets would hide that the old one is lost.
 */
static int first_secret(struct journal *journal, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "SELECT 1 FROM secret LIMIT 1", &stmt, err);
        if (r == 0)
                r = db_step(journal, stmt, err);
        return r < 0 ? r : r == 0;
}

static int put_secret(
        struct journal *journal, const char *cluster, const char *name, const char *value, struct err **err)
{
        int64_t version = 0;
        char *old = NULL;
        int r = find_secret(journal, cluster, name, &version, &old, err);
        if (r < 0)
                return r;
        bool unchanged = old && same(old, value);
        if (old)
                mem_wipe_free(old, strlen(old));
        if (unchanged)
                return 0;
        int first = first_secret(journal, err);
        if (first < 0)
                return first;
        r = seal_key(journal, first, err);
        return r < 0 ? r : write_secret(journal, cluster, name, version + 1, value, err);
}

int journal_put_secret(
        struct journal *journal, const char *cluster, const char *name, const char *value, struct err **err)
{
        int r = db_begin(journal, DB_WRITE, err);
        return r < 0 ? r : db_end(journal, put_secret(journal, cluster, name, value, err), err);
}

int journal_secret(struct journal *journal, const char *cluster, const char *name, char **ret_value, struct err **err)
{
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        int64_t version;
        char *value = NULL;
        r = find_secret(journal, cluster, name, &version, &value, err);
        if (r == 0)
                r = err_set(err, ERR_NOT_FOUND, "cluster %s has no secret %s", cluster, name);
        r = db_end(journal, r, err);
        if (r < 0) {
                if (value)
                        mem_wipe_free(value, strlen(value));
                return r;
        }
        *ret_value = value;
        return 0;
}

static int list_versions(struct journal *journal, const char *cluster, json_t *versions, struct err **err)
{
        sqlite3_stmt *stmt;
        int r = db_query(journal, "SELECT name, version FROM secret WHERE cluster = ?1 ORDER BY name", &stmt, err);
        if (r < 0)
                return r;
        db_bind_text(stmt, 1, cluster);
        while ((r = db_step(journal, stmt, err)) > 0)
                json_object_set_new(versions, (const char *)sqlite3_column_text(stmt, 0), db_int_or_null(stmt, 1));
        return r;
}

int journal_secret_versions(struct journal *journal, const char *cluster, json_t **ret, struct err **err)
{
        json_auto_t *versions = json_object();
        int r = db_begin(journal, DB_READ, err);
        if (r < 0)
                return r;
        r = db_end(journal, list_versions(journal, cluster, versions, err), err);
        if (r < 0)
                return r;
        *ret = json_incref(versions);
        return 0;
}
