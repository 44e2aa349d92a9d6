/* Port-forwards through a false API server: what comes and goes, and what may go wrong. */
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/kube/websocket.h"
#include "kube_server.h"

/* What the pod does with a connection. */
enum pod {
        POD_ECHOES,
        POD_REFUSES,
        POD_GONE_ONCE,
        POD_CUTS,
        POD_SPEAKS_NONSENSE,
        POD_SAYS_MUCH,
        POD_IS_SILENT,
        POD_ANSWERS_TWICE,
        POD_FORBIDDEN
};
static enum pod pod;
static atomic_int handshakes;
static const char *pods_list;

#define READY "\"status\": {\"phase\": \"Running\", \"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}"
#define PORTS "\"spec\": {\"containers\": [{\"ports\": [{\"name\": \"http\", \"containerPort\": 8081}]}]}"
#define LISTED                                                                                                         \
        "{\"items\": ["                                                                                                \
        "{\"metadata\": {\"name\": \"old\", \"deletionTimestamp\": \"x\"}, " READY ", " PORTS "},"                     \
        "{\"metadata\": {\"name\": \"new\"}, \"status\": {\"phase\": \"Pending\"}},"                                   \
        "{\"metadata\": {\"name\": \"web-1\"}, " READY ", " PORTS "}]}"

/* ---- the server's side of a WebSocket ---- */

static bool read_all(struct peer *peer, void *data, size_t length)
{
        for (char *at = data; length > 0;) {
                ssize_t n = peer_receive(peer, at, length);
                if (n <= 0)
                        return false;
                at += n;
                length -= (size_t)n;
        }
        return true;
}

/* One frame of the client, unmasked; -1 at its end. The caller frees. */
static ssize_t read_frame(struct peer *peer, char **ret)
{
        uint8_t head[2], more[8], mask[4];
        if (!read_all(peer, head, 2) || !(head[1] & 0x80))
                return -1;
        size_t length = head[1] & 0x7f, extra = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (extra && !read_all(peer, more, extra))
                return -1;
        for (size_t i = 0; i < extra; i++)
                length = (i ? length << 8 : 0) | more[i];
        if (!read_all(peer, mask, 4))
                return -1;
        char *payload = mem_zero(length + 1);
        if (!read_all(peer, payload, length) || (head[0] & 0x0f) == WEBSOCKET_CLOSE) {
                free(payload);
                return -1;
        }
        for (size_t i = 0; i < length; i++)
                payload[i] = (char)((uint8_t)payload[i] ^ mask[i % 4]);
        *ret = payload;
        return (ssize_t)length;
}

static bool write_frame(struct peer *peer, const char *payload, size_t length)
{
        uint8_t head[4] = {0x82, length < 126 ? (uint8_t)length : 126, (uint8_t)(length >> 8), (uint8_t)length};
        return peer_send(peer, (char *)head, length < 126 ? 2 : 4) && peer_send(peer, payload, length);
}

static bool say_much(struct peer *peer)
{
        static char block[20001];
        for (size_t i = 1; i < sizeof block; i++)
                block[i] = (char)('a' + i % 26);
        for (int i = 0; i < 500; i++)
                if (!write_frame(peer, block, sizeof block))
                        return false;
        return false;
}

