/* HTTP and HTTPS requests, over libcurl, which is used here and nowhere else.
 *
 * Certificates and host names are always verified; nothing goes through a proxy of the environment; cookies are not
 * kept. Headers and bodies are never traced, so tokens may stand in them; they may not stand in a URL. libcurl is
 * loaded at the first request, so commands that make none do not pay for it. */
#ifndef CAAS_CLIENT_HTTP_HTTP_H
#define CAAS_CLIENT_HTTP_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/err.h"

/* Keeps connections alive between requests. One thread at a time; each thread that wants to ask makes its own. */
struct http_client;

struct http_options {
        const char *ca;                /* PEM file: trust these authorities only; NULL or "" = those of the system */
        struct cancel *cancel;         /* may be NULL; borrowed */
        int cancel_level;              /* give up a request once raised so often; 0 = 1 */
        const char *ca_text;           /* PEM text: trust these authorities only, instead of ca */
        const char *ca_name;           /* what messages call the authorities; NULL = ca */
        const char *certificate, *key; /* PEM texts of ours, shown to the server; both or none */
        const char *proxy;             /* "http://proxy:3128", "socks5://…"; NULL = none */
        const char *server_name;       /* the name in the server's certificate, where it is not the URL's host */
        const char *unix_socket;       /* path of the socket to connect to, whatever the URL's host is */
        bool http2;                    /* HTTP/2 where the server has it (ALPN) */
};

/* Options are copied; NULL for none. Never fails: what is wrong with them comes out at the first request. */
struct http_client *http_client_new(const struct http_options *options);
struct http_client *http_client_free(struct http_client *client);
static inline void http_client_cleanup(struct http_client **client)
{
        http_client_free(*client);
}
#define CLEANUP_HTTP __attribute__((cleanup(http_client_cleanup)))

struct http_request {
        const char *method; /* NULL = GET */
        const char *url;    /* http or https, without user and password */
        const char *const
                *headers;   /* "Name: value", NULL-terminated; may be NULL. With a line break in one: -ERR_INVALID */
        const char *token;  /* sent as "Authorization: token …"; may be NULL */
        const char *bearer; /* sent as "Authorization: Bearer …"; may be NULL */
        const char *body;   /* may be NULL */
        size_t body_length;
        int timeout_ms;   /* for all of it; 0 = 30 s. Connecting may take a third of it */
        int connect_ms;   /* connecting may take so long; 0 = a third of timeout_ms */
        size_t max_bytes; /* of the answer's body; 0 = 4 MiB */
        bool follow;      /* follow up to 5 redirects of GET and HEAD, to the same scheme, host and port only */
        /* Called with the body of an answer of status 2xx as it comes, which is then not kept; with other answers' it
         * is not called. Not 0 ends the transfer: more is success, less (an error code) is returned. NULL = keep. */
        int (*on_body)(void *data, const char *bytes, size_t length);
        void *data;
        int cancel_level; /* 0 = the client's */
};

struct http_response {
        long status; /* 200 … */
        char *body;  /* never NULL after success; NUL-terminated */
        size_t length;
        char *content_type; /* or NULL */
        char *location;     /* of a redirect that was not followed, absolute; or NULL */
        long retry_after;   /* seconds that the server asks to wait; 0 = it does not say */
        long connects;      /* connections made for it; 0 = one was used again */
};
void http_response_clear(struct http_response *response); /* wipes the body: it may hold a token */
#define CLEANUP_RESPONSE __attribute__((cleanup(http_response_clear)))

/* 0 = there is an answer, whatever its status. -ERR_UNREACHABLE (no such name, refused, broken off), -ERR_TIMEOUT,
 * -ERR_CANCELLED, -ERR_REFUSED (certificate not trusted or not for this name; redirect to another host), -ERR_INVALID
 * (URL, CA file, larger than max_bytes). */
int http_send(
        struct http_client *client, const struct http_request *request, struct http_response *ret, struct err **err);

/* Sends `body` (may be NULL; not consumed) as JSON with request's other fields, and reads JSON back. Status 404 is
 * -ERR_NOT_FOUND, 401 and 403 -ERR_DENIED, 429, 502, 503 and 504 -ERR_UNREACHABLE, others of 300 and above -ERR_FAILED,
 * each with the server's own "message" if it sent one. *ret is a new reference, null for an empty answer; ret may be
 * NULL. */
int http_json(struct http_client *client, const struct http_request *request, const json_t *body, json_t **ret,
        struct err **err);

/* ---- tunnels: bytes over a verified connection, for what is no plain request (WebSockets) ---- */

/* One thread at a time. */
struct http_tunnel;

/* Connects to the URL's host with the options of http_client_new (HTTP/1.1 only). Errors as http_send. */
int http_tunnel_open(const struct http_options *options, const char *url, int timeout_ms, struct http_tunnel **ret,
        struct err **err);
struct http_tunnel *http_tunnel_close(struct http_tunnel *tunnel);
static inline void http_tunnel_cleanup(struct http_tunnel **tunnel)
{
        http_tunnel_close(*tunnel);
}
#define CLEANUP_TUNNEL __attribute__((cleanup(http_tunnel_cleanup)))

/* To wait for with poll. Bytes may be waiting inside: receive until it says 0 before waiting. */
int http_tunnel_fd(const struct http_tunnel *tunnel);

/* Neither waits. 0 in *ret = nothing now; -ERR_UNREACHABLE when the connection is over or broken. */
int http_tunnel_send(struct http_tunnel *tunnel, const void *data, size_t length, size_t *ret, struct err **err);
int http_tunnel_receive(struct http_tunnel *tunnel, void *data, size_t room, size_t *ret, struct err **err);

/* Text for one segment of a path: everything but A-Z a-z 0-9 - . _ ~ becomes %XX. The caller frees. */
char *http_escape(const char *text);

#endif
