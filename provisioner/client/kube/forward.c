/* A port of a pod on a port of ours. One thread accepts, one carries each connection. */
#include "client/kube/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define CONNECTIONS_MAX 64
#define BACKLOG         64

struct connection {
        struct kube_forward *forward;
        int fd;
        pthread_t thread;
        atomic_bool ended;
};

struct kube_forward {
        struct kube *kube;
        char *namespace, *service;
        int port, listening;
        struct cancel *end; /* raised by kube_forward_close */
        pthread_t acceptor;
        pthread_mutex_t lock; /* of what follows */
        struct target target;
        char *trouble;
        struct connection *connection[CONNECTIONS_MAX]; /* the acceptor's alone */
};

static void set_trouble(struct kube_forward *forward, const char *text)
{
        pthread_mutex_lock(&forward->lock);
        free(forward->trouble);
        forward->trouble = text ? str_copy(text) : NULL;
        pthread_mutex_unlock(&forward->lock);
        if (text)
                log_trace("kube", "forward to %s/%s:%d: %s", forward->namespace, forward->service, forward->port, text);
}

char *kube_forward_trouble(struct kube_forward *forward)
{
        pthread_mutex_lock(&forward->lock);
        char *text = forward->trouble ? str_copy(forward->trouble) : NULL;
        pthread_mutex_unlock(&forward->lock);
        return text;
}

static struct target current_target(struct kube_forward *forward)
{
        pthread_mutex_lock(&forward->lock);
        struct target target = {.pod = str_copy(forward->target.pod), .port = forward->target.port};
        pthread_mutex_unlock(&forward->lock);
        return target;
}

/* The pod is gone, or does not run: another may have taken its place. */
static int choose_again(struct kube_forward *forward, struct err **err)
{
        struct target fresh = {0};
        int r = forward_target(forward->kube, forward->namespace, forward->service, forward->port, &fresh, err);
        if (r < 0)
                return r;
        pthread_mutex_lock(&forward->lock);
        free(forward->target.pod);
        forward->target = fresh;
        pthread_mutex_unlock(&forward->lock);
        return 0;
}

static int open_wire(struct kube_forward *forward, struct wire *wire, struct err **err)
{
        for (int i = 0;; i++) {
                struct err *why = NULL;
                struct target target = current_target(forward);
                int r = wire_open(forward->kube, forward->namespace, &target, forward->end, wire, &why);
                free(target.pod);
                bool again = i == 0 && r < 0 && r != -ERR_CANCELLED && r != -ERR_REFUSED;
                if (again && choose_again(forward, NULL) == 0) {
                        err_free(why);
                        continue;
                }
                if (r < 0)
                        err_set(err, why->code, "%s", why->message);
                err_free(why);
                return r;
        }
}

static void *carry(void *data)
{
        struct connection *connection = data;
        struct kube_forward *forward = connection->forward;
        struct wire wire = {0};
        CLEANUP_ERR struct err *err = NULL;
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE); /* a server that went away ends nobody but this connection */
        pthread_sigmask(SIG_BLOCK, &pipe, NULL);
        int r = open_wire(forward, &wire, &err);
        if (r == 0) {
                r = wire_carry(&wire, connection->fd, forward->end, &err);
                bool unasked =
                        r >= 0 || r == -ERR_UNREACHABLE; /* the pod has ended its side without a word: as TCP does */
                set_trouble(forward, wire.complaint ? wire.complaint : err && !unasked ? err->message : NULL);
                wire_close(&wire);
        } else if (err && r != -ERR_CANCELLED) {
                set_trouble(forward, err->message);
        }
        shutdown(connection->fd, SHUT_RDWR);
        atomic_store(&connection->ended, true);
        return NULL;
}

/* Needs nobody else: the acceptor's. all = wait for those that still run. */
static size_t reap(struct kube_forward *forward, bool all)
{
        size_t running = 0;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
                struct connection *connection = forward->connection[i];
                if (!connection)
                        continue;
                if (!all && !atomic_load(&connection->ended)) {
                        running++;
                        continue;
                }
                pthread_join(connection->thread, NULL);
                close(connection->fd);
                free(connection);
                forward->connection[i] = NULL;
        }
        return running;
}

static void begin(struct kube_forward *forward, int fd)
{
        size_t i = 0;
        int one = 1; /* an answer comes in pieces: held back, each after the first costs 40 ms */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (forward->connection[i])
                i++;
        struct connection *connection = mem_zero(sizeof *connection);
        connection->forward = forward;
        connection->fd = fd;
        if (pthread_create(&connection->thread, NULL, carry, connection) != 0) {
                close(fd);
                free(connection);
                return;
        }
        forward->connection[i] = connection;
}

static void *accept_all(void *data)
{
        struct kube_forward *forward = data;
        while (cancel_level(forward->end) == 0) {
                bool full = reap(forward, false) == CONNECTIONS_MAX;
                struct pollfd p[2] = {{.fd = full ? -1 : forward->listening, .events = POLLIN},
                        {.fd = cancel_fd(forward->end), .events = POLLIN}};
                poll(p, 2, full ? 100 : 1000);
                int fd = p[0].revents ? accept4(forward->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
                if (fd >= 0)
                        begin(forward, fd);
                else if (p[0].revents && errno != EAGAIN) /* no descriptor is left, which does not change at once */
                        poll(p + 1, 1, 50);
        }
        reap(forward, true);
        return NULL;
}

static int listen_locally(struct kube_forward *forward, int *ret_port, struct err **err)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0 ||
                getsockname(fd, (struct sockaddr *)&address, &length) < 0)
                return err_set_errno(err, errno, "cannot listen on 127.0.0.1");
        forward->listening = file_take(&fd);
        *ret_port = ntohs(address.sin_port);
        return 0;
}

/* Its thread, if it had one, has ended. */
static void release(struct kube_forward *forward)
{
        if (forward->listening >= 0)
                close(forward->listening);
        cancel_free(forward->end);
        pthread_mutex_destroy(&forward->lock);
        free(forward->target.pod);
        free(forward->trouble);
        free(forward->namespace);
        free(forward->service);
        free(forward);
}

int kube_forward_open(struct kube *kube, const char *namespace, const char *service, int port,
        struct kube_forward **ret, int *ret_local_port, struct err **err)
{
        struct target target = {0};
        int r = forward_target(kube, namespace, service, port, &target, err), local = 0;
        if (r < 0)
                return r;
        struct kube_forward *forward = mem_zero(sizeof *forward);
        *forward = (struct kube_forward){.kube = kube,
                .namespace = str_copy(namespace),
                .service = str_copy(service),
                .port = port,
                .target = target,
                .listening = -1,
                .end = cancel_new()};
        pthread_mutex_init(&forward->lock, NULL);
        r = listen_locally(forward, &local, err);
        if (r == 0 && pthread_create(&forward->acceptor, NULL, accept_all, forward) != 0)
                r = err_set(err, ERR_FAILED, "cannot start a thread for a port-forward");
        if (r < 0) {
                release(forward);
                return r;
        }
        *ret = forward;
        *ret_local_port = local;
        return 0;
}

struct kube_forward *kube_forward_close(struct kube_forward *forward)
{
        if (!forward)
                return NULL;
        cancel_raise(forward->end);
        pthread_join(forward->acceptor, NULL);
        release(forward);
        return NULL;
}
