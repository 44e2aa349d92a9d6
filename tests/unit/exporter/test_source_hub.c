/* The hub's servers, from a hub that pages, changes meanwhile, lies and is slow. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../client/http_server.h"
#include "base/clock.h"
#include "exporter/api.h"
#include "exporter/source_hub.h"
#include "exporter/source_list.h"
#include "samples.h"

#define USERS  10000
#define ACTIVE 450

static struct server *server;
static struct config *config;
static atomic_bool slow, moving, strange, busy;

/* One user moves to a later place while the pages are read: who was the last of the first page is on the second again.
 */
static bool page(struct peer *peer, int limit, int offset)
{
        json_auto_t *items = json_array();
        for (int i = offset; i < offset + limit && i < ACTIVE; i++) {
                char name[20];
                snprintf(name, sizeof name, "user%03d", moving && offset > 0 ? i - 1 : i);
                json_t *options = i % 2 ? json_pack("{s:s}", "environment", "climate") : json_object();
                json_array_append_new(items, json_pack("{s:s, s:{s:{s:s, s:s, s:b, s:o}}}", "name", name, "servers", "",
                                                     "started", "2026-11-21T10:00:00.250000Z", "last_activity",
                                                     "2026-11-21T10:01:00Z", "ready", i != 7, "user_options", options));
        }
        bool more = offset + limit < ACTIVE;
        json_auto_t *answer_ = json_pack("{s:O, s:{s:i, s:o}}", "items", items, "_pagination", "total",
                limit == 1 ? USERS : ACTIVE, "next", more ? json_pack("{s:i}", "offset", offset + limit) : json_null());
        CLEANUP_FREE char *text = json_dumps(answer_, JSON_COMPACT);
        return answer(peer, "200 OK", "", text);
}

static bool hub(struct peer *peer, const char *request)
{
        int limit, offset = 0;
        if (slow) {
                be_slow(peer);
                return false;
        }
        if (busy)
                poll(NULL, 0, 20);
        if (strange)
                return answer(peer, "200 OK", "", "[]");
        if (!strstr(request, "Authorization: token s3cret\r\n"))
                return answer(peer, "403 Forbidden", "", "{\"message\": \"who are you\"}");
        if (!strstr(request, "Accept: application/jupyterhub-pagination+json\r\n"))
                return answer(peer, "400 Bad Request", "", "{}");
        if (sscanf(request, "GET /hub/api/users?state=active&limit=%d&offset=%d", &limit, &offset) == 2 ||
                sscanf(request, "GET /hub/api/users?limit=%d", &limit) == 1)
                return page(peer, limit, offset);
        return answer(peer, "404 Not Found", "", "{}");
}

static struct config *config_for(int port, const char *token)
{
        struct config *made = NULL;
        CLEANUP_FREE char *text =
                str_format("{\"hub\": {\"api\": \"http://127.0.0.1:%d/hub/api\", \"token\": \"%s\"}}", port, token);
        assert_int_equal(config_parse(text, strlen(text), &made, NULL), 0);
        return made;
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        server = server_start(NULL, NULL);
        server->custom = hub;
        config = config_for(server->port, "s3cret");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server_stop(server);
        config_free(config);
        return 0;
}

static struct sample_sink *refreshed(int expected)
{
        struct sample_sink *sink = sink_new(source_hub.families);
        CLEANUP_ERR struct err *err = NULL;
        void *state = NULL;
        assert_int_equal(source_hub.refresh(config, &state, sink, &err), expected);
        if (err)
                print_message("         %s\n", err->message);
        source_hub.done(state);
        return sink;
}

static void all_pages_are_read(void **state)
{
        (void)state;
        struct sample_sink *sink = refreshed(0);
        assert_true(samples_have(sink, "caas_hub_users 10000"));
        assert_true(samples_have(sink, "caas_hub_servers 450"));
        assert_true(samples_have(
                sink, "caas_server_started_timestamp_seconds{user=\"user000\",server=\"\"} 1795255200.25"));
        assert_true(samples_have(
                sink, "caas_server_last_activity_timestamp_seconds{user=\"user449\",server=\"\"} 1795255260"));
        assert_true(samples_have(sink, "caas_server_ready{user=\"user007\",server=\"\"} 0"));
        assert_true(samples_have(sink, "caas_server_ready{user=\"user008\",server=\"\"} 1"));
        assert_true(samples_sound(sink));
        sink_free(sink);
}

static void what_others_see_is_what_was_read_last(void **state)
{
        (void)state;
        sink_free(refreshed(0));
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        hub_servers_last(&servers);
        assert_int_equal(servers.count, ACTIVE);
        assert_null(servers.item[0].environment);
        assert_string_equal(servers.item[1].environment, "climate");
}

static void who_stands_on_two_pages_counts_once(void **state)
{
        (void)state;
        moving = true;
        struct sample_sink *sink = refreshed(0);
        moving = false;
        assert_true(samples_have(sink, "caas_hub_servers 449"));
        assert_true(samples_sound(sink));
        sink_free(sink);
}

