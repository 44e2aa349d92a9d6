/* Lists, watches and logs of the Kubernetes client against a server that does everything wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube_server.h"

/* ---- lists ---- */

#define LIST(next, version, items)                                                                                     \
        "{\"kind\": \"PodList\", \"metadata\": {\"resourceVersion\": \"" version "\", \"continue\": \"" next           \
        "\"}, \"items\": [" items "]}"

static int gather(void *data, const json_t *object)
{
        struct buf *text = data;
        if (!str_is(json_string_value(json_object_get(object, "kind")), "Pod"))
                return -ERR_CORRUPT;
        buf_format(text, "%s ", json_string_value(json_object_get(json_object_get(object, "metadata"), "name")));
        return 0;
}

static int list(struct kube *kube, const struct kube_list *what, const char *expected, struct err **err)
{
        CLEANUP_BUF struct buf text = BUF_INIT(1000);
        CLEANUP_FREE char *version = NULL;
        int r = kube_list(kube, what, gather, &text, &version, err);
        if (r == 0) {
                assert_string_equal(text.data ? text.data : "", expected);
                assert_string_equal(version, "9");
        }
        return r;
}

static bool pages(struct peer *peer, const char *request, int n)
{
        static const char *const wanted[] = {"limit=2 ", "limit=2&continue=n%2F1 ", "limit=2 ", "limit=2&continue=n2 "};
        if (n >= 4 || !strstr(request, wanted[n]) || !strstr(request, "?labelSelector=a%3Db%2Cc&fieldSelector=x%3D1&"))
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "not what the test wants");
        switch (n) {
        case 0:
                return ok(peer, LIST("n/1", "7", POD("a", "1") "," POD("b", "1")));
        case 1:
                return refuse_with(peer, "410 Gone", "", "Expired", "too old");
        case 2:
                return ok(peer, LIST("n2", "9", POD("a", "1") "," POD("c", "1")));
        default:
                return ok(peer, LIST("", "9", POD("d", "1")));
        }
}

static void test_pages(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(pages);
        struct kube_list what = {.api_version = "v1", .kind = "Pod", .labels = "a=b,c", .fields = "x=1", .page = 2};
        assert_int_equal(list(kube, &what, "a b c d ", NULL), 0);
}

static bool too_large(struct peer *peer, const char *request, int n)
{
        (void)n;
        if (!strstr(request, "limit=8 ")) {
                be_huge(peer, true);
                return false;
        }
        return ok(peer, LIST("", "9", POD("a", "1")));
}

static void test_large_pages(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(too_large);
        struct kube_list what = {.api_version = "v1", .kind = "Pod", .namespace = "hub", .page = 30};
        assert_int_equal(list(kube, &what, "a ", NULL), 0);
        assert_int_equal(asked, 2);
}

static bool no_list(struct peer *peer, const char *request, int n)
{
        (void)request;
        return n ? ok(peer, "{\"items\": 7}")
                 : ok(peer, "{\"items\": null, \"metadata\": {\"resourceVersion\": \"9\"}}");
}

static bool expires_always(struct peer *peer, const char *request, int n)
{
        (void)n;
        return strstr(request, "continue=") ? refuse_with(peer, "410 Gone", "", "Expired", "too old")
                                            : ok(peer, LIST("n", "9", POD("a", "1")));
}

static int stop_at_once(void *data, const json_t *object)
{
        (void)object;
        return *(int *)data;
}

static void test_odd_lists(void **state)
{
        (void)state;
        struct kube_list what = {.api_version = "v1", .kind = "Pod"};
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(no_list);
                assert_int_equal(list(kube, &what, "", NULL), 0);
                refuse(list(kube, &what, "", &err), ERR_FAILED, &err, "no list", "list Pod");
        }
        CLEANUP_KUBE struct kube *kube = open_token(expires_always);
        refuse(list(kube, &what, "", &err), ERR_FAILED, &err, "410", "too old");
        int stop = 1;
        asked = 0;
        assert_int_equal(kube_list(kube, &what, stop_at_once, &stop, NULL, NULL), 0);
        assert_int_equal(asked, 1);
        stop = -ERR_BUSY;
        assert_int_equal(kube_list(kube, &what, stop_at_once, &stop, NULL, NULL), -ERR_BUSY);
}

