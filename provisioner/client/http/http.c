#include "client/http/http.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "client/http/private.h"

#define MAX_BYTES     (4UL * 1024 * 1024)
#define REDIRECTS_MAX 5
#define POLL_MS       100

static char *copy(const char *text)
{
        return text && *text ? str_copy(text) : NULL;
}

struct http_client *http_client_new(const struct http_options *options)
{
        struct http_client *client = mem_zero(sizeof *client);
        client->cancel_level = 1;
        if (options) {
                client->ca = copy(options->ca);
                client->ca_text = copy(options->ca_text);
                client->ca_name = copy(options->ca_name);
                client->certificate = copy(options->certificate);
                client->key = copy(options->key);
                client->proxy = copy(options->proxy);
                client->server_name = copy(options->server_name);
                client->unix_socket = copy(options->unix_socket);
                client->http2 = options->http2;
                client->cancel = options->cancel;
                client->cancel_level = options->cancel_level ? options->cancel_level : 1;
        }
        return client;
}

struct http_client *http_client_free(struct http_client *client)
{
        if (!client)
                return NULL;
        if (client->multi && client->easy)
                client->api->multi_remove_handle(client->multi, client->easy);
        if (client->easy)
                client->api->easy_cleanup(client->easy);
        if (client->multi)
                client->api->multi_cleanup(client->multi);
        free(client->ca);
        free(client->ca_text);
        free(client->ca_name);
        free(client->certificate);
        mem_wipe_free(client->key, client->key ? strlen(client->key) : 0);
        mem_wipe_free(client->proxy, client->proxy ? strlen(client->proxy) : 0);
        free(client->server_name);
        free(client->unix_socket);
        free(client);
        return NULL;
}

void http_response_clear(struct http_response *response)
{
        mem_wipe_free(response->body, response->length);
        free(response->content_type);
        free(response->location);
        *response = (struct http_response){0};
}

/* ---- one exchange ---- */

/* Header lines hold tokens: they are overwritten before they are freed. */
void http_exchange_clear(struct exchange *exchange)
{
        for (struct curl_slist *item = exchange->headers; item; item = item->next)
                explicit_bzero(item->data, strlen(item->data));
        if (exchange->headers)
                exchange->client->api->slist_free_all(exchange->headers);
        if (exchange->connect_to)
                exchange->client->api->slist_free_all(exchange->connect_to);
        if (exchange->body.data)
                explicit_bzero(exchange->body.data, exchange->body.length);
        buf_clear(&exchange->body);
        free(exchange->url);
}

char *http_shown(const char *url)
{
        return str_copy_n(url, strcspn(url, "?#"));
}

size_t http_origin_length(const char *url)
{
        const char *host = strstr(url, "://");
        return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_origin(const char *a, const char *b)
{
        size_t n = http_origin_length(a);
        return n && n == http_origin_length(b) && strncasecmp(a, b, n) == 0;
}

int http_check_url(const char *url, struct err **err)
{
        bool known = url && (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
        if (!known || memchr(url, '@', http_origin_length(url)))
                return err_set(err, ERR_INVALID, "not an http or https address: %.200s", url ? url : "(none)");
        return 0;
}

int http_open_client(struct http_client *client, struct err **err)
{
        if (client->easy)
                return 0;
        int r = curl_api_get(&client->api, err);
        if (r < 0)
                return r;
        if (!client->multi)
                client->multi = client->api->multi_init();
        client->easy = client->api->easy_init();
        if (!client->multi || !client->easy)
                return err_set(err, ERR_FAILED, "cannot start libcurl");
        return 0;
}

int http_transfer(struct http_client *client, int level, bool keep, CURLcode *ret, struct err **err)
{
        CURLMcode m = client->api->multi_add_handle(client->multi, client->easy);
        int running = 1, r = 0;
        while (m == CURLM_OK && running && r == 0) {
                m = client->api->multi_perform(client->multi, &running);
                if (m != CURLM_OK || !running)
                        break;
                /* Once raised the descriptor stays readable; it wakes us for the first level only, then we look now and
                 * then. */
                bool wake = client->cancel && cancel_level(client->cancel) == 0;
                struct curl_waitfd extra = {.fd = wake ? cancel_fd(client->cancel) : -1, .events = CURL_WAIT_POLLIN};
                m = client->api->multi_poll(
                        client->multi, wake ? &extra : NULL, wake ? 1 : 0, wake ? 1000 : POLL_MS, NULL);
                r = cancel_check(client->cancel, level, err);
        }
        *ret = CURLE_FAILED_INIT;
        int left = 0;
        for (CURLMsg *msg; r == 0 && (msg = client->api->multi_info_read(client->multi, &left));)
                if (msg->msg == CURLMSG_DONE)
                        *ret = msg->data.result;
        if (!keep)
                client->api->multi_remove_handle(client->multi, client->easy);
        return r;
}

static void collect(struct exchange *exchange, struct http_response *ret)
{
        struct http_client *client = exchange->client;
        const char *type = NULL, *location = NULL;
        curl_off_t pause = 0;
        client->api->easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &ret->status);
        client->api->easy_getinfo(client->easy, CURLINFO_CONTENT_TYPE, &type);
        client->api->easy_getinfo(client->easy, CURLINFO_REDIRECT_URL, &location);
        client->api->easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &pause);
        client->api->easy_getinfo(client->easy, CURLINFO_NUM_CONNECTS, &ret->connects);
        ret->retry_after = pause > 0 ? (long)(pause < 86400 ? pause : 86400) : 0;
        ret->content_type = type ? str_copy(type) : NULL;
        ret->location = location ? str_copy(location) : NULL;
        ret->length = exchange->body.length;
        ret->body = buf_steal(&exchange->body);
}

