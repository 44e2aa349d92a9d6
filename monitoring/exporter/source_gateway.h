/* What the Dask gateway says of clusters; for its source, for source_dask.c and for tests. */
#ifndef CAAS_EXPORTER_SOURCE_GATEWAY_H
#define CAAS_EXPORTER_SOURCE_GATEWAY_H

#include <jansson.h>

#include "base/err.h"
#include "exporter/api.h"
#include "exporter/sink.h"

/* The gateway's own account of what runs (roles/gateway/files/pangeo_gateway/admin.py). New reference. */
int gateway_ask(struct api *api, json_t **ret, struct err **err);

/* -ERR_INVALID: that is no answer of a gateway. Clusters in it that make no sense are left out. */
int gateway_add(const json_t *answer, struct sample_sink *sink, struct err **err);

#endif
