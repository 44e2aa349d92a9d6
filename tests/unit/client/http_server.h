/* A small HTTP server on a private port for the tests of the client: it misbehaves on request. */
#ifndef CAAS_TESTS_HTTP_SERVER_H
#define CAAS_TESTS_HTTP_SERVER_H

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

struct peer;

struct server {
        bool (*custom)(struct peer *peer, const char *request); /* answers instead; NULL = what stands below */
        int fd, port;
        SSL_CTX *tls; /* NULL = plain */
        pthread_t thread;
        atomic_int connections, requests, active;
        atomic_bool ending;
        bool abrupt; /* a handshake of TLS 1.3 that fails ends with a reset, which overtakes the alert */
};

struct peer {
        struct server *server;
        int fd;
        SSL *ssl;
};

static inline bool peer_send(struct peer *peer, const char *data, size_t length)
{
        while (length) {
                ssize_t n = peer->ssl ? SSL_write(peer->ssl, data, (int)length)
                                      : send(peer->fd, data, length, MSG_NOSIGNAL);
                if (n <= 0)
                        return false;
                data += n;
                length -= (size_t)n;
        }
        return true;
}

static inline ssize_t peer_receive(struct peer *peer, char *data, size_t room)
{
        return peer->ssl ? SSL_read(peer->ssl, data, (int)room) : recv(peer->fd, data, room, 0);
}

static inline bool answer(struct peer *peer, const char *status, const char *extra, const char *body)
{
        CLEANUP_FREE char *text =
                str_format("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s", status,
                        strlen(body), extra, body);
        return peer_send(peer, text, strlen(text));
}

/* Sends a byte now and then until the client leaves or the server ends. */
static inline void be_slow(struct peer *peer)
{
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        peer_send(peer, head, strlen(head));
        while (!peer->server->ending && peer_send(peer, "x", 1)) {
                struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
                if (poll(&wait, 1, 50) > 0)
                        return; /* closed */
        }
}

static inline void be_huge(struct peer *peer, bool chunked)
{
        static char block[65536];
        memset(block, 'y', sizeof block);
        const char *head = chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   : "HTTP/1.1 200 OK\r\nContent-Length: 65536000\r\n\r\n";
        bool good = peer_send(peer, head, strlen(head));
        for (int i = 0; good && i < 1000; i++)
                good = (!chunked || peer_send(peer, "10000\r\n", 7)) && peer_send(peer, block, sizeof block) &&
                       (!chunked || peer_send(peer, "\r\n", 2));
}

/* false = this connection is over. */
static inline bool serve_one(struct peer *peer, const char *request)
{
        char path[200] = "";
        if (peer->server->custom)
                return peer->server->custom(peer, request);
        sscanf(request, "%*15s %199s", path);
        if (str_is(path, "/close"))
                return false;
        if (str_is(path, "/slow") || str_starts(path, "/huge")) {
                if (str_is(path, "/slow"))
                        be_slow(peer);
                else
                        be_huge(peer, str_is(path, "/huge-chunked"));
                return false;
        }
        if (str_is(path, "/half")) {
                peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44);
                return false;
        }
        if (str_is(path, "/echo"))
                return answer(peer, "200 OK", "", request);
        if (str_is(path, "/json"))
                return answer(peer, "200 OK", "", "{\"a\": [1, 2]}");
        if (str_is(path, "/empty"))
                return answer(peer, "204 No Content", "", "");
        if (str_is(path, "/not-json"))
                return answer(peer, "200 OK", "", "<html>");
        if (str_is(path, "/missing"))
                return answer(peer, "404 Not Found", "", "{\"message\": \"no such user\"}");
        if (str_is(path, "/denied"))
                return answer(peer, "403 Forbidden", "", "{\"error\": \"wrong token\"}");
        if (str_is(path, "/busy"))
                return answer(peer, "503 Service Unavailable", "", "<html>");
        if (str_is(path, "/broken"))
                return answer(peer, "500 Internal Server Error", "", "");
        if (str_is(path, "/to-ok"))
                return answer(peer, "302 Found", "Location: /ok\r\n", "");
        if (str_is(path, "/to-itself"))
                return answer(peer, "302 Found", "Location: /to-itself\r\n", "");
        if (str_is(path, "/to-elsewhere"))
                return answer(peer, "302 Found", "Location: http://127.0.0.2:1/?secret=1\r\n", "");
        if (str_is(path, "/to-file"))
                return answer(peer, "302 Found", "Location: file:///etc/passwd\r\n", "");
        return answer(peer, "200 OK", "", "hello");
}

