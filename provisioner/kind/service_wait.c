#include "kind/service_wait.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/spec.h"

#define POLL_MS      100
#define STEADY_MS    1500 /* without a question to ask: up for so long counts as ready */
#define DEATHS_MAX   3    /* once may be bad luck (an address still in use); three times is a fault */
#define LOG_LINES    15
#define LET_GO_TRIES 20

static const struct spec_field fields[] = {
        {"http", SPEC_TEXT, false},
        {"tcp", SPEC_TEXT, false},
        {"ca", SPEC_STRING, false},
        {"expect", SPEC_WHOLE, false},
        {"contains", SPEC_TEXT, false},
        {NULL, SPEC_ANY, false},
};

struct service_host service_host_of(const struct kind_ctx *ctx)
{
        return (struct service_host){
                .cluster = ctx->cluster, .cluster_dir = ctx->cluster_dir, .clock = ctx->clock, .cancel = ctx->cancel};
}

int service_ready_check(const json_t *spec, struct err **err)
{
        static const char *const targets[] = {"http", "tcp", NULL};
        int result = spec_check(spec, fields, err);
        return result < 0 ? result : spec_check_one_of(spec, targets, err);
}

struct ready service_ready_of(const json_t *spec)
{
        return (struct ready){.http = spec_text(spec, "http", NULL),
                .tcp = spec_text(spec, "tcp", NULL),
                .ca = spec_text(spec, "ca", NULL),
                .expect = (long)spec_whole(spec, "expect", 0),
                .contains = spec_text(spec, "contains", NULL)};
}

struct watch {
        struct kind_ctx *ctx;
        const struct service_driver *driver;
        const struct service_host *host;
        const char *name;
        int64_t begun_wall_ms, begun_ms, up_since_ms;
        struct service_status last;
        int looks, deaths;
};

/* The message ends with what the service itself said. */
static int with_log(const struct watch *w, int code, struct err **err)
{
        CLEANUP_FREE char *log = w->driver->log_tail(w->host, w->name, LOG_LINES, w->begun_wall_ms);
        if (*log)
                err_suffix(err, "the last lines of its log:\n%s", log);
        else
                err_suffix(err, "it wrote nothing to its log");
        return code;
}

/* Counts how often it ended by itself. */
static int look(struct watch *w, struct err **err)
{
        struct service_status now;
        int result = w->driver->status(w->host, w->name, &now, err);
        if (result < 0)
                return result;
        int64_t ms = w->ctx->clock->monotonic_ms(w->ctx->clock);
        bool another = now.incarnation != w->last.incarnation;
        if (w->looks++ > 0) {
                bool ended = w->last.running && !now.running;
                bool missed = another && w->last.running == now.running; /* too quick to be seen */
                w->deaths += ended || missed;
        }
        if (!w->last.running || another)
                w->up_since_ms = ms;
        w->last = now;
        if (!now.failed && w->deaths < DEATHS_MAX)
                return 0;
        char took[32];
        result = err_set(err, ERR_FAILED, "service %s keeps ending instead of running (%d times within %s)", w->name,
                w->deaths, clock_duration(ms - w->begun_ms, took));
        return with_log(w, result, err);
}

static int too_late(const struct watch *w, const struct ready *ready, double seconds, struct err *why, struct err **err)
{
        int result;
        if (!w->last.running)
                result = err_set(err, ERR_TIMEOUT, "service %s does not run after %.0f s", w->name, seconds);
        else
                result = err_set(err, ERR_TIMEOUT, "service %s does not answer at %s after %.0f s (%s)", w->name,
                        ready_target(ready), seconds, why ? why->message : "no answer");
        return with_log(w, result, err);
}

static bool answers(const struct watch *w, const struct ready *ready, struct http_client *client, struct err **why)
{
        if (!w->last.running)
                return false;
        if (!ready_target(ready))
                return w->ctx->clock->monotonic_ms(w->ctx->clock) - w->up_since_ms >= STEADY_MS;
        return ready_ask(ready, client, w->ctx->cancel, why) == 0;
}

int service_wait_ready(struct kind_ctx *ctx, const struct service_driver *driver, const struct service_host *host,
        const char *name, const json_t *spec, double seconds, int64_t begun_wall_ms, struct err **err)
{
        struct ready ready = service_ready_of(spec);
        CLEANUP_HTTP struct http_client *client = ready_client(&ready, ctx->cancel);
        int64_t begun = ctx->clock->monotonic_ms(ctx->clock), told = begun;
        struct watch w = {.ctx = ctx,
                .driver = driver,
                .host = host,
                .name = name,
                .begun_wall_ms = begun_wall_ms,
                .begun_ms = begun,
                .up_since_ms = begun};
        for (;;) {
                CLEANUP_ERR struct err *why = NULL;
                int result = look(&w, err);
                if (result < 0)
                        return result;
                if (answers(&w, &ready, client, &why))
                        return 0;
                int64_t now = ctx->clock->monotonic_ms(ctx->clock);
                if ((double)(now - begun) > seconds * 1000)
                        return too_late(&w, &ready, seconds, why, err);
                if (now - told >= 1000) {
                        char waited[32];
                        told = now;
                        kind_progress(ctx, "waiting for %s%s%s (%s)", name, ready_target(&ready) ? " at " : "",
                                ready_target(&ready) ? ready_target(&ready) : "", clock_duration(now - begun, waited));
                }
                result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
}

int service_check_place(const struct service_host *host, const char *name, const json_t *spec, struct err **err)
{
        struct ready ready = service_ready_of(spec);
        CLEANUP_HTTP struct http_client *client = ready_client(&ready, host->cancel);
        for (int i = 0; ready_target(&ready); i++) {
                int result = ready_ask(&ready, client, host->cancel, NULL);
                if (result == -ERR_CANCELLED)
                        return cancel_check(host->cancel, 2, err);
                if (result < 0)
                        return 0;
                if (i == LET_GO_TRIES)
                        return err_set(err, ERR_BUSY,
                                "another program answers at %s, where service %s is to listen: end that one first",
                                ready_target(&ready), name);
                result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
        return 0;
}
