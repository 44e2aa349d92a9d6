/* What has to happen to one resource, and what the journal knows of it. */
#ifndef CAAS_PLAN_CHANGE_H
#define CAAS_PLAN_CHANGE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "role/resource.h"

enum action { ACTION_NONE, ACTION_CREATE, ACTION_UPDATE, ACTION_REPLACE, ACTION_REMOVE, ACTION_REFUSE };
const char *action_name(enum action action); /* "create" … */

/* The journal's word on a resource: how it was applied last. */
struct recorded {
        const char *kind;
        const json_t *spec;    /* with secret markers, outputs put in */
        const char *digest;    /* of spec */
        const json_t *state;   /* what observe said after the last apply; NULL if that apply did not end */
        const json_t *outputs; /* NULL = none */
        bool complete;         /* false: a run was cut off inside it */
        const char *pending_kind;
        const json_t *pending; /* what that run was about to apply, where it differs from spec; NULL = it does not */
};

struct change {
        enum action action;
        char *reason;   /* for REFUSE: why, and what to do instead; otherwise NULL or "drift", "form", … */
        bool drift;     /* what is there is not as the last apply had left it; whatever else has changed */
        json_t *fields; /* array of {"path", "old", "new"}; secrets are already "(secret)" */
        char *notice;   /* what the change means for people: "a running server keeps its size until restarted" */
};
void change_clear(struct change *change);
#define CLEANUP_CHANGE __attribute__((cleanup(change_clear)))

/* The common rule: not there -> create; nothing recorded but there -> update (adopt); other kind -> replace; spec
 * digest differs or state differs from the recorded one or the last apply was cut off -> update; otherwise none. */
void change_default(const struct resource *r, const struct recorded *recorded, const json_t *state, struct change *ret);

#endif
