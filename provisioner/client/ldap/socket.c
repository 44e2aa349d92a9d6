/* Connecting, with an end to it. libldap's own way has none while TLS is being agreed on: a server that says nothing
 * keeps it spinning for ever, whatever time-outs are set. So the socket is opened here, and closed from outside when it
 * takes too long. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"

static int64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, or an errno value. */
static int finish_connect(int fd, int64_t until)
{
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int n, number = 0;
        do { /* Ctrl-C lets what runs end well */
                int64_t left = until - now_ms();
                n = poll(&wait, 1, left > 0 ? (int)left : 0);
        } while (n < 0 && errno == EINTR);
        if (n == 0)
                return ETIMEDOUT;
        socklen_t length = sizeof number;
        if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0)
                return errno;
        return number;
}

static int connect_one(const struct addrinfo *to, int64_t until, int *ret_fd)
{
        int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
        if (fd < 0)
                return errno;
        int number = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
        if (number == EINPROGRESS)
                number = finish_connect(fd, until);
        int one = 1;
        if (number == 0 &&
                (fcntl(fd, F_SETFL, 0) < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0))
                number = errno;
        if (number)
                close(fd);
        else
                *ret_fd = fd;
        return number;
}

int directory_socket(const char *host, int port, int timeout_ms, int read_ms, int *ret_fd, struct err **err)
{
        char service[16];
        snprintf(service, sizeof service, "%d", port);
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
        struct addrinfo *list = NULL;
        int found = getaddrinfo(host, service, &hints, &list);
        if (found != 0)
                return err_set(err, ERR_UNREACHABLE, "cannot find the host %s: %s", host, gai_strerror(found));
        int64_t until = now_ms() + timeout_ms;
        int number = EHOSTUNREACH, fd = -1;
        for (const struct addrinfo *to = list; to && number != 0 && now_ms() < until; to = to->ai_next)
                number = connect_one(to, until, &fd);
        freeaddrinfo(list);
        if (number == ETIMEDOUT)
                return err_set(err, ERR_TIMEOUT, "%s, port %d: no answer within %d ms", host, port, timeout_ms);
        if (number)
                return err_set(err, ERR_UNREACHABLE, "%s, port %d: %s", host, port, strerror(number));
        const struct timeval wait = {.tv_sec = read_ms / 1000, .tv_usec = (read_ms % 1000) * 1000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        *ret_fd = fd;
        return 0;
}

struct watch {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t over;
        struct timespec until;
        int fd;
        bool done, late;
};

static void *watching(void *data)
{
        struct watch *watch = data;
        pthread_mutex_lock(&watch->mutex);
        while (!watch->done && !watch->late)
                if (pthread_cond_timedwait(&watch->over, &watch->mutex, &watch->until) == ETIMEDOUT && !watch->done) {
                        watch->late = true;
                        shutdown(watch->fd, SHUT_RDWR); /* whoever reads from it gets an end of file */
                }
        pthread_mutex_unlock(&watch->mutex);
        return NULL;
}

struct watch *directory_watch(int fd, int timeout_ms)
{
        struct watch *watch = mem_zero(sizeof *watch);
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&watch->over, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&watch->mutex, NULL);
        clock_gettime(CLOCK_MONOTONIC, &watch->until);
        int64_t end = (int64_t)watch->until.tv_nsec + (int64_t)(timeout_ms % 1000) * 1000000;
        watch->until.tv_sec += timeout_ms / 1000 + (time_t)(end / 1000000000);
        watch->until.tv_nsec = (long)(end % 1000000000);
        watch->fd = fd;
        if (pthread_create(&watch->thread, NULL, watching, watch) != 0) {
                free(watch);
                return NULL;
        }
        return watch;
}

bool directory_watch_end(struct watch *watch)
{
        pthread_mutex_lock(&watch->mutex);
        watch->done = true;
        pthread_cond_signal(&watch->over);
        pthread_mutex_unlock(&watch->mutex);
        pthread_join(watch->thread, NULL);
        bool late = watch->late;
        pthread_cond_destroy(&watch->over);
        pthread_mutex_destroy(&watch->mutex);
        free(watch);
        return late;
}
