/* value: what commands need to know of a running cluster. Its outputs are its spec; there is nothing outside of us. */
#include "base/mem.h"
#include "kind/kind.h"

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)r, (void)err;
        *ret_state = json_object();
        return 0;
}

/* What observe says is always there; only the journal knows whether it was made. */
static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        change_default(r, recorded, recorded ? state : NULL, ret_change);
        return 0;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)ctx, (void)recorded, (void)state, (void)err;
        *ret_outputs = json_deep_copy(r->spec); /* secrets stay markers: outputs are written down */
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)ctx, (void)r, (void)recorded, (void)ret_kept, (void)err;
        return 0;
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        int result = observe(ctx, r, ret_state, err);
        return result < 0 ? result : apply(ctx, r, NULL, *ret_state, ret_outputs, err);
}

extern const struct kind kind_value;
const struct kind kind_value = {
        .name = "value",
        .observe = observe,
        .compare = compare,
        .apply = apply,
        .remove = remove_it,
        .adopt = adopt,
};
