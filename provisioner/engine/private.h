/* What the files of the engine share. */
#ifndef CAAS_ENGINE_PRIVATE_H
#define CAAS_ENGINE_PRIVATE_H

#include <pthread.h>

#include "engine/engine.h"

/* One resource that is wanted, recorded, or both. */
struct item {
        const char *id;
        const struct kind *kind;                 /* of the wanted one; of the recorded one if it is not wanted */
        const struct resource *desired;          /* NULL = not wanted any more */
        const struct journal_resource *recorded; /* NULL = not recorded */
        json_t *look_spec; /* observed by this; NULL = its outputs are not known yet: not looked at */
        json_t *state;     /* what was seen */
        struct err *err;   /* why it could not be looked at */
};

struct engine {
        struct engine_options o;
        struct kind_ctx ctx; /* what kinds see; each step has its own copy with its id */
        char *cluster_dir;
        struct resources desired; /* copies, with the versions of the secrets in them */
        struct journal_resources recorded;
        json_t *secret_versions; /* as they will be after this run */
        json_t *new_secrets;     /* name -> value: made or read, and not in the journal yet */
        struct item *item;
        json_t *index; /* id -> number of the item */
        struct plan_known *known;
        size_t count;
        const char *changed_by; /* why desired things are not what they were: "form", "version" … */
        pthread_mutex_t event_mutex;
};

/* What a kind's callbacks see of the engine. */
struct call {
        struct engine *engine;
        const char *id, *kind;
};
/* A context for one call into a kind. */
struct kind_ctx engine_ctx(struct call *call);

/* Puts the cluster and its new secrets into the journal and begins a run there, in one transaction. plan: what it is
 * going to do, or NULL. */
int engine_begin(
        struct engine *engine, const char *command, const struct plan *plan, int64_t *ret_run, struct err **err);
/* Its end, likewise. result, why: how it went. */
int engine_end(struct engine *engine, int64_t run, int result, const struct err *why, struct err **err);

void engine_event(struct engine *engine, const struct event *event);

/* secrets.c: what the roles want and the journal does not have; versions into the markers. */
int engine_prepare_secrets(struct engine *engine, struct err **err);
int engine_store_secrets(struct engine *engine, struct err **err);
int engine_resolve(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err);

/* observe.c */
int engine_observe(struct engine *engine, struct err **err);
const struct kind *engine_kind(const struct engine *engine, const char *name);
const struct resource *engine_desired(const struct engine *engine, const char *id); /* NULL = not wanted */
struct recorded engine_recorded(const struct journal_resource *resource);

/* pool.c: calls work(data, i) for i in 0..count-1 from several threads; returns when all are done. */
void pool_each(unsigned threads, size_t count, void (*work)(void *data, size_t i), void *data);

/* run.c */
int engine_run(struct engine *engine, const struct plan *plan, int64_t run, struct err **err);

/* compare.c: the kind's comparison, with the rules that hold for every kind. */
int engine_compare(void *engine, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err);

/* Why it is done, as the journal has it; NULL = nothing is known. Borrows from both. */
const char *engine_reason(const struct engine *engine, const struct change *change);
/* What is not as it was at the last apply that succeeded; for engine_new. */
const char *engine_changed_by(const struct engine_options *options);

#endif
