/* "host:port", and connecting to it within a time. */
#ifndef CAAS_EXPORTER_ADDRESS_H
#define CAAS_EXPORTER_ADDRESS_H

#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"

/* "127.0.0.1:443", "name:443", "[::1]:443". The caller frees both. -ERR_INVALID. */
int address_split(const char *address, char **ret_host, char **ret_port, struct err **err);

/* A connected socket that does not block. -ERR_UNREACHABLE, -ERR_TIMEOUT, -ERR_CANCELLED. A name is looked up without
 * regard to the time: the configuration has numbers. */
int address_connect(const char *address, int timeout_ms, struct cancel *cancel, int *ret_fd, struct err **err);

/* Waits until fd can be read from or written to (poll's events), to `end` of the monotonic clock at the latest. 0,
 * -ERR_TIMEOUT, -ERR_CANCELLED. */
int address_wait(int fd, short events, int64_t end, struct cancel *cancel, struct err **err);

#endif
