/* Where a source leaves the figures of one refresh. A sink belongs to one thread. */
#ifndef CAAS_EXPORTER_SINK_H
#define CAAS_EXPORTER_SINK_H

#include "exporter/family.h"

struct sample_sink;

#define SINK_SAMPLES_MAX 20000 /* of a family; those over it are counted in caas_samples_dropped */

/* One sample. labels is name, value, …, NULL; NULL = none. A label with the value NULL is left out. Values are copied,
 * may hold anything (what is no UTF-8 becomes "?") and are escaped here. The family has to be one of the source's.
 * Order does not matter: samples of a family are kept together. The same labels must not come twice in a family:
 * Prometheus would take the first and drop the others. */
void sink_add(struct sample_sink *sink, const struct family *family, double value, const char *const labels[]);

#endif
