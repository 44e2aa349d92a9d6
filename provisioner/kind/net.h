/* Small questions about this machine's network. Thread-safe. */
#ifndef CAAS_KIND_NET_H
#define CAAS_KIND_NET_H

#include <stdbool.h>

#include "base/err.h"

/* Could a service listen on this TCP port, on loopback and on every address? */
bool net_port_is_free(int port);

/* Does the name resolve to the address (numeric, either family)? -ERR_INVALID with a message that says what it resolves
 * to and what to do. */
int net_check_name(const char *name, const char *address, struct err **err);

#endif
