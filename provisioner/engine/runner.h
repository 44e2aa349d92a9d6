/* A run under way, for the files that carry it out. */
#ifndef CAAS_ENGINE_RUNNER_H
#define CAAS_ENGINE_RUNNER_H

#include "engine/private.h"
#include "engine/step.h"
#include "engine/tell.h"

enum step_state { STEP_WAITING, STEP_RUNNING, STEP_DONE, STEP_FAILED, STEP_SKIPPED };

/* Numbers of steps, the first in first out; of those that are ready, the one whose turn it is. */
struct queue {
        size_t *item, count;
};

struct runner {
        /* What never changes. */
        struct engine *engine;
        const struct plan *plan;
        int64_t run;
        pthread_mutex_t mutex; /* of what follows, but for the work and the fault of a step that a thread is at */
        pthread_cond_t changed;
        enum step_state *state;
        int *turn;        /* per step: that of its kind */
        size_t *open;     /* per step: needs that are not done yet */
        size_t **waiters; /* per step: who waits for it */
        size_t *waiter_count;
        struct step_work **work; /* per step: from prepared to its end */
        /* What is ready: without change; what goes through all of it alone (whose lock is taken is passed over); the
         * rest. */
        struct queue idle, alone, ready;
        struct queue prepared, intended;
        size_t preparing;
        bool looking_ahead; /* until there are enough */
        bool writing;       /* a thread writes the intents of what is prepared */
        size_t applies_left, left, running, done, total;
        bool failed;
        json_t *outputs;    /* of everything that is as it should be */
        json_t *locks;      /* names held now */
        struct err **fault; /* per step */
        struct teller *teller;
};

/* ---- runner_step.c: one step, told of at its end; without the mutex ---- */

/* Whether there is something to do. Otherwise it has ended, and *ret_result is negative if it failed. */
bool runner_prepare(struct runner *run, size_t i, int *ret_result);
/* All of them or none. */
int runner_write_intents(struct runner *run, const size_t *which, size_t count, struct err **err);
/* After the intent. why: it could not be written, so nothing is done; or NULL. */
int runner_carry_out(struct runner *run, size_t i, const struct err *why);
/* The same some time after the intent: what was looked at too long ago is looked at again, with a new intent. */
int runner_carry_out_late(struct runner *run, size_t i);
/* All of it without a pause. */
int runner_whole(struct runner *run, size_t i);

#endif
