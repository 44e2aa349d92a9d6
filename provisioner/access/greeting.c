#include "access/greeting.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct greeting {
        struct kube_link *link;
        pthread_t thread;
        bool threaded; /* otherwise nothing could be started, and nobody is greeted */
};

static void *greet(void *link)
{
        kube_link_greet(link);
        return NULL;
}

struct greeting *greeting_begin(const json_t *target, struct cancel *cancel)
{
        if (!target)
                return NULL;
        struct greeting *greeting = mem_zero(sizeof *greeting);
        greeting->link = kube_link_new(target, cancel);
        greeting->threaded = pthread_create(&greeting->thread, NULL, greet, greeting->link) == 0;
        return greeting;
}

struct kube_link *greeting_end(struct greeting *greeting, const json_t *target, struct cancel *cancel)
{
        struct kube_link *link = greeting ? greeting->link : NULL;
        if (greeting && greeting->threaded)
                pthread_join(greeting->thread, NULL);
        free(greeting);
        if (target && kube_link_leads(link, target))
                return link;
        kube_link_free(link);
        return target ? kube_link_new(target, cancel) : NULL;
}
