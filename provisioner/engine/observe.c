/* Looks at everything that is wanted or recorded, in parallel. */
#include "base/mem.h"
#include "base/str.h"
#include "engine/private.h"
#include "tree/share.h"
#include "tree/subst.h"

const struct kind *engine_kind(const struct engine *engine, const char *name)
{
        for (const struct kind *const *kind = engine->o.kinds; *kind; kind++)
                if (str_is((*kind)->name, name))
                        return *kind;
        return NULL;
}

const struct resource *engine_desired(const struct engine *engine, const char *id)
{
        const json_t *number = json_object_get(engine->index, id);
        return number ? engine->item[json_integer_value(number)].desired : NULL;
}

struct recorded engine_recorded(const struct journal_resource *resource)
{
        if (!resource)
                return (struct recorded){0};
        bool moved = resource->pending && !json_equal(resource->pending, resource->resource.spec);
        return (struct recorded){.kind = resource->resource.kind,
                .spec = resource->resource.spec,
                .digest = resource->digest,
                .state = resource->state,
                .outputs = resource->outputs,
                .complete = resource->complete,
                .pending_kind = moved ? resource->pending_kind : NULL,
                .pending = moved ? resource->pending : NULL};
}

static json_t *recorded_outputs(const struct engine *engine)
{
        json_t *outputs = json_object();
        for (size_t i = 0; i < engine->recorded.count; i++) {
                const struct journal_resource *r = &engine->recorded.item[i];
                if (r->complete)
                        json_object_set_new(
                                outputs, r->resource.id, r->outputs ? json_incref(r->outputs) : json_object());
        }
        return outputs;
}

/* Recorded things first, in the order in which they were made: plan_make_removal counts on it. */
static int list_items(struct engine *engine, struct err **err)
{
        json_t *index = engine->index = json_object();
        engine->item = mem_zero_array(engine->recorded.count + engine->desired.count, sizeof *engine->item);
        for (size_t i = 0; i < engine->recorded.count; i++) {
                const struct journal_resource *r = &engine->recorded.item[i];
                json_object_set_new(index, r->resource.id, json_integer((json_int_t)engine->count));
                engine->item[engine->count++] = (struct item){.id = r->resource.id,
                        .recorded = r,
                        .look_spec = json_incref(r->resource.spec),
                        .kind = engine_kind(engine, r->resource.kind)};
        }
        json_t *outputs = recorded_outputs(engine);
        int result = 0;
        for (size_t i = 0; i < engine->desired.count && result == 0; i++) {
                const struct resource *r = &engine->desired.item[i];
                const json_t *place = json_object_get(index, r->id);
                if (place) {
                        struct item *item = &engine->item[json_integer_value(place)];
                        item->desired = r;
                        share_trees(item->recorded->resource.spec, r->spec); /* the most of it, in most runs */
                        continue;
                }
                json_object_set_new(index, r->id, json_integer((json_int_t)engine->count));
                struct item *item = &engine->item[engine->count++];
                *item = (struct item){.id = r->id, .desired = r, .kind = engine_kind(engine, r->kind)};
                CLEANUP_ERR struct err *unknown =
                        NULL; /* a name that no resource has: the plan says it, with its place */
                if (plan_fill(r->spec, outputs, &item->look_spec, &unknown) == 0 &&
                        subst_has_marker(item->look_spec, MARK_AFTER)) {
                        json_decref(item->look_spec);
                        item->look_spec = NULL;
                }
        }
        for (size_t i = 0; i < engine->count && result == 0; i++)
                if (!engine->item[i].kind)
                        result = err_set(err, ERR_VERSION, "%s is of kind %s, which this version does not know",
                                engine->item[i].id,
                                engine->item[i].recorded ? engine->item[i].recorded->resource.kind
                                                         : engine->item[i].desired->kind);
        json_decref(outputs);
        return result;
}

struct looks {
        struct engine *engine;
        size_t *order; /* numbers of items: what takes longest first */
};

static void put_in_order(const struct engine *engine, size_t *order)
{
        for (int far = 1; far >= 0; far--)
                for (size_t i = 0; i < engine->count; i++)
                        if (engine->item[i].kind->far == far)
                                *order++ = i;
}

static void look_at(void *data, size_t i)
{
        const struct looks *looks = data;
        struct engine *engine = looks->engine;
        struct item *item = &engine->item[looks->order[i]];
        if (!item->look_spec || cancel_level(engine->o.cancel) > 0)
                return;
        const struct resource r = {.id = (char *)item->id, .kind = (char *)item->kind->name, .spec = item->look_spec};
        struct call call = {engine, item->id, item->kind->name};
        struct kind_ctx ctx = engine_ctx(&call);
        if (item->kind->observe(&ctx, &r, &item->state, &item->err) < 0)
                err_prefix(&item->err, "cannot look at %s", item->id);
}

int engine_observe(struct engine *engine, struct err **err)
{
        int r = list_items(engine, err);
        if (r < 0)
                return r;
        CLEANUP_FREE size_t *order = mem_zero_array(engine->count, sizeof *order);
        put_in_order(engine, order);
        pool_each(engine->o.threads, engine->count, look_at, &(struct looks){engine, order});
        r = cancel_check(engine->o.cancel, 1, err);
        if (r < 0)
                return r;
        engine->known = mem_zero_array(engine->count, sizeof *engine->known);
        for (size_t i = 0; i < engine->count; i++) {
                struct item *item = &engine->item[i];
                /* Who may not even look is told by the preflight about all rights that are missing, at once. */
                bool away = item->err && (item->err->code == ERR_UNREACHABLE || item->err->code == ERR_TIMEOUT ||
                                                 (item->err->code == ERR_DENIED && !item->recorded));
                if (item->err && !away) {
                        int code = -(int)item->err->code;
                        if (err)
                                *err = STEAL(item->err);
                        return code;
                }
                engine->known[i] = (struct plan_known){.id = item->id,
                        .recorded = engine_recorded(item->recorded),
                        .needs = item->recorded ? item->recorded->resource.needs : NULL,
                        .state = item->state,
                        .unseen = away ? item->err->message : NULL};
        }
        return 0;
}
