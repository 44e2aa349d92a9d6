/* Waiting until something answers. */
#ifndef CAAS_KIND_SERVICE_WAIT_H
#define CAAS_KIND_SERVICE_WAIT_H

#include <jansson.h>

#include "base/err.h"
#include "client/service/ready.h"
#include "client/service/service.h"
#include "kind/kind.h"

/* The cluster as the client wants it; borrows from ctx. */
struct service_host service_host_of(const struct kind_ctx *ctx);

/* Is it {http, ca, expect, contains} or {tcp}? Pure. -ERR_INVALID. */
int service_ready_check(const json_t *spec, struct err **err);

/* The same as ready.h wants it; borrows from spec. */
struct ready service_ready_of(const json_t *spec);

/* Waits until the service answers (spec NULL: until it has stayed up for a moment). -ERR_FAILED as soon as it keeps
 * ending by itself, -ERR_TIMEOUT, both with the last lines that it wrote since begun_wall_ms; -ERR_CANCELLED. */
int service_wait_ready(struct kind_ctx *ctx, const struct service_driver *driver, const struct service_host *host,
        const char *name, const json_t *spec, double seconds, int64_t begun_wall_ms, struct err **err);

/* Called while the service is down: does somebody else answer where it would? Such a stranger would pass for it.
 * -ERR_BUSY. Gives what was just stopped a moment to let go. */
int service_check_place(const struct service_host *host, const char *name, const json_t *ready, struct err **err);

#endif
