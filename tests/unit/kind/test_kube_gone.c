/* kube_wait_gone against a false API server: an object may end, or be made anew, at any moment, also between two
 * watches, when no event tells of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "kind/kube_wait.h"

static int watches; /* that were begun */

static bool lists(struct peer *peer, const char *items)
{
        CLEANUP_FREE char *text = str_format("{\"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [%s]}", items);
        return ok(peer, text);
}

/* A watch in which nothing happens; it ends when the client has waited long enough, which is at once. */
static bool silence(struct peer *peer)
{
        peer_send(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);
        for (int i = 0; i < 100 && !peer->server->ending; i++) {
                struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
                if (poll(&wait, 1, 100) > 0)
                        break;
        }
        return false;
}

static bool is_watch(const char *request)
{
        return strstr(request, "watch=true") != NULL;
}

static bool tells(struct peer *peer, const char *event)
{
        CLEANUP_FREE char *text =
                str_format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(event), event);
        peer_send(peer, text, strlen(text));
        return silence(peer);
}

static bool ends_between_two_watches(struct peer *peer, const char *request, int n)
{
        if (is_watch(request))
                return silence(peer);
        return lists(peer, n == 0 ? POD("a", "1") : "");
}

static bool made_anew_between_two_watches(struct peer *peer, const char *request, int n)
{
        if (is_watch(request))
                return silence(peer);
        return lists(peer, n == 0 ? POD("a", "1")
                                  : "{\"metadata\": {\"name\": \"a\", \"namespace\": \"hub\", \"uid\": \"another\", "
                                    "\"resourceVersion\": \"8\"}}");
}

static bool gone_before(struct peer *peer, const char *request, int n)
{
        (void)n;
        return is_watch(request) ? silence(peer) : lists(peer, "");
}

static bool ends_while_watched(struct peer *peer, const char *request, int n)
{
        (void)n;
        return is_watch(request) ? tells(peer, "{\"type\": \"DELETED\", \"object\": " POD("a", "2") "}\n")
                                 : lists(peer, POD("a", "1"));
}

static bool kind_gone(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return refuse_with(peer, "404 Not Found", "", "NotFound", "the server could not find the requested resource");
}

static bool held(struct peer *peer, const char *request, int n)
{
        (void)n;
        return is_watch(request) ? silence(peer)
                                 : lists(peer, "{\"metadata\": {\"name\": \"a\", \"namespace\": \"hub\", \"uid\": "
                                               "\"u-a\", \"resourceVersion\": \"1\", \"deletionTimestamp\": "
                                               "\"2026-01-01T00:00:00Z\", \"finalizers\": [\"example.org/keep\"]}}");
}

static bool away(struct peer *peer)
{
        return answer(peer, "503 Service Unavailable", "", "");
}

/* For longer than a watch of two seconds, and gone when it comes back. */
static bool away_for_long(struct peer *peer, const char *request, int n)
{
        return n < 12 ? away(peer) : gone_before(peer, request, n);
}

static bool away_in_the_middle(struct peer *peer, const char *request, int n)
{
        return n < 2 ? held(peer, request, n) : n < 14 ? away(peer) : gone_before(peer, request, n);
}

/* Longer than a watch lasts: who asks sooner is refused again. */
static bool asks_to_wait(struct peer *peer, const char *request, int n)
{
        if (n % 2 == 0 && n < 8)
                return refuse_with(peer, "429 Too Many Requests", "Retry-After: 5\r\n", "TooManyRequests", "slowly");
        return strstr(request, "pods/a") ? ok(peer, POD("a", "1")) : gone_before(peer, request, n);
}

static bool elects_a_leader(struct peer *peer, const char *request, int n)
{
        return n < 8 ? refuse_with(peer, "500 Internal Server Error", "", "InternalError", "etcdserver: no leader")
                     : gone_before(peer, request, n);
}

static bool away_for_good(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return away(peer);
}

static bool lists_are_broken(struct peer *peer, const char *request, int n)
{
        (void)n;
        return strstr(request, "pods/a") ? ok(peer, POD("a", "1")) : ok(peer, "{\"items\": 1}");
}

static bool forbids(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return refuse_with(peer, "403 Forbidden", "", "Forbidden", "u cannot list pods");
}

static void count(struct kind_ctx *ctx, const char *text)
{
        (void)ctx;
        watches += strstr(text, "is ending") != NULL;
}

static int wait_gone(bool (*answers)(struct peer *, const char *, int), double seconds, struct err **err)
{
        CLEANUP_KUBE struct kube *kube = open_token(answers);
        struct kind_ctx ctx = {.cluster = "lab", .clock = &fake_clock, .progress = count};
        watches = 0;
        return kube_wait_gone(&ctx, kube, &pod_a, "u-a", seconds, err);
}

static void ends(bool (*answers)(struct peer *, const char *, int))
{
        CLEANUP_ERR struct err *err = NULL;
        if (wait_gone(answers, 120, &err) < 0)
                fail_msg("%s", err->message);
}

static void must(bool (*answers)(struct peer *, const char *, int), int more_watches)
{
        ends(answers);
        assert_int_equal(watches, more_watches);
}

static void test_it_is_seen_whenever_it_ends(void **state)
{
        (void)state;
        must(gone_before, 0);
        must(ends_while_watched, 0);
        must(kind_gone, 0);
        must(ends_between_two_watches, 1);
        must(made_anew_between_two_watches, 1);
}

static void test_who_holds_it_is_said(void **state)
{
        (void)state;
        struct err *err = NULL;
        refuse(wait_gone(held, 1, &err), ERR_TIMEOUT, &err, "pod a in hub is not gone", "example.org/keep");
}

static void test_a_server_in_trouble_is_borne_with(void **state)
{
        (void)state;
        ends(away_for_long);
        ends(away_in_the_middle);
        ends(elects_a_leader);
        ends(asks_to_wait);
        assert_true(asked < 12); /* it does not ask in a circle */
}

static void test_but_not_for_ever(void **state)
{
        (void)state;
        struct err *err = NULL;
        refuse(wait_gone(away_for_good, 300, &err), ERR_UNREACHABLE, &err, "read Pod hub/a", "503");
        assert_true(fake_slept > 60000 && fake_slept < 100000);
        refuse(wait_gone(lists_are_broken, 300, &err), ERR_FAILED, &err, "no list", "list Pod");
        assert_true(asked < 60);
        refuse(wait_gone(forbids, 300, &err), ERR_DENIED, &err, "u cannot list pods", "");
        assert_int_equal(asked, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_is_seen_whenever_it_ends),
                cmocka_unit_test(test_who_holds_it_is_said),
                cmocka_unit_test(test_a_server_in_trouble_is_borne_with),
                cmocka_unit_test(test_but_not_for_ever),
        };
        return cmocka_run_group_tests_name("kube_wait_gone", tests, fixture_start, fixture_end);
}
