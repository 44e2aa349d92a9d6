/* Nodes of a spec that are filled in only when it is carried out (docs/ARCHITECTURE.md), so that what they stand for is
 * in no journal and need not be there before. */
#ifndef CAAS_KIND_INLAY_H
#define CAAS_KIND_INLAY_H

#include <jansson.h>

#include "base/err.h"

/* {"$file": "/path"}: the text of that file; other keys beside it say when it is another.
 * {"$json": tree}: the tree as JSON text. */
#define INLAY_FILE "$file"
#define INLAY_JSON "$json"

/* Puts in place of each such node what it stands for. The tree, an object or an array, is resolved already
 * (kind_resolve()) and may hold secrets: the caller frees it with kind_forget(). -ERR_NOT_FOUND for a file that is not
 * there, -ERR_INVALID for one that is no text or has over 1 MiB; some nodes are filled in by then. Thread-safe. */
int inlay_fill(json_t *tree, struct err **err);

#endif
