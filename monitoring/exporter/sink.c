/* Turns samples into text as they are added, so that a scrape has nothing to do but to copy. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "exporter/sink_impl.h"

#define BLOCK_FIRST 256
#define EXACT_MAX   9007199254740992.0 /* 2^53: up to there each whole number is one double */

const char *family_type_name(enum family_type type)
{
        return type == FAMILY_COUNTER ? "counter" : "gauge";
}

struct sample_sink *sink_new(const struct family *const *families)
{
        struct sample_sink *sink = mem_zero(sizeof *sink);
        sink->families = families;
        while (families[sink->count])
                sink->count++;
        sink->block = mem_zero_array(sink->count + 1, sizeof *sink->block);
        for (size_t i = 0; i < sink->count; i++)
                sink->block[i].family = families[i];
        return sink;
}

struct sample_sink *sink_free(struct sample_sink *sink)
{
        if (!sink)
                return NULL;
        for (size_t i = 0; i < sink->count; i++)
                free(sink->block[i].text);
        free(sink->block);
        free(sink);
        return NULL;
}

void sink_trim(struct sample_sink *sink)
{
        for (size_t i = 0; i < sink->count; i++) {
                struct block *block = &sink->block[i];
                if (block->length == block->capacity || block->length == 0)
                        continue;
                block->text = mem_resize(block->text, block->length, 1);
                block->capacity = block->length;
        }
}

size_t sink_dropped(const struct sample_sink *sink)
{
        size_t dropped = 0;
        for (size_t i = 0; i < sink->count; i++)
                dropped += sink->block[i].dropped;
        return dropped;
}

static struct block *find(struct sample_sink *sink, const struct family *family)
{
        for (size_t n = 0; n < sink->count; n++) {
                size_t i = (sink->last + n) % sink->count;
                if (sink->block[i].family == family) {
                        sink->last = i;
                        return &sink->block[i];
                }
        }
        return NULL;
}

/* Not doubled: with the last refresh's text, which is still there, that would be three times what is needed. */
static char *room(struct block *block, size_t length)
{
        if (block->capacity - block->length < length) {
                size_t capacity = block->capacity + block->capacity / 4 + length + BLOCK_FIRST;
                block->text = mem_resize(block->text, capacity, 1);
                block->capacity = capacity;
        }
        return block->text + block->length;
}

static void add(struct block *block, const char *text, size_t length)
{
        memcpy(room(block, length), text, length);
        block->length += length;
}

/* A label's value: backslash, quote and line break are escaped. */
static void add_value(struct block *block, const char *text)
{
        size_t length = strlen(text);
        CLEANUP_FREE char *clean = NULL;
        if (!str_utf8(text, length, NULL)) {
                clean = utf8_make(str_copy(text));
                text = clean;
        }
        char *to = room(block, 2 * length), *out = to;
        for (const char *c = text; *c; c++) {
                if (*c == '\\' || *c == '"' || *c == '\n')
                        *out++ = '\\';
                *out++ = *c == '\n' ? 'n' : *c;
        }
        block->length += (size_t)(out - to);
}

size_t sink_number(double value, char buffer[SINK_NUMBER_SIZE])
{
        if (isnan(value))
                return (size_t)snprintf(buffer, SINK_NUMBER_SIZE, "NaN");
        if (isinf(value))
                return (size_t)snprintf(buffer, SINK_NUMBER_SIZE, value > 0 ? "+Inf" : "-Inf");
        if (value != floor(value) || fabs(value) > EXACT_MAX)
                return (size_t)snprintf(buffer, SINK_NUMBER_SIZE, "%.15g", value);
        /* nearly all are whole, and printf would be half of the cost of a refresh */
        char digits[24];
        size_t n = 0, length = 0;
        uint64_t rest = (uint64_t)fabs(value);
        do {
                digits[n++] = (char)('0' + rest % 10);
                rest /= 10;
        } while (rest);
        if (value < 0)
                buffer[length++] = '-';
        while (n)
                buffer[length++] = digits[--n];
        buffer[length] = '\0';
        return length;
}

void sink_add(struct sample_sink *sink, const struct family *family, double value, const char *const labels[])
{
        struct block *block = find(sink, family);
        if (!block)
                return;
        if (block->samples == SINK_SAMPLES_MAX) {
                block->dropped++;
                return;
        }
        block->samples++;
        char open = '{';
        for (size_t i = 0; labels && labels[i]; i += 2) {
                if (!labels[i + 1])
                        continue;
                add(block, &open, 1);
                open = ',';
                add(block, labels[i], strlen(labels[i]));
                add(block, "=\"", 2);
                add_value(block, labels[i + 1]);
                add(block, "\"", 1);
        }
        char number[SINK_NUMBER_SIZE];
        size_t length = sink_number(value, number);
        add(block, open == '{' ? " " : "} ", open == '{' ? 1 : 2);
        add(block, number, length);
        add(block, "\n", 1);
}
