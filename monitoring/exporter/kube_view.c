#include "exporter/kube_view.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "exporter/source.h"

struct counted {
        struct kube_view view; /* the first member: what is handed out is this */
        atomic_int references;
};

static pthread_mutex_t last_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kube_view *last;
static int64_t last_ms;

struct kube_view *kube_view_new(void)
{
        struct counted *counted = mem_zero(sizeof *counted);
        atomic_init(&counted->references, 1);
        return &counted->view;
}

struct kube_view *kube_view_unref(struct kube_view *view)
{
        struct counted *counted = (struct counted *)view;
        if (!view || atomic_fetch_sub(&counted->references, 1) != 1)
                return NULL;
        for (size_t i = 0; i < view->pods; i++) {
                free(view->pod[i].name);
                free(view->pod[i].node);
                free(view->pod[i].user);
        }
        for (size_t i = 0; i < view->claims; i++) {
                free(view->claim[i].name);
                free(view->claim[i].user);
        }
        for (size_t i = 0; i < view->nodes; i++) {
                free(view->node[i].name);
                free(view->node[i].url);
        }
        for (size_t i = 0; i < view->kills; i++) {
                free(view->kill[i].name);
                free(view->kill[i].user);
        }
        for (size_t i = 0; i < view->targets; i++) {
                free(view->target[i].node);
                free(view->target[i].address);
        }
        free(view->pod);
        free(view->claim);
        free(view->node);
        free(view->kill);
        free(view->target);
        free(counted);
        return NULL;
}

/* Each of them begins with its name. */
static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void kube_view_sort(struct kube_view *view)
{
        if (view->pods)
                qsort(view->pod, view->pods, sizeof *view->pod, by_name);
        if (view->claims)
                qsort(view->claim, view->claims, sizeof *view->claim, by_name);
        if (view->nodes)
                qsort(view->node, view->nodes, sizeof *view->node, by_name);
}

const struct view_pod *kube_view_pod(const struct kube_view *view, const char *name)
{
        return view->pods ? bsearch(&name, view->pod, view->pods, sizeof *view->pod, by_name) : NULL;
}

const struct view_claim *kube_view_claim(const struct kube_view *view, const char *name)
{
        return view->claims ? bsearch(&name, view->claim, view->claims, sizeof *view->claim, by_name) : NULL;
}

void kube_view_publish(struct kube_view *view)
{
        pthread_mutex_lock(&last_mutex);
        struct kube_view *old = last;
        last = view;
        last_ms = clock_system()->monotonic_ms(clock_system());
        pthread_mutex_unlock(&last_mutex);
        kube_view_unref(old);
}

struct kube_view *kube_view_last(const struct config *config)
{
        int64_t now = clock_system()->monotonic_ms(clock_system());
        pthread_mutex_lock(&last_mutex);
        bool known = last && now - last_ms <= (int64_t)SOURCE_STALE * config->refresh_ms + config->timeout_ms;
        if (known)
                atomic_fetch_add(&((struct counted *)last)->references, 1);
        struct kube_view *view = known ? last : NULL;
        pthread_mutex_unlock(&last_mutex);
        return view;
}
