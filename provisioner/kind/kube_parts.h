/* What a kube.object may have beside `object`, for its ConfigMap or Secret:
 *
 *   files  {"a/b.py": text}     the role loader's `sources`; the key of a file is its path with "__" for "/"
 *   json   {"x.json": tree}     written as text; secrets in it are markers until then
 *   paths  {"tls.key": "/abs"}  files of this machine, read when the object is made: what is in them stands in no spec
 *
 * Whoever mounts it as a volume gives it the output `items`, which makes paths of the keys again. */
#ifndef CAAS_KIND_KUBE_PARTS_H
#define CAAS_KIND_KUBE_PARTS_H

#include <jansson.h>

#include "base/err.h"

/* Are they of the right form? Pure. -ERR_INVALID. */
int kube_parts_check(const json_t *spec, struct err **err);

/* spec.object with the parts as texts and $json and $file nodes in data (ConfigMap) or stringData. New reference. */
json_t *kube_parts_object(const json_t *spec);

/* [{key, path}] for a volume; NULL when there are no parts. New reference. */
json_t *kube_parts_items(const json_t *spec);

/* Takes members out that are null: so a role leaves one out. */
void kube_parts_drop_null(json_t *tree);

#endif
