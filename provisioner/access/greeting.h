/* A Kubernetes cluster is connected to while something else is done: that takes as long as reading all roles. */
#ifndef CAAS_ACCESS_GREETING_H
#define CAAS_ACCESS_GREETING_H

#include "kind/kube_server.h"

struct greeting;

/* target: the form's block "kubernetes", NULL = none (then there is no greeting: NULL). cancel is borrowed. */
struct greeting *greeting_begin(const json_t *target, struct cancel *cancel);

/* Waits for it, and frees it; NULL is fine. The connections to this target, the caller's: those of the greeting, if it
 * went there, as the form may have changed meanwhile. NULL for target NULL. */
struct kube_link *greeting_end(struct greeting *greeting, const json_t *target, struct cancel *cancel);

#endif
