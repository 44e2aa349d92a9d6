/* value: what commands need to know of a running cluster. Its outputs are its spec; there is nothing outside of us. */
#include "base/mem.h"
#include "kind/kind.h"
#include "kind/nothing.h"

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)ctx, (void)recorded, (void)state, (void)err;
        *ret_outputs = json_deep_copy(r->spec); /* secrets stay markers: outputs are written down */
        return 0;
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        int result = nothing_observe(ctx, r, ret_state, err);
        return result < 0 ? result : apply(ctx, r, NULL, *ret_state, ret_outputs, err);
}

extern const struct kind kind_value;
const struct kind kind_value = {
        .name = "value",
        .observe = nothing_observe,
        .compare = nothing_compare,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = adopt,
};
