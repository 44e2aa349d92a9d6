/* The hub's interface, against a hub that forgets and fails. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../client/http_server.h"
#include "access/gateway.h"
#include "access/hub.h"

#define USERS 10000

static struct server *server;
static json_t *access_;
static atomic_int stop_polls;
static char last[300]; /* method and path of the last request */

static bool list(struct peer *peer)
{
        json_auto_t *users = json_object();
        for (int i = 0; i < USERS; i++) {
                char name[20];
                snprintf(name, sizeof name, "user%05d", i);
                json_t *running = i == 7 ? json_pack("{s:s, s:b, s:n, s:s}", "started", "2026-11-21T10:00:00.1Z",
                                                   "ready", 1, "pending", "last_activity", "2026-11-21T11:00:00Z")
                                         : json_null();
                json_object_set_new(users, name,
                        json_pack("{s:b, s:s, s:o}", "admin", i == 0, "last_activity", "2026-11-21T11:00:00.123456Z",
                                "server", running));
        }
        CLEANUP_FREE char *text = json_dumps(users, JSON_COMPACT);
        return answer(peer, "200 OK", "", text);
}

static bool hub(struct peer *peer, const char *request)
{
        snprintf(last, sizeof last, "%.*s", (int)strcspn(request, "\r"), request);
        if (!strstr(request, "Authorization: token s3cret\r\n"))
                return answer(peer, "403 Forbidden", "", "{\"message\": \"who are you\"}");
        if (str_starts(request, "GET /hub/api/caas/users "))
                return list(peer);
        if (str_starts(request, "GET /hub/odd/caas/users "))
                return answer(peer, "200 OK", "", "{\"alice\": 1}");
        if (str_starts(request, "GET /hub/none/caas/users "))
                return answer(peer, "200 OK", "", "[]");
        if (str_starts(request, "POST /hub/api/caas/revoke/alice "))
                return answer(
                        peer, "200 OK", "", "{\"complete\": true, \"servers\": 1, \"tokens\": 2, \"errors\": []}");
        if (str_starts(request, "POST /hub/api/caas/revoke/stuck "))
                return answer(peer, "200 OK", "", "{\"complete\": false, \"errors\": [\"server default: it hangs\"]}");
        if (str_starts(request, "POST /hub/api/caas/revoke/"))
                return answer(peer, "400 Bad Request", "", "{\"message\": \"not a user name\"}");
        if (str_starts(request, "DELETE /hub/api/users/alice/server "))
                return answer(peer, "202 Accepted", "", "");
        if (str_starts(request, "GET /hub/api/users/alice "))
                return answer(peer, "200 OK", "", ++stop_polls < 3 ? "{\"servers\": {\"\": {}}}" : "{\"servers\": {}}");
        if (str_starts(request, "GET /api/v1/caas/clusters "))
                return answer(peer, "200 OK", "", "{\"clusters\": [{\"user\": \"alice\", \"workers\": 3}]}");
        return answer(peer, "404 Not Found", "", "{\"message\": \"no\"}");
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        server = server_start(NULL, NULL);
        server->custom = hub;
        CLEANUP_FREE char *api = str_format("http://127.0.0.1:%d/hub/api", server->port);
        access_ = json_pack("{s:s, s:s}", "api", api, "token", "s3cret");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        json_decref(access_);
        server_stop(server);
        return 0;
}

static void test_users(void **state)
{
        (void)state;
        json_auto_t *users = NULL;
        assert_int_equal(hub_users(access_, NULL, &users, NULL), 0);
        assert_int_equal(json_object_size(users), USERS);
        const json_t *seven = json_object_get(users, "user00007"), *with = json_object_get(seven, "server");
        assert_string_equal(json_string_value(json_object_get(with, "started")), "2026-11-21T10:00:00.1Z");
        assert_true(json_is_true(json_object_get(with, "ready")));
        assert_true(json_is_null(json_object_get(json_object_get(users, "user00008"), "server")));
        assert_true(json_is_true(json_object_get(json_object_get(users, "user00000"), "admin")));
}

