/* Opening and closing the journal. */
#include "journal/journal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal/journal_impl.h"

#define IN_MEMORY ":memory:"
#define BUSY_MS   10000 /* a transaction takes milliseconds; who waits this long waits for a hung disk */

/* NORMAL: SQLite syncs what keeps the file whole, and sync.c each commit. The cache is for what a transaction touches,
 * 128 KiB of it: everything is read once, and the system has the file in memory anyway. */
static const char pragmas[] = "PRAGMA synchronous = NORMAL;"
                              "PRAGMA cache_size = -128;"
                              "PRAGMA foreign_keys = ON;"
                              "PRAGMA trusted_schema = OFF;"
                              "PRAGMA temp_store = MEMORY;";

static void journal_cleanup(struct journal **journal)
{
        journal_close(*journal);
}

/* Happens once in the life of the file. SQLite does not wait here for another process that does the same (both hold a
 * read lock and want the exclusive one), so we do. */
static int use_wal(struct journal *journal, struct err **err)
{
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + BUSY_MS;
        while (sqlite3_exec(journal->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) != SQLITE_OK) {
                if ((sqlite3_errcode(journal->db) & 0xff) != SQLITE_BUSY || clock->monotonic_ms(clock) > end)
                        return db_error(journal->db, journal->path, err);
                clock->sleep_ms(clock, 1 + getpid() % 7, NULL); /* not in step with the other one */
        }
        return 0;
}

static int connect_database(struct journal *journal, struct err **err)
{
        /* Our own mutex guards it. */
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
        bool in_memory = str_is(journal->path, IN_MEMORY);
        if (sqlite3_open_v2(journal->path, &journal->db, flags, NULL) != SQLITE_OK)
                return db_error(journal->db, journal->path, err);
        if (sqlite3_db_readonly(journal->db, "main") == 1) /* SQLite falls back to that on its own */
                return err_set(err, ERR_DENIED, DB_READ_ONLY, journal->path);
        sqlite3_busy_timeout(journal->db, BUSY_MS);
        /* Version first: a newer journal is not to be written to, not even its mode. */
        int r = migrate(journal->db, journal->path, err);
        if (r == 0 && !in_memory)
                r = use_wal(journal, err);
        if (r < 0)
                return r;
        if (sqlite3_exec(journal->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
                return db_error(journal->db, journal->path, err);
        return 0;
}

/* Both strings become the journal's. */
static int open_at(char *state_dir, char *path, struct journal **ret, struct err **err)
{
        __attribute__((cleanup(journal_cleanup))) struct journal *journal = mem_zero(sizeof *journal);
        pthread_mutexattr_t nested; /* journal_begin */
        pthread_mutexattr_init(&nested);
        pthread_mutexattr_settype(&nested, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(&journal->mutex, &nested);
        pthread_mutexattr_destroy(&nested);
        sync_begin(&journal->sync);
        journal->state_dir = state_dir;
        journal->path = path;
        int r = connect_database(journal, err);
        if (r < 0)
                return r;
        *ret = STEAL(journal);
        return 0;
}

int journal_open(const char *state_dir, bool create, struct journal **ret, struct err **err)
{
        int r = folder_prepare(state_dir, create, err);
        return r < 0 ? r : open_at(str_copy(state_dir), file_join(state_dir, JOURNAL_FILE), ret, err);
}

int journal_open_blank(struct journal **ret, struct err **err)
{
        return open_at(str_copy(""), str_copy(IN_MEMORY), ret, err);
}

struct journal *journal_close(struct journal *journal)
{
        if (!journal)
                return NULL;
        for (size_t i = 0; i < journal->statement_count; i++)
                sqlite3_finalize(journal->statement[i].stmt);
        free(journal->statement);
        sqlite3_close(journal->db);
        sync_end(&journal->sync);
        explicit_bzero(journal->key, sizeof journal->key);
        pthread_mutex_destroy(&journal->mutex);
        free(journal->state_dir);
        free(journal->path);
        free(journal);
        return NULL;
}
