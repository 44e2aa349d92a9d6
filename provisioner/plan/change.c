#include "plan/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tree/diff.h"
#include "tree/digest.h"

const char *action_name(enum action action)
{
        static const char *const names[] = {"none", "create", "update", "replace", "remove", "refuse"};
        return names[action];
}

void change_clear(struct change *change)
{
        free(change->reason);
        json_decref(change->fields);
        free(change->notice);
        *change = (struct change){0};
}

static bool same_state(const json_t *a, const json_t *b)
{
        return a && b && json_equal(a, b);
}

void change_default(const struct resource *r, const struct recorded *recorded, const json_t *state, struct change *ret)
{
        *ret = (struct change){.drift = recorded && recorded->complete && !same_state(recorded->state, state)};
        if (!state) {
                ret->action = ACTION_CREATE;
                ret->reason = recorded && recorded->complete ? str_copy("missing") : NULL;
                return;
        }
        if (!recorded) {
                ret->action = ACTION_UPDATE;
                ret->reason = str_copy("there already");
                return;
        }
        if (!str_is(recorded->kind, r->kind)) {
                ret->action = ACTION_REPLACE;
                ret->reason = str_copy("another kind");
                return;
        }
        char digest[DIGEST_SIZE];
        digest_tree(r->spec, digest);
        const char *reason = NULL;
        if (!recorded->complete)
                reason = "interrupted";
        else if (!str_is(digest, recorded->digest))
                reason = "changed";
        else if (!same_state(recorded->state, state))
                reason = "drift";
        ret->action = reason ? ACTION_UPDATE : ACTION_NONE;
        ret->reason = reason ? str_copy(reason) : NULL;
}
