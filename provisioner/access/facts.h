/* What this machine says about itself, for defaults of the form and for the roles. */
#ifndef CAAS_ACCESS_FACTS_H
#define CAAS_ACCESS_FACTS_H

#include <stdbool.h>

/* The address from which the default route would be used, IPv4 before IPv6; NULL = there is no such route. No packet is
 * sent. The caller frees. Thread-safe. */
char *facts_address(void);

/* Is systemd process 1 here? */
bool facts_systemd(void);

#endif