static bool be_pod(struct peer *peer)
{
        static const char nonsense[] = "\xf2\x05hello";
        int one = 1; /* as a real one does */
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        write_frame(peer, "\0\x91\x1f", 3); /* both channels begin with the port: 8081 */
        write_frame(peer, "\1\x91\x1f", 3);
        if (pod == POD_REFUSES) {
                static const char complaint[] = "\1failed to connect to localhost:8081: connection refused";
                return write_frame(peer, complaint, sizeof complaint - 1) && peer_send(peer, "\x88\x00", 2) && false;
        }
        if (pod == POD_SPEAKS_NONSENSE)
                return peer_send(peer, nonsense, sizeof nonsense - 1) && false;
        if (pod == POD_SAYS_MUCH)
                return say_much(peer);
        peer_send(peer, "\x89\x02hi", 4); /* a ping */
        bool ponged = false;
        for (;;) {
                CLEANUP_FREE char *payload = NULL;
                ssize_t n = read_frame(peer, &payload);
                if (n < 0)
                        return false;
                if (n == 2 && memcmp(payload, "hi", 2) == 0 && !ponged) {
                        ponged = true;
                        continue;
                }
                if (pod == POD_IS_SILENT)
                        continue;
                if (pod == POD_ANSWERS_TWICE) { /* as a directory does: an entry, then that it was all */
                        if (!write_frame(peer, payload, (size_t)n))
                                return false;
                        poll(NULL, 0, 1);
                }
                if (*payload != 0 || (pod == POD_CUTS && n > 3) || !write_frame(peer, payload, (size_t)n))
                        return false;
        }
}

static bool shake(struct peer *peer, const char *request)
{
        const char *key = strcasestr(request, "Sec-WebSocket-Key: ");
        if (!key || !strstr(request, "Authorization: Bearer s3cret\r\n") ||
                !strstr(request, "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n") ||
                !str_starts(request, "GET /api/v1/namespaces/hub/pods/web-1/portforward?ports=8081 HTTP/1.1\r\n"))
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "not what the test wants");
        CLEANUP_FREE char *value = str_copy_n(key + 19, strcspn(key + 19, "\r"));
        CLEANUP_FREE char *accept = websocket_accept(value);
        CLEANUP_FREE char *text =
                str_format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
                        accept);
        return peer_send(peer, text, strlen(text)) && be_pod(peer);
}

static bool serve_pods(struct peer *peer, const char *request, int n)
{
        (void)n;
        if (str_starts(request, "GET /api/v1/namespaces/hub/services/web "))
                return ok(peer, "{\"spec\": {\"selector\": {\"app\": \"web\", \"tier\": \"x\"}, \"ports\": [{\"port\": "
                                "80, \"targetPort\": \"http\"},"
                                "{\"port\": 81, \"targetPort\": \"nameless\"}]}}");
        if (str_starts(request, "GET /api/v1/namespaces/hub/services/external "))
                return ok(peer, "{\"spec\": {\"ports\": [{\"port\": 80}]}}");
        if (str_starts(request, "GET /api/v1/namespaces/hub/pods?labelSelector=app%3Dweb%2Ctier%3Dx&"))
                return ok(peer, pods_list);
        if (strstr(request, "/portforward?")) {
                if (handshakes++ == 0 && pod == POD_GONE_ONCE)
                        return refuse_with(peer, "404 Not Found", "", "NotFound", "pods web-1 not found");
                if (pod == POD_FORBIDDEN) { /* the reason comes behind its head */
                        static const char body[] = "{\"message\": \"User u cannot create pods/portforward\"}";
                        CLEANUP_FREE char *head = str_format("HTTP/1.1 403 Forbidden\r\nContent-Type: "
                                                             "application/json\r\nContent-Length: %zu\r\n\r\n",
                                sizeof body - 1);
                        peer_send(peer, head, strlen(head));
                        poll(NULL, 0, 50);
                        return peer_send(peer, body, sizeof body - 1);
                }
                return shake(peer, request);
        }
        return refuse_with(peer, "404 Not Found", "", "NotFound", "services not found");
}

/* ---- ours ---- */

static struct kube *kube;
static struct kube_forward *forward;
static int port;

static void open_forward(enum pod what)
{
        pod = what;
        handshakes = 0;
        pods_list = LISTED;
        kube = open_token(serve_pods);
        struct err *err = NULL;
        if (kube_forward_open(kube, "hub", "web", 80, &forward, &port, &err) < 0)
                fail_msg("%s", err->message);
}

static void close_forward(void)
{
        forward = kube_forward_close(forward);
        kube = kube_close(kube);
}

static int dial(void)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = {.tv_sec = 10};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

