#include "tree/text.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "tree/tree.h"

/* The length of the end of a line that begins here; 0: none does. Of "\r\n" the second is the end. U+0085, U+2028 and
 * U+2029 are ends, too: libyaml counts its lines so. */
static size_t line_end(const char *text)
{
        const unsigned char *s = (const unsigned char *)text;
        if (s[0] == '\n' || (s[0] == '\r' && s[1] != '\n'))
                return 1;
        if (s[0] == 0xc2 && s[1] == 0x85)
                return 2;
        return s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9) ? 3 : 0;
}

void text_place(const char *text, size_t offset, int *ret_line, int *ret_column)
{
        int line = 1, column = 1;
        for (size_t i = 0; i < offset; i++) {
                unsigned char c = (unsigned char)text[i];
                if (line_end(text + i)) {
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
                size_t end = line_end(text + i);
                if (end) {
                        i += end - 1;
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

/* All of them: whoever wrote the file in another encoding sees where. What follows a wrong byte and begins no character
 * is a part of the same fault. */
static void bad_bytes(const char *text, size_t length, struct diags *diags)
{
        size_t at = 0, offset;
        int line, column;
        while (!diags_full(diags) && !str_utf8(text + at, length - at, &offset) && text[at + offset]) {
                at += offset;
                text_place(text, at, &line, &column);
                diags_add(diags, line, column, "byte 0x%02x is not UTF-8: save the file as UTF-8",
                        (unsigned char)text[at]);
                for (at++; at < length && (text[at] & 0xc0) == 0x80;)
                        at++;
        }
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
        if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
                diags_add(diags, line, column, "this is UTF-16: save it as UTF-8");
        else if (text[offset] == '\0')
                diags_add(diags, line, column, "a NUL byte: this is no text");
        else
                bad_bytes(text, length, diags);
        return -1;
}
