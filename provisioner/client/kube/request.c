/* One request: a connection out of a pool, who we are, and trying again what is worth it. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "client/kube/private.h"

#define ANSWER_MAX       (16UL * 1024 * 1024)
#define FIRST_TIME_MS    5000 /* a server that was never heard of is tried for so long */
#define STREAM_CANCELLED 1

/* ---- a try ---- */

struct headers {
        char *line[36];
        size_t count;
};

static void headers_clear(struct headers *headers)
{
        for (size_t i = 0; i < headers->count; i++)
                free(headers->line[i]);
}

static void make_headers(const struct kube *kube, const struct kube_request *request, struct headers *headers)
{
        headers->line[headers->count++] =
                str_format("Accept: %s", request->accept ? request->accept : "application/json, */*");
        if (request->body)
                headers->line[headers->count++] =
                        str_format("Content-Type: %s", request->type ? request->type : "application/json");
        if (kube->config.as)
                headers->line[headers->count++] = str_format("Impersonate-User: %s", kube->config.as);
        for (char **group = kube->config.as_groups; group && *group && headers->count < 35; group++)
                headers->line[headers->count++] = str_format("Impersonate-Group: %s", *group);
}

static void trace(struct kube *kube, const struct kube_request *request, int64_t began, long status, int r)
{
        if (!log_enabled("kube"))
                return;
        log_trace("kube", "%s %.*s: %ld%s%s, %lld ms", request->method ? request->method : "GET",
                (int)strcspn(request->path, "?"), request->path, status, r < 0 ? " " : "",
                r < 0 ? err_code_name((enum err_code) - r) : "",
                (long long)(kube->clock->monotonic_ms(kube->clock) - began));
}

static int try_once(struct kube *kube, const struct kube_request *request, char **ret_token, struct http_response *ret,
        struct err **err)
{
        unsigned generation = 0;
        int r = kube_credential(kube, ret_token, &generation, err);
        if (r < 0)
                return r;
        struct kube_connection connection;
        kube_pool_take(kube, request, generation, &connection);
        __attribute__((cleanup(headers_clear))) struct headers headers = {0};
        make_headers(kube, request, &headers);
        CLEANUP_FREE char *url = str_format("%s%s", kube->config.server, request->path);
        int timeout = request->timeout_ms ? request->timeout_ms : kube->timeout_ms;
        struct http_request http = {.method = request->method,
                .url = url,
                .headers = (const char *const *)headers.line,
                .bearer = *ret_token,
                .body = request->body,
                .body_length = request->length,
                .timeout_ms = timeout,
                .connect_ms = timeout < 10000 ? timeout : 10000,
                .max_bytes = request->max_bytes ? request->max_bytes : ANSWER_MAX,
                .cancel_level = request->stream ? STREAM_CANCELLED : 0,
                .on_body = request->on_body,
                .data = request->data};
        int64_t began = kube->clock->monotonic_ms(kube->clock);
        atomic_fetch_add(&kube->requests, 1);
        r = http_send(connection.client, &http, ret, err);
        trace(kube, request, began, r < 0 ? 0 : ret->status, r);
        if (r == 0) {
                atomic_fetch_add(&kube->connections, ret->connects);
                atomic_store(&kube->answered, true);
        }
        kube_pool_give(kube, &connection);
        return r;
}

/* ---- again and again ---- */

static bool passing(long status)
{
        return status >= 502 && status <= 504;
}

/* For how long it is worth trying again after this; 0 = not at all. */
static int64_t patience(
        const struct kube *kube, const struct kube_request *request, int r, const struct http_response *response)
{
        long status = response->status;
        int64_t limit = kube->retry_ms < 0 || request->calm ? 0 : kube->retry_ms;
        if (r == 0 && status == 429) /* it was not executed */
                return limit;
        if (request->once || (request->begun && *request->begun) || (r == 0 && kube_status_wrong_object(response)))
                return 0;
        if (r == 0 && status == 500) /* often for good: a broken webhook, say */
                return limit / 3;
        if (r == 0)
                return passing(status) ? limit : 0;
        if (r != -ERR_UNREACHABLE && r != -ERR_TIMEOUT)
                return 0;
        return atomic_load(&kube->answered) || limit < FIRST_TIME_MS ? limit : FIRST_TIME_MS;
}

static int add_hint(struct kube *kube, const struct kube_request *request, int r, struct err **err)
{
        if (r == -ERR_UNREACHABLE && !atomic_load(&kube->answered))
                err_prefix(err, "cannot reach the API server of context \"%s\" (%s)%s", kube->config.context,
                        kube->config.file,
                        kube->config.proxy || !(getenv("HTTPS_PROXY") || getenv("https_proxy"))
                                ? ""
                                : " ($HTTPS_PROXY is not used here: proxy-url in the kubeconfig is)");
        return r == -ERR_CANCELLED || !request->what ? r : err_prefix(err, "cannot %s", request->what);
}

int kube_send(struct kube *kube, const struct kube_request *request, struct http_response *ret, struct err **err)
{
        struct retry retry = {.began_ms = kube->clock->monotonic_ms(kube->clock)};
        bool renewed = false;
        for (;;) {
                CLEANUP_RESPONSE struct http_response response = {0};
                struct err *why = NULL;
                char *token = NULL;
                int r = try_once(kube, request, &token, &response, &why);
                bool again = r == 0 && response.status == 401 && !renewed && kube_credential_renew(kube, token);
                mem_wipe_free(token, token ? strlen(token) : 0);
                if (again) {
                        renewed = true;
                        continue;
                }
                int64_t limit = patience(kube, request, r, &response);
                if (request->end_ms && request->end_ms - retry.began_ms < limit)
                        limit = request->end_ms - retry.began_ms;
                int waited = limit > 0 ? retry_wait(kube, &retry, limit, response.retry_after, NULL) : -1;
                if (waited == 0) {
                        err_free(why);
                        continue;
                }
                if (waited == -ERR_CANCELLED) {
                        err_free(why);
                        return err_set(err, ERR_CANCELLED, "cancelled");
                }
                if (r < 0) {
                        add_hint(kube, request, r, &why);
                        /* a program or file of ours that is missing is not an object that is */
                        r = err_set(err, r == -ERR_NOT_FOUND ? ERR_FAILED : (enum err_code) - r, "%s", why->message);
                        err_free(why);
                        return r;
                }
                *ret = response;
                response = (struct http_response){0};
                return 0;
        }
}

int kube_ask(struct kube *kube, const struct kube_request *request, json_t **ret, struct err **err)
{
        CLEANUP_RESPONSE struct http_response response = {0};
        int r = kube_send(kube, request, &response, err);
        if (r < 0)
                return r;
        if (request->forced && kube_status_own_conflict(&response)) {
                struct kube_request again = *request;
                again.path = request->forced;
                again.forced = NULL;
                return kube_ask(kube, &again, ret, err);
        }
        if (response.status >= 300)
                return kube_status_error(kube, request->what, &response, err);
        if (!ret)
                return 0;
        json_error_t where;
        json_t *answer = json_loadb(response.body, response.length, 0, &where);
        if (!answer)
                return err_set(err, ERR_FAILED,
                        "cannot %s: %s: the answer is no JSON: %s (is that a Kubernetes API "
                        "server?)",
                        request->what, kube->config.server, where.text);
        *ret = answer;
        return 0;
}