static bool exchange(int fd, const char *text)
{
        size_t length = strlen(text);
        CLEANUP_FREE char *answer_text = mem_zero(length + 1);
        return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length &&
               recv(fd, answer_text, length, MSG_WAITALL) == (ssize_t)length && str_is(answer_text, text);
}

static bool ended(int fd)
{
        char byte;
        return recv(fd, &byte, 1, 0) <= 0;
}

static void *talk(void *data)
{
        (void)data;
        for (int i = 0; i < 5; i++) {
                int fd = dial();
                bool good = exchange(fd, "one") && exchange(fd, "hello, two");
                close(fd);
                if (!good)
                        return "failed";
        }
        return NULL;
}

static char *trouble(void)
{
        char *text = NULL;
        for (int i = 0; i < 250 && !text; i++) {
                text = kube_forward_trouble(forward);
                poll(NULL, 0, 20);
        }
        return text;
}

static void test_echo(void **state)
{
        (void)state;
        open_forward(POD_ECHOES);
        pthread_t thread[4];
        for (int i = 0; i < 4; i++)
                pthread_create(&thread[i], NULL, talk, NULL);
        for (int i = 0; i < 4; i++) {
                void *said;
                pthread_join(thread[i], &said);
                assert_null(said);
        }
        assert_int_equal(handshakes, 20);
        assert_null(kube_forward_trouble(forward));
        close_forward();
}

/* The other end of a connection within this process; -1 if there is none. */
static int other_end(int fd)
{
        struct sockaddr_in mine, peer;
        socklen_t length = sizeof mine;
        assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &length), 0);
        for (int other = 0; other < 1024; other++) {
                length = sizeof peer;
                if (getpeername(other, (struct sockaddr *)&peer, &length) == 0 && peer.sin_family == AF_INET &&
                        peer.sin_port == mine.sin_port)
                        return other;
        }
        return -1;
}

/* What comes in two pieces is not held back until the first is acknowledged, for which the other side takes 40 ms. */
static void test_pieces(void **state)
{
        (void)state;
        open_forward(POD_ANSWERS_TWICE);
        int fd = dial(), no_delay = 0;
        for (int i = 0; i < 50; i++) {
                char both[2];
                assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
                for (int k = 0; k < 2; k++)
                        assert_int_equal(recv(fd, &both[k], 1, MSG_WAITALL), 1);
        }
        socklen_t length = sizeof no_delay;
        assert_int_equal(getsockopt(other_end(fd), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length), 0);
        assert_true(no_delay);
        close(fd);
        close_forward();
}

static void *send_much(void *data)
{
        CLEANUP_FREE char *block = mem_zero(100000);
        for (int i = 0; i < 50; i++) {
                memset(block, 'a' + i % 26, 100000);
                for (size_t at = 0; at < 100000;) {
                        ssize_t n = send(*(int *)data, block + at, 100000 - at, MSG_NOSIGNAL);
                        if (n <= 0)
                                return "failed";
                        at += (size_t)n;
                }
        }
        shutdown(*(int *)data, SHUT_WR);
        return NULL;
}

static void test_much_both_ways(void **state)
{
        (void)state;
        open_forward(POD_ECHOES);
        int fd = dial();
        pthread_t thread;
        pthread_create(&thread, NULL, send_much, &fd);
        poll(NULL, 0, 200); /* the way back fills up meanwhile */
        static char block[100000];
        for (int i = 0; i < 50; i++) {
                assert_int_equal(recv(fd, block, sizeof block, MSG_WAITALL), sizeof block);
                assert_int_equal(block[0], 'a' + i % 26);
                assert_int_equal(block[99999], 'a' + i % 26);
        }
        void *said;
        pthread_join(thread, &said);
        assert_null(said);
        assert_true(ended(fd)); /* our side has said all; soon after it is over */
        close(fd);
        close_forward();
}

