/* Carrying bytes between a local connection and a wire. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "client/kube/forward.h"

#define LINGER_MS 1000 /* what the pod still says after the local side has said all */
#define PIECE     (16UL * 1024)

struct carry {
        struct wire *wire;
        int fd;
        bool local_ended;
        int64_t quiet_since;
};

/* From the local side into a frame. */
static void take_local(struct carry *carry)
{
        char piece[PIECE];
        ssize_t n = recv(carry->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (n > 0)
                wire_put(carry->wire, WEBSOCKET_BINARY, piece, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                carry->local_ended = true;
}

/* false: nobody listens any more. */
static bool give_local(struct carry *carry)
{
        struct wire *wire = carry->wire;
        while (wire->given < wire->in.length) {
                ssize_t n = send(carry->fd, wire->in.data + wire->given, wire->in.length - wire->given,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR;
                wire->given += (size_t)n;
        }
        wire->given = wire->in.length = 0;
        return true;
}

static void wait_for_something(const struct carry *carry, struct cancel *cancel)
{
        const struct wire *wire = carry->wire;
        bool sending = wire->out.length > 0, giving = wire->in.length > 0;
        short local = (short)((!sending && !carry->local_ended ? POLLIN : 0) | (giving ? POLLOUT : 0));
        short remote = (short)((!giving ? POLLIN : 0) | (sending ? POLLOUT : 0));
        int far = wire->closed ? -1 : http_tunnel_fd(wire->tunnel);
        struct pollfd p[3] = {{.fd = local ? carry->fd : -1, .events = local}, {.fd = far, .events = remote},
                {.fd = cancel_fd(cancel), .events = POLLIN}};
        poll(p, 3, carry->local_ended ? 100 : 60000);
}

/* One round. 1 = it is over. */
static int round_of(struct carry *carry, struct err **err)
{
        struct wire *wire = carry->wire;
        struct clock *clock = clock_system();
        if (wire->out.length == 0 && !carry->local_ended && !wire->closed)
                take_local(carry);
        int r = wire->closed ? 0 : wire_send(wire, err);
        if (r < 0)
                return r;
        r = wire->in.length == 0 ? wire_receive(wire, err) : 0;
        bool data = wire->in.length > 0;
        if (!give_local(carry))
                return 1;
        if (r < 0 && wire->in.length == 0)
                return r;
        wire->closed = wire->closed || r < 0; /* what came before the end is still to be given */
        if (wire->closed && wire->in.length == 0)
                return 1;
        if (!carry->local_ended || data || wire->out.length > 0)
                carry->quiet_since = clock->monotonic_ms(clock);
        return carry->local_ended && clock->monotonic_ms(clock) - carry->quiet_since > LINGER_MS;
}

int wire_carry(struct wire *wire, int fd, struct cancel *cancel, struct err **err)
{
        struct carry carry = {.wire = wire, .fd = fd};
        int r = 0;
        while (r == 0 && cancel_level(cancel) == 0) {
                r = round_of(&carry, err);
                if (r == 0)
                        wait_for_something(&carry, cancel);
        }
        if (r >= 0 && !wire->closed) {
                wire_put(wire, WEBSOCKET_CLOSE, "\x03\xe8", 2); /* 1000: all is well */
                wire_send(wire, NULL);
        }
        return r < 0 ? r : 0;
}
