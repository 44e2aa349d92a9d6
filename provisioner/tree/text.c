#include "tree/text.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "tree/tree.h"

void text_place(const char *text, size_t offset, int *ret_line, int *ret_column)
{
        int line = 1, column = 1;
        for (size_t i = 0; i < offset; i++) {
                unsigned char c = (unsigned char)text[i];
                if (c == '\n' || (c == '\r' && text[i + 1] != '\n')) {
                        line++;
                        column = 1;
                } else if ((c & 0xc0) != 0x80 && c != '\r') {
                        column++;
                }
        }
        *ret_line = line;
        *ret_column = column;
}

int text_replace_tabs(char *text, size_t length, struct diags *diags)
{
        int line = 1, column = 1, rc = 0;
        bool indentation = true, said = false;
        for (size_t i = 0; i < length; i++) {
                char c = text[i];
                if (c == '\n' || (c == '\r' && text[i + 1] != '\n')) {
                        line++;
                        column = 1;
                        indentation = true;
                        said = false;
                        continue;
                }
                if (c == '\t') {
                        if (!said && indentation)
                                diags_add(diags, line, column, "a tab in the indentation: use spaces");
                        else if (!said)
                                diags_add(diags, line, column, "a tab: use spaces (in a double-quoted string, \\t)");
                        if (indentation)
                                rc = -1;
                        said = true;
                        text[i] = ' ';
                }
                indentation = indentation && (c == ' ' || c == '\t');
                column += (c & 0xc0) != 0x80;
        }
        return rc;
}

int text_check(const char *text, size_t length, struct diags *diags)
{
        size_t offset;
        int line, column;
        if (length > TREE_BYTES_MAX) {
                diags_add(diags, 0, 0, "larger than 1 MiB (%d bytes)", TREE_BYTES_MAX);
                return -1;
        }
        if (str_utf8(text, length, &offset))
                return 0;
        text_place(text, offset, &line, &column);
        unsigned char byte = (unsigned char)text[offset];
        if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
                diags_add(diags, line, column, "this is UTF-16: save it as UTF-8");
        else if (byte == 0)
                diags_add(diags, line, column, "a NUL byte: this is no text");
        else
                diags_add(diags, line, column, "byte 0x%02x is not UTF-8: save the file as UTF-8", byte);
        return -1;
}
