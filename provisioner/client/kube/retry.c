/* How long to wait before trying again. */
#include "base/clock.h"
#include "base/random.h"
#include "client/kube/private.h"

#define FIRST_MS 200
#define MOST_MS  8000

int64_t retry_pause(struct retry *retry, int64_t now_ms, int64_t limit_ms, long retry_after, unsigned random)
{
        int64_t pause = FIRST_MS;
        for (int i = 0; i < retry->tries && pause < MOST_MS; i++)
                pause *= 2;
        if (pause > MOST_MS)
                pause = MOST_MS;
        pause = pause / 2 + (int64_t)(random % 1000) * pause / 1000; /* half to one and a half of it */
        int64_t asked = (int64_t)retry_after * 1000;
        if (pause < asked) /* what the server asks for, and no herd at its end */
                pause = asked + (int64_t)(random % 250);
        int64_t left = retry->began_ms + limit_ms - now_ms;
        if (left <= 0 || asked > left)
                return -1;
        retry->tries++;
        return pause < left ? pause : left;
}

int retry_wait(struct kube *kube, struct retry *retry, int64_t limit_ms, long retry_after, struct err **err)
{
        unsigned random;
        random_bytes(&random, sizeof random);
        int64_t pause = retry_pause(retry, kube->clock->monotonic_ms(kube->clock), limit_ms, retry_after, random);
        if (pause < 0)
                return -1;
        if (kube->clock->sleep_ms(kube->clock, pause, kube->cancel) < 0)
                return err_set(err, ERR_CANCELLED, "cancelled");
        return 0;
}