static void test_slow_reader(void **state)
{
        (void)state;
        open_forward(POD_SAYS_MUCH);
        int fd = dial();
        poll(NULL, 0, 300); /* the pod has said all and gone, most of it is still on the way */
        size_t total = 0;
        char block[50000];
        for (ssize_t n; (n = recv(fd, block, sizeof block, 0)) > 0;)
                total += (size_t)n;
        assert_int_equal(total, 500 * 20000);
        close(fd);
        close_forward();
}

static void test_other_pod(void **state)
{
        (void)state;
        open_forward(POD_GONE_ONCE);
        int fd = dial();
        assert_true(exchange(fd, "hello"));
        close(fd);
        assert_int_equal(handshakes, 2);
        close_forward();
}

static void test_troubles(void **state)
{
        (void)state;
        static const struct {
                enum pod pod;
                const char *part;
        } list[] = {{POD_REFUSES, "connection refused"}, {POD_SPEAKS_NONSENSE, "reserved bits"},
                {POD_FORBIDDEN, "User u cannot create"}};
        for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
                open_forward(list[i].pod);
                int fd = dial();
                assert_true(ended(fd));
                close(fd);
                CLEANUP_FREE char *text = trouble();
                if (!text || !strstr(text, list[i].part))
                        fail_msg("'%s' is not in: %s", list[i].part, text ? text : "(none)");
                close_forward();
        }
        open_forward(POD_CUTS);
        int fd = dial();
        assert_true(exchange(fd, "ab"));
        assert_true(send(fd, "more", 4, MSG_NOSIGNAL) == 4 && ended(fd));
        close(fd);
        close_forward();
}

static void test_closes_at_once(void **state)
{
        (void)state;
        open_forward(POD_IS_SILENT);
        int fd[10];
        for (int i = 0; i < 10; i++) {
                fd[i] = dial();
                assert_int_equal(send(fd[i], "x", 1, MSG_NOSIGNAL), 1);
        }
        close_forward(); /* they would never end by themselves */
        for (int i = 0; i < 10; i++) {
                assert_true(ended(fd[i]));
                close(fd[i]);
        }
        assert_null(kube_forward_close(NULL));
}

static void test_targets(void **state)
{
        (void)state;
        struct err *err = NULL;
        pods_list = LISTED;
        CLEANUP_KUBE struct kube *client = open_token(serve_pods);
        refuse(kube_forward_open(client, "hub", "web", 82, &forward, &port, &err), ERR_NOT_FOUND, &err,
                "hub/web has no port 82", "");
        refuse(kube_forward_open(client, "hub", "web", 81, &forward, &port, &err), ERR_NOT_FOUND, &err,
                "no port of the name", "");
        refuse(kube_forward_open(client, "hub", "external", 80, &forward, &port, &err), ERR_NOT_FOUND, &err,
                "selects no pods", "");
        refuse(kube_forward_open(client, "hub", "nobody", 80, &forward, &port, &err), ERR_NOT_FOUND, &err,
                "Service hub/nobody", "");
        refuse(kube_forward_open(client, "hub", "pod/nobody", 80, &forward, &port, &err), ERR_NOT_FOUND, &err,
                "Pod hub/nobody", "");
        pods_list = "{\"items\": [{\"metadata\": {\"name\": \"new\"}, \"status\": {\"phase\": \"Pending\"}},"
                    "{\"metadata\": {\"name\": \"half\"}, \"status\": {\"phase\": \"Running\"}}]}";
        refuse(kube_forward_open(client, "hub", "web", 80, &forward, &port, &err), ERR_UNREACHABLE, &err,
                "new is Pending, half is not ready", "hub/web");
        pods_list = "{\"items\": []}";
        refuse(kube_forward_open(client, "hub", "web", 80, &forward, &port, &err), ERR_UNREACHABLE, &err,
                "there are none", "");
        forward = NULL;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_echo),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_much_both_ways),
                cmocka_unit_test(test_slow_reader),
                cmocka_unit_test(test_other_pod),
                cmocka_unit_test(test_troubles),
                cmocka_unit_test(test_closes_at_once),
                cmocka_unit_test(test_targets),
        };
        return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
