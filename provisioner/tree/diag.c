#include "tree/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define QUOTE_MAX 60

bool diags_full(const struct diags *diags)
{
        return diags->count >= DIAGS_MAX;
}

void diags_add(struct diags *diags, int line, int column, const char *format, ...)
{
        if (diags_full(diags))
                return;
        MEM_GROW(diags->item, diags->count, diags->capacity);
        struct diag *diag = &diags->item[diags->count++];
        if (diags_full(diags)) {
                *diag = (struct diag){
                        .message = str_format("more than %d errors; the rest is left out", DIAGS_MAX - 1)};
                return;
        }
        va_list ap;
        va_start(ap, format);
        *diag = (struct diag){.line = line, .column = column, .message = str_vformat(format, ap)};
        va_end(ap);
}

struct numbered {
        struct diag diag;
        size_t number;
};

static int compare(const void *left, const void *right)
{
        const struct numbered *a = left, *b = right;
        if (a->diag.line != b->diag.line)
                return a->diag.line < b->diag.line ? -1 : 1;
        if (a->diag.column != b->diag.column)
                return a->diag.column < b->diag.column ? -1 : 1;
        return a->number < b->number ? -1 : a->number > b->number;
}

void diags_sort(struct diags *diags)
{
        if (diags->count < 2)
                return;
        CLEANUP_FREE struct numbered *list = mem_zero_array(diags->count, sizeof *list);
        for (size_t i = 0; i < diags->count; i++)
                list[i] = (struct numbered){.diag = diags->item[i], .number = i};
        qsort(list, diags->count, sizeof *list, compare);
        for (size_t i = 0; i < diags->count; i++)
                diags->item[i] = list[i].diag;
}

void diags_clear(struct diags *diags)
{
        for (size_t i = 0; i < diags->count; i++)
                free(diags->item[i].message);
        free(diags->item);
        *diags = (struct diags){0};
}

/* What a terminal may act upon (C1 controls, line separators, marks of the direction), and what nobody sees: with it a
 * word looks like another. U+0080 and above, in order. */
static const struct {
        unsigned first, last;
} hidden[] = {{0x80, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe01ef}};

/* s is one character of UTF-8, of so many bytes. */
static bool unprintable(const unsigned char *s, size_t length)
{
        if (length < 2)
                return false;
        unsigned point = s[0] & (0x7fU >> length);
        for (size_t i = 1; i < length; i++)
                point = point << 6 | (s[i] & 0x3fU);
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
                if (point >= hidden[i].first && point <= hidden[i].last)
                        return true;
        return false;
}

char *diag_quote(const char *text)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(8 * QUOTE_MAX + 16);
        buf_str(&buf, "\"");
        const unsigned char *s = (const unsigned char *)text;
        for (int n = 0; *s; n++) {
                if (n == QUOTE_MAX) {
                        buf_str(&buf, "…");
                        break;
                }
                size_t length = 1;
                while ((s[length] & 0xc0) == 0x80)
                        length++;
                if (*s == '\n')
                        buf_str(&buf, "\\n");
                else if (*s == '"' || *s == '\\')
                        buf_format(&buf, "\\%c", *s);
                else if (*s < 0x20 || *s == 0x7f)
                        buf_format(&buf, "\\x%02x", *s);
                else if (unprintable(s, length))
                        buf_str(&buf, "?");
                else
                        buf_add(&buf, (const char *)s, length);
                s += length;
        }
        buf_str(&buf, "\"");
        return buf_steal(&buf);
}
