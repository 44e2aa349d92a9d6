/* kube.probe: asks a component inside the cluster itself, through a port-forward, until it answers as it should: that
 * its pods are ready does not say that it works. It changes nothing and leaves nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/http/http.h"
#include "kind/kube_server.h"
#include "kind/nothing.h"
#include "kind/spec.h"

#define SECONDS    60
#define POLL_MS    500
#define REQUEST_MS 5000
#define TCP_MS     1500
#define STATUS     200
#define SHOWN      160

static const struct spec_field fields[] = {
        {"service", SPEC_TEXT, true}, /* or "pod/NAME" */
        {"port", SPEC_WHOLE, true},
        {"namespace", SPEC_TEXT, false},
        {"path", SPEC_TEXT, false},
        {"tcp", SPEC_BOOL, false},
        {"expect", SPEC_WHOLE, false},
        {"contains", SPEC_TEXT, false},
        {"headers", SPEC_OBJECT, false},
        {"tls", SPEC_ANY, false}, /* true, or {ca: FILE, name: the certificate's} */
        {"seconds", SPEC_NUMBER, false},
        {"revision", SPEC_ANY, false}, /* asks again when it changes */
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        static const char *const ways[] = {"path", "tcp", NULL};
        int r = spec_check(spec, fields, err);
        if (r == 0)
                r = spec_check_one_of(spec, ways, err);
        const char *path = spec_text(spec, "path", "/");
        if (r == 0 && path[0] != '/' && !spec_is_open(json_object_get(spec, "path")))
                return err_set(err, ERR_INVALID, "\"path\" must begin with a slash, not %.60s", path);
        return r;
}

/* ---- one question ---- */

static int ask_http(struct http_client *client, const json_t *spec, int port, struct err **err)
{
        const json_t *tls = json_object_get(spec, "tls");
        bool secure = tls && !json_is_false(tls) && !json_is_null(tls);
        CLEANUP_FREE char *url =
                str_format("%s://localhost:%d%s", secure ? "https" : "http", port, spec_text(spec, "path", "/"));
        size_t n = json_object_size(json_object_get(spec, "headers")), i = 0;
        const char **headers = mem_zero_array(n + 1, sizeof *headers);
        const char *name;
        json_t *value;
        json_object_foreach (json_object_get(spec, "headers"), name, value) {
                CLEANUP_FREE char *text = spec_scalar_text(value);
                headers[i++] = str_format("%s: %s", name, text);
        }
        struct http_request request = {.url = url, .headers = headers, .timeout_ms = REQUEST_MS};
        CLEANUP_RESPONSE struct http_response response = {0};
        int r = http_send(client, &request, &response, err);
        while (i-- > 0)
                mem_wipe_free((char *)headers[i], strlen(headers[i]));
        free(headers);
        if (r < 0)
                return r;
        long wanted = (long)spec_whole(spec, "expect", STATUS);
        const char *text = spec_text(spec, "contains", NULL);
        if (response.status != wanted)
                return err_set(err, ERR_UNREACHABLE, "it answers with status %ld instead of %ld: %.*s", response.status,
                        wanted, SHOWN, response.body);
        if (text && !strstr(response.body, text))
                return err_set(
                        err, ERR_UNREACHABLE, "its answer does not hold \"%s\": %.*s", text, SHOWN, response.body);
        return 0;
}

/* Our end of the forward always takes the connection, and closes it at once when nobody does at the other end. */
static int ask_tcp(int port, struct err **err)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return err_set_errno(err, errno, "cannot connect");
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        char byte;
        if (poll(&poll_fd, 1, TCP_MS) == 1 && recv(fd, &byte, 1, 0) <= 0)
                return err_set(err, ERR_UNREACHABLE, "nobody takes the connection");
        return 0;
}

static int ask(struct kind_ctx *ctx, struct http_client *client, const json_t *spec, struct err **err)
{
        int port = 0;
        int r = kube_link_forward(ctx->kube, spec_text(spec, "namespace", NULL), spec_text(spec, "service", ""),
                (int)spec_whole(spec, "port", 0), &port, err);
        if (r < 0)
                return r;
        return spec_bool(spec, "tcp", false) ? ask_tcp(port, err) : ask_http(client, spec, port, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state, (void)ret_outputs;
        json_t *spec = NULL;
        int result = kind_resolve(ctx, r->spec, &spec, err);
        if (result < 0)
                return result;
        struct http_options options = {.ca = spec_text(json_object_get(spec, "tls"), "ca", ""),
                .server_name = spec_text(json_object_get(spec, "tls"), "name", NULL),
                .cancel = ctx->cancel,
                .cancel_level = 2};
        CLEANUP_HTTP struct http_client *client = http_client_new(&options);
        CLEANUP_FREE char *target = str_format("%s:%lld%s", spec_text(spec, "service", ""),
                (long long)spec_whole(spec, "port", 0), spec_text(spec, "path", ""));
        int64_t begun = ctx->clock->monotonic_ms(ctx->clock);
        double limit = spec_number(spec, "seconds", SECONDS) * 1000;
        for (;;) {
                CLEANUP_ERR struct err *why = NULL;
                char waited[32];
                result = ask(ctx, client, spec, &why);
                int64_t now = ctx->clock->monotonic_ms(ctx->clock);
                if (result == 0 || result == -ERR_CANCELLED || result == -ERR_DENIED || result == -ERR_INVALID ||
                        (double)(now - begun) >= limit) {
                        if (result < 0)
                                result = err_set(err, result == -ERR_CANCELLED ? ERR_CANCELLED : ERR_FAILED,
                                        "%s does not answer as it should (asked for %s): %s", target,
                                        clock_duration(now - begun, waited), why->message);
                        break;
                }
                kind_progress(
                        ctx, "waiting for %s: %s (%s)", target, why->message, clock_duration(now - begun, waited));
                result = ctx->clock->sleep_ms(ctx->clock, POLL_MS, ctx->cancel);
                if (result < 0) {
                        result = err_set(err, ERR_CANCELLED, "stopped while waiting for %s", target);
                        break;
                }
        }
        kind_forget(spec);
        return result;
}

extern const struct kind kind_kube_probe;
const struct kind kind_kube_probe = {
        .name = "kube.probe",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = nothing_adopt,
};
