#include "kind/ldap_server.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_server.h"

#define AGAIN_MS       10000 /* from the first try on */
#define PAUSE_FIRST_MS 200
#define PAUSE_MOST_MS  1000

static const struct spec_field fields[] = {
        {"uri", SPEC_TEXT, true},
        {"ca", SPEC_STRING, false},
        {"bind_dn", SPEC_TEXT, true},
        {"password", SPEC_ANY, true},
        {"embedded", SPEC_BOOL, false},
        {"forward", SPEC_OBJECT, false},
        {0},
};

static const struct spec_field forward_fields[] = {
        {"service", SPEC_TEXT, true},
        {"port", SPEC_WHOLE, true},
        {"namespace", SPEC_TEXT, false},
        {0},
};

int ldap_server_check(const json_t *spec, struct err **err)
{
        const json_t *server = json_object_get(spec, "server");
        if (spec_is_open(server))
                return 0;
        int r = spec_check(server, fields, err);
        const json_t *forward = json_object_get(server, "forward");
        if (r == 0 && forward && !json_is_null(forward) && !spec_is_open(forward))
                r = spec_check(forward, forward_fields, err);
        return r < 0 ? err_prefix(err, "server") : 0;
}

int ldap_server_uri(struct kind_ctx *ctx, const json_t *server, char **ret_uri, struct err **err)
{
        const json_t *forward = json_object_get(server, "forward");
        const char *uri = spec_text(server, "uri", "");
        if (!json_is_object(forward)) {
                *ret_uri = str_copy(uri);
                return 0;
        }
        int port = 0;
        int r = kube_link_forward(ctx->kube, spec_text(forward, "namespace", NULL), spec_text(forward, "service", ""),
                (int)spec_whole(forward, "port", 0), &port, err);
        if (r < 0)
                return err_prefix(err, "cannot reach the directory");
        *ret_uri = str_format("%s://127.0.0.1:%d", str_starts(uri, "ldap://") ? "ldap" : "ldaps", port);
        return 0;
}

/* With *directory set: as somebody else over that one. */
static int open_or_sign_in(
        struct kind_ctx *ctx, const json_t *server, const char *uri, struct directory **directory, struct err **err)
{
        json_t *known = NULL;
        int r = kind_resolve(ctx, server, &known, err);
        if (r < 0)
                return r;
        struct directory_options options = {
                .uri = uri,
                .ca = spec_text(known, "ca", ""),
                .bind_dn = spec_text(known, "bind_dn", ""),
                .password = spec_text(known, "password", ""),
        };
        r = *directory ? directory_sign_in(*directory, &options, err) : directory_open(&options, directory, err);
        kind_forget(known);
        return r;
}

int ldap_server_open(struct kind_ctx *ctx, const json_t *spec, struct directory **ret, struct err **err)
{
        const json_t *server = json_object_get(spec, "server");
        CLEANUP_FREE char *uri = NULL;
        struct directory *directory = NULL;
        int r = ldap_server_uri(ctx, server, &uri, err);
        if (r == 0)
                r = open_or_sign_in(ctx, server, uri, &directory, err);
        if (r == 0)
                *ret = directory;
        return r;
}

/* ---- looking ---- */

static bool same_place(const struct kube_shared *shared, const char *uri, const json_t *server)
{
        return shared->directory && str_is(shared->uri, uri) &&
               str_is(spec_text(shared->server, "ca", ""), spec_text(server, "ca", ""));
}

/* With its mutex held. What it leads to afterwards is for this server's account, or nothing. */
static int connect_shared(
        struct kind_ctx *ctx, struct kube_shared *shared, const json_t *server, const char *uri, struct err **err)
{
        if (!same_place(shared, uri, server))
                shared->directory = directory_close(shared->directory);
        if (shared->directory && json_equal(shared->server, server))
                return 0;
        int r = open_or_sign_in(ctx, server, uri, &shared->directory, err);
        if (r < 0) {
                shared->directory = directory_close(shared->directory);
                return r;
        }
        free(shared->uri);
        shared->uri = str_copy(uri);
        json_decref(shared->server);
        shared->server = json_deep_copy(server);
        return 0;
}

/* One try. With the mutex of shared held; NULL: over a connection of its own. */
static int ask_once(struct kind_ctx *ctx, struct kube_shared *shared, const json_t *spec, const char *uri,
        ldap_ask *ask, void *data, struct err **err)
{
        const json_t *server = json_object_get(spec, "server");
        CLEANUP_DIRECTORY struct directory *own = NULL;
        int r = shared ? connect_shared(ctx, shared, server, uri, err) : open_or_sign_in(ctx, server, uri, &own, err);
        if (r == 0)
                r = ask(shared ? shared->directory : own, spec, data, err);
        if (r < 0 && shared) /* an answer did not come: nobody should go on with it */
                shared->directory = directory_close(shared->directory);
        return r;
}

static bool is_away(int r)
{
        return r == -ERR_UNREACHABLE || r == -ERR_TIMEOUT;
}

/* On the way to a directory of a Kubernetes cluster there is more that breaks than the directory: that a connection did
 * not last says nothing of what is in it. On a host there is nothing in between. The forward itself is not in the loop:
 * what opens it has the patience of all requests to the API server, and says when no pod is ready. */
static int ask_patiently(struct kind_ctx *ctx, struct kube_shared *shared, const json_t *spec, ldap_ask *ask,
        void *data, struct err **err)
{
        CLEANUP_FREE char *uri = NULL;
        int r = ldap_server_uri(ctx, json_object_get(spec, "server"), &uri, err);
        if (r < 0)
                return r;
        int64_t end = ctx->clock->monotonic_ms(ctx->clock) + (ctx->kube ? AGAIN_MS : 0), pause = PAUSE_FIRST_MS;
        for (;;) {
                CLEANUP_ERR struct err *why = NULL;
                r = ask_once(ctx, shared, spec, uri, ask, data, &why);
                if (!is_away(r) || ctx->clock->monotonic_ms(ctx->clock) + pause > end) {
                        if (err)
                                *err = STEAL(why);
                        return r;
                }
                log_trace("ldap", "%s; once more in %lld ms", why->message, (long long)pause);
                if (ctx->clock->sleep_ms(ctx->clock, pause, ctx->cancel) < 0)
                        return err_set(err, ERR_CANCELLED, "cancelled");
                pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
        }
}

int ldap_server_look(struct kind_ctx *ctx, const json_t *spec, ldap_ask *ask, void *data, struct err **err)
{
        struct kube_shared *shared = kube_link_shared(ctx->kube);
        if (!shared)
                return ask_patiently(ctx, NULL, spec, ask, data, err);
        pthread_mutex_lock(&shared->mutex);
        int r = shared->away ? err_set(err, ERR_UNREACHABLE, "the directory did not answer")
                             : ask_patiently(ctx, shared, spec, ask, data, err);
        shared->away = shared->away || is_away(r);
        pthread_mutex_unlock(&shared->mutex);
        return r;
}

bool ldap_server_is_ours(const json_t *spec)
{
        return spec_bool(json_object_get(spec, "server"), "embedded", false);
}

json_t *ldap_server_unreachable(void)
{
        return json_pack("{s:b}", "reachable", 0);
}

int ldap_server_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        bool nothing = !recorded && json_is_false(json_object_get(state, "reachable"));
        change_default(r, recorded, nothing ? NULL : state, ret_change);
        return 0;
}
