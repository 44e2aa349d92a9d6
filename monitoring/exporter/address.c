#include "exporter/address.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

int address_split(const char *address, char **ret_host, char **ret_port, struct err **err)
{
        const char *colon = strrchr(address, ':'), *host = address;
        size_t length = colon ? (size_t)(colon - host) : 0;
        long port;
        if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
                host++;
                length -= 2;
        } else if (memchr(host, ':', length)) {
                length = 0; /* an IPv6 address without brackets: where does it end? */
        }
        if (length == 0 || str_to_long(colon + 1, &port) < 0 || port < 1 || port > 65535)
                return err_set(err, ERR_INVALID, "\"%s\" is not HOST:PORT", address);
        *ret_host = str_copy_n(host, length);
        *ret_port = str_format("%ld", port);
        return 0;
}

int address_wait(int fd, short events, int64_t end, struct cancel *cancel, struct err **err)
{
        for (;;) {
                int64_t left = end - clock_system()->monotonic_ms(clock_system());
                struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = cancel_fd(cancel), .events = POLLIN}};
                if (left <= 0)
                        return err_set(err, ERR_TIMEOUT, "no answer in time");
                int r = poll(p, 2, (int)left);
                if (r < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "cannot wait");
                if (r > 0 && p[1].revents)
                        return err_set(err, ERR_CANCELLED, "cancelled");
                if (r > 0 && p[0].revents)
                        return 0;
        }
}

static int connect_one(const struct addrinfo *info, int64_t end, struct cancel *cancel, int *ret_fd, struct err **err)
{
        CLEANUP_CLOSE int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot make a socket");
        if (connect(fd, info->ai_addr, info->ai_addrlen) < 0) {
                if (errno != EINPROGRESS)
                        return err_set(err, ERR_UNREACHABLE, "%s", strerror(errno));
                int r = address_wait(fd, POLLOUT, end, cancel, err), problem = 0;
                socklen_t size = sizeof problem;
                if (r < 0)
                        return r;
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 || problem)
                        return err_set(err, ERR_UNREACHABLE, "%s", strerror(problem ? problem : errno));
        }
        *ret_fd = file_take(&fd);
        return 0;
}

int address_connect(const char *address, int timeout_ms, struct cancel *cancel, int *ret_fd, struct err **err)
{
        CLEANUP_FREE char *host = NULL, *port = NULL;
        int r = address_split(address, &host, &port, err);
        if (r < 0)
                return r;
        int64_t end = clock_system()->monotonic_ms(clock_system()) + timeout_ms;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
        int problem = getaddrinfo(host, port, &hints, &list);
        if (problem)
                return err_set(err, ERR_UNREACHABLE, "%s: %s", address, gai_strerror(problem));
        CLEANUP_ERR struct err *last = NULL;
        r = -ERR_UNREACHABLE;
        for (struct addrinfo *info = list; info && r == -ERR_UNREACHABLE; info = info->ai_next) {
                last = err_free(last);
                r = connect_one(info, end, cancel, ret_fd, &last);
        }
        freeaddrinfo(list);
        if (r < 0 && err)
                *err = STEAL(last);
        return r < 0 ? err_prefix(err, "%s", address) : 0;
}
