/* Connections that are kept for later, for all threads: those that are asked over, in HTTP/2, and those that something
 * is sent over, in HTTP/1.1. Each carries one request at a time, so a sender gains nothing by HTTP/2, and it costs the
 * server more (docs/BENCH.md). */
#include "base/mem.h"
#include "client/kube/private.h"

/* A further connection costs a server nearby more than several requests, and us a third of a megabyte. */
#define PATIENCE_MS 25

void kube_pools_open(struct kube *kube)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&kube->asking.given, &monotonic);
        pthread_cond_init(&kube->sending.given, &monotonic);
        pthread_condattr_destroy(&monotonic);
        pthread_mutex_init(&kube->pool_lock, NULL);
        kube->patience_ms = PATIENCE_MS;
}

static void close_pool(struct kube_pool *pool)
{
        while (pool->idle_count)
                http_client_free(pool->idle[--pool->idle_count].client);
        pthread_cond_destroy(&pool->given);
}

void kube_pools_close(struct kube *kube)
{
        close_pool(&kube->asking);
        close_pool(&kube->sending);
        pthread_mutex_destroy(&kube->pool_lock);
}

/* These three with the lock held. */

/* Who sends before anybody else does has what was asked over a moment ago: one more is not worth it for that. */
static struct kube_pool *pool_for(struct kube *kube, const struct kube_request *request)
{
        bool other = kube->sending.open == 0 && kube->asking.idle_count > 0;
        return request->body && !other ? &kube->sending : &kube->asking;
}

static void wait_for_one(struct kube *kube, struct kube_pool *pool)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)kube->patience_ms * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int r = 0;
        while (r == 0 && pool->idle_count == 0 && pool->busy >= KUBE_FEW)
                r = pthread_cond_timedwait(&pool->given, &kube->pool_lock, &until);
}

static struct http_client *take_idle(struct kube_pool *pool, unsigned generation)
{
        while (pool->idle_count > 0) {
                struct idle *last = &pool->idle[--pool->idle_count]; /* the warmest */
                if (last->generation == generation)
                        return last->client;
                http_client_free(last->client);
                pool->open--;
        }
        return NULL;
}

void kube_pool_take(
        struct kube *kube, const struct kube_request *request, unsigned generation, struct kube_connection *ret)
{
        pthread_mutex_lock(&kube->pool_lock);
        struct kube_pool *pool = pool_for(kube, request);
        if (!request->stream) { /* a stream keeps it for long */
                wait_for_one(kube, pool);
                pool->busy++;
        }
        struct http_client *client = take_idle(pool, generation);
        pool->open += !client;
        pthread_mutex_unlock(&kube->pool_lock);
        if (!client) {
                struct http_options options;
                kube_http_options(kube, &options);
                options.http2 = pool == &kube->asking;
                client = http_client_new(&options);
                kube_http_options_done(kube);
        }
        *ret = (struct kube_connection){client, pool, generation, request->stream};
}

void kube_pool_give(struct kube *kube, struct kube_connection *connection)
{
        struct kube_pool *pool = connection->pool;
        pthread_mutex_lock(&kube->pool_lock);
        pool->busy -= !connection->stream;
        if (pool->idle_count < KUBE_IDLE_MAX) {
                pool->idle[pool->idle_count++] = (struct idle){connection->client, connection->generation};
                connection->client = NULL;
        }
        pool->open -= connection->client != NULL;
        pthread_cond_signal(&pool->given);
        pthread_mutex_unlock(&kube->pool_lock);
        http_client_free(connection->client);
}
