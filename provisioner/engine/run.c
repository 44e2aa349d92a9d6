/* Runs the steps of a plan: bounded worker threads over the graph.
 *
 *   waiting ──(what it needs is done)──▶ ready ──(looked at again)──▶ prepared ──(its intent is on the disk)──┐
 *      │                                                                                                     │
 *      └──(what it needs failed, or cancelled)──▶ skipped       done, failed ◀──(carried out)── intended ◀─────┘
 *
 * A sync of the disk may take longer than a step. So the intents of many steps that are ready at once are written
 * together, some steps ahead of the threads that carry them out, and outcomes are synced by a thread of its own
 * (tell.c). What has a lock, and what a cut-off run has left, goes through all of it alone, without a pause.
 *
 * Removals wait until everything else is done, and are left alone if anything failed: what is still in use stays.
 * The journal sees intent before, and the outcome after, every call into a kind. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/runner.h"

#define AHEAD 2 /* so many intents for each thread */

/* ---- the graph; all of it with the mutex held ---- */

static void push(struct queue *queue, size_t i)
{
        queue->item[queue->count++] = i;
}

/* Behind all whose turn is not later. */
static void line_up(struct runner *run, struct queue *queue, size_t i)
{
        size_t place = queue->count++;
        for (; place > 0 && run->turn[queue->item[place - 1]] > run->turn[i]; place--)
                queue->item[place] = queue->item[place - 1];
        queue->item[place] = i;
}

static size_t pull(struct queue *queue, size_t place)
{
        size_t i = queue->item[place];
        memmove(&queue->item[place], &queue->item[place + 1], (queue->count - place - 1) * sizeof *queue->item);
        queue->count--;
        return i;
}

/* Sorted here, once: a run may have thousands that are ready, and every look for the next one would pass by them. */
static void make_ready(struct runner *run, size_t i)
{
        const struct plan_step *step = &run->plan->step[i];
        if (step->change.action == ACTION_NONE)
                push(&run->idle, i);
        else
                line_up(run, step_goes_ahead(run->engine, step) ? &run->ready : &run->alone, i);
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

/* Steps without change are settled at once. */
static void pass_idle(struct runner *run)
{
        while (run->idle.count) {
                size_t i = run->idle.item[--run->idle.count];
                const struct plan_step *step = &run->plan->step[i];
                json_object_set_new(run->outputs, step->resource.id,
                        step->recorded.outputs ? json_incref((json_t *)step->recorded.outputs) : json_object());
                settle(run, i, STEP_DONE);
        }
}

/* ---- what a thread does next; with the mutex held, which is let go of meanwhile ---- */

static const char *lock_of(const struct runner *run, size_t i)
{
        return engine_kind(run->engine, run->plan->step[i].resource.kind)->lock;
}

/* One whose intent may be written ahead. */
static bool take(struct runner *run, size_t *ret)
{
        if (run->ready.count == 0)
                return false;
        *ret = pull(&run->ready, 0);
        run->state[*ret] = STEP_RUNNING;
        return true;
}

/* One that goes through all of it at once, and whose lock, if it has one, is free. */
static bool take_alone(struct runner *run, size_t *ret)
{
        for (size_t k = 0; k < run->alone.count; k++) {
                const char *lock = lock_of(run, run->alone.item[k]);
                if (lock && json_object_get(run->locks, lock))
                        continue;
                if (lock)
                        json_object_set_new(run->locks, lock, json_true());
                *ret = pull(&run->alone, k);
                run->state[*ret] = STEP_RUNNING;
                return true;
        }
        return false;
}

static size_t queued(const struct runner *run)
{
        return run->alone.count + run->ready.count + run->prepared.count + run->intended.count;
}

/* With something in hand. Whoever adds to a queue looks into it next; what that thread leaves there is for one other,
 * which leaves what it does not take for the next. */
static void let_go(struct runner *run)
{
        if (queued(run))
                pthread_cond_signal(&run->changed);
        pthread_mutex_unlock(&run->mutex);
}

static void whole(struct runner *run, size_t i)
{
        let_go(run);
        int result = runner_whole(run, i);
        pthread_mutex_lock(&run->mutex);
        const char *lock = lock_of(run, i);
        if (lock)
                json_object_del(run->locks, lock);
        settle(run, i, result == 0 ? STEP_DONE : STEP_FAILED);
}

static void look_ahead(struct runner *run, size_t i)
{
        int result;
        run->preparing++;
        let_go(run);
        bool go = runner_prepare(run, i, &result);
        pthread_mutex_lock(&run->mutex);
        run->preparing--;
        if (go)
                push(&run->prepared, i);
        else
                settle(run, i, result == 0 ? STEP_DONE : STEP_FAILED);
}

static void intend(struct runner *run)
{
        size_t count = run->prepared.count;
        CLEANUP_FREE size_t *which = mem_zero_array(count, sizeof *which);
        CLEANUP_ERR struct err *why = NULL;
        memcpy(which, run->prepared.item, count * sizeof *which);
        run->prepared.count = 0;
        run->writing = true;
        let_go(run);
        runner_write_intents(run, which, count, &why);
        for (size_t k = 0; why && k < count; k++)
                runner_carry_out(run, which[k], why);
        pthread_mutex_lock(&run->mutex);
        run->writing = false;
        for (size_t k = 0; k < count; k++)
                if (why)
                        settle(run, which[k], STEP_FAILED);
                else
                        push(&run->intended, which[k]);
}

static void carry(struct runner *run)
{
        size_t i = pull(&run->intended, 0);
        let_go(run);
        int result = runner_carry_out_late(run, i);
        pthread_mutex_lock(&run->mutex);
        settle(run, i, result == 0 ? STEP_DONE : STEP_FAILED);
}

/* false: there is nothing for this thread now. */
static bool act(struct runner *run)
{
        size_t i, ahead = run->preparing + run->prepared.count + run->intended.count;
        run->looking_ahead = (run->looking_ahead || !run->intended.count) && ahead < AHEAD * run->engine->o.threads;
        run->running++;
        bool acted = true;
        if (take_alone(run, &i))
                whole(run, i);
        else if (run->looking_ahead && take(run, &i))
                look_ahead(run, i);
        else if (run->intended.count)
                carry(run);
        else if (run->prepared.count && !run->writing)
                intend(run);
        else
                acted = false;
        run->running--;
        return acted;
}

static void *worker(void *data)
{
        struct runner *run = data;
        pthread_mutex_lock(&run->mutex);
        for (;;) {
                pass_idle(run);
                bool stop = cancel_level(run->engine->o.cancel) > 0;
                if (run->left == 0 || (run->running == 0 && (stop || queued(run) == 0)))
                        break;
                if (stop || !act(run))
                        pthread_cond_wait(&run->changed, &run->mutex);
        }
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->mutex);
        return NULL;
}

