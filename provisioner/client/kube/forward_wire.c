/* The WebSocket to a pod's port: the handshake and the channels. */
#include <poll.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "client/kube/base64.h"
#include "client/kube/forward.h"

#define PROTOCOL "v4.channel.k8s.io"
#define HEAD_MAX (16UL * 1024)
#define OUT_MAX  (256UL * 1024)
#define IN_MAX   (WEBSOCKET_MESSAGE_MAX + 64UL * 1024) /* a message, and what may come behind it in one piece */
#define TEXT_MAX 1000
#define BODY_MS  2000

enum { CHANNEL_DATA = 0, CHANNEL_ERROR = 1 };

static int on_message(void *data, enum websocket_opcode opcode, const char *payload, size_t length);

void wire_close(struct wire *wire)
{
        http_tunnel_close(wire->tunnel);
        websocket_reader_clear(&wire->reader);
        buf_clear(&wire->out);
        buf_clear(&wire->in);
        free(wire->complaint);
        *wire = (struct wire){0};
}

/* ---- shaking hands ---- */

static int send_all(struct http_tunnel *tunnel, const char *data, size_t length, int64_t end, struct cancel *cancel,
        struct err **err)
{
        struct clock *clock = clock_system();
        while (length > 0) {
                size_t n = 0;
                int r = http_tunnel_send(tunnel, data, length, &n, err);
                if (r == 0)
                        r = cancel_check(cancel, 1, err);
                if (r < 0)
                        return r;
                if (clock->monotonic_ms(clock) > end)
                        return err_set(err, ERR_TIMEOUT, "the server takes no request");
                data += n;
                length -= n;
                struct pollfd p = {.fd = http_tunnel_fd(tunnel), .events = POLLOUT};
                if (length > 0)
                        poll(&p, 1, 200);
        }
        return 0;
}

/* The head of the answer goes into *head; what follows it stays in *rest. */
static int read_head(struct http_tunnel *tunnel, int64_t end, struct cancel *cancel, struct buf *head, struct buf *rest,
        struct err **err)
{
        struct clock *clock = clock_system();
        char piece[4096];
        for (;;) {
                size_t n = 0;
                int r = http_tunnel_receive(tunnel, piece, sizeof piece, &n, err);
                if (r == 0)
                        r = cancel_check(cancel, 1, err);
                if (r < 0)
                        return r;
                buf_add(head, piece, n);
                char *stop = head->data ? memmem(head->data, head->length, "\r\n\r\n", 4) : NULL;
                if (stop) {
                        size_t length = (size_t)(stop + 4 - head->data);
                        buf_add(rest, head->data + length, head->length - length);
                        head->length = length;
                        head->data[length] = '\0';
                        return 0;
                }
                if (head->truncated)
                        return err_set(err, ERR_FAILED, "the answer's head is too long");
                if (clock->monotonic_ms(clock) > end)
                        return err_set(err, ERR_TIMEOUT, "no answer in time");
                struct pollfd p = {.fd = http_tunnel_fd(tunnel), .events = POLLIN};
                if (n == 0)
                        poll(&p, 1, 200);
        }
}

/* The rest of a refusal, which says why: as much as comes soon. */
static void read_body(struct http_tunnel *tunnel, const struct buf *head, struct buf *body)
{
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + BODY_MS;
        const char *length = strcasestr(head->data, "\r\nContent-Length:");
        long wanted = length ? strtol(length + 17, NULL, 10) : (long)HEAD_MAX;
        char piece[4096];
        while ((long)body->length < wanted && !body->truncated && clock->monotonic_ms(clock) < end) {
                size_t n = 0;
                if (http_tunnel_receive(tunnel, piece, sizeof piece, &n, NULL) < 0)
                        return;
                buf_add(body, piece, n);
                struct pollfd p = {.fd = http_tunnel_fd(tunnel), .events = POLLIN};
                if (n == 0)
                        poll(&p, 1, 100);
        }
}

