/* The engine: observes, plans and runs. One engine object serves one cluster in one process. */
#ifndef CAAS_ENGINE_ENGINE_H
#define CAAS_ENGINE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "engine/event.h"
#include "journal/journal.h"
#include "kind/kind.h"
#include "plan/plan.h"
#include "role/role.h"

struct engine_options {
        struct journal *journal;
        const char *cluster, *target;
        const char *state_dir, *cache_dir, *data_dir;
        const char *version;       /* of caas */
        const json_t *form;        /* the complete form; NULL for destroy */
        const json_t *stored;      /* the journal's row of the cluster; NULL = none */
        const json_t *target_form; /* its block about the target, for kinds ("kubernetes"); NULL = none */
        struct kube_link *kube;    /* the cluster that it names; borrowed for as long as the engine lives, or NULL */
        const struct resources *desired; /* NULL for destroy */
        const struct role_secrets *secrets;
        const struct kind *const *kinds; /* NULL-terminated */
        struct clock *clock;
        struct cancel *cancel;
        event_sink on_event; /* may be NULL; called from one thread at a time */
        void *event_data;
        unsigned threads; /* 0 = 8 */
        bool delete_data, force_conflicts;
};

struct engine;
int engine_new(const struct engine_options *options, struct engine **ret, struct err **err);
struct engine *engine_free(struct engine *engine);

/* Looks at everything and says what would change. Writes nothing. *ret borrows from the engine. */
int engine_plan(struct engine *engine, struct plan *ret, struct err **err);
int engine_plan_destroy(struct engine *engine, struct plan *ret, struct err **err);

/* Runs a plan made by this engine: takes the journal through it. The caller holds the cluster's lock.
 * -ERR_REFUSED (a step refuses; nothing was touched), -ERR_INVALID (preflight; nothing was touched; all findings in the
 * message, a line each), -ERR_CANCELLED, -ERR_FAILED (what failed, a line each; the rest that could be done is done).
 */
int engine_apply(struct engine *engine, const struct plan *plan, const char *command, struct err **err);

/* Rebuilds a lost journal from what is there (see adopt.c): nothing outside of the journal and lost files is written.
 * The caller holds the cluster's lock. -ERR_REFUSED: the journal knows the cluster already. */
struct adopted {
        size_t count;        /* resources that are as an apply would have left them, or nearly */
        json_t *missing;     /* ids that are wanted and were not found; the next apply makes them */
        json_t *strange;     /* ids that are ours and not wanted any more; the next apply removes them */
        json_t *new_secrets; /* names that were found nowhere and made anew */
};
void adopted_clear(struct adopted *adopted);
#define CLEANUP_ADOPTED __attribute__((cleanup(adopted_clear)))
int engine_adopt(struct engine *engine, struct adopted *ret, struct err **err);

#endif
