#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "engine/private.h"

struct pool {
        atomic_size_t next;
        size_t count;
        void (*work)(void *data, size_t i);
        void *data;
};

static void *pool_thread(void *argument)
{
        struct pool *pool = argument;
        for (;;) {
                size_t i = atomic_fetch_add(&pool->next, 1);
                if (i >= pool->count)
                        return NULL;
                pool->work(pool->data, i);
        }
}

void pool_each(unsigned threads, size_t count, void (*work)(void *data, size_t i), void *data)
{
        struct pool pool = {.count = count, .work = work, .data = data};
        CLEANUP_FREE pthread_t *thread = mem_zero_array(threads, sizeof *thread);
        unsigned started = 0;
        while (started + 1 < threads && started + 1 < count &&
                pthread_create(&thread[started], NULL, pool_thread, &pool) == 0)
                started++;
        pool_thread(&pool); /* this thread works, too: so it goes on even where no thread can be had */
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
}
