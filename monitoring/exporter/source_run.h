/* What there is to know of runs of caas. */
#ifndef CAAS_EXPORTER_SOURCE_RUN_H
#define CAAS_EXPORTER_SOURCE_RUN_H

#include <jansson.h>

#include "base/err.h"
#include "exporter/sink.h"

/* Of the ConfigMap in which caas leaves it on Kubernetes (provisioner/access/runs.c): as journal_look, new reference.
 * One in which it has left nothing yet knows of no run. -ERR_INVALID: what it holds is something else. */
int run_of_note(const json_t *note, json_t **ret, struct err **err);

/* The samples of what journal_look or run_of_note gave. */
void run_write(const json_t *found, struct sample_sink *sink);

#endif
