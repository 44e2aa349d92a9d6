/* host.probe: waits until an address answers as it should. It changes nothing and leaves nothing. */
#include "base/mem.h"
#include "client/service/ready.h"
#include "client/service/service.h"
#include "kind/kind.h"
#include "kind/nothing.h"
#include "kind/service_wait.h"
#include "kind/spec.h"

#define SECONDS 60
#define POLL_MS 250

static const struct spec_field fields[] = {
        {"http", SPEC_TEXT, false},
        {"tcp", SPEC_TEXT, false},
        {"ca", SPEC_STRING, false},
        {"expect", SPEC_WHOLE, false},
        {"contains", SPEC_TEXT, false},
        {"seconds", SPEC_NUMBER, false},
        {"revision", SPEC_ANY, false}, /* asks again when it changes */
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        static const char *const targets[] = {"http", "tcp", NULL};
        int result = spec_check(spec, fields, err);
        return result < 0 ? result : spec_check_one_of(spec, targets, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state, (void)ret_outputs;
        struct service_host host = service_host_of(ctx);
        struct ready ready = service_ready_of(r->spec);
        CLEANUP_HTTP struct http_client *client = ready_client(&ready, ctx->cancel);
        double seconds = spec_number(r->spec, "seconds", SECONDS);
        int64_t begun = ctx->clock->monotonic_ms(ctx->clock), told = begun;
        for (;;) {
                struct err *why = NULL;
                int result = ready_ask(&ready, client, ctx->cancel, &why);
                int64_t now = ctx->clock->monotonic_ms(ctx->clock);
                if (result < 0 && (result == -ERR_CANCELLED || (double)(now - begun) > seconds * 1000)) {
                        err_prefix(&why, "%s did not answer within %.0f s", ready_target(&ready), seconds);
                        if (err)
                                *err = STEAL(why);
                        err_free(why);
                        return result;
                }
                err_free(why);
                if (result == 0)
                        return 0;
                if (now - told >= 1000) {
                        char waited[32];
                        told = now;
                        kind_progress(
                                ctx, "waiting for %s (%s)", ready_target(&ready), clock_duration(now - begun, waited));
                }
                result = service_pause(&host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
}

extern const struct kind kind_host_probe;
const struct kind kind_host_probe = {
        .name = "host.probe",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .apply = apply,
        .remove = nothing_remove,
};
