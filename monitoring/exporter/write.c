#include "exporter/write.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define HEADER_MAX 8192
#define EOF_LINE   "# EOF\n"

/* What is being copied is always a run of bytes somewhere: a family's header, its name, the rest of a sample's line, or
 * what ends it all. */
enum stage { STAGE_HEADER, STAGE_NAME, STAGE_LINE, STAGE_OVER };

struct scrape {
        bool openmetrics;
        struct source_state *state; /* NULL in tests */
        size_t state_count;
        struct sample_sink *core;
        struct part {
                const struct sample_sink *sink;
        } * part;
        size_t part_count;
        size_t at_part, at_block, at_byte;
        enum stage stage;
        struct buf header; /* of the family that is being written */
        const char *piece; /* what is left of the run */
        size_t piece_length, name_length;
};

/* In HELP a backslash and a line break are escaped, in OpenMetrics quotes as well. */
static void add_help(struct buf *buf, const char *text, bool openmetrics)
{
        for (const char *c = text; *c; c++) {
                if (*c == '\\' || *c == '\n' || (openmetrics && *c == '"'))
                        buf_str(buf, "\\");
                buf_add(buf, *c == '\n' ? "n" : c, 1);
        }
}

static void header(struct buf *buf, const struct family *family, bool openmetrics)
{
        /* OpenMetrics names a counter without its "_total" */
        size_t length = strlen(family->name);
        if (openmetrics && family->type == FAMILY_COUNTER && str_ends(family->name, "_total"))
                length -= strlen("_total");
        buf_format(buf, "# HELP %.*s ", (int)length, family->name);
        add_help(buf, family->help, openmetrics);
        buf_format(buf, "\n# TYPE %.*s %s\n", (int)length, family->name, family_type_name(family->type));
        size_t unit = family->unit ? strlen(family->unit) : 0;
        if (openmetrics && unit && length > unit && family->name[length - unit - 1] == '_' &&
                memcmp(family->name + length - unit, family->unit, unit) == 0)
                buf_format(buf, "# UNIT %.*s %s\n", (int)length, family->name, family->unit);
}

static struct scrape *begin(size_t sinks, bool openmetrics)
{
        struct scrape *scrape = mem_zero(sizeof *scrape);
        scrape->openmetrics = openmetrics;
        scrape->part = mem_zero_array(sinks + 1, sizeof *scrape->part);
        scrape->header.max = HEADER_MAX;
        scrape->piece = "";
        return scrape;
}

struct scrape *scrape_begin(struct registry *registry, bool openmetrics)
{
        size_t count = registry_count(registry);
        struct scrape *scrape = begin(count + 1, openmetrics);
        scrape->state = registry_look(registry);
        scrape->state_count = count;
        scrape->core = sink_new(CORE_FAMILIES);
        registry_describe(scrape->state, count, scrape->core);
        scrape->part[scrape->part_count++].sink = scrape->core;
        for (size_t i = 0; i < count; i++)
                if (scrape->state[i].samples)
                        scrape->part[scrape->part_count++].sink = snapshot_sink(scrape->state[i].samples);
        return scrape;
}

struct scrape *scrape_end(struct scrape *scrape)
{
        if (!scrape)
                return NULL;
        source_states_free(scrape->state, scrape->state_count);
        sink_free(scrape->core);
        buf_clear(&scrape->header);
        free(scrape->part);
        free(scrape);
        return NULL;
}

size_t scrape_length(const struct scrape *scrape)
{
        size_t total = scrape->openmetrics ? strlen(EOF_LINE) : 0;
        for (size_t s = 0; s < scrape->part_count; s++) {
                const struct sample_sink *sink = scrape->part[s].sink;
                for (size_t b = 0; b < sink->count; b++) {
                        const struct block *block = &sink->block[b];
                        CLEANUP_BUF struct buf buf = BUF_INIT(HEADER_MAX);
                        if (block->samples == 0)
                                continue;
                        header(&buf, block->family, scrape->openmetrics);
                        total += buf.length + block->length + block->samples * strlen(block->family->name);
                }
        }
        return total;
}

/* The block the scrape is in, stepping over those without samples; NULL at the end. */
static const struct block *current(struct scrape *scrape)
{
        for (; scrape->at_part < scrape->part_count; scrape->at_part++, scrape->at_block = 0) {
                const struct sample_sink *sink = scrape->part[scrape->at_part].sink;
                for (; scrape->at_block < sink->count; scrape->at_block++)
                        if (sink->block[scrape->at_block].samples)
                                return &sink->block[scrape->at_block];
        }
        return NULL;
}

static void take(struct scrape *scrape, const char *piece, size_t length, enum stage then)
{
        scrape->piece = piece;
        scrape->piece_length = length;
        scrape->stage = then;
}

/* The next run of bytes. False at the end. */
static bool next(struct scrape *scrape)
{
        const struct block *block = current(scrape);
        if (!block) {
                bool first = scrape->stage != STAGE_OVER;
                take(scrape, EOF_LINE, first && scrape->openmetrics ? strlen(EOF_LINE) : 0, STAGE_OVER);
                return first;
        }
        switch (scrape->stage) {
        case STAGE_HEADER:
                buf_clear(&scrape->header);
                header(&scrape->header, block->family, scrape->openmetrics);
                scrape->at_byte = 0;
                scrape->name_length = strlen(block->family->name);
                take(scrape, scrape->header.data, scrape->header.length, STAGE_NAME);
                return true;
        case STAGE_NAME:
                take(scrape, block->family->name, scrape->name_length, STAGE_LINE);
                return true;
        case STAGE_LINE: {
                const char *line = block->text + scrape->at_byte;
                const char *end = memchr(line, '\n', block->length - scrape->at_byte);
                size_t length = (size_t)(end - line) + 1;
                scrape->at_byte += length;
                bool last = scrape->at_byte == block->length;
                take(scrape, line, length, last ? STAGE_HEADER : STAGE_NAME);
                if (last)
                        scrape->at_block++;
                return true;
        }
        case STAGE_OVER:
                break;
        }
        return false;
}

size_t scrape_read(struct scrape *scrape, char *out, size_t max)
{
        size_t done = 0;
        while (done < max) {
                if (scrape->piece_length == 0 && !next(scrape))
                        break;
                size_t n = scrape->piece_length < max - done ? scrape->piece_length : max - done;
                memcpy(out + done, scrape->piece, n);
                scrape->piece += n;
                scrape->piece_length -= n;
                done += n;
        }
        return done;
}

char *scrape_text(const struct sample_sink *sink, bool openmetrics)
{
        struct scrape *scrape = begin(1, openmetrics);
        scrape->part[scrape->part_count++].sink = sink;
        size_t length = scrape_length(scrape);
        char *text = mem_zero(length + 1);
        length = scrape_read(scrape, text, length + 1);
        text[length] = '\0';
        scrape_end(scrape);
        return text;
}
