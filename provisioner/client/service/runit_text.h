/* The scripts of a service under runit. Pure; the caller frees. */
#ifndef CAAS_CLIENT_SERVICE_RUNIT_TEXT_H
#define CAAS_CLIENT_SERVICE_RUNIT_TEXT_H

#include "base/err.h"
#include "client/service/service.h"

/* folder: of the service, where its file "secrets" stands. -ERR_INVALID for a NAME that is none. */
int runit_run_text(
        const char *cluster, const struct service *service, const char *folder, char **ret, struct err **err);
char *runit_finish_text(const struct service *service); /* NULL = none */
char *runit_log_text(const char *log_folder);

#endif
