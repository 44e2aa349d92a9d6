/* What the core's files know of sinks. */
#ifndef CAAS_EXPORTER_SINK_IMPL_H
#define CAAS_EXPORTER_SINK_IMPL_H

#include <stddef.h>

#include "exporter/sink.h"

/* The samples of one family, as lines without the family's name: `{user="alice"} 12\n`. The name is put in front of
 * each as a scrape is written, which halves what is kept. */
struct block {
        const struct family *family;
        char *text;
        size_t length, capacity;
        size_t samples, dropped;
};

struct sample_sink {
        const struct family *const *families;
        struct block *block; /* one a family, in the order of the table */
        size_t count;
        size_t last; /* the block used last: sources add in the same order again and again */
};

struct sample_sink *sink_new(const struct family *const *families);
struct sample_sink *sink_free(struct sample_sink *sink);

/* Gives back what the blocks have grown too large. */
void sink_trim(struct sample_sink *sink);
size_t sink_dropped(const struct sample_sink *sink);

#define SINK_NUMBER_SIZE 32
/* As Prometheus reads it: "12", "0.25", "+Inf". Returns its length. */
size_t sink_number(double value, char buffer[SINK_NUMBER_SIZE]);

#endif
