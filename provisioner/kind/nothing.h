/* What kinds have in common that leave nothing outside of us, or nothing that would be removed: as in struct kind. */
#ifndef CAAS_KIND_NOTHING_H
#define CAAS_KIND_NOTHING_H

#include "kind/kind.h"

/* An empty state: whether it was made is what the journal says, and nothing_compare() asks it alone. */
int nothing_observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err);
int nothing_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err);
int nothing_remove(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err);
int nothing_adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err);

#endif
