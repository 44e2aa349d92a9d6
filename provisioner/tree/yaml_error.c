#include "tree/yaml_error.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/text.h"

/* By what libyaml says, and where it says more, by what it was doing. NULL = any context. */
static const struct {
        const char *problem, *context, *words;
} translations[] = {
        {"could not find expected ':'", NULL, "a \":\" is missing: a line is \"field: value\""},
        {"mapping values are not allowed in this context", NULL,
                "a \":\" cannot stand here: is the indentation right, or should this text be in quotes?"},
        {"did not find expected key", NULL,
                "a field is expected here: is the indentation the same as that of its neighbours?"},
        {"did not find expected '-' indicator", NULL, "an item of the list (\"- …\") is expected here"},
        {"did not find expected ',' or '}'", NULL, "a \",\" or \"}\" is missing"},
        {"did not find expected ',' or ']'", NULL, "a \",\" or \"]\" is missing"},
        {"did not find expected node content", NULL, "a value is missing here"},
        {"did not find expected <document start>", NULL,
                "this stands after the end of the document: is the indentation right?"},
        {"found unexpected end of stream", "while scanning a quoted scalar", "the quotation is never closed"},
        {"found unexpected document indicator", "while scanning a quoted scalar", "the quotation is never closed"},
        {"found unknown escape character", NULL,
                "there is no such escape in double quotes: write \\\\ for a backslash"},
        {"did not find expected hexdecimal number", NULL, "the escape wants hexadecimal digits"},
        {"found invalid Unicode character escape code", NULL, "the escape is no Unicode character"},
        {"block sequence entries are not allowed in this context", NULL,
                "an item of a list (\"- …\") cannot stand here: put it on a line of its own"},
        {"mapping keys are not allowed in this context", NULL, "a key cannot stand here"},
        {"found a tab character that violates indentation", NULL, "a tab in the indentation: use spaces"},
        {"found a tab character where an indentation space is expected", NULL, "a tab in the indentation: use spaces"},
        {"did not find expected whitespace or line break", NULL, "a space is missing here"},
        {"did not find expected comment or line break", NULL, "nothing but a comment can follow on this line"},
        {"did not find expected alphabetic or numeric character", "while scanning an alias",
                "\"*\" is followed by the name of an anchor: put the text in quotes if that is not meant"},
        {"did not find expected alphabetic or numeric character", "while scanning an anchor",
                "\"&\" is followed by the name of an anchor: put the text in quotes if that is not meant"},
        {"found undefined tag handle", NULL, "a tag (\"!…\"): tags are not allowed here"},
};

static const char *translate(const yaml_parser_t *yaml)
{
        for (size_t i = 0; i < sizeof translations / sizeof *translations; i++)
                if (str_is(yaml->problem, translations[i].problem) &&
                        (!translations[i].context || str_is(yaml->context, translations[i].context)))
                        return translations[i].words;
        return NULL;
}

/* The character at which the scanner stopped. */
static const char *stopped_at(const yaml_parser_t *yaml, const char *text, size_t length)
{
        size_t i = 0;
        for (size_t n = 0; i < length && n < yaml->problem_mark.index; n++)
                do
                        i++;
                while (i < length && (text[i] & 0xc0) == 0x80);
        return i < length ? text + i : "";
}

/* What libyaml was in ("while parsing a block mapping"). */
static const char *what(const char *context)
{
        if (strstr(context, "mapping"))
                return "mapping";
        if (strstr(context, "sequence") || strstr(context, "collection"))
                return "list";
        return "text";
}

void yaml_error_add(const yaml_parser_t *yaml, const char *text, size_t length, struct diags *diags)
{
        int line, column;
        if (yaml->error == YAML_READER_ERROR) {
                text_place(text, yaml->problem_offset < length ? yaml->problem_offset : length, &line, &column);
                if (yaml->problem_value > 0)
                        diags_add(diags, line, column,
                                "a control character (U+%04X): in a double-quoted string write \"\\u%04X\"",
                                (unsigned)yaml->problem_value, (unsigned)yaml->problem_value);
                else
                        diags_add(diags, line, column, "%s", yaml->problem ? yaml->problem : "unreadable");
                return;
        }
        line = (int)yaml->problem_mark.line + 1;
        column = (int)yaml->problem_mark.column + 1;
        const char *words = translate(yaml);
        if (!words && str_is(yaml->problem, "found character that cannot start any token")) {
                diags_add(diags, line, column, "a value cannot begin with \"%c\": put it in quotes",
                        *stopped_at(yaml, text, length));
                return;
        }
        /* Where something never ends, where it begins is what helps. */
        if (yaml->context && words && (strstr(words, "never closed") || strstr(words, "\":\" is missing"))) {
                line = (int)yaml->context_mark.line + 1;
                column = (int)yaml->context_mark.column + 1;
        }
        CLEANUP_FREE char *since = NULL;
        if (yaml->context && yaml->context_mark.line + 1 < (size_t)line)
                since = str_format(
                        " (in the %s that began in line %zu)", what(yaml->context), yaml->context_mark.line + 1);
        diags_add(diags, line, column, "%s%s",
                words           ? words
                : yaml->problem ? yaml->problem
                                : "this is no YAML",
                since ? since : "");
}
