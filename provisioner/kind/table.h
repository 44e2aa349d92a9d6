/* Every kind there is. */
#ifndef CAAS_KIND_TABLE_H
#define CAAS_KIND_TABLE_H

#include "kind/kind.h"

extern const struct kind *const kind_table[]; /* NULL-terminated, sorted by name */

#endif