static void test_odd_users(void **state)
{
        (void)state;
        static const char *const paths[] = {"odd", "none"}, *const words[] = {"alice is no user", "no list of users"};
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_FREE char *api = str_format("http://127.0.0.1:%d/hub/%s", server->port, paths[i]);
                json_auto_t *access = json_pack("{s:s, s:s}", "api", api, "token", "s3cret"), *users = NULL;
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(hub_users(access, NULL, &users, &err), -ERR_FAILED);
                assert_non_null(strstr(err->message, words[i]));
                assert_null(users);
        }
}

static void test_wrong_token(void **state)
{
        (void)state;
        json_auto_t *wrong = json_deep_copy(access_), *users = NULL;
        json_object_set_new(wrong, "token", json_string("wrong"));
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(hub_users(wrong, NULL, &users, &err), -ERR_DENIED);
        assert_non_null(strstr(err->message, "the hub: GET http://127.0.0.1:"));
        assert_non_null(strstr(err->message, "who are you"));
        assert_null(strstr(err->message, "wrong"));
        assert_null(users);
        json_auto_t *none = json_object();
        assert_int_equal(hub_users(none, NULL, &users, NULL), -ERR_INVALID);
}

static void test_revoke(void **state)
{
        (void)state;
        json_auto_t *report = NULL, *stuck = NULL, *none = NULL;
        assert_int_equal(hub_revoke(access_, NULL, "alice", &report, NULL), 0);
        assert_true(json_is_true(json_object_get(report, "complete")));
        assert_int_equal(hub_revoke(access_, NULL, "stuck", &stuck, NULL), 0);
        assert_true(json_is_false(json_object_get(stuck, "complete")));
        CLEANUP_ERR struct err *err = NULL, *left = NULL;
        assert_int_equal(hub_revoke_all(access_, NULL, "alice", NULL), 0);
        assert_int_equal(hub_revoke_all(access_, NULL, "stuck", &left), -ERR_PARTIAL);
        assert_string_equal(left->message, "the hub: not all that stuck runs could be ended: server default: it hangs");
        assert_int_equal(hub_revoke(access_, NULL, "../../users/bob", &none, &err), -ERR_FAILED);
        assert_string_equal(last, "POST /hub/api/caas/revoke/..%2F..%2Fusers%2Fbob HTTP/1.1");
        assert_non_null(strstr(err->message, "status 400: not a user name"));
        assert_null(none);
}

static void test_stop_waits(void **state)
{
        (void)state;
        stop_polls = 0;
        assert_int_equal(hub_stop_server(access_, NULL, "alice", 10, NULL), 0);
        assert_int_equal(stop_polls, 3);
        assert_int_equal(hub_stop_server(access_, NULL, "nobody", 10, NULL), 0); /* not there is fine */
        stop_polls = -1000;
        assert_int_equal(hub_stop_server(access_, NULL, "alice", 1, NULL), -ERR_TIMEOUT);
        assert_int_equal(hub_delete_user(access_, NULL, "nobody", NULL), 0);
}

static void test_gateway(void **state)
{
        (void)state;
        CLEANUP_FREE char *api = str_format("http://127.0.0.1:%d", server->port);
        json_auto_t *gateway = json_pack("{s:s, s:s}", "api", api, "token", "s3cret"), *clusters = NULL;
        assert_int_equal(gateway_clusters(gateway, NULL, &clusters, NULL), 0);
        assert_int_equal(json_array_size(json_object_get(clusters, "clusters")), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_users),
                cmocka_unit_test(test_odd_users),
                cmocka_unit_test(test_wrong_token),
                cmocka_unit_test(test_revoke),
                cmocka_unit_test(test_stop_waits),
                cmocka_unit_test(test_gateway),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