/* In TLS 1.3 a server looks at our certificate when the connection stands for us already: its alert comes while the
 * request is sent, and may be lost under it. In a handshake of TLS 1.2 it cannot be. Returns its code if that is what
 * it is about, with client->detail. */
static CURLcode ask_why(struct exchange *exchange, int level, CURLcode code, const char *url)
{
        struct http_client *client = exchange->client;
        if (!client->certificate ||
                (code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR && code != CURLE_GOT_NOTHING) ||
                http_refuses_certificate(code, client->detail))
                return code;
        char before[CURL_ERROR_SIZE];
        memcpy(before, client->detail, sizeof before);
        struct exchange again = {.client = client, .request = exchange->request};
        CURLcode answer = CURLE_FAILED_INIT;
        if (http_set_options(&again, url, NULL) == 0) {
                client->api->easy_setopt(client->easy, CURLOPT_CONNECT_ONLY, 1L);
                client->api->easy_setopt(client->easy, CURLOPT_FRESH_CONNECT, 1L);
                client->api->easy_setopt(
                        client->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2);
                if (http_transfer(client, level, false, &answer, NULL) < 0)
                        answer = CURLE_FAILED_INIT;
        }
        http_exchange_clear(&again);
        if (http_refuses_certificate(answer, client->detail))
                return answer;
        memcpy(client->detail, before, sizeof before);
        return code;
}

static int send_once(struct http_client *client, const struct http_request *request, const char *url,
        struct http_response *ret, struct err **err)
{
        __attribute__((cleanup(http_exchange_clear))) struct exchange exchange = {
                .client = client,
                .request = request,
                .body = BUF_INIT(request->max_bytes ? request->max_bytes : MAX_BYTES),
        };
        int level = request->cancel_level ? request->cancel_level : client->cancel_level;
        int r = http_check_url(url, err);
        if (r == 0)
                r = cancel_check(client->cancel, level, err);
        if (r == 0)
                r = http_open_client(client, err);
        if (r == 0)
                r = http_set_options(&exchange, url, err);
        if (r < 0)
                return r;
        CURLcode code;
        r = http_transfer(client, level, false, &code, err);
        if (r < 0)
                return r;
        if (log_enabled("http")) {
                CLEANUP_FREE char *name = http_shown(url);
                long version = 0;
                client->api->easy_getinfo(client->easy, CURLINFO_HTTP_VERSION, &version);
                log_trace("http", "%s %s: %s%s", request->method ? request->method : "GET", name,
                        client->api->easy_strerror(code), version == CURL_HTTP_VERSION_2_0 ? " (HTTP/2)" : "");
        }
        if (code != CURLE_OK && exchange.said < 0)
                return err_set(err, (enum err_code) - exchange.said, "given up");
        if (code != CURLE_OK && exchange.said == 0)
                return http_translate(&exchange, ask_why(&exchange, level, code, url), url, err);
        collect(&exchange, ret);
        return 0;
}

static bool is_redirect(const struct http_response *response)
{
        return response->location && response->status >= 301 && response->status <= 308 && response->status != 304;
}

int http_send(
        struct http_client *client, const struct http_request *request, struct http_response *ret, struct err **err)
{
        if (!request->url)
                return err_set(err, ERR_INVALID, "a request without an address");
        bool safe = !request->method || str_is(request->method, "GET") || str_is(request->method, "HEAD");
        CLEANUP_FREE char *url = str_copy(request->url);
        for (int i = 0;; i++) {
                CLEANUP_RESPONSE struct http_response response = {0};
                int r = send_once(client, request, url, &response, err);
                if (r < 0)
                        return r;
                if (!request->follow || !safe || !is_redirect(&response)) {
                        *ret = response;
                        response = (struct http_response){0};
                        return 0;
                }
                CLEANUP_FREE char *from = http_shown(url);
                CLEANUP_FREE char *to = http_shown(response.location);
                if (!same_origin(url, response.location))
                        return err_set(err, ERR_REFUSED,
                                "%s: redirects to another place, %.200s, which is not followed", from, to);
                if (i == REDIRECTS_MAX)
                        return err_set(err, ERR_FAILED, "%s: more than %d redirects", from, REDIRECTS_MAX);
                free(url);
                url = STEAL(response.location);
        }
}
