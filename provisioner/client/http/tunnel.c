/* A connection that libcurl made and verified, handed over for bytes of our own. */
#include "base/mem.h"
#include "client/http/private.h"

struct http_tunnel {
        struct http_client *client;
        char *name; /* for messages */
        int fd;
};

struct http_tunnel *http_tunnel_close(struct http_tunnel *tunnel)
{
        if (tunnel) {
                http_client_free(tunnel->client);
                free(tunnel->name);
                free(tunnel);
        }
        return NULL;
}

static int connect_only(struct http_client *client, const char *url, int timeout_ms, int *ret_fd, struct err **err)
{
        struct http_request request = {.url = url, .timeout_ms = timeout_ms, .connect_ms = timeout_ms};
        __attribute__((cleanup(http_exchange_clear))) struct exchange exchange = {
                .client = client, .request = &request, .body = BUF_INIT(1)};
        int r = http_check_url(url, err);
        if (r == 0)
                r = cancel_check(client->cancel, client->cancel_level, err);
        if (r == 0)
                r = http_open_client(client, err);
        if (r == 0)
                r = http_set_options(&exchange, url, err);
        if (r < 0)
                return r;
        const struct curl_api *api = client->api;
        api->easy_setopt(client->easy, CURLOPT_CONNECT_ONLY, 1L);
        api->easy_setopt(client->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        CURLcode code;
        r = http_transfer(client, client->cancel_level, true, &code, err);
        if (r < 0)
                return r;
        curl_socket_t fd = CURL_SOCKET_BAD;
        if (code == CURLE_OK)
                code = api->easy_getinfo(client->easy, CURLINFO_ACTIVESOCKET, &fd);
        /* the handle lives on, what it was lent does not */
        api->easy_setopt(client->easy, CURLOPT_HTTPHEADER, NULL);
        api->easy_setopt(client->easy, CURLOPT_CONNECT_TO, NULL);
        if (code != CURLE_OK)
                return http_translate(&exchange, code, url, err);
        if (fd == CURL_SOCKET_BAD)
                return err_set(err, ERR_UNREACHABLE, "%s: the connection is gone", url);
        *ret_fd = fd;
        return 0;
}

int http_tunnel_open(
        const struct http_options *options, const char *url, int timeout_ms, struct http_tunnel **ret, struct err **err)
{
        CLEANUP_TUNNEL struct http_tunnel *tunnel = mem_zero(sizeof *tunnel);
        tunnel->client = http_client_new(options);
        tunnel->client->http2 = false;
        tunnel->name = http_shown(url);
        int r = connect_only(tunnel->client, url, timeout_ms, &tunnel->fd, err);
        if (r < 0)
                return r;
        *ret = STEAL(tunnel);
        return 0;
}

int http_tunnel_fd(const struct http_tunnel *tunnel)
{
        return tunnel->fd;
}

static int done(struct http_tunnel *tunnel, CURLcode code, size_t n, size_t *ret, struct err **err)
{
        if (code == CURLE_AGAIN)
                n = 0;
        else if (code != CURLE_OK)
                return err_set(err, ERR_UNREACHABLE, "%s: %s", tunnel->name, tunnel->client->api->easy_strerror(code));
        *ret = n;
        return 0;
}

int http_tunnel_send(struct http_tunnel *tunnel, const void *data, size_t length, size_t *ret, struct err **err)
{
        size_t n = 0;
        CURLcode code = tunnel->client->api->easy_send(tunnel->client->easy, data, length, &n);
        return done(tunnel, code, n, ret, err);
}

int http_tunnel_receive(struct http_tunnel *tunnel, void *data, size_t room, size_t *ret, struct err **err)
{
        size_t n = 0;
        CURLcode code = tunnel->client->api->easy_recv(tunnel->client->easy, data, room, &n);
        if (code == CURLE_OK && n == 0)
                return err_set(err, ERR_UNREACHABLE, "%s: the connection was closed", tunnel->name);
        return done(tunnel, code, n, ret, err);
}