/* Reads one request with its body into text. */
static inline bool read_request(struct peer *peer, struct buf *text)
{
        char piece[4096];
        for (;;) {
                char *end = text->data ? strstr(text->data, "\r\n\r\n") : NULL;
                char *length = text->data ? strcasestr(text->data, "content-length:") : NULL;
                size_t body = length && length < end ? (size_t)atol(length + 15) : 0;
                if (end && text->length >= (size_t)(end + 4 - text->data) + body)
                        return true;
                ssize_t n = peer_receive(peer, piece, sizeof piece);
                if (n <= 0)
                        return false;
                buf_add(text, piece, (size_t)n);
        }
}

static inline void *serve_peer(void *data)
{
        struct peer *peer = data;
        struct server *server = peer->server;
        bool good = true;
        if (server->tls) {
                peer->ssl = SSL_new(server->tls);
                SSL_set_fd(peer->ssl, peer->fd);
                good = SSL_accept(peer->ssl) == 1;
        }
        while (good) {
                CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
                good = read_request(peer, &text);
                if (!good)
                        break;
                server->requests++;
                good = serve_one(peer, text.data);
        }
        struct linger none = {.l_onoff = 1};
        if (server->abrupt && SSL_version(peer->ssl) == TLS1_3_VERSION)
                setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        SSL_free(peer->ssl);
        close(peer->fd);
        free(peer);
        server->active--;
        return NULL;
}

static inline void *serve(void *data)
{
        struct server *server = data;
        for (;;) {
                int fd = accept(server->fd, NULL, NULL);
                if (fd < 0)
                        return NULL;
                struct peer *peer = mem_zero(sizeof *peer);
                *peer = (struct peer){.server = server, .fd = fd};
                server->connections++;
                server->active++;
                pthread_t thread;
                pthread_create(&thread, NULL, serve_peer, peer);
                pthread_detach(thread);
        }
}

/* certificate and key: PEM files, or NULL for plain HTTP. */
static inline struct server *server_start(const char *certificate, const char *key)
{
        struct server *server = mem_zero(sizeof *server);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (certificate) {
                server->tls = SSL_CTX_new(TLS_server_method());
                if (SSL_CTX_use_certificate_file(server->tls, certificate, SSL_FILETYPE_PEM) != 1 ||
                        SSL_CTX_use_PrivateKey_file(server->tls, key, SSL_FILETYPE_PEM) != 1)
                        abort();
        }
        if (bind(server->fd, (struct sockaddr *)&address, length) < 0 || listen(server->fd, 16) < 0 ||
                getsockname(server->fd, (struct sockaddr *)&address, &length) < 0)
                abort();
        server->port = ntohs(address.sin_port);
        pthread_create(&server->thread, NULL, serve, server);
        return server;
}

/* Clients must be gone: it waits for their connections to end. */
static inline void server_stop(struct server *server)
{
        server->ending = true;
        shutdown(server->fd, SHUT_RDWR);
        pthread_join(server->thread, NULL);
        for (int i = 0; i < 200 && server->active > 0; i++)
                poll(NULL, 0, 10);
        close(server->fd);
        SSL_CTX_free(server->tls);
        free(server);
}

#endif
