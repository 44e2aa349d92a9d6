#include "kind/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/str.h"

#define ADDRESSES_MAX 16

/* Whether one address can be listened on. What this machine does not have (IPv6) takes no port. */
static bool can_bind(const struct sockaddr *address, socklen_t length)
{
        CLEANUP_CLOSE int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return true;
        int on = 1; /* connections of the past do not count */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (address->sa_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        return (bind(fd, address, length) == 0 && listen(fd, 1) == 0) || errno == EADDRNOTAVAIL || errno == EACCES;
}

bool net_port_is_free(int port)
{
        struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        struct sockaddr_in any = loopback;
        any.sin_addr.s_addr = htonl(INADDR_ANY);
        struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        return can_bind((struct sockaddr *)&loopback, sizeof loopback) &&
               can_bind((struct sockaddr *)&any, sizeof any) && can_bind((struct sockaddr *)&any6, sizeof any6);
}

/* The same address in the same writing ("::1" for "0:0::1"); false if it is none. */
static bool normalise(const char *text, char ret[INET6_ADDRSTRLEN])
{
        unsigned char bytes[sizeof(struct in6_addr)];
        for (size_t i = 0; i < 2; i++) {
                int family = i == 0 ? AF_INET : AF_INET6;
                if (inet_pton(family, text, bytes) == 1)
                        return inet_ntop(family, bytes, ret, INET6_ADDRSTRLEN) != NULL;
        }
        return false;
}

int net_check_name(const char *name, const char *address, struct err **err)
{
        char wanted[INET6_ADDRSTRLEN], found[NI_MAXHOST];
        if (!normalise(address, wanted))
                return err_set(err, ERR_INVALID, "external_ip %s is no IP address", address);
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
        int failure = getaddrinfo(name, NULL, &hints, &list);
        if (failure)
                return err_set(err, ERR_INVALID,
                        "domain %s does not resolve (%s): make a DNS entry for it that points to %s, or choose a "
                        "domain that "
                        "does",
                        name, gai_strerror(failure), address);
        CLEANUP_BUF struct buf others = BUF_INIT(1024);
        bool matches = false;
        int count = 0;
        for (struct addrinfo *a = list; a && !matches; a = a->ai_next) {
                if (getnameinfo(a->ai_addr, a->ai_addrlen, found, sizeof found, NULL, 0, NI_NUMERICHOST) != 0)
                        continue;
                matches = str_is(found, wanted);
                if (count++ < ADDRESSES_MAX)
                        buf_format(&others, "%s%s", others.length ? ", " : "", found);
        }
        freeaddrinfo(list);
        if (matches)
                return 0;
        return err_set(err, ERR_INVALID,
                "domain %s resolves to %s, not to external_ip %s: change its DNS entry, or set external_ip to the "
                "address it has",
                name, others.length ? others.data : "nothing", address);
}
