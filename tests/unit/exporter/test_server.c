/* The server and the threads behind it, with sources that are slow, fail or hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../client/must.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/kube_view.h"
#include "exporter/registry.h"
#include "exporter/server.h"

#define WAIT_MS 20000

/* ---- a clock of our own: it stands still unless told, and its sleeps end when it is told ---- */

static struct clock still;
static atomic_llong now_ms;

static int64_t still_monotonic(struct clock *clock)
{
        (void)clock;
        return atomic_load(&now_ms);
}

static int still_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        int64_t end = still_monotonic(clock) + ms;
        while (atomic_load(&now_ms) < end)
                if (clock_system()->sleep_ms(clock_system(), 1, cancel) < 0)
                        return -ERR_CANCELLED;
        return 0;
}

/* ---- sources ---- */

static const struct family GOOD = {.name = "t_good", .help = "Refreshes so far.", .labels = "user"};
static const struct family *const GOOD_FAMILIES[] = {&GOOD, NULL};
static const struct family SLOW = {.name = "t_slow", .help = "Never seen in time."};
static const struct family *const SLOW_FAMILIES[] = {&SLOW, NULL};

static atomic_int good_refreshes, good_done;
static atomic_bool good_fails, slow_hangs, slow_ignores_cancel, slow_began;

static bool always(const struct config *config)
{
        (void)config;
        return true;
}

static bool never(const struct config *config)
{
        (void)config;
        return false;
}

static int good_refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        int *count = *state ? *state : (*state = mem_zero(sizeof *count));
        (void)config;
        ++*count;
        sink_add(sink, &GOOD, *count, (const char *const[]){"user", "alice", NULL});
        int r = atomic_load(&good_fails) ? err_set(err, ERR_UNREACHABLE, "it is away for %d ms", *count + 6) : 0;
        atomic_fetch_add(&good_refreshes, 1);
        return r;
}

static void good_end(void *state)
{
        atomic_fetch_add(&good_done, 1);
        free(state);
}

static int slow_refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        (void)state;
        atomic_store(&slow_began, true);
        while (atomic_load(&slow_hangs))
                if (clock_system()->sleep_ms(
                            clock_system(), 2, atomic_load(&slow_ignores_cancel) ? NULL : config->cancel) < 0)
                        return err_set(err, ERR_CANCELLED, "cancelled");
        sink_add(sink, &SLOW, 1, NULL);
        return 0;
}

static const struct source good = {"good", GOOD_FAMILIES, always, good_refresh, good_end};
static const struct source slow = {"slow", SLOW_FAMILIES, always, slow_refresh, NULL};
static const struct source unwanted = {"unwanted", SLOW_FAMILIES, never, slow_refresh, NULL};
static const struct source *const BOTH[] = {&good, &unwanted, &slow, NULL};

/* ---- the exporter around them ---- */

struct exporter {
        struct config *config;
        struct registry *registry;
        struct server *server;
        int port;
};

static int free_port(void)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static struct exporter begin(const char *more)
{
        struct exporter e = {.port = free_port()};
        CLEANUP_FREE char *text = str_format("{\"listen\": \"127.0.0.1:%d\", \"refresh_seconds\": 10%s}", e.port, more);
        atomic_store(&now_ms, 1000);
        atomic_store(&good_refreshes, 0);
        atomic_store(&good_done, 0);
        atomic_store(&slow_began, false);
        still = (struct clock){still_monotonic, clock_system()->wall_ms, still_sleep};
        MUST(config_parse(text, strlen(text), &e.config, err));
        MUST(registry_start(BOTH, e.config, &still, &e.registry, err));
        MUST(server_start(e.config, e.registry, &e.server, err));
        return e;
}

static bool end(struct exporter *e, int timeout_ms)
{
        server_stop(e->server);
        cancel_raise(e->config->cancel);
        bool ended = registry_stop(e->registry, timeout_ms);
        if (ended)
                config_free(e->config);
        return ended;
}

static void wait_for(bool (*what)(const struct exporter *), const struct exporter *e)
{
        int64_t until = clock_system()->monotonic_ms(clock_system()) + WAIT_MS;
        while (!what(e)) {
                if (clock_system()->monotonic_ms(clock_system()) > until)
                        fail_msg("it did not happen");
                clock_system()->sleep_ms(clock_system(), 2, NULL);
        }
}

