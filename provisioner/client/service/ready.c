#include "client/service/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define ASK_MS       5000
#define ANSWER_BYTES (1024 * 1024)

const char *ready_target(const struct ready *ready)
{
        return ready->http ? ready->http : ready->tcp;
}

struct http_client *ready_client(const struct ready *ready, struct cancel *cancel)
{
        struct http_options options = {.ca = ready->ca, .cancel = cancel, .cancel_level = 2};
        return ready->http ? http_client_new(&options) : NULL;
}

static int ask_http(const struct ready *ready, struct http_client *client, struct err **err)
{
        struct http_request request = {.url = ready->http, .timeout_ms = ASK_MS, .max_bytes = ANSWER_BYTES};
        CLEANUP_RESPONSE struct http_response response = {0};
        int result = http_send(client, &request, &response, err);
        if (result < 0)
                return result;
        long expected = ready->expect ? ready->expect : 200;
        if (response.status != expected)
                return err_set(err, ERR_UNREACHABLE, "%s answers with status %ld, not %ld", ready->http,
                        response.status, expected);
        if (ready->contains && !strstr(response.body, ready->contains))
                return err_set(
                        err, ERR_UNREACHABLE, "the answer of %s does not hold \"%s\"", ready->http, ready->contains);
        return 0;
}

static int connect_to(const struct addrinfo *address, struct cancel *cancel)
{
        CLEANUP_CLOSE int fd =
                socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol);
        if (fd < 0)
                return errno;
        if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return errno;
        struct pollfd p[2] = {{.fd = fd, .events = POLLOUT},
                {.fd = cancel_level(cancel) > 0 ? -1 : cancel_fd(cancel), .events = POLLIN}};
        if (poll(p, 2, ASK_MS) <= 0)
                return ETIMEDOUT;
        int number = 0;
        socklen_t length = sizeof number;
        if (!p[0].revents || getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0)
                return EINTR;
        return number;
}

static int ask_tcp(const struct ready *ready, struct cancel *cancel, struct err **err)
{
        CLEANUP_FREE char *host = str_copy(ready->tcp);
        char *port = strrchr(host, ':');
        if (!port)
                return err_set(err, ERR_INVALID, "\"%s\" is not host:port", ready->tcp);
        *port++ = '\0';
        char *name = host;
        if (name[0] == '[' && str_ends(name, "]")) {
                name[strlen(name) - 1] = '\0';
                name++;
        }
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
        int failure = getaddrinfo(name, port, &hints, &list);
        if (failure)
                return err_set(err, ERR_UNREACHABLE, "%s: %s", ready->tcp, gai_strerror(failure));
        int number = ENOENT;
        for (struct addrinfo *a = list; a && number != 0; a = a->ai_next)
                number = connect_to(a, cancel);
        freeaddrinfo(list);
        return number == 0 ? 0 : err_set(err, ERR_UNREACHABLE, "%s: %s", ready->tcp, strerrordesc_np(number));
}

int ready_ask(const struct ready *ready, struct http_client *client, struct cancel *cancel, struct err **err)
{
        int result = cancel_check(cancel, 2, err);
        if (result < 0)
                return result;
        return ready->http ? ask_http(ready, client, err) : ask_tcp(ready, cancel, err);
}
