#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

char *str_copy(const char *text)
{
        return mem_copy(text, strlen(text) + 1);
}

char *str_copy_n(const char *text, size_t length)
{
        char *copy = mem_resize(NULL, length + 1, 1);
        if (length)
                memcpy(copy, text, length);
        copy[length] = '\0';
        return copy;
}

char *str_vformat(const char *format, va_list ap)
{
        char *text = NULL;
        if (vasprintf(&text, format, ap) < 0)
                abort(); /* out of memory, or a format that cannot be: both a programmer cannot handle */
        return text;
}

char *str_format(const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        char *text = str_vformat(format, ap);
        va_end(ap);
        return text;
}

bool str_starts(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
        size_t a = strlen(text), b = strlen(suffix);
        return a >= b && strcmp(text + a - b, suffix) == 0;
}

char *str_trim(char *text)
{
        while (isspace((unsigned char)*text))
                text++;
        size_t n = strlen(text);
        while (n > 0 && isspace((unsigned char)text[n - 1]))
                text[--n] = '\0';
        return text;
}

bool str_user_name(const char *text)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.-";
        size_t length = text ? strlen(text) : 0;
        return length > 0 && length <= 64 && strspn(text, letters) == length && !strchr("0123456789.-", *text);
}

int str_to_long(const char *text, long *ret)
{
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (errno || end == text || *end || isspace((unsigned char)*text))
                return -1;
        *ret = value;
        return 0;
}

#define DISTANCE_MAX 64

static size_t min3(size_t a, size_t b, size_t c)
{
        size_t m = a < b ? a : b;
        return m < c ? m : c;
}

/* Optimal string alignment: Levenshtein plus swaps of neighbours. */
size_t str_distance(const char *a, const char *b)
{
        size_t n = strnlen(a, DISTANCE_MAX), m = strnlen(b, DISTANCE_MAX);
        size_t row[3][DISTANCE_MAX + 1];
        for (size_t j = 0; j <= m; j++)
                row[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
                now[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
                        now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                                before[j - 2] + 1 < now[j])
                                now[j] = before[j - 2] + 1;
                }
        }
        return row[n % 3][m];
}

const char *str_nearest(const char *word, const char *const *list)
{
        const char *best = NULL;
        size_t limit = strlen(word) / 3 + 1;
        for (; *list; list++) {
                size_t distance = str_distance(word, *list);
                if (distance <= limit && distance < strlen(*list)) {
                        best = *list;
                        limit = distance ? distance - 1 : 0;
                        if (distance == 0)
                                break;
                }
        }
        return best;
}

static size_t utf8_sequence(const unsigned char *s, size_t left)
{
        if (s[0] == 0)
                return 0;
        if (s[0] < 0x80)
                return 1;
        size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
        if (s[0] < 0xc2 || s[0] > 0xf4 || left < n)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
                (s[0] == 0xf4 && s[1] > 0x8f))
                return 0; /* overlong, surrogate, beyond U+10FFFF */
        return n;
}

bool str_utf8(const char *text, size_t length, size_t *ret_offset)
{
        for (size_t i = 0; i < length;) {
                size_t n = utf8_sequence((const unsigned char *)text + i, length - i);
                if (n == 0) {
                        if (ret_offset)
                                *ret_offset = i;
                        return false;
                }
                i += n;
        }
        return true;
}

void buf_add(struct buf *buf, const char *data, size_t length)
{
        if (length > buf->max - buf->length) {
                buf->truncated = true;
                length = buf->max - buf->length;
        }
        if (buf->length + length + 1 > buf->capacity) {
                size_t capacity = buf->capacity ? buf->capacity : 64;
                while (capacity < buf->length + length + 1)
                        capacity *= 2;
                buf->data = mem_resize(buf->data, capacity, 1);
                buf->capacity = capacity;
        }
        if (length)
                memcpy(buf->data + buf->length, data, length);
        buf->length += length;
        buf->data[buf->length] = '\0';
}

void buf_str(struct buf *buf, const char *text)
{
        buf_add(buf, text, strlen(text));
}

void buf_format(struct buf *buf, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        buf_str(buf, text);
}

/* In single quotes nothing means anything but the quote itself. */
void buf_shell(struct buf *buf, const char *word)
{
        buf_str(buf, "'");
        for (const char *p = word; *p; p++) {
                if (*p == '\'')
                        buf_str(buf, "'\\''");
                else
                        buf_add(buf, p, 1);
        }
        buf_str(buf, "'");
}

char *str_shell(const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:@%+=";
        if (*text && text[strspn(text, plain)] == '\0')
                return str_copy(text);
        struct buf word = BUF_INIT(4 * strlen(text) + 2);
        buf_shell(&word, text);
        return buf_steal(&word);
}

char *buf_steal(struct buf *buf)
{
        char *data = buf->data ? buf->data : str_copy("");
        buf->data = NULL;
        buf->length = buf->capacity = 0;
        return data;
}

void buf_clear(struct buf *buf)
{
        free(buf->data);
        buf->data = NULL;
        buf->length = buf->capacity = 0;
        buf->truncated = false;
}
