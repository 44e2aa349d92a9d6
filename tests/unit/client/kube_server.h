/* A false API server over TLS that answers as each test says, and a clock that never sleeps. */
#ifndef CAAS_TESTS_KUBE_SERVER_H
#define CAAS_TESTS_KUBE_SERVER_H

#include <signal.h>

#include "client/kube/kube.h"
#include "http_server.h"
#include "kube_files.h"

static struct pki pki;
static struct server *api;

/* The test's own answers; n counts its requests from 0. Discovery is answered before. */
static bool (*scenario)(struct peer *peer, const char *request, int n);
static atomic_int asked;

/* ---- time ---- */

static atomic_llong fake_now;   /* added to the real time */
static atomic_llong fake_slept; /* of this test */

static inline int64_t fake_monotonic(struct clock *clock)
{
        (void)clock;
        return clock_system()->monotonic_ms(clock_system()) + fake_now;
}
static inline int64_t fake_wall(struct clock *clock)
{
        (void)clock;
        return clock_system()->wall_ms(clock_system()) + fake_now;
}
static inline int fake_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock;
        if (cancel_level(cancel))
                return -ERR_CANCELLED;
        fake_now += ms;
        fake_slept += ms;
        return 0;
}
static struct clock fake_clock = {fake_monotonic, fake_wall, fake_sleep};

/* ---- answers ---- */

static inline bool ok(struct peer *peer, const char *body)
{
        return answer(peer, "200 OK", "", body);
}

static inline bool refuse_with(
        struct peer *peer, const char *status, const char *extra, const char *reason, const char *message)
{
        CLEANUP_FREE char *body =
                str_format("{\"kind\": \"Status\", \"code\": %.3s, \"reason\": \"%s\", \"message\": \"%s\"}", status,
                        reason, message);
        return answer(peer, status, extra, body);
}

static inline bool route(struct peer *peer, const char *request)
{
        static const char core[] = "{\"kind\": \"APIResourceList\", \"resources\": ["
                                   "{\"name\": \"pods\", \"kind\": \"Pod\", \"namespaced\": true},"
                                   "{\"name\": \"pods/log\", \"kind\": \"Pod\", \"namespaced\": true},"
                                   "{\"name\": \"services\", \"kind\": \"Service\", \"namespaced\": true},"
                                   "{\"name\": \"namespaces\", \"kind\": \"Namespace\", \"namespaced\": false}]}";
        if (str_starts(request, "GET /api/v1 "))
                return ok(peer, core);
        if (str_starts(request, "GET /apis/"))
                return refuse_with(peer, "404 Not Found", "", "NotFound", "the server could not find it");
        return scenario(peer, request, asked++);
}

/* ---- the fixture ---- */

static inline int fixture_start(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        pki_make(&pki, "127.0.0.1");
        api = server_start(pki.server_path, pki.server_key_path);
        api->custom = route;
        return 0;
}

static inline int fixture_end(void **state)
{
        (void)state;
        server_stop(api);
        pki_clear(&pki);
        return 0;
}

static inline char *server_url(const struct server *server)
{
        return str_format("https://127.0.0.1:%d", server->port);
}

static inline struct kube *open_with(const char *cluster, const char *user, const struct kube_options *options)
{
        CLEANUP_FREE char *url = server_url(api);
        CLEANUP_FREE char *text = config_text(url, pki.ca, cluster, user);
        CLEANUP_FREE char *path = put(pki.folder, "config", text, 0600);
        struct kube_options all = *options;
        all.kubeconfig = path;
        all.clock = &fake_clock;
        all.timeout_ms = options->timeout_ms ? options->timeout_ms : 5000;
        struct kube *kube = NULL;
        struct err *err = NULL;
        if (kube_open(&all, &kube, &err) < 0)
                fail_msg("%s", err->message);
        fake_slept = 0;
        asked = 0;
        return kube;
}

static inline struct kube *open_token(bool (*answers)(struct peer *peer, const char *request, int n))
{
        scenario = answers;
        return open_with(NULL, "      token: s3cret\n", &(struct kube_options){0});
}

static inline void refuse(int r, int code, struct err **err, const char *first, const char *second)
{
        const char *text = *err ? (*err)->message : "(none)";
        if (r != -code)
                fail_msg("%d instead of %d: %s", r, -code, text);
        if (!strstr(text, first) || !strstr(text, second))
                fail_msg("'%s' or '%s' is not in: %s", first, second, text);
        assert_null(strstr(text, "s3cret"));
        *err = err_free(*err);
}

#define POD(name, version)                                                                                             \
        "{\"metadata\": {\"name\": \"" name "\", \"namespace\": \"hub\", \"uid\": \"u-" name                           \
        "\", \"resourceVersion\": \"" version "\"}}"

static const struct kube_ref pod_a = {.api_version = "v1", .kind = "Pod", .namespace = "hub", .name = "a"};

#endif
