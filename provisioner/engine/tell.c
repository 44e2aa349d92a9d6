#include "engine/tell.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"

#define GATHER_NS 10000000 /* nobody sees so short a delay */

struct news {
        size_t step;
        struct event event;
        char *text, *kept;
};

struct teller {
        struct engine *engine;
        void (*lost)(void *data, size_t step, const struct err *why);
        void *data;
        pthread_t thread;
        bool threaded; /* otherwise nothing could be started, and who adds something tells it */
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool ending;
        struct news *news;
        size_t count, capacity;
};

static void tell_one(struct teller *teller, struct news *news, const struct err *why)
{
        news->event.text = news->text;
        if (why && news->event.type == EVENT_STEP_DONE) {
                teller->lost(teller->data, news->step, why);
                news->event.type = EVENT_STEP_FAILED;
                news->event.text = why->message;
        }
        engine_event(teller->engine, &news->event);
        if (!why && news->kept)
                engine_event(teller->engine, &(struct event){.type = EVENT_KEPT,
                                                     .id = news->event.id,
                                                     .kind = news->event.kind,
                                                     .text = news->kept});
        free(news->text);
        free(news->kept);
}

/* With the mutex held, which is let go of meanwhile. */
static void tell_all(struct teller *teller)
{
        struct news *news = teller->news;
        size_t count = teller->count;
        teller->news = NULL;
        teller->count = teller->capacity = 0;
        pthread_mutex_unlock(&teller->mutex);
        CLEANUP_ERR struct err *err = NULL;
        bool safe = journal_sync(teller->engine->o.journal, &err) == 0;
        for (size_t i = 0; i < count; i++)
                tell_one(teller, &news[i], safe ? NULL : err);
        free(news);
        pthread_mutex_lock(&teller->mutex);
}

/* With the mutex held. A sync costs the same for one outcome and for all that end within a moment. */
static void gather(struct teller *teller)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += GATHER_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!teller->ending && pthread_cond_timedwait(&teller->changed, &teller->mutex, &until) == 0)
                ;
}

static void *run(void *data)
{
        struct teller *teller = data;
        pthread_mutex_lock(&teller->mutex);
        while (teller->count || !teller->ending) {
                if (teller->count) {
                        gather(teller);
                        tell_all(teller);
                } else {
                        pthread_cond_wait(&teller->changed, &teller->mutex);
                }
        }
        pthread_mutex_unlock(&teller->mutex);
        return NULL;
}

struct teller *teller_new(
        struct engine *engine, void (*lost)(void *data, size_t step, const struct err *why), void *data)
{
        struct teller *teller = mem_zero(sizeof *teller);
        teller->engine = engine;
        teller->lost = lost;
        teller->data = data;
        pthread_mutex_init(&teller->mutex, NULL);
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&teller->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        teller->threaded = pthread_create(&teller->thread, NULL, run, teller) == 0;
        return teller;
}

void teller_add(struct teller *teller, size_t step, const struct event *event, const char *kept)
{
        pthread_mutex_lock(&teller->mutex);
        MEM_GROW(teller->news, teller->count, teller->capacity);
        teller->news[teller->count++] = (struct news){.step = step,
                .event = *event,
                .text = event->text ? str_copy(event->text) : NULL,
                .kept = kept ? str_copy(kept) : NULL};
        if (teller->threaded)
                pthread_cond_signal(&teller->changed);
        else
                tell_all(teller);
        pthread_mutex_unlock(&teller->mutex);
}

struct teller *teller_end(struct teller *teller)
{
        pthread_mutex_lock(&teller->mutex);
        teller->ending = true;
        pthread_cond_signal(&teller->changed);
        pthread_mutex_unlock(&teller->mutex);
        if (teller->threaded)
                pthread_join(teller->thread, NULL);
        pthread_mutex_destroy(&teller->mutex);
        pthread_cond_destroy(&teller->changed);
        free(teller->news);
        free(teller);
        return NULL;
}
