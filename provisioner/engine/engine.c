#include "engine/engine.h"

#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/private.h"
#include "kind/kube_server.h"
#include "tree/subst.h"

#define THREADS_DEFAULT 8

void engine_event(struct engine *engine, const struct event *event)
{
        if (!engine->o.on_event)
                return;
        struct event full = *event;
        full.wall_ms = engine->o.clock->wall_ms(engine->o.clock);
        full.cluster = engine->o.cluster;
        pthread_mutex_lock(&engine->event_mutex);
        engine->o.on_event(engine->o.event_data, &full);
        pthread_mutex_unlock(&engine->event_mutex);
}

static void call_progress(struct kind_ctx *ctx, const char *text)
{
        const struct call *call = ctx->engine;
        engine_event(call->engine,
                &(struct event){.type = EVENT_PROGRESS, .id = call->id, .kind = call->kind, .text = text});
}

struct kind_ctx engine_ctx(struct call *call)
{
        struct kind_ctx ctx = call->engine->ctx;
        ctx.engine = call;
        return ctx;
}

static void copy_desired(struct engine *engine)
{
        const struct resources *desired = engine->o.desired;
        for (size_t i = 0; desired && i < desired->count; i++) {
                const struct resource *r = &desired->item[i];
                size_t needs = 0;
                while (r->needs && r->needs[needs])
                        needs++;
                /* The spec is copied where it holds secrets, because their versions are put in; otherwise it is shared.
                 */
                struct resource copy = {str_copy(r->id), str_copy(r->kind),
                        subst_has_marker(r->spec, MARK_SECRET) ? json_deep_copy(r->spec) : json_incref(r->spec),
                        mem_zero_array(needs + 1, sizeof *copy.needs)};
                for (size_t j = 0; j < needs; j++)
                        copy.needs[j] = str_copy(r->needs[j]);
                resources_add(&engine->desired, &copy);
        }
}

int engine_new(const struct engine_options *options, struct engine **ret, struct err **err)
{
        struct engine *engine = mem_zero(sizeof *engine);
        engine->o = *options;
        if (engine->o.threads == 0)
                engine->o.threads = THREADS_DEFAULT;
        if (!engine->o.clock)
                engine->o.clock = clock_system();
        pthread_mutex_init(&engine->event_mutex, NULL);
        engine->new_secrets = json_object();
        CLEANUP_FREE char *clusters = file_join(options->state_dir, "clusters");
        engine->cluster_dir = file_join(clusters, options->cluster);
        engine->ctx = (struct kind_ctx){.cluster = options->cluster,
                .state_dir = options->state_dir,
                .cluster_dir = engine->cluster_dir,
                .cache_dir = options->cache_dir,
                .data_dir = options->data_dir,
                .cancel = options->cancel,
                .clock = engine->o.clock,
                .delete_data = options->delete_data,
                .force_conflicts = options->force_conflicts,
                .target = options->target_form,
                .kube = options->kube,
                .resolve = engine_resolve,
                .progress = call_progress};
        engine->changed_by = engine_changed_by(options);
        copy_desired(engine);
        int r = journal_resources(options->journal, options->cluster, &engine->recorded, err);
        if (r == 0)
                r = engine_prepare_secrets(engine, err);
        if (r < 0) {
                engine_free(engine);
                return r;
        }
        *ret = engine;
        return 0;
}

struct engine *engine_free(struct engine *engine)
{
        if (!engine)
                return NULL;
        for (size_t i = 0; i < engine->count; i++) {
                json_decref(engine->item[i].look_spec);
                json_decref(engine->item[i].state);
                err_free(engine->item[i].err);
        }
        free(engine->item);
        json_decref(engine->index);
        free(engine->known);
        resources_clear(&engine->desired);
        journal_resources_clear(&engine->recorded);
        json_decref(engine->secret_versions);
        kind_forget(engine->new_secrets);
        free(engine->cluster_dir);
        pthread_mutex_destroy(&engine->event_mutex);
        free(engine);
        return NULL;
}

/* ---- planning ---- */

struct previews {
        struct engine *engine;
        struct plan *plan;
        struct err **fault; /* one place a step */
};

