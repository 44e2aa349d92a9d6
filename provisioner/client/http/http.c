#include "client/http/http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/http/curl_api.h"

#define TIMEOUT_MS    30000
#define MAX_BYTES     (4UL * 1024 * 1024)
#define REDIRECTS_MAX 5
#define POLL_MS       100
#define USER_AGENT    "caas"

struct http_client {
        const struct curl_api *api; /* NULL until the first request */
        CURLM *multi;
        CURL *easy;
        char *ca;
        struct cancel *cancel;
        int cancel_level;
        char detail[CURL_ERROR_SIZE];
};

struct http_client *http_client_new(const struct http_options *options)
{
        struct http_client *client = mem_zero(sizeof *client);
        client->cancel_level = 1;
        if (options) {
                client->ca = options->ca && *options->ca ? str_copy(options->ca) : NULL;
                client->cancel = options->cancel;
                client->cancel_level = options->cancel_level ? options->cancel_level : 1;
        }
        return client;
}

struct http_client *http_client_free(struct http_client *client)
{
        if (!client)
                return NULL;
        if (client->easy)
                client->api->easy_cleanup(client->easy);
        if (client->multi)
                client->api->multi_cleanup(client->multi);
        free(client->ca);
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

struct exchange {
        struct http_client *client;
        const struct http_request *request;
        struct curl_slist *headers;
        struct buf body;
};

/* Header lines hold tokens: they are overwritten before they are freed. */
static void exchange_clear(struct exchange *exchange)
{
        for (struct curl_slist *item = exchange->headers; item; item = item->next)
                explicit_bzero(item->data, strlen(item->data));
        if (exchange->headers)
                exchange->client->api->slist_free_all(exchange->headers);
        if (exchange->body.data)
                explicit_bzero(exchange->body.data, exchange->body.length);
        buf_clear(&exchange->body);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
        struct exchange *exchange = user;
        buf_add(&exchange->body, data, size * count);
        return exchange->body.truncated ? 0 : size * count; /* anything else than all of it ends the transfer */
}

/* The part of a URL that may be shown: queries can hold tokens. The caller frees. */
static char *shown(const char *url)
{
        return str_copy_n(url, strcspn(url, "?#"));
}

/* "https://host:port" as a length. */
static size_t origin_length(const char *url)
{
        const char *host = strstr(url, "://");
        return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_origin(const char *a, const char *b)
{
        size_t n = origin_length(a);
        return n && n == origin_length(b) && strncasecmp(a, b, n) == 0;
}

static int check_url(const char *url, struct err **err)
{
        bool known = url && (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
        if (!known || memchr(url, '@', origin_length(url)))
                return err_set(err, ERR_INVALID, "not an http or https address: %.200s", url ? url : "(none)");
        return 0;
}

static int add_header(struct exchange *exchange, const char *line, struct err **err)
{
        if (strpbrk(line, "\r\n"))
                return err_set(err, ERR_INVALID, "an HTTP header may not hold a line break");
        struct curl_slist *list = exchange->client->api->slist_append(exchange->headers, line);
        if (!list)
                abort(); /* out of memory */
        exchange->headers = list;
        return 0;
}

static int add_headers(struct exchange *exchange, struct err **err)
{
        const struct http_request *request = exchange->request;
        int r = add_header(exchange, "Expect:", err); /* no wait for "100 Continue" */
        for (size_t i = 0; r == 0 && request->headers && request->headers[i]; i++)
                r = add_header(exchange, request->headers[i], err);
        if (r == 0 && request->token) {
                char *line = str_format("Authorization: token %s", request->token);
                r = add_header(exchange, line, err);
                mem_wipe_free(line, strlen(line));
        }
        return r;
}

static int open_client(struct http_client *client, struct err **err)
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

static void set_options(struct exchange *exchange, const char *url)
{
        struct http_client *client = exchange->client;
        const struct http_request *request = exchange->request;
        __typeof__(curl_easy_setopt) *set = client->api->easy_setopt;
        CURL *easy = client->easy;
        long timeout = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS;

        client->api->easy_reset(easy); /* keeps the connections */
        client->detail[0] = '\0';
        set(easy, CURLOPT_ERRORBUFFER, client->detail);
        set(easy, CURLOPT_URL, url);
        set(easy, CURLOPT_NOSIGNAL, 1L);
        set(easy, CURLOPT_PROXY, "");
        set(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        set(easy, CURLOPT_FOLLOWLOCATION, 0L);
        set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
        set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
        set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (client->ca) {
                set(easy, CURLOPT_CAINFO, client->ca);
                set(easy, CURLOPT_CAPATH, NULL);
        }
        set(easy, CURLOPT_TIMEOUT_MS, timeout);
        set(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout / 3 + 1);
        set(easy, CURLOPT_USERAGENT, USER_AGENT);
        set(easy, CURLOPT_ACCEPT_ENCODING, NULL);
        set(easy, CURLOPT_HTTPHEADER, exchange->headers);
        set(easy, CURLOPT_WRITEFUNCTION, on_body);
        set(easy, CURLOPT_WRITEDATA, exchange);
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

/* Runs the transfer, looking at the cancel flag. Returns libcurl's code in *ret. */
static int transfer(struct http_client *client, CURLcode *ret, struct err **err)
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
                r = cancel_check(client->cancel, client->cancel_level, err);
        }
        *ret = CURLE_FAILED_INIT;
        int left = 0;
        for (CURLMsg *msg; r == 0 && (msg = client->api->multi_info_read(client->multi, &left));)
                if (msg->msg == CURLMSG_DONE)
                        *ret = msg->data.result;
        client->api->multi_remove_handle(client->multi, client->easy);
        return r;
}

/* libcurl's word on what went wrong, in ours. */
static int translate(const struct exchange *exchange, CURLcode code, const char *url, struct err **err)
{
        const struct http_client *client = exchange->client;
        const char *detail = client->detail[0] ? client->detail : client->api->easy_strerror(code);
        CLEANUP_FREE char *name = shown(url);
        switch (code) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
                return err_set(err, ERR_REFUSED, "%s: the server's certificate is not trusted (%s, checked against %s)",
                        name, detail, client->ca ? client->ca : "the system's authorities");
        case CURLE_SSL_CACERT_BADFILE:
                return err_set(err, ERR_INVALID, "%s: cannot use the CA file %s: %s", name,
                        client->ca ? client->ca : "of the system", detail);
        case CURLE_SSL_CONNECT_ERROR:
                return err_set(err, ERR_UNREACHABLE, "%s: no TLS connection: %s", name, detail);
        case CURLE_COULDNT_RESOLVE_HOST:
                return err_set(err, ERR_UNREACHABLE, "%s: the host name is not known: %s", name, detail);
        case CURLE_OPERATION_TIMEDOUT:
                return err_set(err, ERR_TIMEOUT, "%s: no complete answer in time: %s", name, detail);
        case CURLE_WRITE_ERROR:
                if (exchange->body.truncated)
                        return err_set(
                                err, ERR_INVALID, "%s: the answer is larger than %zu bytes", name, exchange->body.max);
                return err_set(err, ERR_FAILED, "%s: %s", name, detail);
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return err_set(err, ERR_INVALID, "%s: not a usable address: %s", name, detail);
        case CURLE_COULDNT_CONNECT:
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_PARTIAL_FILE:
                return err_set(err, ERR_UNREACHABLE, "%s: %s", name, detail);
        default:
                return err_set(err, ERR_FAILED, "%s: %s", name, detail);
        }
}

static void collect(struct exchange *exchange, struct http_response *ret)
{
        struct http_client *client = exchange->client;
        const char *type = NULL, *location = NULL;
        client->api->easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &ret->status);
        client->api->easy_getinfo(client->easy, CURLINFO_CONTENT_TYPE, &type);
        client->api->easy_getinfo(client->easy, CURLINFO_REDIRECT_URL, &location);
        ret->content_type = type ? str_copy(type) : NULL;
        ret->location = location ? str_copy(location) : NULL;
        ret->length = exchange->body.length;
        ret->body = buf_steal(&exchange->body);
}

static int send_once(struct http_client *client, const struct http_request *request, const char *url,
        struct http_response *ret, struct err **err)
{
        __attribute__((cleanup(exchange_clear))) struct exchange exchange = {
                .client = client,
                .request = request,
                .body = BUF_INIT(request->max_bytes ? request->max_bytes : MAX_BYTES),
        };
        int r = check_url(url, err);
        if (r == 0)
                r = cancel_check(client->cancel, client->cancel_level, err);
        if (r == 0)
                r = open_client(client, err);
        if (r == 0)
                r = add_headers(&exchange, err);
        if (r < 0)
                return r;
        set_options(&exchange, url);
        CURLcode code;
        r = transfer(client, &code, err);
        if (r < 0)
                return r;
        if (log_enabled("http")) {
                CLEANUP_FREE char *name = shown(url);
                log_trace("http", "%s %s: %s", request->method ? request->method : "GET", name,
                        client->api->easy_strerror(code));
        }
        if (code != CURLE_OK)
                return translate(&exchange, code, url, err);
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
                CLEANUP_FREE char *from = shown(url);
                CLEANUP_FREE char *to = shown(response.location);
                if (!same_origin(url, response.location))
                        return err_set(err, ERR_REFUSED,
                                "%s: redirects to another place, %.200s, which is not followed", from, to);
                if (i == REDIRECTS_MAX)
                        return err_set(err, ERR_FAILED, "%s: more than %d redirects", from, REDIRECTS_MAX);
                free(url);
                url = STEAL(response.location);
        }
}

