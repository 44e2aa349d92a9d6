/* When a CronJob last succeeded; for its source and for tests. */
#ifndef CAAS_EXPORTER_SOURCE_BACKUP_H
#define CAAS_EXPORTER_SOURCE_BACKUP_H

#include <jansson.h>

#include "base/err.h"

/* Seconds since 1970; 0: never. -ERR_INVALID: what it says of that is no time. */
int backup_of_job(const json_t *job, double *ret, struct err **err);

#endif
