/* Where kinds of the host may write, and for whom. */
#ifndef CAAS_KIND_PLACE_H
#define CAAS_KIND_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/err.h"
#include "kind/kind.h"

/* A path of ours: below the cluster's or the state folder, or anywhere absolute when the spec says `outside: true`.
 * -ERR_REFUSED. */
int place_check(const struct kind_ctx *ctx, const json_t *spec, const char *path, struct err **err);

/* The ids of spec's "owner" and "group", each a name or a number; default root. -ERR_NOT_FOUND. Thread-safe. */
int place_owner(const json_t *spec, uid_t *ret_uid, gid_t *ret_gid, struct err **err);

/* Makes the folder that path stands in, 0755. */
int place_make_parent(const char *path, struct err **err);

/* Before something is made at path: place_check(), place_owner() (ids: NULL = not of interest),
 * place_make_parent(). */
int place_prepare(const struct kind_ctx *ctx, const json_t *spec, const char *path, uid_t *ret_uid, gid_t *ret_gid,
        struct err **err);

/* What is at path, no link followed: 1, or 0 if there is nothing or path is NULL. -ERR_DENIED … */
int place_look(const char *path, struct stat *ret, struct err **err);

/* The common rule, and "replace" when a key that says where the thing is (or what it is called) has changed. */
void place_compare(const struct resource *r, const struct recorded *recorded, const json_t *state, const char *key,
        struct change *ret_change);

/* "0644" */
json_t *place_mode_json(mode_t mode);

/* What kinds have in common whose spec says "path": compare and preflight as in struct kind, and remove with what takes
 * the thing away; it has to be fine with nothing being there. A path that never became known: nothing was made. */
int place_path_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err);
int place_path_preflight(
        struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err);
int place_path_remove(struct kind_ctx *ctx, const struct resource *r, int (*gone)(const char *path, struct err **err),
        struct err **err);

#endif
