/* The steps of a plan, one at a time: look again, carry out, write down. */
#include "engine/step.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/digest.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS  30000

struct step_work *step_work_free(struct step_work *work)
{
        if (!work)
                return NULL;
        json_decref(work->r.spec);
        json_decref(work->state);
        json_decref(work->outputs);
        change_clear(&work->change);
        free(work->kept);
        free(work);
        return NULL;
}

static void cleanup_work(struct step_work **work)
{
        step_work_free(*work);
}

static const struct recorded *recorded_of(const struct plan_step *step)
{
        return step->recorded.kind ? &step->recorded : NULL;
}

/* ---- looking ---- */

static int look(struct engine *engine, struct step_work *work, struct err **err)
{
        const struct recorded *recorded = recorded_of(work->step);
        const struct kind *kind = engine_kind(engine, recorded ? recorded->kind : work->r.kind);
        struct call call = {engine, work->r.id, work->r.kind};
        struct kind_ctx ctx = engine_ctx(&call);
        struct resource as = work->r;
        if (recorded && recorded->complete)
                as.spec = (json_t *)recorded->spec;
        int result = kind->observe(&ctx, &as, &work->state, err);
        if (result == 0)
                result = engine_compare(engine, &work->r, recorded, work->state, &work->change, err);
        if (result < 0)
                return result;
        const struct change *change = &work->change;
        if (change->action == ACTION_REFUSE)
                return err_set(err, ERR_REFUSED, "%s", change->reason ? change->reason : "cannot be changed");
        if (change->notice && change->action != ACTION_NONE)
                engine_event(engine,
                        &(struct event){
                                .type = EVENT_NOTICE, .id = work->r.id, .kind = work->r.kind, .text = change->notice});
        return 0;
}

int step_prepare(struct engine *engine, const struct plan_step *step, const json_t *spec, struct step_work **ret,
        struct err **err)
{
        bool removal = step->change.action == ACTION_REMOVE;
        __attribute__((cleanup(cleanup_work))) struct step_work *work = mem_zero(sizeof *work);
        work->step = step;
        work->r = step->resource;
        work->r.spec = json_incref(removal ? step->resource.spec : (json_t *)spec);
        work->change.action = ACTION_REMOVE;
        int result = removal ? 0 : look(engine, work, err);
        if (result == 0)
                *ret = STEAL(work);
        return result;
}

/* ---- carrying out ---- */

static bool worth_trying_again(int result)
{
        return result == -ERR_UNREACHABLE || result == -ERR_TIMEOUT || result == -ERR_BUSY;
}

static int apply_with_retries(struct engine *engine, const struct kind *kind, struct kind_ctx *ctx,
        const struct resource *r, const struct recorded *recorded, json_t **state, json_t **ret_outputs,
        struct err **err)
{
        int64_t wait = BACKOFF_FIRST_MS;
        for (int attempt = 0;; attempt++) {
                CLEANUP_ERR struct err *fault = NULL;
                int result = kind->apply(ctx, r, recorded, *state, ret_outputs, &fault);
                if (result == 0)
                        return 0;
                if (attempt >= kind->retries || !worth_trying_again(result) || cancel_level(ctx->cancel) > 0) {
                        if (err)
                                *err = STEAL(fault);
                        return result;
                }
                engine_event(engine, &(struct event){.type = EVENT_RETRY,
                                             .id = r->id,
                                             .kind = r->kind,
                                             .text = fault ? fault->message : NULL,
                                             .done = (size_t)attempt + 1});
                if (ctx->clock->sleep_ms(ctx->clock, wait, ctx->cancel) < 0)
                        return err_set(err, ERR_CANCELLED, "cancelled while waiting to try again: %s",
                                fault ? fault->message : "it failed");
                wait = wait * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : wait * 2;
                json_decref(*state); /* it may have been half done */
                *state = NULL;
                result = kind->observe(ctx, r, state, err);
                if (result < 0)
                        return result;
        }
}

/* Takes away what a run that was cut off may have left under another name. */
static int remove_pending(
        struct engine *engine, struct kind_ctx *ctx, const char *id, const struct recorded *recorded, struct err **err)
{
        const struct kind *kind = engine_kind(engine, recorded->pending_kind);
        const struct resource left = {(char *)id, (char *)recorded->pending_kind, (json_t *)recorded->pending, NULL};
        const struct recorded as = {.kind = recorded->pending_kind, .spec = recorded->pending};
        CLEANUP_FREE char *kept = NULL;
        if (!kind)
                return err_set(err, ERR_VERSION, "there is no kind of resource %s", recorded->pending_kind);
        int result = kind->remove(ctx, &left, &as, &kept, err);
        return result < 0 ? err_prefix(err, "removing what the last run left") : 0;
}

