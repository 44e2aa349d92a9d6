/* What a Dask scheduler says of itself and of its workers in Prometheus' text format. It is its user's own process:
 * nothing of what it says is taken over but some known numbers. Pure. */
#ifndef CAAS_EXPORTER_DASK_H
#define CAAS_EXPORTER_DASK_H

#include <stddef.h>

#include "exporter/sink.h"

#define DASK_FIGURES 40

struct dask_figures {
        double value[DASK_FIGURES]; /* by place in the table of dask.c; NAN: it does not say */
};

void dask_read(const char *text, size_t length, struct dask_figures *ret);

void dask_add(const struct dask_figures *figures, const char *user, const char *cluster, struct sample_sink *sink);

extern const struct family DASK_UP;                /* of a cluster: does its scheduler answer? */
extern const struct family *const DASK_FAMILIES[]; /* that one and all that dask_add may add; NULL-terminated */

#endif
