/* What a source left, as lines. */
#ifndef CAAS_TESTS_SAMPLES_H
#define CAAS_TESTS_SAMPLES_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/sink_impl.h"
#include "exporter/source.h"

/* "name{label="…"} 1\n…" of all families. The caller frees. */
static inline char *samples_text(const struct sample_sink *sink)
{
        struct buf text = BUF_INIT(64 << 20);
        for (size_t i = 0; i < sink->count; i++) {
                const struct block *block = &sink->block[i];
                for (size_t at = 0; at < block->length;) {
                        const char *line = block->text + at;
                        size_t n = (size_t)((const char *)memchr(line, '\n', block->length - at) - line) + 1;
                        buf_str(&text, block->family->name);
                        buf_add(&text, line, n);
                        at += n;
                }
        }
        return buf_steal(&text);
}

/* Is exactly this line among them? */
static inline bool samples_have(const struct sample_sink *sink, const char *line)
{
        CLEANUP_FREE char *all = samples_text(sink), *framed = str_format("\n%s", all),
                          *wanted = str_format("\n%s\n", line);
        bool found = strstr(framed, wanted) != NULL;
        if (!found)
                fprintf(stderr, "no line %s in\n%s", line, all);
        return found;
}

static inline size_t samples_count(const struct sample_sink *sink, const char *name)
{
        for (size_t i = 0; i < sink->count; i++)
                if (str_is(sink->block[i].family->name, name))
                        return sink->block[i].samples;
        return 0;
}

/* "label" as one of "label,label": labels of samples have to be among those that the family's table says. */
static inline bool samples_listed(const char *list, const char *label, size_t length)
{
        for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
                if (strcspn(at, ",") == length && strncmp(at, label, length) == 0)
                        return true;
        return false;
}

/* Every label of every sample stands in the table of its family, and no series comes twice. */
static inline bool samples_sound(const struct sample_sink *sink)
{
        json_auto_t *seen = json_object();
        CLEANUP_FREE char *all = samples_text(sink);
        char *save = NULL;
        for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                char *number = strrchr(line, ' ');
                const struct family *family = NULL;
                size_t name = strcspn(line, "{ ");
                for (size_t i = 0; i < sink->count; i++)
                        if (strlen(sink->block[i].family->name) == name &&
                                strncmp(sink->block[i].family->name, line, name) == 0)
                                family = sink->block[i].family;
                *number = '\0';
                if (!family || json_object_get(seen, line)) {
                        fprintf(stderr, "twice, or of no family: %s\n", line);
                        return false;
                }
                json_object_set_new(seen, line, json_true());
                for (const char *at = line + name; *at == '{' || *at == ',';) {
                        size_t length = strcspn(++at, "=");
                        if (!samples_listed(family->labels, at, length)) {
                                fprintf(stderr, "a label that its family has not: %s\n", line);
                                return false;
                        }
                        for (at += length + 2; *at && *at != '"'; at++)
                                at += *at == '\\';
                        at += *at == '"';
                }
        }
        return true;
}

#endif
