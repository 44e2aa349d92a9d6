/* The one runsvdir of a cluster: it watches <cluster>/service and keeps a runsv alive for each folder there. What we
 * note about it stands in the same folder, in names with a dot, which it does not look at. */
#ifndef CAAS_CLIENT_SERVICE_RUNSVDIR_H
#define CAAS_CLIENT_SERVICE_RUNSVDIR_H

#include <stdbool.h>

#include "base/err.h"
#include "client/service/service.h"

/* Held while folders come and go, so that "the last one" is well defined. Returns a descriptor (close lets go). */
int runsvdir_lock(const struct service_host *host, struct err **err);

bool runsvdir_alive(const struct service_host *host); /* cheap; one file of /proc */

/* With the lock held. Starts it if it is not alive; what an earlier one left running without supervision is ended
 * first. */
int runsvdir_ensure(const struct service_host *host, struct err **err);

/* Makes it look at its folder now instead of within five seconds. */
void runsvdir_poke(const struct service_host *host);

/* With the lock held. Ends it when no service is left. */
int runsvdir_end_if_idle(const struct service_host *host, struct err **err);

#endif