static void preview_one(void *data, size_t i)
{
        struct previews *p = data;
        struct plan_step *step = &p->plan->step[i];
        enum action action = step->change.action;
        const struct kind *kind = engine_kind(p->engine, step->resource.kind);
        if ((action != ACTION_UPDATE && action != ACTION_REPLACE) || !kind || !kind->preview)
                return;
        struct call call = {p->engine, step->resource.id, kind->name};
        struct kind_ctx ctx = engine_ctx(&call);
        const struct recorded *recorded = step->recorded.kind ? &step->recorded : NULL;
        if (kind->preview(&ctx, &step->resource, recorded, step->state, &step->change, &p->fault[i]) < 0)
                err_prefix(&p->fault[i], "cannot see what would become of %s", step->resource.id);
}

/* Asks the kinds that can tell more than the comparison could. */
static int preview(struct engine *engine, struct plan *plan, struct err **err)
{
        CLEANUP_FREE struct err **fault = mem_zero_array(plan->count, sizeof(struct err *));
        struct previews p = {engine, plan, fault};
        pool_each(engine->o.threads, plan->count, preview_one, &p);
        int r = 0;
        for (size_t i = 0; i < plan->count; i++) {
                if (fault[i] && r == 0) {
                        r = -(int)fault[i]->code;
                        if (err)
                                *err = STEAL(fault[i]);
                }
                err_free(fault[i]);
        }
        plan_count(plan);
        return r;
}

int engine_plan(struct engine *engine, struct plan *ret, struct err **err)
{
        engine_event(engine, &(struct event){.type = EVENT_PHASE, .text = "observing"});
        int r = kube_link_look(engine->ctx.kube, engine->o.cluster, engine->recorded.count == 0, err);
        if (r == 0 && !engine->known)
                r = engine_observe(engine, err);
        struct plan plan = {0};
        if (r == 0)
                r = plan_make(&engine->desired, engine->known, engine->count, engine_compare, engine, &plan, err);
        if (r == 0)
                r = preview(engine, &plan, err);
        kube_link_look_end(engine->ctx.kube);
        if (r < 0) {
                plan_clear(&plan);
                return r;
        }
        *ret = plan;
        return 0;
}

int engine_plan_destroy(struct engine *engine, struct plan *ret, struct err **err)
{
        /* Nothing is looked at: what is recorded goes, whatever became of it, and removing is idempotent. */
        int result = kube_link_ping(engine->ctx.kube, err);
        if (result < 0)
                return result;
        if (!engine->known) {
                engine->known = mem_zero_array(engine->recorded.count, sizeof *engine->known);
                for (size_t i = 0; i < engine->recorded.count; i++) {
                        const struct journal_resource *r = &engine->recorded.item[i];
                        engine->known[i] = (struct plan_known){
                                .id = r->resource.id, .recorded = engine_recorded(r), .needs = r->resource.needs};
                        if (!engine_kind(engine, r->resource.kind))
                                return err_set(err, ERR_VERSION, "%s is of kind %s, which this version does not know",
                                        r->resource.id, r->resource.kind);
                }
        }
        return plan_make_removal(engine->known, engine->recorded.count, ret, err);
}

/* ---- preflight ---- */

struct preflight {
        struct engine *engine;
        const struct plan *plan;
        struct err **found; /* one place a step */
};

static void preflight_one(void *data, size_t i)
{
        struct preflight *p = data;
        const struct plan_step *step = &p->plan->step[i];
        enum action action = step->change.action;
        if (action != ACTION_CREATE && action != ACTION_UPDATE && action != ACTION_REPLACE)
                return;
        const struct kind *kind = engine_kind(p->engine, step->resource.kind);
        if (!kind->preflight || subst_has_marker(step->resource.spec, MARK_AFTER))
                return;
        struct call call = {p->engine, step->resource.id, kind->name};
        struct kind_ctx ctx = engine_ctx(&call);
        kind->preflight(&ctx, &step->resource, step->recorded.kind ? &step->recorded : NULL, &p->found[i]);
}

/* What several steps find, such as a directory that does not answer, is said by the first. */
static bool said_before(struct err *const *found, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (found[k] && str_is(found[k]->message, found[i]->message))
                        return true;
        return false;
}