/* ---- JSON ---- */

static int status_error(const struct http_request *request, const struct http_response *response, struct err **err)
{
        enum err_code code = ERR_FAILED;
        if (response->status == 404)
                code = ERR_NOT_FOUND;
        else if (response->status == 401 || response->status == 403)
                code = ERR_DENIED;
        else if (response->status == 429 || (response->status >= 502 && response->status <= 504))
                code = ERR_UNREACHABLE;
        CLEANUP_FREE char *name = shown(request->url);
        json_auto_t *answer = json_loadb(response->body, response->length, JSON_REJECT_DUPLICATES, NULL);
        const char *said = json_string_value(json_object_get(answer, "message"));
        if (!said)
                said = json_string_value(json_object_get(answer, "error"));
        return err_set(err, code, "%s %s: status %ld%s%.500s", request->method ? request->method : "GET", name,
                response->status, said ? ": " : "", said ? said : "");
}

static const char **json_headers(const struct http_request *request, bool body)
{
        size_t count = 0;
        bool accept = false;
        while (request->headers && request->headers[count])
                accept = strncasecmp(request->headers[count++], "accept:", 7) == 0 || accept;
        const char **headers = mem_zero_array(count + 3, sizeof *headers);
        for (size_t i = 0; i < count; i++)
                headers[i] = request->headers[i];
        if (!accept)
                headers[count++] = "Accept: application/json";
        if (body)
                headers[count] = "Content-Type: application/json";
        return headers;
}

