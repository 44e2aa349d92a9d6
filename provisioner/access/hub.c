#include "access/hub.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/http/http.h"

#define PAGE         200
#define PAGES_MAX    1000
#define PAGINATION   "Accept: application/jupyterhub-pagination+json"
#define REVOKE_MS    30000
#define STOP_POLL_MS 300

struct hub {
        const char *api, *token;
        struct http_client *http;
        struct cancel *cancel;
};

static void hub_cleanup(struct hub *hub)
{
        http_client_free(hub->http);
}
#define CLEANUP_HUB __attribute__((cleanup(hub_cleanup)))

static int hub_begin(struct hub *hub, const json_t *access, struct cancel *cancel, struct err **err)
{
        hub->api = json_string_value(json_object_get(access, "api"));
        hub->token = json_string_value(json_object_get(access, "token"));
        hub->cancel = cancel;
        if (!hub->api || !hub->token)
                return err_set(err, ERR_INVALID, "hub/access has no api or no token");
        hub->http = http_client_new(&(struct http_options){.cancel = cancel});
        return 0;
}

static int ask(struct hub *hub, const char *method, const char *path, int timeout_ms, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *url = str_format("%s/%s", hub->api, path);
        const char *const headers[] = {PAGINATION, NULL};
        struct http_request request = {.method = method,
                .url = url,
                .headers = headers,
                .token = hub->token,
                .timeout_ms = timeout_ms,
                .max_bytes = 16UL * 1024 * 1024};
        int r = http_json(hub->http, &request, NULL, ret, err);
        return r < 0 ? err_prefix(err, "the hub") : 0;
}

/* A path with a user's name in it; the caller frees. */
static char *user_path(const char *before, const char *user, const char *after)
{
        CLEANUP_FREE char *name = http_escape(user);
        return str_format("%s%s%s", before, name, after);
}

static json_t *text_or_null(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? json_string(text) : json_null();
}

/* The hub's word on one user, in ours. Named servers are not offered, so there is one, or none. */
static void add_user(json_t *users, const json_t *model)
{
        const char *name = json_string_value(json_object_get(model, "name"));
        if (!name)
                return;
        const json_t *server = json_object_get(json_object_get(model, "servers"), "");
        json_t *running = json_null();
        if (json_is_object(server)) {
                running = json_object();
                json_object_set_new(running, "started", text_or_null(server, "started"));
                json_object_set_new(running, "last_activity", text_or_null(server, "last_activity"));
                json_object_set_new(running, "ready", json_boolean(json_is_true(json_object_get(server, "ready"))));
                json_object_set_new(running, "pending", text_or_null(server, "pending"));
        }
        json_t *user = json_object();
        json_object_set_new(user, "admin", json_boolean(json_is_true(json_object_get(model, "admin"))));
        json_object_set_new(user, "last_activity", text_or_null(model, "last_activity"));
        json_object_set_new(user, "server", running);
        json_object_set_new(users, name, user);
}

int hub_users(const json_t *access, struct cancel *cancel, json_t **ret, struct err **err)
{
        CLEANUP_HUB struct hub hub = {0};
        json_auto_t *users = json_object();
        int r = hub_begin(&hub, access, cancel, err);
        json_int_t offset = 0;
        for (int page = 0; r == 0 && page < PAGES_MAX; page++) {
                CLEANUP_FREE char *path = str_format("users?limit=%d&offset=%lld", PAGE, (long long)offset);
                json_auto_t *answer = NULL;
                r = ask(&hub, "GET", path, 0, &answer, err);
                if (r < 0)
                        return r;
                const json_t *items = json_is_array(answer) ? answer : json_object_get(answer, "items");
                size_t i;
                json_t *model;
                json_array_foreach (items, i, model)
                        add_user(users, model);
                const json_t *next = json_object_get(json_object_get(answer, "_pagination"), "next");
                json_int_t following = json_integer_value(json_object_get(next, "offset"));
                if (following <= offset)
                        break;
                offset = following;
        }
        if (r < 0)
                return r;
        *ret = json_incref(users);
        return 0;
}

/* As ask, but -ERR_NOT_FOUND is 1 and leaves no error. */
static int ask_if_there(
        struct hub *hub, const char *method, const char *path, int timeout_ms, json_t **ret, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = ask(hub, method, path, timeout_ms, ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return 1;
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

int hub_stop_server(const json_t *access, struct cancel *cancel, const char *user, int seconds, struct err **err)
{
        CLEANUP_HUB struct hub hub = {0};
        CLEANUP_FREE char *server = user_path("users/", user, "/server");
        CLEANUP_FREE char *path = user_path("users/", user, "");
        struct clock *clock = clock_system();
        int r = hub_begin(&hub, access, cancel, err);
        if (r < 0)
                return r;
        int64_t until = clock->monotonic_ms(clock) + (int64_t)seconds * 1000;
        r = ask_if_there(&hub, "DELETE", server, seconds * 1000, NULL, err);
        while (r == 0) {
                json_auto_t *model = NULL;
                r = ask_if_there(&hub, "GET", path, 0, &model, err);
                if (r != 0 || json_object_size(json_object_get(model, "servers")) == 0)
                        break;
                if (clock->monotonic_ms(clock) > until)
                        return err_set(err, ERR_TIMEOUT, "the server of %s still runs after %d s", user, seconds);
                r = clock->sleep_ms(clock, STOP_POLL_MS, cancel);
                if (r < 0)
                        return err_set(err, ERR_CANCELLED, "cancelled while the server of %s stops", user);
        }
        return r < 0 ? r : 0;
}

/* A report that is not complete is an answer, too: something could not be ended. */
int hub_revoke(const json_t *access, struct cancel *cancel, const char *user, json_t **ret, struct err **err)
{
        CLEANUP_HUB struct hub hub = {0};
        CLEANUP_RESPONSE struct http_response response = {0};
        int r = hub_begin(&hub, access, cancel, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *path = user_path("/caas/revoke/", user, "");
        CLEANUP_FREE char *url = str_format("%s%s", hub.api, path);
        struct http_request request = {.method = "POST", .url = url, .token = hub.token, .timeout_ms = REVOKE_MS};
        r = http_send(hub.http, &request, &response, err);
        if (r < 0)
                return err_prefix(err, "the hub");
        json_t *report = json_loadb(response.body, response.length, JSON_REJECT_DUPLICATES, NULL);
        if (response.status != 200 || !json_is_boolean(json_object_get(report, "complete"))) {
                const char *said = json_string_value(json_object_get(report, "message"));
                r = err_set(err, ERR_FAILED, "the hub: ending what %s has: status %ld%s%.300s", user, response.status,
                        said ? ": " : "", said ? said : "");
                json_decref(report);
                return r;
        }
        *ret = report;
        return 0;
}

int hub_delete_user(const json_t *access, struct cancel *cancel, const char *user, struct err **err)
{
        CLEANUP_HUB struct hub hub = {0};
        CLEANUP_FREE char *path = user_path("users/", user, "");
        int r = hub_begin(&hub, access, cancel, err);
        if (r == 0)
                r = ask_if_there(&hub, "DELETE", path, 0, NULL, err);
        return r < 0 ? r : 0;
}
