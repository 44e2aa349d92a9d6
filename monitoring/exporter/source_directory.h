/* Who is in the two groups; for its source and for tests. */
#ifndef CAAS_EXPORTER_SOURCE_DIRECTORY_H
#define CAAS_EXPORTER_SOURCE_DIRECTORY_H

#include <jansson.h>

#include "exporter/config.h"
#include "exporter/sink.h"

/* entries: what directory_search gave for both groups. Members that are no users (other groups) are left out. */
void directory_add_groups(const struct config *config, const json_t *entries, struct sample_sink *sink);

#endif