/* The host of a URL, for the Host header. */
static char *host_of(const char *url)
{
        const char *host = strstr(url, "://") + 3;
        return str_copy_n(host, strcspn(host, "/"));
}

static char *path_of(const struct kube *kube, const char *namespace, const struct target *target)
{
        const char *host = strstr(kube->config.server, "://") + 3;
        CLEANUP_FREE char *in = http_escape(namespace);
        CLEANUP_FREE char *pod = http_escape(target->pod);
        return str_format("%s/api/v1/namespaces/%s/pods/%s/portforward?ports=%d", host + strcspn(host, "/"), in, pod,
                target->port);
}

static void add_line(struct buf *text, const char *name, const char *value)
{
        if (value && !strpbrk(value, "\r\n"))
                buf_format(text, "%s: %s\r\n", name, value);
}

static char *request_text(
        const struct kube *kube, const char *namespace, const struct target *target, const char *key, const char *token)
{
        CLEANUP_FREE char *host = host_of(kube->config.server);
        CLEANUP_FREE char *path = path_of(kube, namespace, target);
        struct buf text = BUF_INIT(128UL * 1024);
        buf_format(&text,
                "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: caas\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                "Sec-WebSocket-Protocol: " PROTOCOL "\r\n",
                path, host, key);
        if (token)
                buf_format(&text, "Authorization: Bearer %s\r\n", token);
        add_line(&text, "Impersonate-User", kube->config.as);
        for (char **group = kube->config.as_groups; group && *group; group++)
                add_line(&text, "Impersonate-Group", *group);
        buf_str(&text, "\r\n");
        return buf_steal(&text);
}

/* An answer that is no switch: as the error that it is elsewhere. */
static int refused(struct kube *kube, const struct target *target, const char *namespace, const struct buf *head,
        struct buf *body, struct err **err)
{
        CLEANUP_FREE char *what = str_format("forward port %d of pod %s/%s", target->port, namespace, target->pod);
        const char *status = strchr(head->data, ' ');
        struct http_response response = {.status = status ? strtol(status, NULL, 10) : 0};
        response.length = body->length;
        response.body = buf_steal(body);
        int r = response.status >= 300 ? kube_status_error(kube, what, &response, err)
                                       : err_set(err, ERR_FAILED, "cannot %s: %.100s", what, head->data);
        http_response_clear(&response);
        return r;
}

static int shake_hands(struct kube *kube, const char *namespace, const struct target *target, struct cancel *cancel,
        const char *token, struct wire *wire, struct err **err)
{
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + kube->timeout_ms;
        unsigned char nonce[16];
        random_bytes(nonce, sizeof nonce);
        CLEANUP_FREE char *key = base64_encode(nonce, sizeof nonce);
        char *text = request_text(kube, namespace, target, key, token);
        int r = send_all(wire->tunnel, text, strlen(text), end, cancel, err);
        mem_wipe_free(text, strlen(text));
        CLEANUP_BUF struct buf head = BUF_INIT(HEAD_MAX), rest = BUF_INIT(HEAD_MAX);
        if (r == 0)
                r = read_head(wire->tunnel, end, cancel, &head, &rest, err);
        if (r < 0)
                return err_prefix(err, "cannot forward port %d of pod %s/%s", target->port, namespace, target->pod);
        if (!str_starts(head.data, "HTTP/1.1 101")) {
                read_body(wire->tunnel, &head, &rest);
                return refused(kube, target, namespace, &head, &rest, err);
        }
        r = websocket_check_head(head.data, key, PROTOCOL, err);
        return r < 0 ? r : websocket_feed(&wire->reader, rest.data ? rest.data : "", rest.length, err);
}

