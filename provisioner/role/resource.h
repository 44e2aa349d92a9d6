/* A resource is one thing that must exist. */
#ifndef CAAS_ROLE_RESOURCE_H
#define CAAS_ROLE_RESOURCE_H

#include <jansson.h>
#include <stddef.h>

#include "tree/mark.h"

struct resource {
        char *id;     /* "hub/config": role, slash, name; unique in a cluster, stable across releases */
        char *kind;   /* "host.file" */
        json_t *spec; /* an object, owned. May hold markers (below) */
        char **needs; /* ids, NULL-terminated, owned */
};

/* Markers: objects with one of these keys stand in a spec in place of a value that is not there (yet).
 *   {"$secret": "hub/cookie", "version": 3}   a secret of the journal; resolved only inside a kind, in memory
 *   {"$after": "hub/ports.api"}               an output that is known after that resource was applied
 *   {"$join": ["text", {marker}, "text"]}     a longer string that holds a marker */

void resource_clear(struct resource *resource); /* frees what it holds */

struct resources {
        struct resource *item;
        size_t count, capacity;
};
/* Takes what resource holds. */
void resources_add(struct resources *list, struct resource *resource);
void resources_clear(struct resources *list);
#define CLEANUP_RESOURCES __attribute__((cleanup(resources_clear)))

#endif
