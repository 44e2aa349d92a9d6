/* Errors that read from the outside in: "cannot start hub: port 8081: already in use".
 *
 * The contract (docs/ERRORS.md): a function that can fail returns a negative number and fills *err, which the caller
 * owns; its outputs are then untouched. err itself may be NULL when the caller does not care. The first error wins:
 * setting one over another is a programmer's mistake. Not thread-safe per object; objects are not shared. */
#ifndef CAAS_BASE_ERR_H
#define CAAS_BASE_ERR_H

#include "base/err_table.h"

enum err_code {
#define X(name, number, text) ERR_##name = (number),
        ERR_TABLE(X)
#undef X
};

struct err {
        enum err_code code;
        char *message; /* never NULL */
        char *file;    /* NULL where no file is concerned */
        int line;      /* from 1; 0 = unknown */
        int column;    /* from 1; 0 = unknown */
};

/* Makes *err. Returns -code. */
int err_set(struct err **err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set with ": <strerror(number)>" appended; the code is chosen from the errno value. */
int err_set_errno(struct err **err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "format: " in front of the message. Returns -code of *err; -ERR_FAILED if there is none. */
int err_prefix(struct err **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "; format" behind the message: what to do. Returns as err_prefix. */
int err_suffix(struct err **err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says where: file is copied and may be NULL. Keeps a place that is already there. Returns as err_prefix. */
int err_at(struct err **err, const char *file, int line, int column);

/* "file:line:column: message" or just the message; the caller frees it. */
char *err_text(const struct err *err);

const char *err_code_name(enum err_code code); /* "NOT_FOUND" */

/* Accepts NULL, returns NULL. */
struct err *err_free(struct err *err);

static inline void err_cleanup(struct err **err)
{
        err_free(*err);
}
#define CLEANUP_ERR __attribute__((cleanup(err_cleanup)))

#endif
