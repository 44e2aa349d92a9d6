/* Text for people: made safe for a terminal, measured, cut, set in columns. */
#ifndef CAAS_CLI_TEXT_H
#define CAAS_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A copy in which control characters (also those of 8 bits) and bytes that are no UTF-8 are shown as \xNN: names,
 * messages and logs come from outside and must not steer the terminal. Tabs become a space. keep_lines leaves newlines.
 * The caller frees. */
char *text_safe(const char *text, bool keep_lines);

size_t text_width(const char *text); /* columns on a terminal; wide characters count 2, combining ones 0 */

/* A copy of at most `columns` columns, ending in "…" if something was cut. The caller frees. */
char *text_cut(const char *text, size_t columns);

/* ---- a table ---- */
struct text_table {
        size_t columns;
        char **cell; /* rows of `columns`, owned */
        size_t count, capacity;
};
void text_row(
        struct text_table *table, const char *const *cells); /* `columns` of them; copied and made safe; NULL = "" */
/* Columns as wide as their widest cell, two spaces between; the first row is the heading. */
void text_print(const struct text_table *table, FILE *out, const char *heading_on, const char *heading_off);
void text_table_clear(struct text_table *table);
#define CLEANUP_TABLE __attribute__((cleanup(text_table_clear)))

#endif
