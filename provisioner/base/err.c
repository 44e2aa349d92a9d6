#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

/* What a program or a server said may be in whatever encoding, or cut inside a character. */
static int err_make(struct err **err, enum err_code code, char *message)
{
        utf8_make(message);
        if (!err) {
                free(message);
                return -(int)code;
        }
        if (*err) { /* the first error wins */
                free(message);
                return -(int)(*err)->code;
        }
        *err = mem_zero(sizeof **err);
        (*err)->code = code;
        (*err)->message = message;
        return -(int)code;
}

int err_set(struct err **err, enum err_code code, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        char *message = str_vformat(format, ap);
        va_end(ap);
        return err_make(err, code, message);
}

static enum err_code code_of_errno(int number)
{
        switch (number) {
        case ENOENT:
        case ENOTDIR:
        case ESRCH:
                return ERR_NOT_FOUND;
        case EEXIST:
        case ENOTEMPTY:
                return ERR_EXISTS;
        case EACCES:
        case EPERM:
        case EROFS:
                return ERR_DENIED;
        case EBUSY:
        case EAGAIN:
        case EADDRINUSE:
        case ETXTBSY:
                return ERR_BUSY;
        case ENOSPC:
        case EDQUOT:
                return ERR_NO_SPACE;
        case ECONNREFUSED:
        case EHOSTUNREACH:
        case ENETUNREACH:
                return ERR_UNREACHABLE;
        case ETIMEDOUT:
                return ERR_TIMEOUT;
        case ECANCELED:
        case EINTR:
                return ERR_CANCELLED;
        case EINVAL:
                return ERR_INVALID;
        default:
                return ERR_IO;
        }
}

int err_set_errno(struct err **err, int number, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *head = str_vformat(format, ap);
        va_end(ap);
        char reason[128];
        const char *text = strerror_r(number, reason, sizeof reason);
        return err_make(err, code_of_errno(number), str_format("%s: %s", head, text));
}

int err_prefix(struct err **err, const char *format, ...)
{
        if (!err || !*err)
                return -ERR_FAILED;
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *head = str_vformat(format, ap);
        va_end(ap);
        char *message = str_format("%s: %s", head, (*err)->message);
        free((*err)->message);
        (*err)->message = utf8_make(message);
        return -(int)(*err)->code;
}

int err_suffix(struct err **err, const char *format, ...)
{
        if (!err || !*err)
                return -ERR_FAILED;
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *tail = str_vformat(format, ap);
        va_end(ap);
        char *message = str_format("%s; %s", (*err)->message, tail);
        free((*err)->message);
        (*err)->message = utf8_make(message);
        return -(int)(*err)->code;
}

int err_at(struct err **err, const char *file, int line, int column)
{
        if (!err || !*err)
                return -ERR_FAILED;
        struct err *e = *err;
        if (!e->file && e->line == 0) {
                e->file = file ? utf8_make(str_copy(file)) : NULL;
                e->line = line;
                e->column = column;
        }
        return -(int)e->code;
}

char *err_text(const struct err *err)
{
        if (!err)
                return str_copy("unknown error");
        if (!err->file)
                return str_copy(err->message);
        if (err->line == 0)
                return str_format("%s: %s", err->file, err->message);
        return str_format("%s:%d:%d: %s", err->file, err->line, err->column, err->message);
}

const char *err_code_name(enum err_code code)
{
        switch (code) {
#define X(name, number, text)                                                                                          \
        case ERR_##name:                                                                                               \
                return #name;
                ERR_TABLE(X)
#undef X
        }
        return "UNKNOWN";
}

struct err *err_free(struct err *err)
{
        if (err) {
                free(err->message);
                free(err->file);
                free(err);
        }
        return NULL;
}
