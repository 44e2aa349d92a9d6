/* Connections that are kept for later, for all threads: those that are asked over, in HTTP/2, and those that something
 * is sent over, in HTTP/1.1. Each carries one request at a time, so a sender gains nothing by HTTP/2, and large bodies
 * cost the server more in its frames of 16 kB: a first install a quarter more of its processor (docs/BENCH.md). */
#include "base/mem.h"
#include "client/kube/private.h"

/* A further connection costs a server nearby more than several requests, and us a third of a megabyte. */
#define PATIENCE_MS 25

static struct kube_pool *pool_of(struct kube *kube, const struct kube_request *request)
{
        return request->body ? &kube->sending : &kube->asking;
}

void kube_pools_open(struct kube *kube)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        struct kube_pool *both[] = {&kube->asking, &kube->sending};
        for (size_t i = 0; i < 2; i++) {
                pthread_mutex_init(&both[i]->lock, NULL);
                pthread_cond_init(&both[i]->given, &monotonic);
        }
        pthread_condattr_destroy(&monotonic);
        kube->patience_ms = PATIENCE_MS;
}

void kube_pools_close(struct kube *kube)
{
        struct kube_pool *both[] = {&kube->asking, &kube->sending};
        for (size_t i = 0; i < 2; i++) {
                while (both[i]->idle_count)
                        http_client_free(both[i]->idle[--both[i]->idle_count].client);
                pthread_cond_destroy(&both[i]->given);
                pthread_mutex_destroy(&both[i]->lock);
        }
}

/* With the lock held. */
static void wait_for_one(struct kube_pool *pool, int patience_ms)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)patience_ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int r = 0;
        while (r == 0 && pool->idle_count == 0 && pool->busy >= KUBE_FEW)
                r = pthread_cond_timedwait(&pool->given, &pool->lock, &until);
}

struct http_client *kube_pool_take(struct kube *kube, const struct kube_request *request, unsigned generation)
{
        struct kube_pool *pool = pool_of(kube, request);
        struct http_client *client = NULL;
        pthread_mutex_lock(&pool->lock);
        if (!request->stream) { /* a stream keeps it for long */
                wait_for_one(pool, kube->patience_ms);
                pool->busy++;
        }
        while (!client && pool->idle_count > 0) {
                struct idle *last = &pool->idle[--pool->idle_count]; /* the warmest */
                if (last->generation == generation)
                        client = last->client;
                else
                        http_client_free(last->client);
        }
        pthread_mutex_unlock(&pool->lock);
        if (client)
                return client;
        struct http_options options;
        kube_http_options(kube, &options);
        options.http2 = pool == &kube->asking;
        client = http_client_new(&options);
        kube_http_options_done(kube);
        return client;
}

void kube_pool_give(
        struct kube *kube, const struct kube_request *request, struct http_client *client, unsigned generation)
{
        struct kube_pool *pool = pool_of(kube, request);
        pthread_mutex_lock(&pool->lock);
        pool->busy -= !request->stream;
        if (pool->idle_count < KUBE_IDLE_MAX) {
                pool->idle[pool->idle_count++] = (struct idle){client, generation};
                client = NULL;
        }
        pthread_cond_signal(&pool->given);
        pthread_mutex_unlock(&pool->lock);
        http_client_free(client);
}
