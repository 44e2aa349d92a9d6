/* What the server reads of a request. Everything here comes from whoever can reach the port. Pure. */
#ifndef CAAS_EXPORTER_REQUEST_H
#define CAAS_EXPORTER_REQUEST_H

#include <stdbool.h>

/* Does the header Accept (NULL = there is none) want OpenMetrics rather than the text format? */
bool request_openmetrics(const char *accept);

/* Is the header Authorization (NULL = there is none) "Bearer " and the token? Takes as long for a wrong token as for
 * the right one. */
bool request_allowed(const char *authorization, const char *token);

#endif