/* Stopped: what was intended and not begun is as if nobody had thought of it. */
static void withdraw(struct runner *run)
{
        size_t count = run->intended.count;
        CLEANUP_FREE struct journal_intent *intent = mem_zero_array(count, sizeof *intent);
        CLEANUP_ERR struct err *late = NULL; /* then they end with the run, as interrupted */
        for (size_t k = 0; k < count; k++)
                intent[k] = step_intent(run->engine, run->work[run->intended.item[k]]);
        if (count)
                journal_steps_withdraw(run->engine->o.journal, run->run, run->engine->o.cluster, intent, count, &late);
}

static void lost(void *data, size_t i, const struct err *why)
{
        struct runner *run = data;
        pthread_mutex_lock(&run->mutex);
        run->state[i] = STEP_FAILED;
        run->failed = true;
        err_set(&run->fault[i], why->code, "%s", why->message);
        pthread_mutex_unlock(&run->mutex);
}

static int turn_of(const struct runner *run, const struct plan_step *step)
{
        const struct kind *kind = engine_kind(run->engine, step->resource.kind);
        return step->change.action != ACTION_REMOVE && kind->turn ? kind->turn(step->resource.spec) : 0;
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
                run->turn[i] = turn_of(run, step);
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

static void runner_begin(struct runner *run, size_t n)
{
        pthread_mutex_init(&run->mutex, NULL);
        pthread_cond_init(&run->changed, NULL);
        run->outputs = json_object();
        run->locks = json_object();
        run->state = mem_zero_array(n, sizeof *run->state);
        run->turn = mem_zero_array(n, sizeof *run->turn);
        run->open = mem_zero_array(n, sizeof *run->open);
        run->waiters = mem_zero_array(n, sizeof *run->waiters);
        run->waiter_count = mem_zero_array(n, sizeof *run->waiter_count);
        run->work = mem_zero_array(n, sizeof(struct step_work *));
        run->idle.item = mem_zero_array(n, sizeof *run->idle.item);
        run->alone.item = mem_zero_array(n, sizeof *run->alone.item);
        run->ready.item = mem_zero_array(n, sizeof *run->ready.item);
        run->prepared.item = mem_zero_array(n, sizeof *run->prepared.item);
        run->intended.item = mem_zero_array(n, sizeof *run->intended.item);
        run->fault = mem_zero_array(n, sizeof(struct err *));
        build_graph(run);
        run->teller = teller_new(run->engine, lost, run);
}

static void runner_end(struct runner *run, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(run->waiters[i]);
                step_work_free(run->work[i]);
                err_free(run->fault[i]);
        }
        free(run->state);
        free(run->turn);
        free(run->open);
        free(run->waiters);
        free(run->waiter_count);
        free(run->work);
        free(run->idle.item);
        free(run->alone.item);
        free(run->ready.item);
        free(run->prepared.item);
        free(run->intended.item);
        free(run->fault);
        json_decref(run->outputs);
        json_decref(run->locks);
        pthread_cond_destroy(&run->changed);
        pthread_mutex_destroy(&run->mutex);
}

int engine_run(struct engine *engine, const struct plan *plan, int64_t run_id, struct err **err)
{
        struct runner run = {.engine = engine,
                .plan = plan,
                .run = run_id,
                .total = plan->create + plan->update + plan->replace + plan->remove};
        runner_begin(&run, plan->count);
        unsigned started = 0, threads = engine->o.threads;
        CLEANUP_FREE pthread_t *thread = mem_zero_array(threads, sizeof *thread);
        while (started + 1 < threads && started + 1 < run.total &&
                pthread_create(&thread[started], NULL, worker, &run) == 0)
                started++;
        worker(&run);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        withdraw(&run);
        run.teller = teller_end(run.teller);
        int result = outcome(&run, err);
        runner_end(&run, plan->count);
        return result;
}
