#include "cli/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* One character: its length in bytes, 0 for a byte that is no UTF-8. */
static size_t decode(const char *text, uint32_t *ret)
{
        const unsigned char *s = (const unsigned char *)text;
        size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
        if (n > 1 && (strnlen(text, n) < n || !str_utf8(text, n, NULL)))
                return 0;
        static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        uint32_t point = s[0] & first[n];
        for (size_t i = 1; i < n; i++)
                point = point << 6 | (s[i] & 0x3f);
        *ret = point;
        return n;
}

/* Marks that turn the direction of writing would let a name look like another. */
static bool is_control(uint32_t point)
{
        return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x202a && point <= 0x202e) ||
               (point >= 0x2066 && point <= 0x2069) || point == 0x200e || point == 0x200f;
}

char *text_safe(const char *text, bool keep_lines)
{
        struct buf out = BUF_INIT(4 * strlen(text) + 1);
        while (*text) {
                uint32_t point = 0;
                size_t n = decode(text, &point);
                if (*text == '\t')
                        buf_add(&out, " ", 1);
                else if (n && (!is_control(point) || (keep_lines && *text == '\n')))
                        buf_add(&out, text, n);
                else
                        for (size_t i = 0; i < (n ? n : 1); i++)
                                buf_format(&out, "\\x%02x", (unsigned char)text[i]);
                text += n ? n : 1;
        }
        return buf_steal(&out);
}

static size_t width_of(uint32_t point)
{
        if ((point >= 0x300 && point <= 0x36f) || (point >= 0x200b && point <= 0x200f) ||
                (point >= 0xfe00 && point <= 0xfe0f))
                return 0;
        bool wide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
                    (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
                    (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
                    (point >= 0xffe0 && point <= 0xffe6) || (point >= 0x1f300 && point <= 0x1faff) ||
                    (point >= 0x20000 && point <= 0x3fffd);
        return wide ? 2 : 1;
}

size_t text_width(const char *text)
{
        size_t width = 0;
        while (*text) {
                uint32_t point = 0xfffd;
                size_t n = decode(text, &point);
                width += width_of(point);
                text += n ? n : 1;
        }
        return width;
}

char *text_cut(const char *text, size_t columns)
{
        if (text_width(text) <= columns)
                return str_copy(text);
        size_t width = 0, length = 0;
        while (text[length]) {
                uint32_t point = 0xfffd;
                size_t n = decode(text + length, &point);
                if (width + width_of(point) + 1 > columns)
                        break;
                width += width_of(point);
                length += n ? n : 1;
        }
        return str_format("%.*s%s", (int)length, text, columns ? "…" : "");
}

void text_row(struct text_table *table, const char *const *cells)
{
        for (size_t i = 0; i < table->columns; i++) {
                MEM_GROW(table->cell, table->count, table->capacity);
                table->cell[table->count++] = text_safe(cells[i] ? cells[i] : "", false);
        }
}

void text_print(const struct text_table *table, FILE *out, const char *heading_on, const char *heading_off)
{
        if (!table->columns)
                return;
        CLEANUP_FREE size_t *widest = mem_zero_array(table->columns, sizeof *widest);
        for (size_t i = 0; i < table->count; i++) {
                size_t width = text_width(table->cell[i]);
                if (width > widest[i % table->columns])
                        widest[i % table->columns] = width;
        }
        for (size_t i = 0; i < table->count; i++) {
                size_t column = i % table->columns;
                bool heading = i < table->columns, final = column + 1 == table->columns;
                int gap = final ? 0 : (int)(widest[column] - text_width(table->cell[i]) + 2);
                fprintf(out, "%s%s%*s%s%s", heading ? heading_on : "", table->cell[i], gap, "",
                        heading ? heading_off : "", final ? "\n" : "");
        }
}

void text_table_clear(struct text_table *table)
{
        for (size_t i = 0; i < table->count; i++)
                free(table->cell[i]);
        free(table->cell);
        *table = (struct text_table){0};
}
