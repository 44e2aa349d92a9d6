/* Strings and a growing buffer. All returned strings are the caller's to free. */
#ifndef CAAS_BASE_STR_H
#define CAAS_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

char *str_copy(const char *text) __attribute__((malloc, returns_nonnull));
char *str_copy_n(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *str_vformat(const char *format, va_list ap) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));

bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
static inline bool str_is(const char *a, const char *b)
{
        return a && b && __builtin_strcmp(a, b) == 0;
}

/* Cuts white space off both ends, in place; returns the new beginning inside text. */
char *str_trim(char *text);

/* What a user of a cluster can be called: [A-Za-z_][A-Za-z0-9_.-]{0,63}. It becomes part of paths. NULL is none. */
bool str_user_name(const char *text);

/* The whole of text as a number. Returns 0, or -1 with *ret untouched. */
int str_to_long(const char *text, long *ret);

/* As a shell reads it as one word: in single quotes where it has to be. */
char *str_shell(const char *text);

/* Number of single-character edits (insert, delete, replace, swap of neighbours) from a to b, for "did you mean".
 * Compares at most 64 characters. */
size_t str_distance(const char *a, const char *b);

/* The nearest of the NULL-terminated list within a third of word's length, or NULL. */
const char *str_nearest(const char *word, const char *const *list);

/* Valid UTF-8 without surrogates, overlong forms or NUL? On false *ret_offset (if not NULL) is the first bad byte. */
bool str_utf8(const char *text, size_t length, size_t *ret_offset);

/* A buffer that never grows beyond max bytes: hostile input cannot eat the machine. data is NUL-terminated. */
struct buf {
        char *data;
        size_t length, capacity, max;
        bool truncated; /* something did not fit */
};
#define BUF_INIT(maximum)                                                                                              \
        {                                                                                                              \
                .max = (maximum)                                                                                       \
        }
void buf_add(struct buf *buf, const char *data, size_t length);
void buf_str(struct buf *buf, const char *text);
void buf_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_shell(struct buf *buf, const char *word); /* one word of a shell, in single quotes */
char *buf_steal(struct buf *buf);                  /* never NULL; the buffer is empty afterwards */
void buf_clear(struct buf *buf);                   /* frees; the buffer can be used again */
#define CLEANUP_BUF __attribute__((cleanup(buf_clear)))

#endif
