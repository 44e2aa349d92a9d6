/* What is looked at before the text is read as YAML. For this folder only. */
#ifndef CAAS_TREE_TEXT_H
#define CAAS_TREE_TEXT_H

#include <stddef.h>

#include "tree/diag.h"

/* Line and column (both from 1, in characters) of a byte of the text. */
void text_place(const char *text, size_t offset, int *ret_line, int *ret_column);

/* Size and encoding. -1 with a finding. */
int text_check(const char *text, size_t length, struct diags *diags);

/* Tabs: each line's first is a finding. They become spaces in `text` (NUL-terminated), so that reading can go on to
 * further findings. -1 if one stands in an indentation: then every line after it may be misread. */
int text_replace_tabs(char *text, size_t length, struct diags *diags);

#endif
