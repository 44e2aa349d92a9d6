/* Block style, two spaces, strings plain where nobody could take them for something else. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/number.h"
#include "tree/tree.h"

/* libyaml takes no longer key in one line (in characters; bytes are on the safe side). */
#define SIMPLE_KEY_MAX 1000

static bool letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* May this character stand in plain text, given the one after it? */
static bool plain_inside(char c, char next)
{
        if (c == ' ')
                return next != '\0' && next != ' ' && next != '#';
        if (c == ':')
                return next != '\0' && next != ' ';
        return letter(c) || strchr("0123456789-_./@=+,()", c) != NULL;
}

/* Begins with a letter or a slash, and is no word like null or true: nobody takes it for something else. */
static bool plain(const char *text)
{
        static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
        if (!letter(*text) && *text != '/')
                return false;
        for (const char *c = text; *c; c++)
                if (!plain_inside(*c, c[1]))
                        return false;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strcasecmp(text, words[i]) == 0)
                        return false;
        return true;
}

/* The code point at s (valid UTF-8), and its length. */
static unsigned decode(const unsigned char *s, size_t *ret_length)
{
        size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
        unsigned code = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++)
                code = code << 6 | (s[i] & 0x3fu);
        *ret_length = n;
        return code;
}

/* What a YAML reader refuses, breaks a line at, or an editor hides. */
static bool wants_escape(unsigned code)
{
        return code < 0x20 || (code >= 0x7f && code <= 0xa0) || code == 0x2028 || code == 0x2029 || code == 0xfeff ||
               (code >= 0xfff0 && code <= 0xffff);
}

static void write_string(struct buf *buf, const char *text)
{
        if (plain(text)) {
                buf_str(buf, text);
                return;
        }
        buf_str(buf, "\"");
        for (const unsigned char *s = (const unsigned char *)text; *s;) {
                size_t n;
                unsigned code = decode(s, &n);
                if (code == '\n')
                        buf_str(buf, "\\n");
                else if (code == '\t')
                        buf_str(buf, "\\t");
                else if (code == '"' || code == '\\')
                        buf_format(buf, "\\%c", (char)code);
                else if (wants_escape(code))
                        buf_format(buf, "\\u%04X", code);
                else
                        buf_add(buf, (const char *)s, n);
                s += n;
        }
        buf_str(buf, "\"");
}

static void indent(struct buf *buf, size_t level)
{
        for (size_t i = 0; i < level; i++)
                buf_add(buf, "  ", 2);
}

static bool is_block(const json_t *value)
{
        return (json_is_object(value) && json_object_size(value)) || (json_is_array(value) && json_array_size(value));
}

static void write_block(struct buf *buf, const json_t *value, size_t level, bool first_in_line);

/* What follows "key:" or "-", up to and with the end of the line. */
static void write_value(struct buf *buf, const json_t *value, size_t level, bool after_dash)
{
        if (is_block(value)) {
                buf_str(buf, after_dash ? " " : "\n");
                write_block(buf, value, level, after_dash);
                return;
        }
        buf_str(buf, " ");
        CLEANUP_FREE char *text = scalar_text(value);
        if (json_is_string(value))
                write_string(buf, text);
        else
                buf_str(buf, text ? text : json_is_object(value) ? "{}" : json_is_array(value) ? "[]" : "null");
        buf_str(buf, "\n");
}

static void write_key(struct buf *buf, const char *key, size_t level)
{
        CLEANUP_BUF struct buf text = BUF_INIT(buf->max);
        write_string(&text, key);
        if (text.length <= SIMPLE_KEY_MAX) {
                buf_add(buf, text.data, text.length);
                buf_str(buf, ":");
                return;
        }
        buf_str(buf, "? ");
        buf_add(buf, text.data, text.length);
        buf_str(buf, "\n");
        indent(buf, level);
        buf_str(buf, ":");
}

/* first_in_line: a dash and a space stand before it already. */
static void write_block(struct buf *buf, const json_t *value, size_t level, bool first_in_line)
{
        const char *key;
        size_t i;
        json_t *item;
        json_object_foreach ((json_t *)value, key, item) {
                indent(buf, first_in_line ? 0 : level);
                first_in_line = false;
                write_key(buf, key, level);
                write_value(buf, item, level + 1, false);
        }
        json_array_foreach ((json_t *)value, i, item) {
                indent(buf, first_in_line ? 0 : level);
                first_in_line = false;
                buf_str(buf, "-");
                write_value(buf, item, level + 1, true);
        }
}

char *tree_to_yaml(const json_t *root)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(SIZE_MAX / 2);
        if (is_block(root))
                write_block(&buf, root, 0, false);
        else
                write_value(&buf, root, 0, true);
        char *text = buf_steal(&buf);
        if (*text == ' ') /* of a scalar alone */
                memmove(text, text + 1, strlen(text));
        return text;
}
