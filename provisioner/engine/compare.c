#include "base/str.h"
#include "engine/private.h"

int engine_compare(void *data, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err)
{
        const struct engine *engine = data;
        const struct kind *kind = engine_kind(engine, r->kind);
        if (!kind)
                return err_set(err, ERR_INVALID, "there is no kind of resource %s", r->kind);
        int result = kind->check ? kind->check(r->spec, err) : 0;
        if (result < 0)
                return err_prefix(err, "%s", r->kind);
        if (!kind->compare || (recorded && !str_is(recorded->kind, r->kind))) {
                change_default(r, recorded, state, ret);
        } else {
                *ret = (struct change){0};
                result = kind->compare(r, recorded, state, ret, err);
                if (result < 0)
                        return result;
        }
        if (ret->action == ACTION_NONE && recorded && !recorded->complete) { /* a run was cut off inside it */
                ret->action = ACTION_UPDATE;
                free(ret->reason);
                ret->reason = str_copy("interrupted");
        }
        return 0;
}
