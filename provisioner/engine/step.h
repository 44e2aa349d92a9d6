/* One step of a run, in the parts between which the journal is written. */
#ifndef CAAS_ENGINE_STEP_H
#define CAAS_ENGINE_STEP_H

#include "engine/private.h"

struct step_work {
        const struct plan_step *step; /* borrowed */
        struct resource r;            /* as it will be; its spec is owned, the rest is the step's */
        struct change change;         /* as the last look has it; ACTION_NONE: nothing has to be done */
        json_t *state, *outputs;
        char *kept;        /* what a removal left on purpose, or NULL */
        int64_t looked_ms; /* monotonic */
        int64_t began_ms;  /* wall clock: when it was carried out */
};
struct step_work *step_work_free(struct step_work *work);

/* Looks and compares again, with the outputs that are known by now in spec (NULL for a removal, which is not looked
 * at). Changes nothing. */
int step_prepare(struct engine *engine, const struct plan_step *step, const json_t *spec, struct step_work **ret,
        struct err **err);

/* Everything between the intent, which must be on the disk, and the outcome. */
int step_carry_out(struct engine *engine, struct step_work *work, struct err **err);

/* The outcome of a step that succeeded, into the journal's log. */
int step_write_outcome(struct engine *engine, int64_t run, const struct step_work *work, struct err **err);

struct journal_intent step_intent(const struct engine *engine, const struct step_work *work);

/* May its intent be written long before it is carried out? Not if something else has to be finished first: then what
 * may be there is known from the last run alone. */
bool step_goes_ahead(const struct engine *engine, const struct plan_step *step);

#endif
