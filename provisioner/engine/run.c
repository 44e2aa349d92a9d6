/* Runs the steps of a plan: bounded worker threads over the graph.
 *
 *   waiting ──(what it needs is done)──▶ ready ──(a thread, its lock free)──▶ running ──▶ done
 *      │                                                                        │
 *      └──(what it needs failed, or the run was cancelled)──▶ skipped           └──▶ failed
 *
 * Removals wait until everything else is done, and are left alone if anything failed: what is still in use stays.
 * The journal sees intent before, and the outcome after, every call into a kind. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/private.h"
#include "tree/digest.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS  30000

enum step_state { STEP_WAITING, STEP_RUNNING, STEP_DONE, STEP_FAILED, STEP_SKIPPED };

struct runner {
        struct engine *engine;
        const struct plan *plan;
        int64_t run;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        enum step_state *state;
        size_t *open;     /* per step: needs that are not done yet */
        size_t **waiters; /* per step: who waits for it */
        size_t *waiter_count;
        size_t *ready; /* a queue of steps that could run; those whose lock is taken are passed over */
        size_t ready_count;
        size_t applies_left, left, running, done, total;
        bool failed;
        json_t *outputs;    /* of everything that is as it should be */
        json_t *locks;      /* names held now */
        struct err **fault; /* per step */
};

static int64_t wall(const struct runner *run)
{
        return run->engine->o.clock->wall_ms(run->engine->o.clock);
}

/* ---- one step ---- */

static bool worth_trying_again(int result)
{
        return result == -ERR_UNREACHABLE || result == -ERR_TIMEOUT || result == -ERR_BUSY;
}

