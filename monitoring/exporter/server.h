/* The exporter's HTTP side, over libmicrohttpd, which is used here and nowhere else. One thread answers everybody. */
#ifndef CAAS_EXPORTER_SERVER_H
#define CAAS_EXPORTER_SERVER_H

#include "exporter/config.h"
#include "exporter/registry.h"

struct server;

/* Listens at config.listen and nowhere else. Both are borrowed until server_stop. -ERR_BUSY: the address is taken;
 * -ERR_INVALID, -ERR_DENIED, -ERR_IO. */
int server_start(const struct config *config, struct registry *registry, struct server **ret, struct err **err);

/* Answers that have begun are cut off. Accepts NULL. */
struct server *server_stop(struct server *server);

#endif
