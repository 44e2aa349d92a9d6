/* What the files of the journal share. Private to this folder. */
#ifndef CAAS_JOURNAL_JOURNAL_IMPL_H
#define CAAS_JOURNAL_JOURNAL_IMPL_H

#include <jansson.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Of the journal's path. */
#define DB_READ_ONLY                                                                                                   \
        "%s: cannot be written to (read-only disk, or another user's file): mount the disk for writing, or run caas "  \
        "as the user whose it is"
#define JOURNAL_MARK "caas.state"
#define JOURNAL_FILE "journal.sqlite"
#define JOURNAL_KEY  "key"

#define SEAL_KEY_SIZE   32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE   16

struct journal_statement {
        const char *sql; /* a string literal: its address is the identity */
        sqlite3_stmt *stmt;
};

/* How far the write-ahead log is on the disk. */
struct journal_sync {
        _Atomic int64_t committed; /* write transactions that are in the log */
        pthread_mutex_t mutex;     /* of what follows */
        pthread_cond_t changed;
        int64_t on_disk; /* as many of them are there */
        int fault;       /* errno of the sync that failed; there is no other after it */
        bool busy;       /* a thread is at it: the log is its own meanwhile */
        int log;         /* -1 until the first */
};

struct journal {
        pthread_mutex_t mutex; /* held from db_begin to db_end */
        struct journal_sync sync;
        sqlite3 *db;
        char *state_dir, *path;
        struct journal_statement *statement;
        size_t statement_count, statement_capacity;
        unsigned char key[SEAL_KEY_SIZE];
        bool key_loaded;
        unsigned depth;         /* db_begin without db_end: more than 1 within journal_begin */
        bool spoiled;           /* something within it failed */
        bool writing;           /* the transaction that is open is one */
        int64_t writes;         /* write transactions begun so far */
        int64_t fault_at;       /* the write transaction that a test wants to fail; 0 = none */
        bool fault_after, dead; /* after the commit instead of before it; it happened: nothing works any more */
};

/* ---- folder.c ---- */
/* Checks (and makes, with create) the state folder, its mark and an empty journal file. */
int folder_prepare(const char *state_dir, bool create, struct err **err);

/* ---- migrate.c ---- */
/* Brings the schema from user_version to count by running steps[user_version…], all in one transaction. */
int migrate_to(sqlite3 *db, const char *path, const char *const *steps, int count, struct err **err);
int migrate(sqlite3 *db, const char *path, struct err **err);

/* ---- db.c: transactions and statements. Only between db_begin and db_end may the others be called. ---- */
enum db_access { DB_READ, DB_WRITE };
int db_begin(struct journal *journal, enum db_access access, struct err **err);
/* Commits when result is 0 or more, otherwise rolls back. Returns result, when it is on the disk, or why the commit
 * failed. */
int db_end(struct journal *journal, int result, struct err **err);
/* The same, but it may still be on its way to the disk. */
int db_end_soon(struct journal *journal, int result, struct err **err);

/* The statement for sql, ready for its parameters. sql must be a string literal. */
int db_query(struct journal *journal, const char *sql, sqlite3_stmt **ret, struct err **err);
/* Parameters count from 1. NULL is NULL. */
void db_bind_text(sqlite3_stmt *stmt, int index, const char *text);
void db_bind_json(sqlite3_stmt *stmt, int index, const json_t *json);
void db_bind_int(sqlite3_stmt *stmt, int index, int64_t value);
/* 1: there is a row; 0: no (more) rows; or an error. */
int db_step(struct journal *journal, sqlite3_stmt *stmt, struct err **err);
/* Runs a statement that yields no rows; 0 or an error. */
int db_run(struct journal *journal, sqlite3_stmt *stmt, struct err **err);
/* Columns count from 0. Copies; NULL for NULL. */
char *db_text(sqlite3_stmt *stmt, int column);
int db_json(struct journal *journal, sqlite3_stmt *stmt, int column, json_t **ret, struct err **err);
/* New references for the objects that callers get. */
json_t *db_text_or_null(sqlite3_stmt *stmt, int column);
json_t *db_int_or_null(sqlite3_stmt *stmt, int column);

/* The message of an SQLite failure: one line with the file's path and what to do. */
int db_error(sqlite3 *db, const char *path, struct err **err);

/* ---- sync.c ---- */
void sync_begin(struct journal_sync *sync);
void sync_end(struct journal_sync *sync);
/* One more write transaction is in the log. With the journal's mutex held. */
void sync_committed(struct journal_sync *sync);
/* Returns when the first `commit` of them are on the disk. Without that mutex. */
int sync_wait(struct journal *journal, int64_t commit, struct err **err);

/* ---- seal.c ---- */
struct sealed {
        unsigned char nonce[SEAL_NONCE_SIZE];
        unsigned char *data; /* cipher text and tag; owned */
        size_t length;
};
/* Reads the master key once; with create it is made if it is not there. */
int seal_key(struct journal *journal, bool create, struct err **err);
int seal_close(const unsigned char key[SEAL_KEY_SIZE], const char *cluster, const char *name, const char *value,
        struct sealed *ret, struct err **err);
/* *ret_value is wiped by the caller. -ERR_CORRUPT: another key, another place, or tampered with. */
int seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *cluster, const char *name,
        const struct sealed *sealed, char **ret_value, struct err **err);

#endif
