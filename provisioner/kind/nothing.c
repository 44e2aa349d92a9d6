#include "kind/nothing.h"

int nothing_observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)r, (void)err;
        *ret_state = json_object();
        return 0;
}

int nothing_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        change_default(r, recorded, recorded ? state : NULL, ret_change);
        return 0;
}

int nothing_remove(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)ctx, (void)r, (void)recorded, (void)ret_kept, (void)err;
        return 0;
}

int nothing_adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        (void)ret_outputs;
        return nothing_observe(ctx, r, ret_state, err);
}