/* ---- watches ---- */

#define EVENT(type, object) "{\"type\": \"" type "\", \"object\": " object "}\n"

static bool stream(struct peer *peer, const char *body)
{
        CLEANUP_FREE char *text =
                str_format("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(body), body);
        peer_send(peer, text, strlen(text));
        return false; /* cut: no last chunk */
}

static struct buf told;

static int on_event(void *data, const char *type, const json_t *object)
{
        int *left = data;
        const char *name = json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
        buf_format(&told, "%s%s%s ", type, name ? ":" : "", name ? name : "");
        return --*left == 0;
}

static const struct kube_list pods = {.api_version = "v1", .kind = "Pod", .namespace = "hub"};

static int watch(struct kube *kube, int events, long until, struct err **err)
{
        buf_clear(&told);
        told = (struct buf)BUF_INIT(10000);
        return kube_watch(kube, &pods, until, on_event, &events, err);
}

static bool has(const char *request, const char *text)
{
        if (strstr(request, text))
                return true;
        fprintf(stderr, "'%s' is not in: %.200s\n", text, request);
        return false;
}

static bool eventful(struct peer *peer, const char *request, int n)
{
        static const char *const wanted[] = {"pods?limit=500 ",
                "watch=true&allowWatchBookmarks=true&resourceVersion=9&timeoutSeconds=61 ", "resourceVersion=12&",
                "resourceVersion=14&", "pods?limit=500 ", "resourceVersion=30&"};
        if (n >= 6 || !has(request, wanted[n]))
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "not what the test wants");
        switch (n) {
        case 0:
                return ok(peer, LIST("", "9", POD("a", "1") "," POD("b", "1")));
        case 1: /* cut in the middle of an event */
                return stream(
                        peer, EVENT("ADDED", POD("c", "11")) EVENT("MODIFIED", POD("a", "12")) "{\"type\": \"DEL");
        case 2: /* told twice; a bookmark */
                return stream(peer, EVENT("MODIFIED", POD("a", "12")) EVENT("BOOKMARK",
                                            "{\"kind\": \"Pod\", \"metadata\": {\"resourceVersion\": \"14\"}}"));
        case 3:
                return stream(peer, EVENT("ERROR", "{\"kind\": \"Status\", \"code\": 410, \"message\": \"too old\"}"));
        case 4: /* a has gone, b has changed, d has come; c is as it was */
                return ok(peer, "{\"metadata\": {\"resourceVersion\": \"30\"}, \"items\": [" POD("b", "20") "," POD(
                                        "c", "11") "," POD("d", "21") "]}");
        default:
                return stream(peer, EVENT("DELETED", POD("c", "31")) EVENT("DELETED", POD("never-seen", "32"))
                                            EVENT("ADDED", POD("e", "33")));
        }
}

static void test_watch(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(eventful);
        struct err *err = NULL;
        int r = watch(kube, 11, 0, &err);
        if (r)
                fail_msg("%s (%s)", err->message, told.data);
        assert_string_equal(told.data,
                "ADDED:a ADDED:b SYNC ADDED:c MODIFIED:a MODIFIED:b ADDED:d DELETED:a SYNC DELETED:c "
                "ADDED:e ");
        assert_true(fake_slept < 5000);
}

static bool garbage(struct peer *peer, const char *request, int n)
{
        (void)request;
        static const char *const lines[] = {"no json\n", "[]\n", "{\"type\": 1}\n", "{\"type\": \"ADDED\"}\n", "\n",
                "{\"type\": \"ERROR\", \"object\": {\"code\": 500, \"message\": \"etcd\"}}\n"};
        if (n == 0)
                return ok(peer, LIST("", "9", ""));
        return stream(peer, lines[(size_t)(n - 1) % (sizeof lines / sizeof *lines)]);
}

