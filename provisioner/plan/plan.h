/* The plan: desired against recorded against observed, as a graph of steps. Pure. */
#ifndef CAAS_PLAN_PLAN_H
#define CAAS_PLAN_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "plan/change.h"
#include "role/resource.h"

struct plan_step {
        struct resource resource; /* outputs put in as far as they are known; owned */
        struct change change;
        struct recorded recorded; /* borrowed from the input; kind NULL = not recorded */
        const json_t *state;      /* borrowed; NULL = not there, or not looked at */
        size_t *after;            /* steps that have to be done before this one; owned */
        size_t after_count;
};
struct plan {
        struct plan_step *step; /* removals included; an order in which they could be run one by one */
        size_t count;
        size_t create, update, replace, remove, refuse; /* how many of each */
        size_t drift; /* steps of things that are not as the last apply had left them */
};
void plan_clear(struct plan *plan);
#define CLEANUP_PLAN __attribute__((cleanup(plan_clear)))

struct plan_known {
        const char *id;           /* of a resource */
        struct recorded recorded; /* kind NULL = not recorded */
        char **needs;             /* as recorded; for removals. May be NULL */
        const json_t *state;      /* observed */
        const char *unseen;       /* why it could not be looked at (a server that is down); NULL = it was */
};

/* The comparison of the resource's kind; fills *ret (cleared by the plan). Pure. */
typedef int (*plan_compare)(void *data, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err);

/* desired: with ${role/resource.output} still in it. known: one entry for each resource that is recorded or observed.
 * Recorded ones that are not desired become removals, in the reverse order of their needs.
 * -ERR_INVALID: a need or an output of a resource that does not exist, a circle (said by its ids), an id twice. */
int plan_make(const struct resources *desired, const struct plan_known *known, size_t known_count, plan_compare compare,
        void *data, struct plan *ret, struct err **err);

/* Counts the actions anew, after somebody put a step's change right. */
void plan_count(struct plan *plan);

/* Everything is removed (destroy). */
int plan_make_removal(const struct plan_known *known, size_t known_count, struct plan *ret, struct err **err);

/* Puts the outputs into what is left of the placeholders of a resource's spec. outputs: {"hub/ports": {"api": 8001}}.
 * What is missing stays an $after marker. Used by the engine when outputs become known. New reference. */
int plan_fill(const json_t *spec, const json_t *outputs, json_t **ret_spec, struct err **err);

/* The same, but what is missing stays the placeholder that it is, for another pass. */
int plan_fill_known(const json_t *spec, const json_t *outputs, json_t **ret_spec, struct err **err);

/* What changes, field by field; of what is made, all of it. As diff_trees, with nothing secret; new reference, NULL =
 * none. */
json_t *plan_step_fields(const struct plan_step *step);

/* {"steps": [{"id","kind","action","reason","fields","notice"}], "summary": {…}}; steps without change, and the fields
 * of what is made, only if all. New reference. */
json_t *plan_to_json(const struct plan *plan, bool all);

#endif