static void a_slow_hub_costs_no_more_than_the_time_of_a_refresh(void **state)
{
        (void)state;
        slow = true;
        config->timeout_ms = 300;
        sink_free(refreshed(-ERR_TIMEOUT)); /* it would not end by itself */
        slow = false;
        config->timeout_ms = 60000;
}

static void a_busy_hub_is_asked_less_often(void **state)
{
        (void)state;
        void *kept = NULL;
        busy = true; /* 4 requests of 20 ms: not again for a second and a half */
        int before = server->requests;
        for (int round = 0; round < 3; round++) {
                struct sample_sink *sink = sink_new(source_hub.families);
                assert_int_equal(source_hub.refresh(config, &kept, sink, NULL), 0);
                assert_true(samples_have(sink, "caas_hub_users 10000"));
                assert_true(samples_have(sink, "caas_hub_servers 450"));
                assert_int_equal(samples_count(sink, "caas_server_ready"), ACTIVE);
                sink_free(sink);
        }
        assert_int_equal(server->requests - before, 4);
        source_hub.done(kept);
        busy = false;
}

static void no_token_and_no_hub(void **state)
{
        (void)state;
        struct config *right = config;
        config = config_for(server->port, "wrong");
        sink_free(refreshed(-ERR_DENIED));
        config_free(config);
        config = config_for(1, "s3cret");
        sink_free(refreshed(-ERR_UNREACHABLE));
        config_free(config);
        config = right;
        strange = true;
        sink_free(refreshed(-ERR_INVALID));
        strange = false;
        struct config *none = NULL;
        assert_int_equal(config_parse("{}", 2, &none, NULL), 0);
        assert_false(source_hub.wanted(none));
        assert_true(source_hub.wanted(config));
        config_free(none);
}

static size_t servers_of(const char *text, int expected, size_t *ret_next)
{
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        json_auto_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_non_null(tree);
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(hub_read_page(tree, &servers, ret_next, NULL, &err), expected);
        return servers.count;
}

static void answers_that_make_no_sense(void **state)
{
        (void)state;
        static const char *const wrong[] = {"{}", "[]", "null", "7", "{\"items\": []}",
                "{\"items\": {}, \"_pagination\": {}}", "{\"items\": [], \"_pagination\": {\"total\": \"9\"}}",
                "{\"items\": [], \"_pagination\": {\"total\": -1}}"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                servers_of(wrong[i], -ERR_INVALID, NULL);
        size_t next = 7;
        assert_int_equal(
                servers_of("{\"items\": [null, 5, {}, {\"name\": 5}, {\"name\": \"a\"}, {\"name\": \"b\", "
                           "\"servers\": []}, {\"name\": \"c\", \"servers\": {\"\": null, \"x\": {\"started\": 9, "
                           "\"ready\": \"yes\", \"user_options\": 3}}}], "
                           "\"_pagination\": {\"total\": 3, \"next\": {\"offset\": -5}}}",
                        0, &next),
                1);
        assert_int_equal(next, 0);
        servers_of("{\"items\": [], \"_pagination\": {\"total\": 3, \"next\": {\"offset\": 1e300}}}", 0, &next);
        assert_int_equal(next, 0);
}

/* Where there is one environment only, the hub does not look at what was asked for. */
static void an_environment_is_a_name_and_no_more(void **state)
{
        (void)state;
        char name[102];
        memset(name, 'x', sizeof name);
        for (size_t length = 100; length <= 101; length++) {
                name[length] = '\0';
                CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
                json_auto_t *page_ = json_pack("{s:[{s:s, s:{s:{s:{s:s}}}}], s:{s:i}}", "items", "name", "alice",
                        "servers", "", "user_options", "environment", name, "_pagination", "total", 1);
                assert_int_equal(hub_read_page(page_, &servers, NULL, NULL, NULL), 0);
                assert_int_equal(servers.count, 1);
                assert_int_equal(servers.item[0].environment != NULL, length == 100);
                name[length] = 'x';
        }
}

static double time_of(const char *text)
{
        double value = -1;
        json_auto_t *json = json_string(text);
        api_time(json, &value);
        return value;
}

static void times(void **state)
{
        (void)state;
        assert_true(time_of("1970-01-01T00:00:10Z") == 10);
        assert_true(time_of("2026-11-21T14:03:22.5Z") == 1795269802.5);
        assert_true(time_of("2026-11-21T14:03:22") == 1795269802);
        static const char *const wrong[] = {"", "Z", "2026-11-21", "2026-11-21T14:03:22+01:00", "2026-13-21T14:03:22Z",
                "2026-11-21T14:03:22.Zx", "yesterday"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                assert_true(time_of(wrong[i]) == -1);
        assert_false(api_time(NULL, &(double){0}));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_pages_are_read),
                cmocka_unit_test(what_others_see_is_what_was_read_last),
                cmocka_unit_test(who_stands_on_two_pages_counts_once),
                cmocka_unit_test(a_slow_hub_costs_no_more_than_the_time_of_a_refresh),
                cmocka_unit_test(a_busy_hub_is_asked_less_often),
                cmocka_unit_test(no_token_and_no_hub),
                cmocka_unit_test(answers_that_make_no_sense),
                cmocka_unit_test(an_environment_is_a_name_and_no_more),
                cmocka_unit_test(times),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
