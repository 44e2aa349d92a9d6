/* Programs that installers are made of, run so that what they say is shown, and one after the other where they must. */
#ifndef CAAS_KIND_TOOL_H
#define CAAS_KIND_TOOL_H

#include "base/err.h"
#include "kind/kind.h"

/* Runs argv in directory (NULL = /) with umask 022 whatever ours is, env ("A=b", NULL-terminated, may be NULL) added to
 * our environment, each line of output shown as progress of `what`. A failure says what was being done. */
int tool_run(struct kind_ctx *ctx, const char *what, const char *directory, const char *const *env,
        const char *const *argv, struct err **err);

/* Waits until no other process has the lock of `path`, a folder or a file, which is made if it is not there: in a way
 * that Ctrl-C can end, -ERR_CANCELLED then. Returns a descriptor; closing it gives the lock back. */
int tool_lock(struct kind_ctx *ctx, const char *path, struct err **err);

/* The folder of uv, installed from a hash-locked list into the cache if it is not there: *ret_uv is its program. The
 * caller frees. One thread and one process at a time. */
int tool_uv(struct kind_ctx *ctx, const char *python, const char *requirements, char **ret_uv, struct err **err);

#endif