/* Would what is pending be replaced by r, and not just changed? Then it lies somewhere else. */
static bool pending_lies_elsewhere(
        struct engine *engine, const struct resource *r, const struct recorded *recorded, const json_t *state)
{
        const struct recorded as = {.kind = recorded->pending_kind, .spec = recorded->pending, .digest = ""};
        struct change change = {0};
        json_auto_t *there = state ? json_incref((json_t *)state) : json_object();
        int result = engine_compare(engine, r, &as, there, &change, NULL);
        bool elsewhere = result == 0 && change.action == ACTION_REPLACE;
        change_clear(&change);
        return elsewhere;
}

static int apply(struct engine *engine, struct step_work *work, struct kind_ctx *ctx, struct err **err)
{
        const struct kind *kind = engine_kind(engine, work->r.kind);
        const struct resource *r = &work->r;
        const struct recorded *recorded = recorded_of(work->step);
        if (recorded && recorded->pending && pending_lies_elsewhere(engine, r, recorded, work->state)) {
                int result = remove_pending(engine, ctx, r->id, recorded, err);
                if (result < 0)
                        return result;
        }
        if (work->change.action == ACTION_REPLACE && recorded) {
                const struct kind *old_kind = engine_kind(engine, recorded->kind);
                const struct resource old = {r->id, (char *)recorded->kind, (json_t *)recorded->spec, r->needs};
                CLEANUP_FREE char *kept = NULL;
                int result = old_kind->remove(ctx, &old, recorded, &kept, err);
                if (result < 0)
                        return err_prefix(err, "removing the old one");
                recorded = NULL;
                json_decref(work->state);
                work->state = NULL;
        }
        int result = apply_with_retries(engine, kind, ctx, r, recorded, &work->state, &work->outputs, err);
        if (result < 0)
                return result;
        json_decref(work->state);
        work->state = NULL;
        result = kind->observe(ctx, r, &work->state, err);
        if (result < 0)
                return err_prefix(err, "looking at it afterwards");
        if (!work->state)
                return err_set(err, ERR_FAILED, "it is not there although it was applied");
        return 0;
}

static int remove_it(struct engine *engine, struct step_work *work, struct kind_ctx *ctx, struct err **err)
{
        const struct recorded *recorded = &work->step->recorded;
        int result = recorded->pending ? remove_pending(engine, ctx, work->r.id, recorded, err) : 0;
        return result < 0 ? result
                          : engine_kind(engine, work->r.kind)->remove(ctx, &work->r, recorded, &work->kept, err);
}

int step_carry_out(struct engine *engine, struct step_work *work, struct err **err)
{
        struct call call = {engine, work->r.id, work->r.kind};
        struct kind_ctx ctx = engine_ctx(&call);
        return work->change.action == ACTION_REMOVE ? remove_it(engine, work, &ctx, err)
                                                    : apply(engine, work, &ctx, err);
}

/* ---- writing down ---- */

struct journal_intent step_intent(const struct engine *engine, const struct step_work *work)
{
        return (struct journal_intent){.resource = &work->r,
                .action = action_name(work->change.action),
                .reason = engine_reason(engine, &work->change),
                .known = work->step->recorded.kind != NULL};
}

bool step_goes_ahead(const struct engine *engine, const struct plan_step *step)
{
        return !engine_kind(engine, step->resource.kind)->lock && (!step->recorded.kind || step->recorded.complete);
}

int step_write_outcome(struct engine *engine, int64_t run, const struct step_work *work, struct err **err)
{
        struct journal *journal = engine->o.journal;
        int64_t now = engine->o.clock->wall_ms(engine->o.clock);
        if (work->change.action == ACTION_REMOVE)
                return journal_step_removed(journal, run, engine->o.cluster, work->r.id, work->began_ms, now, err);
        char digest[DIGEST_SIZE];
        digest_tree(work->r.spec, digest);
        return journal_step_applied(journal, run, engine->o.cluster, work->r.id, digest, work->state, work->outputs,
                work->began_ms, now, err);
}