static int preflight(struct engine *engine, const struct plan *plan, struct err **err)
{
        engine_event(engine, &(struct event){.type = EVENT_PHASE, .text = "checking"});
        CLEANUP_FREE struct err **found = mem_zero_array(plan->count, sizeof(struct err *));
        struct preflight p = {engine, plan, found};
        pool_each(engine->o.threads, plan->count, preflight_one, &p);
        CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
        for (size_t i = 0; i < plan->count; i++)
                if (found[i] && !said_before(found, i))
                        buf_format(&text, "%s%s: %s", text.length ? "\n" : "", plan->step[i].resource.id,
                                found[i]->message);
        for (size_t i = 0; i < plan->count; i++)
                err_free(found[i]);
        if (text.length)
                return err_set(err, ERR_INVALID, "%s\nnothing was changed", text.data);
        return cancel_check(engine->o.cancel, 1, err);
}

static int refuse(const struct plan *plan, struct err **err)
{
        CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
        for (size_t i = 0; i < plan->count; i++) {
                const struct plan_step *step = &plan->step[i];
                if (step->change.action == ACTION_REFUSE)
                        buf_format(&text, "%s%s: %s", text.length ? "\n" : "", step->resource.id,
                                step->change.reason ? step->change.reason : "cannot be changed");
        }
        return err_set(err, ERR_REFUSED, "%s\nnothing was changed", text.data);
}

/* ---- a run ---- */

static int begin_run(struct engine *engine, const char *command, int64_t *ret_run, struct err **err)
{
        struct journal *journal = engine->o.journal;
        int64_t now = engine->o.clock->wall_ms(engine->o.clock);
        int r = 0;
        if (engine->o.form)
                r = journal_put_cluster(journal, engine->o.cluster, engine->o.target, engine->o.form, now, err);
        if (r == 0)
                r = journal_runs_close_dead(journal, engine->o.cluster, now, err);
        if (r == 0)
                r = engine_store_secrets(engine, err);
        if (r == 0)
                r = journal_run_begin(journal, engine->o.cluster, command, now, ret_run, err);
        return r;
}

int engine_begin(
        struct engine *engine, const char *command, const struct plan *plan, int64_t *ret_run, struct err **err)
{
        struct journal *journal = engine->o.journal;
        int r = journal_begin(journal, err);
        if (r < 0)
                return r;
        r = begin_run(engine, command, ret_run, err);
        if (r == 0 && plan && engine->o.form)
                r = journal_put_drift(journal, engine->o.cluster, (int64_t)plan->drift, err);
        return journal_end(journal, r, err);
}

static const char *outcome_name(int result)
{
        return result == 0 ? "done" : result == -ERR_CANCELLED ? "cancelled" : "failed";
}

int engine_end(struct engine *engine, int64_t run, int result, const struct err *why, struct err **err)
{
        struct journal *journal = engine->o.journal;
        int64_t now = engine->o.clock->wall_ms(engine->o.clock);
        int r = journal_begin(journal, err);
        if (r < 0)
                return r;
        r = journal_run_end(journal, run, outcome_name(result), why ? why->message : NULL, now, err);
        if (r == 0 && result == 0 && engine->o.form)
                r = journal_mark_applied(journal, engine->o.cluster, engine->o.version, now, err);
        return journal_end(journal, r, err);
}

int engine_apply(struct engine *engine, const struct plan *plan, const char *command, struct err **err)
{
        if (plan->refuse)
                return refuse(plan, err);
        int r = preflight(engine, plan, err);
        if (r < 0)
                return r;
        size_t total = plan->create + plan->update + plan->replace + plan->remove;
        int64_t run = 0, began = engine->o.clock->monotonic_ms(engine->o.clock);
        r = engine_begin(engine, command, plan, &run, err);
        if (r < 0)
                return r;
        engine_event(engine, &(struct event){.type = EVENT_RUN_BEGIN, .text = command, .total = total});
        engine_event(engine, &(struct event){.type = EVENT_PHASE, .text = "applying"});
        CLEANUP_ERR struct err *fault = NULL;
        r = engine_run(engine, plan, run, &fault);
        CLEANUP_ERR struct err *late = NULL; /* an outcome that cannot be written must not hide why the run failed */
        int ended = engine_end(engine, run, r, fault, &late);
        engine_event(engine, &(struct event){.type = EVENT_RUN_END,
                                     .text = outcome_name(r),
                                     .total = total,
                                     .duration_ms = engine->o.clock->monotonic_ms(engine->o.clock) - began});
        if (r == 0 && ended < 0) {
                r = ended;
                fault = STEAL(late);
        }
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}
