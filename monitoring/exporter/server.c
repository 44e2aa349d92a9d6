#include "exporter/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/address.h"
#include "exporter/request.h"
#include "exporter/targets.h"
#include "exporter/write.h"

#define STRANGERS_MAX      64 /* connections of who has not shown the token */
#define CONNECTIONS_MAX    (2 * STRANGERS_MAX)
#define CONNECTION_SECONDS 10 /* that nothing is heard of a client */
#define CONNECTION_MEMORY  8192
#define CHUNK              32768

#define TYPE_PLAIN       "text/plain; charset=utf-8"
#define TYPE_JSON        "application/json"
#define TYPE_TEXT        "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* A connection. Every process of the host can open some and say nothing, or little at a time; so that Prometheus always
 * comes in, of those who have not shown the token the one who came first makes room for a new one. Who has it shows it
 * right away. All of this is of the daemon's one thread. */
struct guest {
        int fd;
        bool stranger; /* is in the list */
        struct guest *before, *after;
};

struct server {
        struct MHD_Daemon *daemon;
        const struct config *config;
        struct registry *registry;
        struct guest *first, *last; /* strangers, as they came */
        size_t strangers;
};

static void is_no_stranger(struct server *server, struct guest *guest)
{
        if (!guest->stranger)
                return;
        *(guest->before ? &guest->before->after : &server->first) = guest->after;
        *(guest->after ? &guest->after->before : &server->last) = guest->before;
        guest->stranger = false;
        server->strangers--;
}

static struct guest *welcome(struct server *server, int fd)
{
        struct guest *guest = mem_zero(sizeof *guest), *eldest = server->first;
        if (server->strangers == STRANGERS_MAX) {
                shutdown(eldest->fd, SHUT_RDWR); /* the daemon sees that, and closes it */
                is_no_stranger(server, eldest);
        }
        *guest = (struct guest){.fd = fd, .stranger = true, .before = server->last};
        *(server->last ? &server->last->after : &server->first) = guest;
        server->last = guest;
        server->strangers++;
        return guest;
}

static void on_connection(
        void *data, struct MHD_Connection *connection, void **guest, enum MHD_ConnectionNotificationCode what)
{
        struct server *server = data;
        if (what == MHD_CONNECTION_NOTIFY_STARTED) {
                const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
                *guest = info ? welcome(server, info->connect_fd) : NULL;
        } else if (*guest) {
                is_no_stranger(server, *guest);
                free(*guest);
                *guest = NULL;
        }
}

static void trust(struct server *server, struct MHD_Connection *connection)
{
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        if (info && info->socket_context)
                is_no_stranger(server, info->socket_context);
}

/* Consumes response, which may be NULL: then the connection is closed. */
static enum MHD_Result answer(
        struct MHD_Connection *connection, unsigned status, const char *type, struct MHD_Response *response)
{
        if (!response)
                return MHD_NO;
        enum MHD_Result r = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        if (r == MHD_YES && status == MHD_HTTP_UNAUTHORIZED)
                r = MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
        if (r == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
                r = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        if (r == MHD_YES)
                r = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
        return r;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned status, const char *text)
{
        return answer(connection, status, TYPE_PLAIN,
                MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT));
}

static ssize_t give(void *data, uint64_t position, char *out, size_t max)
{
        (void)position; /* they are asked for in order */
        size_t n = scrape_read(data, out, max);
        return n ? (ssize_t)n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void given(void *data)
{
        scrape_end(data);
}

static enum MHD_Result metrics(const struct server *server, struct MHD_Connection *connection)
{
        bool openmetrics =
                request_openmetrics(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
        struct scrape *scrape = scrape_begin(server->registry, openmetrics);
        struct MHD_Response *response =
                MHD_create_response_from_callback(scrape_length(scrape), CHUNK, give, scrape, given);
        if (!response)
                scrape_end(scrape);
        return answer(connection, MHD_HTTP_OK, openmetrics ? TYPE_OPENMETRICS : TYPE_TEXT, response);
}

/* While nothing is known Prometheus keeps the targets that it has. */
static enum MHD_Result targets(const struct server *server, struct MHD_Connection *connection)
{
        CLEANUP_KUBE_VIEW struct kube_view *view = kube_view_last(server->config);
        char *text = view ? targets_json(view) : NULL;
        if (!text)
                return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the API server has not said yet\n");
        return answer(connection, MHD_HTTP_OK, TYPE_JSON,
                MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *body, size_t *body_length, void **seen)
{
        (void)version, (void)body;
        struct server *server = data;
        static char first;
        if (!*seen) { /* only the headers are there yet */
                *seen = &first;
                return MHD_YES;
        }
        if (*body_length) { /* nobody asked for it */
                *body_length = 0;
                return MHD_YES;
        }
        bool health = str_is(url, "/healthz"), nodes = server->config->kubernetes.api && str_is(url, "/targets"),
             known = health || nodes || str_is(url, "/metrics");
        const char *authorization =
                MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
        if (!known)
                return say(connection, MHD_HTTP_NOT_FOUND, "not found: there are /metrics and /healthz\n");
        if (!str_is(method, "GET") && !str_is(method, "HEAD"))
                return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        if (health)
                return say(connection, MHD_HTTP_OK, "ok\n");
        if (server->config->token && !request_allowed(authorization, server->config->token))
                return say(connection, MHD_HTTP_UNAUTHORIZED, "a bearer token is needed\n");
        trust(server, connection);
        return nodes ? targets(server, connection) : metrics(server, connection);
}

/* host NULL: all addresses of the family. */
static int listen_on(int family, const char *host, const char *port, const char *address, int *ret_fd, struct err **err)
{
        struct addrinfo hints = {
                .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
        struct addrinfo *info = NULL;
        int problem = getaddrinfo(host, port, &hints, &info), r = 0, on = 1, off = 0;
        if (problem)
                return err_set(err, ERR_INVALID, "cannot listen at %s: %s", address, gai_strerror(problem));
        CLEANUP_CLOSE int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
                (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) ||
                bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                r = err_set_errno(err, errno, "cannot listen at %s", address);
        freeaddrinfo(info);
        if (r == 0)
                *ret_fd = file_take(&fd);
        return r;
}

/* A listening socket: at the first address that the name stands for, or at all that the machine has ("*"): of IPv6, and
 * with them of IPv4, or of IPv4 alone where the kernel knows no others. */
static int listen_at(const char *address, int *ret_fd, struct err **err)
{
        CLEANUP_FREE char *host = NULL, *port = NULL;
        int r = address_split(address, &host, &port, err);
        if (r < 0)
                return r;
        if (!str_is(host, "*"))
                return listen_on(AF_UNSPEC, host, port, address, ret_fd, err);
        r = listen_on(AF_INET6, NULL, port, address, ret_fd, NULL);
        return r < 0 ? listen_on(AF_INET, NULL, port, address, ret_fd, err) : r;
}

int server_start(const struct config *config, struct registry *registry, struct server **ret, struct err **err)
{
        CLEANUP_CLOSE int fd = -1;
        int r = listen_at(config->listen, &fd, err);
        if (r < 0)
                return r;
        struct server *server = mem_zero(sizeof *server);
        server->config = config;
        server->registry = registry;
        server->daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, server,
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
        if (!server->daemon) {
                free(server);
                return err_set(err, ERR_IO, "cannot start the server at %s", config->listen);
        }
        file_take(&fd); /* it is closed with the daemon */
        *ret = server;
        return 0;
}

struct server *server_stop(struct server *server)
{
        if (!server)
                return NULL;
        MHD_stop_daemon(server->daemon);
        free(server);
        return NULL;
}
