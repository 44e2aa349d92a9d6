#include "access/hub.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/http/http.h"

#define REVOKE_MS    30000
#define STOP_POLL_MS 300
#define LEFT_MAX     2000

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
        struct http_request request = {.method = method,
                .url = url,
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

/* The hub's code (roles/hub) answers with what we show, and of everybody at once. */
int hub_users(const json_t *access, struct cancel *cancel, json_t **ret, struct err **err)
{
        CLEANUP_HUB struct hub hub = {0};
        json_auto_t *users = NULL;
        int r = hub_begin(&hub, access, cancel, err);
        if (r == 0)
                r = ask(&hub, "GET", "caas/users", 0, &users, err);
        if (r < 0)
                return r;
        const char *name;
        const json_t *user;
        json_object_foreach (users, name, user)
                if (!json_is_object(user))
                        return err_set(err, ERR_FAILED, "the hub: what it says of %.100s is no user", name);
        if (!json_is_object(users))
                return err_set(err, ERR_FAILED, "the hub: its answer is no list of users");
        *ret = STEAL(users);
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

int hub_revoke_all(const json_t *access, struct cancel *cancel, const char *user, struct err **err)
{
        json_auto_t *report = NULL;
        CLEANUP_BUF struct buf left = BUF_INIT(LEFT_MAX);
        size_t i;
        json_t *item;
        int r = hub_revoke(access, cancel, user, &report, err);
        if (r < 0 || json_is_true(json_object_get(report, "complete")))
                return r;
        json_array_foreach (json_object_get(report, "errors"), i, item)
                buf_format(&left, "%s%s", i ? "; " : "", json_string_value(item) ? json_string_value(item) : "?");
        return err_set(err, ERR_PARTIAL, "the hub: not all that %s runs could be ended: %s", user,
                left.length ? left.data : "it does not say what");
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
