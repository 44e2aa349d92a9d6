#include "cli/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static struct cancel *flag;
static volatile sig_atomic_t silent_now, at_once;

static void say(const char *text)
{
        if (!silent_now && write(STDERR_FILENO, text, strlen(text)) < 0)
                return; /* nobody listens: nothing to be done about it here */
}

static void on_signal(int number)
{
        int saved = errno;
        cancel_raise(flag);
        if (at_once)
                cancel_raise(flag);
        int level = cancel_level(flag);
        if (level == 1)
                say("\ncaas: stopping: finishing what runs; once more to stop at once\n");
        else if (level == 2)
                say(at_once ? "\ncaas: stopping, and cleaning up\n" : "\ncaas: stopping at once\n");
        else {
                signal(number, SIG_DFL);
                raise(number);
        }
        errno = saved;
}

/* A server that went away is an error of that connection and ends nothing. Who reads our output and went away (`|
 * head`) ends what only reads; what changes something goes on. Unlike SIG_IGN a handler is not inherited by programs we
 * start. */
static void on_pipe(int number)
{
        int before = errno;
        struct pollfd out = {.fd = STDOUT_FILENO};
        if ((!flag || at_once) && poll(&out, 1, 0) > 0 && out.revents & POLLERR) {
                signal(number, SIG_DFL);
                raise(number);
        }
        errno = before;
}

void signals_pipe(void)
{
        struct sigaction action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
        sigaction(SIGPIPE, &action, NULL);
}

struct cancel *signals_install(void)
{
        flag = cancel_new();
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
                struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
                /* `nohup caas apply` stays what it is. */
                if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
                        sigaction(numbers[i], &action, NULL);
        }
        return flag;
}

struct cancel *signals_install_at_once(void)
{
        at_once = 1;
        return signals_install();
}

void signals_silent(bool silent)
{
        silent_now = silent;
}
