/* Connecting to a directory whose machine says nothing. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "client/ldap/directory.h"

#define FULL 4 /* connections that a listener with the shortest queue cannot all take */

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
        (void)number;
        signals++;
}

/* A listener that lets nobody in: what asks for another connection gets no answer. Returns its port. */
static int listen_full(int sockets[FULL + 1])
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t length = sizeof at;
        sockets[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(sockets[0], (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(sockets[0], 0), 0);
        assert_int_equal(getsockname(sockets[0], (struct sockaddr *)&at, &length), 0);
        for (int i = 1; i <= FULL; i++) {
                sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                assert_true(connect(sockets[i], (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS);
        }
        return ntohs(at.sin_port);
}

/* Ctrl-C once: what runs is finished. */
static void a_signal_does_not_end_it(void **state)
{
        (void)state;
        int sockets[FULL + 1];
        char uri[64];
        snprintf(uri, sizeof uri, "ldaps://127.0.0.1:%d", listen_full(sockets));
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
        struct itimerval soon = {.it_value = {.tv_usec = 100000}};
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        struct directory_options options = {.uri = uri, .ca = "/dev/null", .connect_ms = 400};
        struct directory *directory = NULL;
        CLEANUP_ERR struct err *err = NULL;
        int r = directory_open(&options, &directory, &err);
        print_message("         %s\n", err->message);
        assert_int_equal(signals, 1);
        assert_int_equal(r, -ERR_TIMEOUT);
        for (int i = 0; i <= FULL; i++)
                close(sockets[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_signal_does_not_end_it),
        };
        return cmocka_run_group_tests_name("ldap connect", tests, NULL, NULL);
}
