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

const char *engine_changed_by(const struct engine_options *o)
{
        const char *version = json_string_value(json_object_get(o->stored, "version"));
        bool form = !json_equal(o->form, json_object_get(o->stored, "form"));
        if (!o->form || !version) /* destroyed; never applied: what was begun then went by another form, or by none */
                return NULL;
        if (!str_is(version, o->version))
                return form ? "form and version" : "version";
        return form ? "form" : NULL;
}

const char *engine_reason(const struct engine *engine, const struct change *change)
{
        if (change->action == ACTION_CREATE && !change->reason)
                return "new";
        if (change->action == ACTION_REMOVE)
                return engine->changed_by;
        return str_is(change->reason, "changed") && engine->changed_by ? engine->changed_by : change->reason;
}
