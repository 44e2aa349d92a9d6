/* What the hub says of servers; for its source, for pods.c and for tests. */
#ifndef CAAS_EXPORTER_SOURCE_HUB_H
#define CAAS_EXPORTER_SOURCE_HUB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "exporter/sink.h"

struct hub_server {
        char *user;
        char *name;                    /* "" is the one that everybody has */
        char *environment;             /* NULL: nothing was chosen */
        double started, last_activity; /* seconds since 1970; 0: not known */
        bool ready;
};

struct hub_servers {
        struct hub_server *item; /* sorted by user and name, each once, after hub_servers_sort() */
        size_t count, capacity;
};
void hub_servers_clear(struct hub_servers *servers);
#define CLEANUP_HUB_SERVERS __attribute__((cleanup(hub_servers_clear)))

/* Adds the servers of one page of users. *ret_next is the offset of the page that follows, 0: there is none; *ret_total
 * how many users there are on all of them. Either may be NULL. -ERR_INVALID: it is no page. */
int hub_read_page(
        const json_t *page, struct hub_servers *servers, size_t *ret_next, double *ret_total, struct err **err);

/* While pages are read people come and go, and then somebody can stand on two of them. */
void hub_servers_sort(struct hub_servers *servers);

void hub_add_servers(const struct hub_servers *servers, struct sample_sink *sink);

/* The servers that the last refresh saw; a copy. Thread-safe. Empty before the first. */
void hub_servers_last(struct hub_servers *ret);

#endif
