/* The unit file of a service. Pure; the caller frees. */
#ifndef CAAS_CLIENT_SERVICE_SYSTEMD_TEXT_H
#define CAAS_CLIENT_SERVICE_SYSTEMD_TEXT_H

#include "base/err.h"
#include "client/service/service.h"

char *systemd_unit_name(const char *cluster, const char *name); /* "caas-demo-hub.service" */

/* secrets: path of its environment file, or NULL. -ERR_INVALID for a line break in folder, user or capabilities. */
int systemd_unit_text(
        const char *cluster, const struct service *service, const char *secrets, char **ret, struct err **err);

#endif