int http_json(struct http_client *client, const struct http_request *request, const json_t *body, json_t **ret,
        struct err **err)
{
        char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        CLEANUP_FREE const char **headers = json_headers(request, body != NULL);
        struct http_request filled = *request;
        filled.headers = headers;
        if (text) {
                filled.body = text;
                filled.body_length = strlen(text);
        }
        CLEANUP_RESPONSE struct http_response response = {0};
        int r = http_send(client, &filled, &response, err);
        mem_wipe_free(text, text ? strlen(text) : 0);
        if (r < 0)
                return r;
        if (response.status >= 300)
                return status_error(request, &response, err);
        if (!ret)
                return 0;
        json_error_t where;
        json_t *answer = response.length ? json_loadb(response.body, response.length,
                                                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where)
                                         : json_null();
        if (!answer) {
                CLEANUP_FREE char *name = shown(request->url);
                return err_set(err, ERR_INVALID, "%s: the answer is no JSON: %s", name, where.text);
        }
        *ret = answer;
        return 0;
}

char *http_escape(const char *text)
{
        struct buf out = BUF_INIT(3 * strlen(text) + 1);
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
                if (isalnum(*c) || strchr("-._~", *c))
                        buf_add(&out, (const char *)c, 1);
                else
                        buf_format(&out, "%%%02X", *c);
        return buf_steal(&out);
}