static int apply_with_retries(struct runner *run, const struct kind *kind, struct kind_ctx *ctx,
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
                engine_event(run->engine, &(struct event){.type = EVENT_RETRY,
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
        struct runner *run, struct kind_ctx *ctx, const char *id, const struct recorded *recorded, struct err **err)
{
        const struct kind *kind = engine_kind(run->engine, recorded->pending_kind);
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
        struct runner *run, const struct resource *r, const struct recorded *recorded, const json_t *state)
{
        const struct recorded as = {.kind = recorded->pending_kind, .spec = recorded->pending, .digest = ""};
        struct change change = {0};
        json_auto_t *there = state ? json_incref((json_t *)state) : json_object();
        int result = engine_compare(run->engine, r, &as, there, &change, NULL);
        bool elsewhere = result == 0 && change.action == ACTION_REPLACE;
        change_clear(&change);
        return elsewhere;
}

/* Everything between the intent and the outcome. */
static int carry_out(struct runner *run, const struct kind *kind, struct kind_ctx *ctx, const struct resource *r,
        const struct plan_step *step, enum action action, json_t **state, json_t **ret_outputs, struct err **err)
{
        const struct recorded *recorded = step->recorded.kind ? &step->recorded : NULL;
        if (recorded && recorded->pending && pending_lies_elsewhere(run, r, recorded, *state)) {
                int result = remove_pending(run, ctx, r->id, recorded, err);
                if (result < 0)
                        return result;
        }
        if (action == ACTION_REPLACE && recorded) {
                const struct kind *old_kind = engine_kind(run->engine, recorded->kind);
                const struct resource old = {r->id, (char *)recorded->kind, (json_t *)recorded->spec, r->needs};
                CLEANUP_FREE char *kept = NULL;
                int result = old_kind->remove(ctx, &old, recorded, &kept, err);
                if (result < 0)
                        return err_prefix(err, "removing the old one");
                recorded = NULL;
                json_decref(*state);
                *state = NULL;
        }
        int result = apply_with_retries(run, kind, ctx, r, recorded, state, ret_outputs, err);
        if (result < 0)
                return result;
        json_decref(*state);
        *state = NULL;
        result = kind->observe(ctx, r, state, err);
        if (result < 0)
                return err_prefix(err, "looking at it afterwards");
        if (!*state)
                return err_set(err, ERR_FAILED, "it is not there although it was applied");
        return 0;
}

static void learn_outputs(struct runner *run, const char *id, const json_t *outputs)
{
        pthread_mutex_lock(&run->mutex);
        json_object_set_new(run->outputs, id, outputs ? json_incref((json_t *)outputs) : json_object());
        pthread_mutex_unlock(&run->mutex);
}

/* Puts the outputs in that are known by now, looks and compares again. *ret_change may turn out to be none. */
static int prepare(struct runner *run, const struct kind *kind, struct kind_ctx *ctx, const struct plan_step *step,
        struct resource *ret_resource, json_t **ret_state, struct change *ret_change, struct err **err)
{
        const struct resource *desired = engine_desired(run->engine, step->resource.id);
        const struct recorded *recorded = step->recorded.kind ? &step->recorded : NULL;
        json_t *spec = NULL, *state = NULL;
        pthread_mutex_lock(&run->mutex);
        int result = plan_fill(desired->spec, run->outputs, &spec, err);
        pthread_mutex_unlock(&run->mutex);
        if (result < 0)
                return result;
        struct resource r = {step->resource.id, step->resource.kind, spec, step->resource.needs};
        const struct resource look = {
                r.id, r.kind, recorded && recorded->complete ? (json_t *)recorded->spec : spec, r.needs};
        result = (recorded ? engine_kind(run->engine, recorded->kind) : kind)->observe(ctx, &look, &state, err);
        struct change change = {0};
        if (result == 0)
                result = engine_compare(run->engine, &r, recorded, state, &change, err);
        if (result == 0 && change.action == ACTION_REFUSE)
                result = err_set(err, ERR_REFUSED, "%s", change.reason ? change.reason : "cannot be changed");
        if (result == 0 && change.notice && change.action != ACTION_NONE)
                engine_event(run->engine,
                        &(struct event){.type = EVENT_NOTICE, .id = r.id, .kind = r.kind, .text = change.notice});
        if (result < 0) {
                change_clear(&change);
                json_decref(spec);
                json_decref(state);
                return result;
        }
        *ret_resource = r;
        *ret_state = state;
        *ret_change = change;
        return 0;
}

static int apply_step(struct runner *run, const struct plan_step *step, struct kind_ctx *ctx, enum action *ret_action,
        struct err **err)
{
        const struct engine *engine = run->engine;
        const struct kind *kind = engine_kind(engine, step->resource.kind);
        struct resource r;
        json_auto_t *state = NULL, *outputs = NULL;
        CLEANUP_CHANGE struct change change = {0};
        int result = prepare(run, kind, ctx, step, &r, &state, &change, err);
        if (result < 0)
                return result;
        json_auto_t *spec = r.spec;
        *ret_action = change.action;
        if (*ret_action == ACTION_NONE) {
                learn_outputs(run, r.id, step->recorded.outputs);
                return 0;
        }
        struct journal *journal = engine->o.journal;
        result = journal_step_intent(journal, run->run, engine->o.cluster, &r, action_name(*ret_action),
                engine_reason(engine, &change), wall(run), err);
        if (result == 0)
                result = carry_out(run, kind, ctx, &r, step, *ret_action, &state, &outputs, err);
        if (result < 0)
                return result;
        char digest[DIGEST_SIZE];
        digest_tree(spec, digest);
        result = journal_step_applied(journal, run->run, engine->o.cluster, &r, digest, state, outputs, wall(run), err);
        if (result == 0)
                learn_outputs(run, r.id, outputs);
        return result;
}

static int remove_step(struct runner *run, const struct plan_step *step, struct kind_ctx *ctx, struct err **err)
{
        const struct engine *engine = run->engine;
        const struct resource *r = &step->resource;
        const struct kind *kind = engine_kind(engine, r->kind);
        int result = journal_step_intent(engine->o.journal, run->run, engine->o.cluster, r, "remove",
                engine_reason(engine, &step->change), wall(run), err);
        CLEANUP_FREE char *kept = NULL;
        if (result == 0 && step->recorded.pending)
                result = remove_pending(run, ctx, r->id, &step->recorded, err);
        if (result == 0)
                result = kind->remove(ctx, r, &step->recorded, &kept, err);
        if (result == 0)
                result = journal_step_removed(engine->o.journal, run->run, engine->o.cluster, r->id, wall(run), err);
        if (result == 0 && kept)
                engine_event(
                        run->engine, &(struct event){.type = EVENT_KEPT, .id = r->id, .kind = r->kind, .text = kept});
        return result;
}

static int do_step(struct runner *run, size_t i, struct err **err)
{
        const struct plan_step *step = &run->plan->step[i];
        struct engine *engine = run->engine;
        struct clock *clock = engine->o.clock;
        int64_t began = clock->monotonic_ms(clock);
        enum action action = step->change.action;
        engine_event(engine, &(struct event){.type = EVENT_STEP_BEGIN,
                                     .id = step->resource.id,
                                     .kind = step->resource.kind,
                                     .action = action_name(action)});
        struct call call = {engine, step->resource.id, step->resource.kind};
        struct kind_ctx ctx = engine_ctx(&call);
        int result =
                action == ACTION_REMOVE ? remove_step(run, step, &ctx, err) : apply_step(run, step, &ctx, &action, err);
        struct event event = {.id = step->resource.id,
                .kind = step->resource.kind,
                .action = action_name(action),
                .duration_ms = clock->monotonic_ms(clock) - began,
                .total = run->total};
        pthread_mutex_lock(&run->mutex);
        event.done = result == 0 ? ++run->done : run->done;
        pthread_mutex_unlock(&run->mutex);
        if (result < 0) {
                CLEANUP_ERR struct err *late = NULL;
                const char *message = err && *err ? (*err)->message : "failed";
                journal_step_failed(engine->o.journal, run->run, engine->o.cluster, step->resource.id, message,
                        clock->wall_ms(clock), &late);
                event.type = EVENT_STEP_FAILED;
                event.text = message;
        } else {
                event.type = EVENT_STEP_DONE;
        }
        engine_event(engine, &event);
        return result;
}

/* ---- the graph; all of it with the mutex held ---- */

static void make_ready(struct runner *run, size_t i)
{
        run->ready[run->ready_count++] = i;
}

static void settle(struct runner *run, size_t i, enum step_state state);

static void release_waiters(struct runner *run, size_t i, enum step_state state)
{
        for (size_t k = 0; k < run->waiter_count[i]; k++) {
                size_t waiter = run->waiters[i][k];
                if (state != STEP_DONE && run->state[waiter] == STEP_WAITING)
                        settle(run, waiter, STEP_SKIPPED);
                else if (--run->open[waiter] == 0 && run->state[waiter] == STEP_WAITING)
                        make_ready(run, waiter);
        }
}

static void begin_removals(struct runner *run)
{
        for (size_t i = 0; i < run->plan->count; i++) {
                if (run->plan->step[i].change.action != ACTION_REMOVE || run->state[i] != STEP_WAITING)
                        continue;
                if (run->failed)
                        settle(run, i, STEP_SKIPPED);
                else if (--run->open[i] == 0)
                        make_ready(run, i);
        }
}

static void settle(struct runner *run, size_t i, enum step_state state)
{
        bool removal = run->plan->step[i].change.action == ACTION_REMOVE;
        run->state[i] = state;
        run->left--;
        if (state == STEP_FAILED)
                run->failed = true;
        release_waiters(run, i, state);
        if (!removal && --run->applies_left == 0)
                begin_removals(run);
}

/* Takes a ready step whose lock is free out of the queue. */
static bool take(struct runner *run, size_t *ret)
{
        for (size_t k = 0; k < run->ready_count; k++) {
                size_t i = run->ready[k];
                const struct kind *kind = engine_kind(run->engine, run->plan->step[i].resource.kind);
                bool idle = run->plan->step[i].change.action == ACTION_NONE;
                if (!idle && kind->lock && json_object_get(run->locks, kind->lock))
                        continue;
                memmove(&run->ready[k], &run->ready[k + 1], (run->ready_count - k - 1) * sizeof *run->ready);
                run->ready_count--;
                if (!idle && kind->lock)
                        json_object_set_new(run->locks, kind->lock, json_true());
                *ret = i;
                return true;
        }
        return false;
}

/* Steps without change are settled at once. */
static void pass_idle(struct runner *run)
{
        for (size_t k = 0; k < run->ready_count;) {
                size_t i = run->ready[k];
                const struct plan_step *step = &run->plan->step[i];
                if (step->change.action != ACTION_NONE) {
                        k++;
                        continue;
                }
                run->ready[k] = run->ready[--run->ready_count];
                json_object_set_new(run->outputs, step->resource.id,
                        step->recorded.outputs ? json_incref((json_t *)step->recorded.outputs) : json_object());
                settle(run, i, STEP_DONE);
        }
}

static void *worker(void *data)
{
        struct runner *run = data;
        pthread_mutex_lock(&run->mutex);
        for (;;) {
                pass_idle(run);
                size_t i;
                bool stop = cancel_level(run->engine->o.cancel) > 0;
                if (run->left == 0 || (stop && run->running == 0) || (run->running == 0 && run->ready_count == 0))
                        break;
                if (stop || !take(run, &i)) {
                        pthread_cond_wait(&run->changed, &run->mutex);
                        continue;
                }
                run->state[i] = STEP_RUNNING;
                run->running++;
                pthread_mutex_unlock(&run->mutex);
                int result = do_step(run, i, &run->fault[i]);
                pthread_mutex_lock(&run->mutex);
                run->running--;
                const struct kind *kind = engine_kind(run->engine, run->plan->step[i].resource.kind);
                if (kind->lock)
                        json_object_del(run->locks, kind->lock);
                settle(run, i, result == 0 ? STEP_DONE : STEP_FAILED);
                pthread_cond_broadcast(&run->changed);
        }
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->mutex);
        return NULL;
}

static void build_graph(struct runner *run)
{
        const struct plan *plan = run->plan;
        for (size_t i = 0; i < plan->count; i++)
                for (size_t k = 0; k < plan->step[i].after_count; k++)
                        run->waiter_count[plan->step[i].after[k]]++;
        for (size_t i = 0; i < plan->count; i++) {
                run->waiters[i] = mem_zero_array(run->waiter_count[i], sizeof **run->waiters);
                run->waiter_count[i] = 0;
        }
        for (size_t i = 0; i < plan->count; i++) {
                const struct plan_step *step = &plan->step[i];
                for (size_t k = 0; k < step->after_count; k++) {
                        size_t need = step->after[k];
                        run->waiters[need][run->waiter_count[need]++] = i;
                }
                run->open[i] = step->after_count;
                if (step->change.action == ACTION_REMOVE)
                        run->open[i]++; /* for all that is applied */
                else
                        run->applies_left++;
        }
        run->left = plan->count;
        for (size_t i = 0; i < plan->count; i++)
                if (run->open[i] == 0)
                        make_ready(run, i);
        if (run->applies_left == 0)
                begin_removals(run);
}

static int outcome(struct runner *run, struct err **err)
{
        CLEANUP_BUF struct buf text = BUF_INIT(256 * 1024);
        size_t failures = 0, skipped = 0;
        bool cancelled = run->left > 0;
        for (size_t i = 0; i < run->plan->count; i++) {
                if (run->state[i] == STEP_FAILED) {
                        const struct err *fault = run->fault[i];
                        if (fault && fault->code == ERR_CANCELLED) {
                                cancelled = true;
                                skipped++;
                                continue;
                        }
                        failures++;
                        buf_format(&text, "%s%s: %s", text.length ? "\n" : "", run->plan->step[i].resource.id,
                                fault ? fault->message : "failed");
                } else if (run->state[i] != STEP_DONE) {
                        skipped++;
                }
        }
        if (failures == 0 && !cancelled)
                return 0;
        if (skipped)
                buf_format(&text, "%s%zu %s not done", text.length ? "\n" : "", skipped,
                        skipped == 1 ? "step was" : "steps were");
        if (failures == 0)
                return err_set(err, ERR_CANCELLED, "stopped as asked; %s. The same command goes on from here",
                        text.length ? text.data : "nothing was left undone");
        return err_set(err, ERR_FAILED, "%s", text.data);
}

int engine_run(struct engine *engine, const struct plan *plan, int64_t run_id, struct err **err)
{
        size_t n = plan->count;
        struct runner run = {.engine = engine,
                .plan = plan,
                .run = run_id,
                .outputs = json_object(),
                .locks = json_object(),
                .total = plan->create + plan->update + plan->replace + plan->remove};
        pthread_mutex_init(&run.mutex, NULL);
        pthread_cond_init(&run.changed, NULL);
        run.state = mem_zero_array(n, sizeof *run.state);
        run.open = mem_zero_array(n, sizeof *run.open);
        run.waiters = mem_zero_array(n, sizeof *run.waiters);
        run.waiter_count = mem_zero_array(n, sizeof *run.waiter_count);
        run.ready = mem_zero_array(n, sizeof *run.ready);
        run.fault = mem_zero_array(n, sizeof(struct err *));
        build_graph(&run);
        unsigned started = 0, threads = engine->o.threads;
        pthread_t *thread = mem_zero_array(threads, sizeof *thread);
        while (started + 1 < threads && started + 1 < run.total &&
                pthread_create(&thread[started], NULL, worker, &run) == 0)
                started++;
        worker(&run);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        int result = outcome(&run, err);
        for (size_t i = 0; i < n; i++) {
                free(run.waiters[i]);
                err_free(run.fault[i]);
        }
        free(thread);
        free(run.state);
        free(run.open);
        free(run.waiters);
        free(run.waiter_count);
        free(run.ready);
        free(run.fault);
        json_decref(run.outputs);
        json_decref(run.locks);
        pthread_cond_destroy(&run.changed);
        pthread_mutex_destroy(&run.mutex);
        return result;
}
