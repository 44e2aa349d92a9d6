/* The lines in which two texts differ, as a small unified diff. */
#ifndef CAAS_CLI_TEXT_DIFF_H
#define CAAS_CLI_TEXT_DIFF_H

#include <stddef.h>

/* A line of the diff, without its newline: sign is ' ' (context), '-', '+' or '@' (how many lines of the old text are
 * passed over stands in text then). Not NUL-terminated. */
typedef void (*text_diff_line)(void *data, char sign, const char *text, size_t length);

/* At most max_lines lines are given out; the return value says how many more there would be. Two lines of context.
 * Where the texts differ in very many lines, all old ones are given before all new ones. */
size_t text_diff(const char *old, const char *new_, size_t max_lines, text_diff_line line, void *data);

#endif
