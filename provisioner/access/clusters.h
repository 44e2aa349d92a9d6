/* Clusters by name, as the journal has them. */
#ifndef CAAS_ACCESS_CLUSTERS_H
#define CAAS_ACCESS_CLUSTERS_H

#include <jansson.h>

#include "base/err.h"
#include "journal/journal.h"

/* journal_cluster, and -ERR_NOT_FOUND names the nearest, or all, of those that there are. */
int clusters_find(struct journal *journal, const char *name, json_t **ret, struct err **err);

/* As clusters_find, and one that was destroyed is -ERR_NOT_FOUND, too. */
int clusters_find_running(struct journal *journal, const char *name, json_t **ret, struct err **err);

#endif