static int open_connection(int port)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
        struct timeval limit = {.tv_sec = WAIT_MS / 1000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

/* The whole answer, to the end of the connection. The caller frees. */
static char *exchange(const struct exporter *e, const char *request)
{
        int fd = open_connection(e->port);
        struct buf answer = BUF_INIT(1 << 24);
        char piece[4096];
        assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
        for (ssize_t n; (n = recv(fd, piece, sizeof piece, 0)) > 0;)
                buf_add(&answer, piece, (size_t)n);
        close(fd);
        return buf_steal(&answer);
}

static char *get(const struct exporter *e, const char *path, const char *headers)
{
        CLEANUP_FREE char *request =
                str_format("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", path, headers);
        return exchange(e, request);
}

static void has(const char *text, const char *words)
{
        if (!strstr(text, words))
                fail_msg("\"%s\" is not in \"%s\"", words, text);
}

static void lacks(const char *text, const char *words)
{
        if (strstr(text, words))
                fail_msg("\"%s\" is in \"%s\"", words, text);
}

static bool good_is_shown(const struct exporter *e)
{
        CLEANUP_FREE char *text = get(e, "/metrics", "");
        return strstr(text, "caas_source_up{source=\"good\"} 1") != NULL;
}

static bool good_is_down(const struct exporter *e)
{
        CLEANUP_FREE char *text = get(e, "/metrics", "");
        return strstr(text, "caas_source_up{source=\"good\"} 0") != NULL;
}

static bool slow_is_at_work(const struct exporter *e)
{
        (void)e;
        return atomic_load(&slow_began);
}

/* ---- tests ---- */

/* A source that hangs costs its own figures and nothing else; it is seen to be down, at first and later. */
static void test_slow_source(void **state)
{
        (void)state;
        atomic_store(&slow_hangs, true);
        struct exporter e = begin("");
        wait_for(good_is_shown, &e);
        wait_for(slow_is_at_work, &e);
        CLEANUP_FREE char *text = get(&e, "/metrics", "");
        has(text, "HTTP/1.1 200 OK\r\n");
        has(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
        has(text, "\nt_good{user=\"alice\"} 1\n");
        has(text, "caas_source_up{source=\"slow\"} 0\n");
        has(text, "caas_samples_dropped{source=\"good\"} 0\n");
        has(text, "caas_exporter_build_info{version=\"");
        lacks(text, "t_slow");
        lacks(text, "unwanted");
        lacks(text, "caas_source_last_success_timestamp_seconds{source=\"slow\"}");
        assert_true(end(&e, WAIT_MS));
        assert_int_equal(atomic_load(&good_done), 1);
}

/* What failed leaves the last figures until they are five refreshes old. */
static void test_stale(void **state)
{
        (void)state;
        atomic_store(&slow_hangs, false);
        atomic_store(&good_fails, false);
        struct exporter e = begin("");
        wait_for(good_is_shown, &e);
        atomic_store(&good_fails, true);
        atomic_fetch_add(&now_ms, 10001);
        wait_for(good_is_down, &e);
        CLEANUP_FREE char *text = get(&e, "/metrics", "");
        has(text, "\nt_good{user=\"alice\"} 1\n"); /* what the failed refresh added is not shown */
        atomic_fetch_add(&now_ms, 60000);
        CLEANUP_FREE char *later = get(&e, "/metrics", "");
        lacks(later, "t_good");
        has(later, "caas_source_up{source=\"good\"} 0\n");
        has(later, "caas_source_last_success_timestamp_seconds{source=\"good\"} ");
        atomic_store(&good_fails, false);
        atomic_fetch_add(&now_ms, 10001);
        wait_for(good_is_shown, &e);
        assert_true(end(&e, WAIT_MS));
}

static bool three_refreshes(const struct exporter *e)
{
        (void)e;
        atomic_fetch_add(&now_ms, 10001);
        return atomic_load(&good_refreshes) >= 3;
}

static bool good_later(const struct exporter *e)
{
        atomic_fetch_add(&now_ms, 10001);
        return good_is_shown(e);
}

/* The log has the reason, once, and says when it is over. */
static void test_log(void **state)
{
        (void)state;
        char text[4096] = "";
        int before = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
        assert_true(before >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
        atomic_store(&slow_hangs, false);
        atomic_store(&good_fails, true);
        struct exporter e = begin("");
        wait_for(three_refreshes, &e);
        atomic_store(&good_fails, false);
        wait_for(good_later, &e);
        bool ended = end(&e, WAIT_MS);
        dup2(before, STDERR_FILENO);
        close(before);
        assert_true(ended);
        assert_true(pread(log, text, sizeof text - 1, 0) >= 0);
        close(log);
        assert_string_equal(text, "caas-exporter: good: it is away for 7 ms\ncaas-exporter: good: well again\n");
}

/* A refresh that takes longer than it may is down although the one before succeeded. */
static bool slow_is_shown(const struct exporter *e)
{
        CLEANUP_FREE char *text = get(e, "/metrics", "");
        return strstr(text, "\nt_slow 1\n") != NULL;
}

static bool slow_is_down(const struct exporter *e)
{
        CLEANUP_FREE char *text = get(e, "/metrics", "");
        return strstr(text, "caas_source_up{source=\"slow\"} 0\n") && strstr(text, "\nt_slow 1\n");
}

static void test_overdue(void **state)
{
        (void)state;
        atomic_store(&slow_hangs, false);
        struct exporter e = begin("");
        wait_for(slow_is_shown, &e);
        atomic_store(&slow_began, false);
        atomic_store(&slow_hangs, true);
        atomic_fetch_add(&now_ms, 10001);
        wait_for(slow_is_at_work, &e);
        atomic_fetch_add(&now_ms, 12001);
        wait_for(slow_is_down, &e);
        assert_true(end(&e, WAIT_MS));
}

/* One that does not even notice that the exporter ends is left behind, after the time it was given. */
static void test_hanging_end(void **state)
{
        (void)state;
        atomic_store(&slow_hangs, true);
        atomic_store(&slow_ignores_cancel, true);
        struct exporter e = begin("");
        wait_for(slow_is_at_work, &e);
        assert_false(end(&e, 100));
        atomic_store(&slow_hangs, false);
        atomic_store(&slow_ignores_cancel, false);
        assert_true(registry_stop(e.registry, WAIT_MS));
        config_free(e.config);
}

static void test_requests(void **state)
{
        (void)state;
        atomic_store(&slow_hangs, false);
        struct exporter e = begin(", \"token\": \"secret\"");
        static const struct {
                const char *request, *answer;
        } cases[] = {
                {"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 401 "},
                {"GET /targets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
                {"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer wrong\r\n\r\n",
                        "WWW-Authenticate: Bearer\r\n"},
                {"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer secret\r\n\r\n",
                        "HTTP/1.1 200 "},
                {"GET /metrics HTTP/1.0\r\nAuthorization: Bearer secret\r\n\r\n", " 200 "},
                {"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "\r\n\r\nok\n"},
                {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
                {"GET /metrics/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
                {"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "},
                {"DELETE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "Allow: GET, HEAD\r\n"},
                {"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
                        "HTTP/1.1 405 "},
                {"nonsense\r\n\r\n", ""},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *text = exchange(&e, cases[i].request);
                has(text, cases[i].answer);
                if (!strstr(cases[i].request, "Bearer secret"))
                        lacks(text, "caas_");
        }
        CLEANUP_FREE char *head = exchange(&e, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                               "Authorization: Bearer secret\r\n\r\n");
        has(head, "HTTP/1.1 200 ");
        has(head, "Content-Length: ");
        lacks(head, "caas_");
        CLEANUP_FREE char *huge = mem_zero(200001);
        memset(huge, 'a', 200000);
        CLEANUP_FREE char *long_header = str_format("X-Long: %s\r\n", huge);
        CLEANUP_FREE char *refused = get(&e, "/healthz", long_header);
        lacks(refused, " 200 ");
        CLEANUP_FREE char *still_there = get(&e, "/healthz", "");
        has(still_there, "\r\n\r\nok\n");
        assert_true(end(&e, WAIT_MS));
}

static void published(const char *const targets[][2], size_t count)
{
        struct kube_view *view = kube_view_new();
        for (size_t i = 0; i < count; i++) {
                MEM_GROW(view->target, view->targets, view->target_room);
                view->target[view->targets++] =
                        (struct view_target){.node = str_copy(targets[i][0]), .address = str_copy(targets[i][1])};
        }
        kube_view_publish(view);
}

/* Where Prometheus finds node exporters: on Kubernetes only, with the token only, and only what the API server said. */
static void test_targets(void **state)
{
        (void)state;
        static const char right[] = "Authorization: Bearer secret\r\n";
        atomic_store(&slow_hangs, false);
        struct exporter e = begin(", \"token\": \"secret\", \"kubernetes\": {\"api\": \"https://127.0.0.1:9\", \"ca\": "
                                  "\"/ca\", \"token_file\": \"/token\", \"namespace\": \"ocean\"}");
        CLEANUP_FREE char *early = get(&e, "/targets", right);
        has(early, "HTTP/1.1 503 ");
        static const char *const two[][2] = {
                {"n1", "10.0.0.7:9100"}, {"n\"2", "[fd00::7]:9100"}, {"n1", "10.0.0.8:9100"}};
        published(two, 3);
        CLEANUP_FREE char *refused = get(&e, "/targets", "Authorization: Bearer wrong\r\n"),
                          *told = get(&e, "/targets", right);
        has(refused, "HTTP/1.1 401 ");
        lacks(refused, "n1");
        has(told, "HTTP/1.1 200 ");
        has(told, "Content-Type: application/json\r\n");
        has(told, "\r\n\r\n[{\"targets\":[\"10.0.0.8:9100\"],\"labels\":{\"instance\":\"n1\",\"node\":\"n1\"}},"
                  "{\"targets\":[\"[fd00::7]:9100\"],\"labels\":{\"instance\":\"n\\\"2\",\"node\":\"n\\\"2\"}}]");
        published(NULL, 0); /* the last node went */
        CLEANUP_FREE char *none = get(&e, "/targets", right);
        has(none, "\r\n\r\n[]");
        assert_true(end(&e, WAIT_MS));
}

static void test_formats(void **state)
{
        (void)state;
        struct exporter e = begin("");
        wait_for(good_is_shown, &e);
        CLEANUP_FREE char *text = get(&e, "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
        has(text, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
        assert_true(str_ends(text, "\n# EOF\n"));
        assert_true(end(&e, WAIT_MS));
}

/* Somebody who opens more connections than there may be, and says nothing, or not all, keeps nobody out: whoever of
 * them came first is sent away. Who is known is not. A taken address is said. */
static void test_others(void **state)
{
        (void)state;
        struct exporter e = begin(", \"token\": \"secret\"");
        static const char scrape[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n";
        int idle[300], known = open_connection(e.port);
        char piece[65536];
        assert_int_equal(send(known, scrape, strlen(scrape), MSG_NOSIGNAL), (ssize_t)strlen(scrape));
        assert_true(recv(known, piece, sizeof piece, 0) > 0);
        for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
                idle[i] = open_connection(e.port);
                if (i % 2)
                        assert_int_equal(send(idle[i], scrape, 40, MSG_NOSIGNAL), 40);
        }
        CLEANUP_FREE char *text = get(&e, "/metrics", "Authorization: Bearer secret\r\n");
        has(text, "HTTP/1.1 200 ");
        assert_int_equal(recv(idle[0], piece, sizeof piece, 0), 0);
        assert_int_equal(recv(idle[299], piece, sizeof piece, MSG_DONTWAIT), -1);
        while (recv(known, piece, sizeof piece, MSG_DONTWAIT) > 0)
                ; /* the rest of the first answer */
        assert_int_equal(send(known, scrape, strlen(scrape), MSG_NOSIGNAL), (ssize_t)strlen(scrape));
        assert_true(recv(known, piece, sizeof piece, 0) > 0);
        struct server *second = NULL;
        REFUSED(server_start(e.config, e.registry, &second, err), ERR_BUSY, "cannot listen at 127.0.0.1:");
        for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
                close(idle[i]);
        close(known);
        assert_true(end(&e, WAIT_MS));
}

/* In a pod: whichever addresses it has. */
static void test_all_addresses(void **state)
{
        (void)state;
        struct exporter e = {.port = free_port()};
        struct sockaddr_in6 six = {
                .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons((uint16_t)e.port)};
        CLEANUP_FREE char *text = str_format("{\"listen\": \"*:%d\"}", e.port);
        MUST(config_parse(text, strlen(text), &e.config, err));
        MUST(registry_start(BOTH, e.config, clock_system(), &e.registry, err));
        MUST(server_start(e.config, e.registry, &e.server, err));
        CLEANUP_FREE char *by_four = get(&e, "/healthz", "");
        has(by_four, "\r\n\r\nok\n");
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool none = fd < 0 && errno == EAFNOSUPPORT; /* this kernel has no IPv6 */
        assert_true(none || connect(fd, (struct sockaddr *)&six, sizeof six) == 0 || errno == EADDRNOTAVAIL);
        close(fd);
        assert_true(end(&e, WAIT_MS));
}

static atomic_bool stop_scraping;

static void *scrape_on(void *data)
{
        const struct exporter *e = data;
        for (int i = 0; i < 200 && !atomic_load(&stop_scraping); i++) {
                CLEANUP_FREE char *text = get(e, "/metrics", "");
                if (!strstr(text, " 200 "))
                        return (void *)"a scrape failed";
        }
        return NULL;
}

/* Scrapes while figures change: what is being sent stays what it was. */
static void test_many(void **state)
{
        (void)state;
        struct exporter e = begin("");
        pthread_t threads[3];
        atomic_store(&stop_scraping, false);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, scrape_on, &e), 0);
        for (int i = 0; i < 50; i++) {
                atomic_fetch_add(&now_ms, 10001);
                clock_system()->sleep_ms(clock_system(), 4, NULL);
        }
        atomic_store(&stop_scraping, true);
        for (size_t i = 0; i < 3; i++) {
                void *problem = NULL;
                pthread_join(threads[i], &problem);
                assert_null(problem);
        }
        assert_true(atomic_load(&good_refreshes) > 1);
        assert_true(end(&e, WAIT_MS));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slow_source),
                cmocka_unit_test(test_stale),
                cmocka_unit_test(test_log),
                cmocka_unit_test(test_overdue),
                cmocka_unit_test(test_hanging_end),
                cmocka_unit_test(test_requests),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_formats),
                cmocka_unit_test(test_others),
                cmocka_unit_test(test_all_addresses),
                cmocka_unit_test(test_many),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
