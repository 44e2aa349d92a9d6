/* Getting back what was lost together with the journal: secrets, and files, from the live objects that hold them. */
#ifndef CAAS_KIND_KUBE_RECOVER_H
#define CAAS_KIND_KUBE_RECOVER_H

#include <jansson.h>

#include "base/err.h"
#include "kind/kind.h"

/* Reads the live object of a kube.object resource, if it is there and ours, and calls found(data, name, value) for
 * each secret of its spec that stands in it. A file that its spec names by $file and that is not there is written again
 * (0600). r->spec may still hold placeholders of outputs; what depends on them is left out. */
int kube_recover(struct kind_ctx *ctx, const struct resource *r,
        void (*found)(void *data, const char *name, const char *value), void *data, struct err **err);

/* The pure part: what `live` (an object as the server gives it) says about the markers in `object`. file(data, path,
 * text) is called for each $file. */
void kube_recover_from(const json_t *object, const json_t *live,
        void (*found)(void *data, const char *name, const char *value),
        void (*file)(void *data, const char *path, const char *text), void *data);

#endif
