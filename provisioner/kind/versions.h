/* A folder in versions: `path` is a link to path-<digest>, which is built in place (programs in it know where they
 * are), marked when it is whole, and only then linked to. What runs from the version before goes on undisturbed. */
#ifndef CAAS_KIND_VERSIONS_H
#define CAAS_KIND_VERSIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "kind/kind.h"
#include "tree/digest.h"

/* "path-0123456789abcdef"; the caller frees. */
char *versions_folder(const char *path, const char digest[DIGEST_SIZE]);

/* {"version": "hub-0123456789abcdef"}, or NULL if the link, its target or the mark is missing. New reference. */
json_t *versions_state(const char *path);

/* Is that folder whole? */
bool versions_is_complete(const char *folder);

/* Makes it durable, marks it, and moves the link. The version before is kept; older ones go unless a process uses them.
 * Idempotent. */
int versions_switch(const char *path, const char *folder, struct err **err);

/* What spec's path leads to afterwards is the folder of this digest, made by `build` unless it is complete already.
 * *ret_outputs: {path, real, digest}; a new reference. */
int versions_provide(struct kind_ctx *ctx, const json_t *spec, const char digest[DIGEST_SIZE],
        int (*build)(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct err **err),
        json_t **ret_outputs, struct err **err);

/* Removes the link and every version: `remove` of a kind whose spec says "path". */
int versions_forget(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err);

#endif
