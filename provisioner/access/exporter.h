/* The exporter of a cluster's monitoring. */
#ifndef CAAS_ACCESS_EXPORTER_H
#define CAAS_ACCESS_EXPORTER_H

#include <jansson.h>

#include "access/usage.h"
#include "base/err.h"
#include "client/http/http.h"

/* access: what access_read gave for "monitoring": {"metrics": URL, "token"}; borrowed during the call. http keeps the
 * connection for the next time. -ERR_DENIED: it wants another token; -ERR_INVALID: what it says is no metrics, or none
 * of ours; and what http_send says. */
int exporter_read(struct http_client *http, const json_t *access, struct usage **ret, struct err **err);

#endif