static void test_damaged_stream(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(garbage);
        struct err *err = NULL;
        refuse(watch(kube, 5, 0, &err), ERR_UNREACHABLE, &err, "cannot watch Pod", "");
        assert_string_equal(told.data, "SYNC ");
        assert_true(fake_slept > 70000 && fake_slept < 80000);
        assert_true(asked > 6 && asked < 30);
}

static bool ends_at_once(struct peer *peer, const char *request, int n)
{
        (void)request;
        return ok(peer, n == 0 ? LIST("", "9", "") : "");
}

static bool quiet(struct peer *peer, const char *request, int n)
{
        (void)request;
        if (n == 0)
                return ok(peer, LIST("", "9", ""));
        peer_send(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);
        while (!peer->server->ending) {
                struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
                if (poll(&wait, 1, 100) > 0)
                        break;
        }
        return false;
}

static void test_time_is_up(void **state)
{
        (void)state;
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(quiet);
                refuse(watch(kube, 5, 300, &err), ERR_TIMEOUT, &err, "the time is up", "Pod");
        }
        {
                CLEANUP_KUBE struct kube *kube = open_token(ends_at_once);
                refuse(watch(kube, 5, 20000, &err), ERR_TIMEOUT, &err, "the time is up", "Pod");
                assert_true(fake_slept > 15000 && asked < 15);
        }
        CLEANUP_KUBE struct kube *kube = open_token(ends_at_once);
        refuse(watch(kube, 5, 0, &err), ERR_UNREACHABLE, &err, "at once", "");
}

static bool lists_nothing(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return answer(peer, "503 Service Unavailable", "", "");
}

static void test_time_is_up_while_listing(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(lists_nothing);
        struct err *err = NULL;
        refuse(watch(kube, 5, 8000, &err), ERR_UNREACHABLE, &err, "503", "list Pod");
        assert_true(fake_slept > 4000 && fake_slept < 9000);
}

static bool asks_to_wait(struct peer *peer, const char *request, int n)
{
        (void)request;
        if (n == 0)
                return ok(peer, LIST("", "9", ""));
        return n == 1 ? refuse_with(peer, "429 Too Many Requests", "Retry-After: 3\r\n", "TooManyRequests", "slowly")
                      : stream(peer, EVENT("ADDED", POD("a", "12")));
}

static void test_watch_waits(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(asks_to_wait);
        assert_int_equal(watch(kube, 2, 0, NULL), 0);
        assert_string_equal(told.data, "SYNC ADDED:a ");
        assert_true(fake_slept >= 3000 && fake_slept < 4000);
}

static bool forbidden(struct peer *peer, const char *request, int n)
{
        (void)request;
        return n == 0 ? ok(peer, LIST("", "9", ""))
                      : refuse_with(peer, "403 Forbidden", "", "Forbidden", "u cannot watch pods");
}

static int give_up(void *data, const char *type, const json_t *object)
{
        (void)data, (void)type, (void)object;
        return -ERR_BUSY;
}

static void test_ends_of_watches(void **state)
{
        (void)state;
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(forbidden);
                refuse(watch(kube, 5, 0, &err), ERR_DENIED, &err, "u cannot watch pods", "Pod");
                assert_int_equal(asked, 2);
        }
        CLEANUP_KUBE struct kube *kube = open_token(quiet);
        assert_int_equal(kube_watch(kube, &pods, 0, give_up, NULL, NULL), -ERR_BUSY);
        asked = 0;
        assert_int_equal(watch(kube, 1, 0, NULL), 0);
}

static void *raise_soon(void *data)
{
        poll(NULL, 0, 150);
        cancel_raise(data);
        return NULL;
}

