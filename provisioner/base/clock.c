#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/cancel.h"

static int64_t now(clockid_t id)
{
        struct timespec ts;
        clock_gettime(id, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_monotonic(struct clock *clock)
{
        (void)clock;
        return now(CLOCK_MONOTONIC);
}

static int64_t system_wall(struct clock *clock)
{
        (void)clock;
        return now(CLOCK_REALTIME);
}

static int system_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        int64_t end = system_monotonic(clock) + ms;
        for (;;) {
                int64_t left = end - system_monotonic(clock);
                if (left <= 0)
                        return 0;
                struct pollfd p = {.fd = cancel_fd(cancel), .events = POLLIN};
                int r = poll(&p, 1, left > 1000000 ? 1000000 : (int)left);
                if (r > 0)
                        return -ERR_CANCELLED;
        }
}

struct clock *clock_system(void)
{
        static struct clock system_clock = {system_monotonic, system_wall, system_sleep};
        return &system_clock;
}

const char *clock_format(int64_t wall_ms, char buffer[32])
{
        time_t seconds = (time_t)(wall_ms / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        if (strftime(buffer, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                buffer[0] = '\0';
        return buffer;
}

const char *clock_duration(int64_t ms, char buffer[32])
{
        long long s = ms / 1000;
        if (ms < 1000)
                snprintf(buffer, 32, "%lld ms", (long long)ms);
        else if (s < 60)
                snprintf(buffer, 32, "%.1f s", (double)ms / 1000.0);
        else if (s < 3600)
                snprintf(buffer, 32, "%lld min %02lld s", s / 60, s % 60);
        else if (s < 86400)
                snprintf(buffer, 32, "%lld h %02lld min", s / 3600, s / 60 % 60);
        else
                snprintf(buffer, 32, "%lld d %lld h", s / 86400, s / 3600 % 24);
        return buffer;
}
