/* What every kind of resource offers. A kind is stateless; what it needs comes with each call.
 *
 * All functions may be called from several threads at once, for different resources. `spec` arrives with every output
 * already put in; secrets are still markers and are resolved by kind_resolve(), in apply and observe only. */
#ifndef CAAS_KIND_KIND_H
#define CAAS_KIND_KIND_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "plan/change.h"
#include "role/resource.h"

struct kube_link;

struct kind_ctx {
        const char *cluster;
        const json_t *target;    /* the form's block about its target ("kubernetes"); NULL = none. Borrowed */
        struct kube_link *kube;  /* the API server that it names (kind/kube_server.h); NULL = none */
        const char *state_dir;   /* "/var/lib/caas" */
        const char *cluster_dir; /* "/var/lib/caas/clusters/demo" */
        const char *cache_dir;   /* downloads; may be emptied at any time */
        const char *data_dir;    /* where roles/ and templates/ are */
        struct cancel *cancel;   /* hand it to proc_run and to waits */
        struct clock *clock;
        bool delete_data;     /* `destroy --delete-data` */
        bool force_conflicts; /* `apply --force-conflicts`: fields that others set on our objects become ours */
        void *engine;         /* the functions below use it */
        int (*resolve)(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err);
        void (*progress)(struct kind_ctx *ctx, const char *text);
};

/* A copy of spec with every secret in it; the caller frees it with kind_forget(). -ERR_NOT_FOUND for an unknown secret.
 */
int kind_resolve(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err);
void kind_forget(json_t *resolved); /* wipes the strings, then frees. Accepts NULL */
static inline void kind_forget_cleanup(json_t **resolved)
{
        kind_forget(*resolved);
}
#define CLEANUP_FORGET __attribute__((cleanup(kind_forget_cleanup)))

/* Says what is being waited for: "waiting for https://… (12 s)". Shown live, not kept. */
void kind_progress(struct kind_ctx *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct kind {
        const char *name; /* "host.service", "ldap.group" … */
        const char *lock; /* resources with the same lock never run at once ("apt"), or NULL */
        int retries;      /* how often apply is tried again after UNREACHABLE, TIMEOUT or BUSY; 0 = not */
        bool far; /* looking takes longer than elsewhere: it is begun first, so that the rest goes on beside it */

        /* Of what is ready at once, the lower goes first. Pure. Called with markers in spec. NULL = 0. */
        int (*turn)(const json_t *spec);

        /* Is spec of the right form? Pure. Called with markers in it. NULL = anything goes. */
        int (*check)(const json_t *spec, struct err **err);

        /* What is there: *ret_state is NULL for "not there", else a small tree of what can drift (digests, modes,
         * sizes, "running": true), without secrets and without what changes by itself (pids, times). */
        int (*observe)(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err);

        /* Pure. NULL = the common rule (plan/change.h). recorded is NULL when the journal does not know the resource;
         * state is NULL when it is not there. */
        int (*compare)(const struct resource *r, const struct recorded *recorded, const json_t *state,
                struct change *ret_change, struct err **err);

        /* What an update or replacement would do, asked of those who know (the server's own dry run): puts *change
         * right, its fields above all; it may also make it a replacement or a refusal, or nothing. Called while
         * planning, after compare. What is not known yet are markers in r->spec. Changes nothing. NULL = what compare
         * says stands. */
        int (*preview)(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded,
                const json_t *state, struct change *change, struct err **err);

        /* Everything that can be found wrong before the first change of a run: a port in use, a wrong password. Changes
         * nothing. Called for resources that will be created, updated or replaced and whose outputs are all known.
         * NULL = nothing to look at. */
        int (*preflight)(
                struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err);

        /* Idempotent: run twice, or again after being killed anywhere inside, it ends in the same place. state is what
         * observe said. *ret_outputs (an object, or NULL for none) feeds later resources as ${id.name}.
         * recorded as for compare: an update may want to know how it was. */
        int (*apply)(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded,
                const json_t *state, json_t **ret_outputs, struct err **err);

        /* Idempotent. r->spec is the recorded one. Never touches what somebody else made; keeps user data unless
         * ctx->delete_data. A thing kept on purpose is said in *ret_kept (a sentence with its path; NULL = nothing
         * kept). */
        int (*remove)(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
                struct err **err);

        /* After the journal was lost: is it there, and was it made by this cluster? Then its state and outputs, as an
         * apply would have left them; *ret_state stays NULL if not. Changes nothing. NULL = it cannot be told: the next
         * apply looks. */
        int (*adopt)(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs,
                struct err **err);
};

#endif
