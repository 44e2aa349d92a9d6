/* Secrets: sealed, bound to their place, versioned. */
#include "scratch.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget(char *value)
{
        mem_wipe_free(value, strlen(value));
}

static void run_sql(const char *folder, const char *sql)
{
        char *path = file_join(folder, "journal.sqlite");
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_true(sqlite3_changes(db) > 0);
        sqlite3_close(db);
        free(path);
}

static int64_t version_of(struct journal *journal, const char *cluster, const char *name)
{
        json_t *versions = NULL;
        assert_done(journal_secret_versions(journal, cluster, &versions, err));
        int64_t version = json_integer_value(json_object_get(versions, name));
        json_decref(versions);
        return version;
}

static void kept_and_versioned(void **state)
{
        struct journal *journal = open_journal(*state);
        char *value = NULL;
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_NOT_FOUND, "no secret hub/cookie");
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "first", err));
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "first", err));
        assert_int_equal(version_of(journal, "demo", "hub/cookie"), 1);
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "second", err));
        assert_int_equal(version_of(journal, "demo", "hub/cookie"), 2);
        assert_done(journal_put_secret(journal, "demo", "hub/empty", "", err));
        assert_done(journal_put_secret(journal, "other", "hub/cookie", "theirs", err));
        journal_close(journal);

        journal = open_journal(*state);
        assert_done(journal_secret(journal, "demo", "hub/cookie", &value, err));
        assert_string_equal(value, "second");
        forget(value);
        assert_done(journal_secret(journal, "demo", "hub/empty", &value, err));
        assert_string_equal(value, "");
        forget(value);
        assert_done(journal_secret(journal, "other", "hub/cookie", &value, err));
        assert_string_equal(value, "theirs");
        forget(value);
        assert_int_equal(version_of(journal, "demo", "hub/none"), 0);
        journal_close(journal);
}

static bool holds(const char *folder, const char *name, const char *needle)
{
        char *path = file_join(folder, name), *data = NULL;
        size_t length = 0;
        int r = file_read(path, 64 << 20, &data, &length, NULL);
        bool found = r == 0 && memmem(data, length, needle, strlen(needle));
        free(data);
        free(path);
        return found;
}

static void not_in_clear_on_disk(void **state)
{
        static const char value[] = "correct-horse-battery-staple";
        struct journal *journal = open_journal(*state);
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", value, err));
        assert_true(holds(*state, "journal.sqlite-wal", "hub/cookie")); /* this does look in the right place */
        assert_false(holds(*state, "journal.sqlite-wal", value));
        journal_close(journal);
        assert_true(holds(*state, "journal.sqlite", "hub/cookie"));
        assert_false(holds(*state, "journal.sqlite", value));
}

static void same_value_differs_sealed(void **state)
{
        struct journal *journal = open_journal(*state);
        assert_done(journal_put_secret(journal, "demo", "a/1", "the same", err));
        assert_done(journal_put_secret(journal, "demo", "a/2", "the same", err));
        journal_close(journal);
        sqlite3 *db;
        sqlite3_stmt *stmt;
        char *path = file_join(*state, "journal.sqlite");
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        static const char sql[] =
                "SELECT count(DISTINCT nonce), count(DISTINCT sealed), min(length(nonce)) FROM secret";
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), 2);
        assert_int_equal(sqlite3_column_int(stmt, 1), 2);
        assert_int_equal(sqlite3_column_int(stmt, 2), 12);
        sqlite3_finalize(stmt);
        sqlite3_close(db);
        free(path);
}

static void tampered_with(void **state)
{
        static const char *const deeds[] = {
                "UPDATE secret SET name = 'hub/token' WHERE name = 'hub/cookie'",
                "UPDATE secret SET name = 'hub/cookie' WHERE name = 'hub/token'",
                "UPDATE secret SET cluster = 'other'",
                "UPDATE secret SET cluster = 'demo', sealed = substr(sealed, 2)",
                "UPDATE secret SET sealed = x''",
                "UPDATE secret SET sealed = x'00'",
                "UPDATE secret SET nonce = x'00'",
        };
        struct journal *journal = open_journal(*state);
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "abc", err));
        char *value = NULL;
        run_sql(*state, deeds[0]);
        assert_error(journal_secret(journal, "demo", "hub/token", &value, err), ERR_CORRUPT, "does not open");
        run_sql(*state, deeds[1]);
        assert_done(journal_secret(journal, "demo", "hub/cookie", &value, err));
        forget(value);
        value = NULL;
        run_sql(*state, deeds[2]);
        assert_error(journal_secret(journal, "other", "hub/cookie", &value, err), ERR_CORRUPT, "does not open");
        run_sql(*state, deeds[3]);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_CORRUPT, "does not open");
        assert_error(journal_put_secret(journal, "demo", "hub/cookie", "new", err), ERR_CORRUPT, "does not open");
        for (size_t i = 4; i < sizeof deeds / sizeof deeds[0]; i++) {
                run_sql(*state, deeds[i]);
                assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_CORRUPT, "damaged");
        }
        assert_null(value);
        journal_close(journal);
}

static void keys(void **state)
{
        char *key = file_join(*state, "key"), *value = NULL;
        struct journal *journal = open_journal(*state);
        assert_false(file_exists(key));
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "abc", err));
        journal_close(journal);

        journal = open_journal(*state);
        chmod(key, 0640);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_REFUSED, "chmod 600");
        chmod(key, 0600);
        assert_done(journal_secret(journal, "demo", "hub/cookie", &value, err));
        forget(value);
        value = NULL;
        journal_close(journal);

        /* Another key of the right size. */
        char *moved = str_format("%s.old", key);
        assert_int_equal(rename(key, moved), 0);
        write_text(*state, "key", "0123456789abcdef0123456789abcdef");
        chmod(key, 0600);
        journal = open_journal(*state);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_CORRUPT, "another key");
        journal_close(journal);

        /* A short one, a link, and none: never a new one beside secrets of the old. */
        write_text(*state, "key", "short");
        chmod(key, 0600);
        journal = open_journal(*state);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_CORRUPT, "has to be 32 bytes");
        assert_int_equal(unlink(key), 0);
        assert_int_equal(symlink(moved, key), 0);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_IO, "cannot read the master key");
        assert_int_equal(unlink(key), 0);
        assert_error(journal_secret(journal, "demo", "hub/cookie", &value, err), ERR_CORRUPT, "is gone");
        assert_error(journal_put_secret(journal, "demo", "hub/token", "abc", err), ERR_CORRUPT, "is gone");
        assert_false(file_exists(key));
        assert_null(value);
        journal_close(journal);
        free(moved);
        free(key);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(kept_and_versioned),
                scratch_test(not_in_clear_on_disk),
                scratch_test(same_value_differs_sealed),
                scratch_test(tampered_with),
                scratch_test(keys),
        };
        return cmocka_run_group_tests_name("journal/secrets", tests, NULL, NULL);
}