static void test_cancelled_watch(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        scenario = quiet;
        struct kube *kube = open_with(NULL, NULL, &(struct kube_options){.cancel = cancel});
        pthread_t thread;
        pthread_create(&thread, NULL, raise_soon, cancel);
        struct err *err = NULL;
        refuse(watch(kube, 5, 0, &err), ERR_CANCELLED, &err, "cancelled", "");
        pthread_join(thread, NULL);
        kube_close(kube);
        cancel_free(cancel);
}

/* ---- logs ---- */

static int on_line(void *data, const char *text, size_t length)
{
        int *left = data;
        assert_int_equal(strlen(text), length);
        buf_format(&told, "%s|", text);
        return --*left == 0;
}

static bool lines(struct peer *peer, const char *request, int n)
{
        static const char *const wanted[] = {
                "/pods/a/log?container=c&tailLines=5&sinceSeconds=9&previous=true&timestamps=true ",
                "/pods/a/log?follow=true ", "/pods/a/log ", "/pods/a/log ", "/pods/a/log?previous=true ",
                "/pods/a/log?previous=true "};
        if (n >= 6 || !has(request, wanted[n]))
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "not what the test wants");
        if (n == 0)
                return answer(peer, "200 OK", "", "one\n\ntwo\nthree");
        if (n == 3)
                return refuse_with(
                        peer, "400 Bad Request", "", "BadRequest", "container c is waiting to start: ImagePullBackOff");
        if (n == 4)
                return answer(peer, "200 OK", "", "unable to retrieve container logs for containerd://5d41402abc");
        if (n == 5)
                return answer(
                        peer, "200 OK", "", "unable to retrieve container logs for containerd://5d41402abc\nof it");
        return stream(peer, "one\ntwo\nth");
}

static void test_logs(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(lines);
        struct err *err = NULL;
        int left = 100;
        buf_clear(&told);
        struct kube_log_options all = {.tail = 5, .since_seconds = 9, .previous = true, .timestamps = true};
        assert_int_equal(kube_logs(kube, "hub", "a", "c", &all, on_line, &left, NULL), 0);
        assert_string_equal(told.data, "one||two|three|");
        buf_clear(&told);
        left = 2;
        assert_int_equal(
                kube_logs(kube, "hub", "a", NULL, &(struct kube_log_options){.follow = true}, on_line, &left, NULL), 0);
        assert_string_equal(told.data, "one|two|");
        buf_clear(&told);
        left = 100;
        refuse(kube_logs(kube, "hub", "a", NULL, NULL, on_line, &left, &err), ERR_UNREACHABLE, &err, "log of pod hub/a",
                "");
        assert_string_equal(told.data, "one|two|th|"); /* nothing twice */
        refuse(kube_logs(kube, "hub", "a", NULL, NULL, on_line, &left, &err), ERR_INVALID, &err, "ImagePullBackOff",
                "");
        buf_clear(&told);
        struct kube_log_options before = {.previous = true};
        refuse(kube_logs(kube, "hub", "a", NULL, &before, on_line, &left, &err), ERR_NOT_FOUND, &err,
                "log of pod hub/a", "removed");
        assert_null(told.data); /* a kubelet's words are no line of the container's */
        assert_int_equal(kube_logs(kube, "hub", "a", NULL, &before, on_line, &left, NULL), 0);
        assert_string_equal(told.data, "unable to retrieve container logs for containerd://5d41402abc|of it|");
}

static int end(void **state)
{
        buf_clear(&told);
        return fixture_end(state);
}

int main(void)
{
        told = (struct buf)BUF_INIT(10000);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pages),
                cmocka_unit_test(test_large_pages),
                cmocka_unit_test(test_odd_lists),
                cmocka_unit_test(test_watch),
                cmocka_unit_test(test_damaged_stream),
                cmocka_unit_test(test_time_is_up),
                cmocka_unit_test(test_time_is_up_while_listing),
                cmocka_unit_test(test_watch_waits),
                cmocka_unit_test(test_ends_of_watches),
                cmocka_unit_test(test_cancelled_watch),
                cmocka_unit_test(test_logs),
        };
        return cmocka_run_group_tests(tests, fixture_start, end);
}
