/* What libcurl is told before a transfer. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "client/http/private.h"

#define TIMEOUT_MS        30000
#define USER_AGENT        "caas"
#define KEEPALIVE_SECONDS 15L

static struct curl_blob blob(char *text)
{
        return (struct curl_blob){.data = text, .len = strlen(text), .flags = CURL_BLOB_NOCOPY};
}

static void set_tls(const struct http_client *client)
{
        __typeof__(curl_easy_setopt) *set = client->api->easy_setopt;
        CURL *easy = client->easy;
        set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
        set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
        set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (client->ca) {
                set(easy, CURLOPT_CAINFO, client->ca);
                set(easy, CURLOPT_CAPATH, NULL);
        }
        if (client->ca_text) {
                struct curl_blob ca = blob(client->ca_text);
                set(easy, CURLOPT_CAINFO, NULL);
                set(easy, CURLOPT_CAPATH, NULL);
                set(easy, CURLOPT_CAINFO_BLOB, &ca);
        }
        if (client->certificate && client->key) {
                struct curl_blob certificate = blob(client->certificate), key = blob(client->key);
                set(easy, CURLOPT_SSLCERT_BLOB, &certificate);
                set(easy, CURLOPT_SSLKEY_BLOB, &key);
                set(easy, CURLOPT_KEYPASSWD, ""); /* an encrypted key fails instead of asking at the terminal */
        }
}

static int add(struct exchange *exchange, struct curl_slist **list, const char *line, struct err **err)
{
        if (strpbrk(line, "\r\n"))
                return err_set(err, ERR_INVALID, "an HTTP header may not hold a line break");
        struct curl_slist *longer = exchange->client->api->slist_append(*list, line);
        if (!longer)
                abort(); /* out of memory */
        *list = longer;
        return 0;
}

static int add_secret(struct exchange *exchange, const char *scheme, const char *token, struct err **err)
{
        char *line = str_format("Authorization: %s %s", scheme, token);
        int r = add(exchange, &exchange->headers, line, err);
        mem_wipe_free(line, strlen(line));
        return r;
}

static int add_headers(struct exchange *exchange, struct err **err)
{
        const struct http_request *request = exchange->request;
        int r = add(exchange, &exchange->headers, "Expect:", err); /* no wait for "100 Continue" */
        for (size_t i = 0; r == 0 && request->headers && request->headers[i]; i++)
                r = add(exchange, &exchange->headers, request->headers[i], err);
        if (r == 0 && request->token)
                r = add_secret(exchange, "token", request->token, err);
        if (r == 0 && request->bearer)
                r = add_secret(exchange, "Bearer", request->bearer, err);
        return r;
}

static bool has_host(const struct http_request *request)
{
        for (size_t i = 0; request->headers && request->headers[i]; i++)
                if (strncasecmp(request->headers[i], "Host:", 5) == 0)
                        return true;
        return false;
}

/* The host of the URL becomes the name that the certificate is for; the connection stays, and so does the Host header
 * unless the request has one. */
static int rename_host(struct exchange *exchange, const char *url, struct err **err)
{
        const char *name = exchange->client->server_name;
        size_t scheme = (size_t)(strstr(url, "://") + 3 - url), end = http_origin_length(url);
        CLEANUP_FREE char *host = str_copy_n(url + scheme, end - scheme);
        size_t bracket = strcspn(host, "]"); /* [::1]:6443 */
        char *port = strchr(host[bracket] ? host + bracket : host, ':');
        CLEANUP_FREE char *header = str_format("Host: %s", host);
        CLEANUP_FREE char *to = port ? str_format("::%s", host) : str_format("::%s:", host);
        exchange->url = str_format("%.*s%s%s%s", (int)scheme, url, name, port ? port : "", url + end);
        int r = has_host(exchange->request) ? 0 : add(exchange, &exchange->headers, header, err);
        return r < 0 ? r : add(exchange, &exchange->connect_to, to, err);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
        struct exchange *exchange = user;
        const struct http_request *request = exchange->request;
        size_t length = size * count;
        long status = 0;
        if (request->on_body)
                exchange->client->api->easy_getinfo(exchange->client->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200 && status < 300) {
                exchange->said = request->on_body(request->data, data, length);
                return exchange->said ? 0 : length;
        }
        buf_add(&exchange->body, data, length);
        return exchange->body.truncated ? 0 : length; /* anything else than all of it ends the transfer */
}

static void set_method(const struct exchange *exchange)
{
        const struct http_request *request = exchange->request;
        __typeof__(curl_easy_setopt) *set = exchange->client->api->easy_setopt;
        CURL *easy = exchange->client->easy;
        const char *method = request->method ? request->method : "GET";
        if (request->body) {
                set(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
                set(easy, CURLOPT_POSTFIELDS, request->body);
        }
        if (strcmp(method, "HEAD") == 0)
                set(easy, CURLOPT_NOBODY, 1L);
        else
                set(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_connection(const struct exchange *exchange)
{
        const struct http_client *client = exchange->client;
        const struct http_request *request = exchange->request;
        __typeof__(curl_easy_setopt) *set = client->api->easy_setopt;
        CURL *easy = client->easy;
        long timeout = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS;
        long connect = request->connect_ms > 0 ? request->connect_ms : timeout / 3 + 1;
        set(easy, CURLOPT_URL, exchange->url);
        set(easy, CURLOPT_NOSIGNAL, 1L);
        set(easy, CURLOPT_PROXY, client->proxy ? client->proxy : "");
        set(easy, CURLOPT_NOPROXY, ""); /* nor the environment's exceptions */
        set(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        set(easy, CURLOPT_FOLLOWLOCATION, 0L);
        set(easy, CURLOPT_TIMEOUT_MS, timeout);
        set(easy, CURLOPT_CONNECTTIMEOUT_MS, connect);
        set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        set(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SECONDS);
        set(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SECONDS);
        if (client->unix_socket)
                set(easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
        /* Left alone, it is for libcurl's version to say. */
        set(easy, CURLOPT_HTTP_VERSION, (long)(client->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
        if (exchange->connect_to)
                set(easy, CURLOPT_CONNECT_TO, exchange->connect_to);
}

int http_set_options(struct exchange *exchange, const char *url, struct err **err)
{
        struct http_client *client = exchange->client;
        __typeof__(curl_easy_setopt) *set = client->api->easy_setopt;
        CURL *easy = client->easy;
        int r = add_headers(exchange, err);
        if (r == 0 && client->server_name)
                r = rename_host(exchange, url, err);
        if (r < 0)
                return r;
        if (!exchange->url)
                exchange->url = str_copy(url);
        client->api->easy_reset(easy); /* keeps the connections */
        client->detail[0] = '\0';
        set(easy, CURLOPT_ERRORBUFFER, client->detail);
        set_connection(exchange);
        set_tls(client);
        set(easy, CURLOPT_USERAGENT, USER_AGENT);
        set(easy, CURLOPT_ACCEPT_ENCODING, NULL);
        set(easy, CURLOPT_HTTPHEADER, exchange->headers);
        set(easy, CURLOPT_WRITEFUNCTION, on_body);
        set(easy, CURLOPT_WRITEDATA, exchange);
        set_method(exchange);
        return 0;
}
