/* What the files of this folder share. */
#ifndef CAAS_CLIENT_HTTP_PRIVATE_H
#define CAAS_CLIENT_HTTP_PRIVATE_H

#include "base/str.h"
#include "client/http/curl_api.h"
#include "client/http/http.h"

struct http_client {
        const struct curl_api *api; /* NULL until the first request */
        CURLM *multi;
        CURL *easy;
        char *ca, *ca_text, *ca_name, *certificate, *key, *proxy, *server_name, *unix_socket;
        bool http2;
        struct cancel *cancel;
        int cancel_level;
        char detail[CURL_ERROR_SIZE];
};

struct exchange {
        struct http_client *client;
        const struct http_request *request;
        struct curl_slist *headers;
        struct curl_slist *connect_to;
        char *url; /* as libcurl is given it */
        struct buf body;
        int said; /* what on_body returned, when not 0 */
};

int http_open_client(struct http_client *client, struct err **err);
int http_check_url(const char *url, struct err **err);
void http_exchange_clear(struct exchange *exchange);

/* Runs the transfer, looking at the cancel flag (given up at `level`). Returns libcurl's code in *ret. The handle stays
 * in the multi handle when `keep`: a connection that is used afterwards belongs to both. */
int http_transfer(struct http_client *client, int level, bool keep, CURLcode *ret, struct err **err);

/* Tells libcurl what the client's options and the exchange's request want of it. */
int http_set_options(struct exchange *exchange, const char *url, struct err **err);

/* A TLS alert of the server about what we have shown it? */
bool http_refuses_certificate(CURLcode code, const char *detail);

/* libcurl's word on what went wrong, in ours. */
int http_translate(const struct exchange *exchange, CURLcode code, const char *url, struct err **err);

/* The part of a URL that may be shown: queries can hold tokens. The caller frees. */
char *http_shown(const char *url);

/* "https://host:port" as a length. */
size_t http_origin_length(const char *url);

#endif