int wire_open(struct kube *kube, const char *namespace, const struct target *target, struct cancel *cancel,
        struct wire *ret, struct err **err)
{
        char *token = NULL;
        unsigned generation;
        int r = kube_credential(kube, &token, &generation, err);
        if (r < 0)
                return r;
        struct http_options options;
        kube_http_options(kube, &options);
        /* copied by http_tunnel_open, but the lock cannot be held while it connects */
        CLEANUP_FREE char *certificate = options.certificate ? str_copy(options.certificate) : NULL;
        char *key = options.key ? str_copy(options.key) : NULL;
        kube_http_options_done(kube);
        options.certificate = certificate;
        options.key = key;
        options.cancel = cancel;
        options.cancel_level = 1;
        *ret = (struct wire){.out = BUF_INIT(OUT_MAX), .in = BUF_INIT(IN_MAX)};
        websocket_reader_init(&ret->reader, on_message, ret);
        r = http_tunnel_open(&options, kube->config.server, kube->timeout_ms, &ret->tunnel, err);
        mem_wipe_free(key, key ? strlen(key) : 0);
        if (r == 0)
                r = shake_hands(kube, namespace, target, cancel, token, ret, err);
        if (r == -ERR_DENIED)
                kube_credential_renew(kube, token);
        mem_wipe_free(token, token ? strlen(token) : 0);
        if (r < 0)
                wire_close(ret);
        return r < 0 ? r : 0;
}

/* ---- frames ---- */

void wire_put(struct wire *wire, enum websocket_opcode opcode, const char *data, size_t length)
{
        uint8_t mask[4];
        random_bytes(mask, sizeof mask);
        if (opcode != WEBSOCKET_BINARY) {
                websocket_frame(&wire->out, opcode, data, length, mask);
                return;
        }
        CLEANUP_FREE char *payload = mem_zero(length + 1);
        payload[0] = CHANNEL_DATA;
        memcpy(payload + 1, data, length);
        websocket_frame(&wire->out, opcode, payload, length + 1, mask);
}

int wire_send(struct wire *wire, struct err **err)
{
        while (wire->sent < wire->out.length) {
                size_t n = 0;
                int r = http_tunnel_send(
                        wire->tunnel, wire->out.data + wire->sent, wire->out.length - wire->sent, &n, err);
                if (r < 0 || n == 0)
                        return r;
                wire->sent += n;
        }
        wire->sent = wire->out.length = 0;
        return 0;
}

static void complain(struct wire *wire, const char *text, size_t length)
{
        if (wire->complaint || length == 0)
                return;
        wire->complaint = str_copy_n(text, length < TEXT_MAX ? length : TEXT_MAX);
        for (char *c = wire->complaint; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = ' ';
}

static int on_message(void *data, enum websocket_opcode opcode, const char *payload, size_t length)
{
        struct wire *wire = data;
        if (opcode == WEBSOCKET_CLOSE)
                wire->closed = true;
        if (opcode == WEBSOCKET_PING && wire->out.length + length + 64 < OUT_MAX) /* else it is answered too slowly */
                wire_put(wire, WEBSOCKET_PONG, payload, length);
        if (opcode == WEBSOCKET_CLOSE || opcode >= WEBSOCKET_PING || length == 0)
                return 0;
        uint8_t channel = (uint8_t)*payload;
        payload++, length--;
        if (channel > CHANNEL_ERROR)
                return 0;
        if (!wire->greeted[channel]) { /* two bytes: the port */
                size_t greeting = length < 2 ? length : 2;
                wire->greeted[channel] = true;
                payload += greeting;
                length -= greeting;
        }
        if (channel == CHANNEL_ERROR)
                complain(wire, payload, length);
        else
                buf_add(&wire->in, payload, length);
        return wire->in.truncated ? -ERR_INVALID : 0;
}

int wire_receive(struct wire *wire, struct err **err)
{
        char piece[16384];
        while (wire->in.length == 0 && !wire->closed) {
                size_t n = 0;
                int r = http_tunnel_receive(wire->tunnel, piece, sizeof piece, &n, err);
                if (r < 0 || n == 0)
                        return r;
                r = websocket_feed(&wire->reader, piece, n, err);
                if (r < 0)
                        return err_set(err, ERR_INVALID, "more data than fits");
        }
        return 0;
}
