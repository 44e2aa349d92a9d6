/* A scrape as text, piece by piece: what sources left is copied from where it is, so that nothing large is made for it.
 */
#ifndef CAAS_EXPORTER_WRITE_H
#define CAAS_EXPORTER_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "exporter/registry.h"

struct scrape;

/* openmetrics: version 1.0.0 of that format, otherwise Prometheus' text format 0.0.4. Never fails. */
struct scrape *scrape_begin(struct registry *registry, bool openmetrics);
struct scrape *scrape_end(struct scrape *scrape);

/* Bytes of the whole answer. */
size_t scrape_length(const struct scrape *scrape);

/* The next bytes, at most max; 0 = that was all. */
size_t scrape_read(struct scrape *scrape, char *out, size_t max);

/* The text of one sink, for tests. The caller frees. */
char *scrape_text(const struct sample_sink *sink, bool openmetrics);

#endif
