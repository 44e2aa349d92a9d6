/* The part of a run that one step has. */
#include "base/mem.h"
#include "engine/runner.h"

#define OLD_MS 1000

static int64_t wall(const struct runner *run)
{
        return run->engine->o.clock->wall_ms(run->engine->o.clock);
}

static int64_t monotonic(const struct runner *run)
{
        return run->engine->o.clock->monotonic_ms(run->engine->o.clock);
}

static void learn_outputs(struct runner *run, const char *id, const json_t *outputs)
{
        pthread_mutex_lock(&run->mutex);
        json_object_set_new(run->outputs, id, outputs ? json_incref((json_t *)outputs) : json_object());
        pthread_mutex_unlock(&run->mutex);
}

static void tell_begin(struct runner *run, size_t i)
{
        const struct plan_step *step = &run->plan->step[i];
        engine_event(run->engine, &(struct event){.type = EVENT_STEP_BEGIN,
                                          .id = step->resource.id,
                                          .kind = step->resource.kind,
                                          .action = action_name(step->change.action)});
}

/* began: on the monotonic clock. */
static void tell_end(struct runner *run, size_t i, enum action action, int64_t began, const char *kept, bool failed)
{
        const struct plan_step *step = &run->plan->step[i];
        struct event event = {.type = failed ? EVENT_STEP_FAILED : EVENT_STEP_DONE,
                .id = step->resource.id,
                .kind = step->resource.kind,
                .action = action_name(action),
                .duration_ms = monotonic(run) - began,
                .total = run->total};
        if (failed)
                event.text = run->fault[i] ? run->fault[i]->message : "failed";
        pthread_mutex_lock(&run->mutex);
        event.done = failed ? run->done : ++run->done;
        pthread_mutex_unlock(&run->mutex);
        teller_add(run->teller, i, &event, kept);
}

static void fail(struct runner *run, size_t i, int64_t began_ms)
{
        CLEANUP_ERR struct err *late = NULL;
        const char *message = run->fault[i] ? run->fault[i]->message : "failed";
        journal_step_failed(run->engine->o.journal, run->run, run->engine->o.cluster, run->plan->step[i].resource.id,
                message, began_ms, wall(run), &late);
}

bool runner_prepare(struct runner *run, size_t i, int *ret_result)
{
        const struct plan_step *step = &run->plan->step[i];
        bool removal = step->change.action == ACTION_REMOVE;
        int64_t began = monotonic(run);
        json_auto_t *spec = NULL;
        int result = 0;
        if (!removal) {
                pthread_mutex_lock(&run->mutex);
                result = plan_fill(
                        engine_desired(run->engine, step->resource.id)->spec, run->outputs, &spec, &run->fault[i]);
                pthread_mutex_unlock(&run->mutex);
        }
        if (result == 0)
                result = step_prepare(run->engine, step, spec, &run->work[i], &run->fault[i]);
        *ret_result = result;
        if (result == 0)
                run->work[i]->looked_ms = began;
        if (result == 0 && run->work[i]->change.action != ACTION_NONE)
                return true;
        tell_begin(run, i);
        if (result < 0)
                fail(run, i, 0);
        else
                learn_outputs(run, step->resource.id, step->recorded.outputs);
        tell_end(run, i, result < 0 ? step->change.action : ACTION_NONE, began, NULL, result < 0);
        run->work[i] = step_work_free(run->work[i]);
        return false;
}

int runner_write_intents(struct runner *run, const size_t *which, size_t count, struct err **err)
{
        CLEANUP_FREE struct journal_intent *intent = mem_zero_array(count, sizeof *intent);
        for (size_t k = 0; k < count; k++)
                intent[k] = step_intent(run->engine, run->work[which[k]]);
        return journal_steps_intend(
                run->engine->o.journal, run->run, run->engine->o.cluster, intent, count, wall(run), err);
}

/* Nobody is to be overwritten who has come in since it was looked at. */
static bool is_old(const struct runner *run, const struct step_work *work)
{
        return work->change.action != ACTION_REMOVE && monotonic(run) - work->looked_ms > OLD_MS;
}

int runner_carry_out_late(struct runner *run, size_t i)
{
        CLEANUP_ERR struct err *why = NULL;
        struct journal_intent intent = step_intent(run->engine, run->work[i]);
        if (!is_old(run, run->work[i]))
                return runner_carry_out(run, i, NULL);
        if (journal_steps_withdraw(run->engine->o.journal, run->run, run->engine->o.cluster, &intent, 1, &why) < 0)
                return runner_carry_out(run, i, why);
        run->work[i] = step_work_free(run->work[i]);
        return runner_whole(run, i);
}

int runner_whole(struct runner *run, size_t i)
{
        CLEANUP_ERR struct err *why = NULL;
        int result;
        if (!runner_prepare(run, i, &result))
                return result;
        runner_write_intents(run, &i, 1, &why);
        return runner_carry_out(run, i, why);
}

int runner_carry_out(struct runner *run, size_t i, const struct err *why)
{
        struct step_work *work = run->work[i];
        struct err **fault = &run->fault[i];
        int64_t began = monotonic(run);
        tell_begin(run, i);
        work->began_ms = wall(run);
        int result = why ? err_set(fault, why->code, "%s", why->message) : step_carry_out(run->engine, work, fault);
        if (result == 0)
                result = step_write_outcome(run->engine, run->run, work, fault);
        if (result < 0)
                fail(run, i, work->began_ms);
        else if (work->change.action != ACTION_REMOVE)
                learn_outputs(run, work->r.id, work->outputs);
        tell_end(run, i, work->change.action, began, work->kept, result < 0);
        run->work[i] = step_work_free(work);
        return result;
}
