#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define FRAME_MAX   (8UL * 1024 * 1024)
#define PATIENCE_MS 1000                /* for a terminal that takes nothing more */
#define ESCAPE_MS   50                  /* an escape alone, or the beginning of a key? */
#define SCREEN      "\x1b[?1049h"       /* another than the shell's */
#define MODES       "\x1b[?25l\x1b[?7l" /* no cursor; lines are cut and not wrapped */
#define LEAVE       "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

struct terminal {
        int in, out; /* out: our own opening of it, which never waits, if it can be had */
        int signals;
        bool keys, own;
        bool away; /* it is the shell's: we were told to end while we were stopped */
        struct termios before;
        sigset_t mask; /* as it was */
        char held[64]; /* bytes of keys that are not used yet */
        size_t count;
};

/* What a handler needs when the program crashes; it has nothing else to hold on to. */
static struct {
        volatile sig_atomic_t taken;
        int in, out;
        bool keys;
        struct termios before;
} crash;

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void on_crash(int number)
{
        if (crash.taken) {
                crash.taken = 0;
                ssize_t ignored = write(crash.out, LEAVE, sizeof LEAVE - 1);
                (void)ignored;
                if (crash.keys)
                        tcsetattr(crash.in, TCSANOW, &crash.before);
        }
        raise(number); /* the handler is gone by now (SA_RESETHAND) */
}

static void watch_crashes(const struct terminal *t)
{
        crash.in = t->in;
        crash.out = t->out;
        crash.keys = t->keys;
        crash.before = t->before;
        crash.taken = 1;
        struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
                sigaction(crashes[i], &action, NULL);
}

/* ---- writing ---- */

/* false = it takes nothing more. With hurry a signal is reason enough to give up: a terminal that hangs must not keep
 * us from ending. */
static bool writable(const struct terminal *t, bool hurry)
{
        struct pollfd wait[] = {{.fd = t->out, .events = POLLOUT}, {.fd = hurry ? t->signals : -1, .events = POLLIN}};
        int n = poll(wait, 2, PATIENCE_MS);
        return n > 0 && wait[0].revents == POLLOUT;
}

static void write_all(const struct terminal *t, const char *data, size_t length, bool hurry)
{
        while (length) {
                ssize_t n = write(t->out, data, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN && writable(t, hurry))
                        continue;
                if (n <= 0)
                        return;
                data += n;
                length -= (size_t)n;
        }
}

/* ---- taking and giving back ---- */

static void take_keys(const struct terminal *t)
{
        struct termios raw = t->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL); /* Ctrl-S would hold the picture, and us with it */
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        if (t->keys)
                tcsetattr(t->in, TCSANOW, &raw);
}

static void enter(const struct terminal *t)
{
        take_keys(t);
        write_all(t, SCREEN MODES, sizeof SCREEN MODES - 1, false);
}

static void leave(const struct terminal *t)
{
        pid_t front = t->keys ? tcgetpgrp(t->in) : -1;
        write_all(t, LEAVE, sizeof LEAVE - 1, false);
        if (!t->keys || (front >= 0 && front != getpgrp())) /* the shell has set it as it wants it */
                return;
        tcflush(t->in, TCIFLUSH); /* half a key must not reach the shell */
        tcsetattr(t->in, TCSANOW, &t->before);
}

static void own_signals(sigset_t *ret)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
        sigemptyset(ret);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                sigaddset(ret, numbers[i]);
}

int terminal_open(int in, int out, struct terminal **ret, struct err **err)
{
        struct terminal *t = mem_zero(sizeof *t);
        sigset_t set;
        own_signals(&set);
        *t = (struct terminal){.in = in, .out = out};
        t->keys = tcgetattr(in, &t->before) == 0;
        t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (t->signals < 0) {
                int number = errno;
                free(t);
                return err_set_errno(err, number, "cannot wait for signals");
        }
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", out);
        int own = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        t->own = own >= 0;
        t->out = t->own ? own : out;
        pthread_sigmask(SIG_BLOCK, &set, &t->mask);
        watch_crashes(t);
        enter(t);
        *ret = t;
        return 0;
}

struct terminal *terminal_close(struct terminal *t)
{
        if (!t)
                return NULL;
        if (!t->away)
                leave(t);
        crash.taken = 0;
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
                signal(crashes[i], SIG_DFL);
        if (t->own)
                close(t->out);
        close(t->signals);
        pthread_sigmask(SIG_SETMASK, &t->mask, NULL); /* a second signal ends us here, with the terminal given back */
        free(t);
        return NULL;
}

struct terminal_size terminal_size(const struct terminal *t)
{
        struct winsize ws;
        if (ioctl(t->out, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0)
                return (struct terminal_size){ws.ws_col, ws.ws_row};
        return (struct terminal_size){80, 24};
}

void terminal_draw(struct terminal *t, const char *picture)
{
        CLEANUP_BUF struct buf out = BUF_INIT(FRAME_MAX);
        if (t->away)
                return;
        buf_str(&out, "\x1b[H");
        for (const char *p = picture;; p++) {
                size_t n = strcspn(p, "\n");
                /* wiped out first: after a full line the cursor stands on its last character */
                buf_str(&out, p[n] ? "\x1b[K" : "\x1b[J");
                buf_add(&out, p, n);
                p += n;
                if (!*p)
                        break;
                buf_str(&out, "\r\n");
        }
        write_all(t, out.data, out.length, true);
}

/* ---- waiting ---- */

static bool told_to_end(void)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
        sigset_t pending;
        sigpending(&pending);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                if (sigismember(&pending, numbers[i]) == 1)
                        return true;
        return false;
}

/* As if it had not been caught: the terminal is the shell's until it says to go on. */
static void stop_here(struct terminal *t)
{
        sigset_t set, old;
        leave(t);
        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        raise(SIGTSTP);
        pthread_sigmask(SIG_UNBLOCK, &set, &old); /* here it stops */
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        sigemptyset(&set);
        sigaddset(&set, SIGCONT);
        sigtimedwait(&set, NULL, &(struct timespec){0, 0}); /* known already */
        t->away = told_to_end();                            /* `kill %1`: to take the terminal would stop us again */
        if (!t->away)
                enter(t);
}

static int take_signal(struct terminal *t)
{
        struct signalfd_siginfo info;
        if (read(t->signals, &info, sizeof info) != (ssize_t)sizeof info)
                return TERMINAL_RESIZED;
        switch (info.ssi_signo) {
        case SIGTSTP:
                stop_here(t);
                return TERMINAL_RESIZED;
        case SIGCONT: /* stopped by SIGSTOP, so without our knowing; the shell has set the terminal since */
                take_keys(t);
                write_all(t, MODES, sizeof MODES - 1, true);
                return TERMINAL_RESIZED;
        case SIGWINCH:
                return TERMINAL_RESIZED;
        default:
                return TERMINAL_END;
        }
}

static int use(struct terminal *t, size_t length, int key)
{
        t->count -= length;
        memmove(t->held, t->held + length, t->count);
        return key;
}

/* The key at the beginning of what is held; TERMINAL_TIME = not all of it is there. `whole`: nothing more comes. */
static int take_key(struct terminal *t, bool whole)
{
        static const struct {
                const char *bytes;
                int key;
        } keys[] = {{"[A", TERMINAL_UP}, {"OA", TERMINAL_UP}, {"[B", TERMINAL_DOWN}, {"OB", TERMINAL_DOWN},
                {"[C", TERMINAL_RIGHT}, {"OC", TERMINAL_RIGHT}, {"[D", TERMINAL_LEFT}, {"OD", TERMINAL_LEFT},
                {"[5~", TERMINAL_PAGE_UP}, {"[6~", TERMINAL_PAGE_DOWN}, {"[H", TERMINAL_HOME}, {"OH", TERMINAL_HOME},
                {"[1~", TERMINAL_HOME}, {"[F", TERMINAL_LAST}, {"OF", TERMINAL_LAST}, {"[4~", TERMINAL_LAST},
                {"[Z", TERMINAL_BACK_TAB}};
        if (t->count == 0)
                return TERMINAL_TIME;
        if (t->held[0] != '\x1b')
                return use(t, 1, (unsigned char)t->held[0]);
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
                size_t n = strlen(keys[i].bytes);
                if (t->count > n && memcmp(t->held + 1, keys[i].bytes, n) == 0)
                        return use(t, n + 1, keys[i].key);
        }
        /* Another one: up to its last byte, a letter or a tilde. */
        bool sequence = t->count > 1 && (t->held[1] == '[' || t->held[1] == 'O');
        size_t end = 2;
        while (sequence && end < t->count && (t->held[end] < '@' || t->held[end] > '~'))
                end++;
        if (!whole && (t->count == 1 || (sequence && end >= t->count)))
                return TERMINAL_TIME;
        size_t length = !sequence ? 1 : end < t->count ? end + 1 : t->count;
        return use(t, length, 0);
}

static int64_t now_ms(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int terminal_wait(struct terminal *t, int other, int ms)
{
        int64_t until = now_ms() + ms;
        for (;;) {
                int key = take_key(t, t->count == sizeof t->held);
                if (key != TERMINAL_TIME)
                        return key;
                struct pollfd wait[] = {{.fd = t->signals, .events = POLLIN},
                        {.fd = t->keys ? t->in : -1, .events = POLLIN}, {.fd = other, .events = POLLIN}};
                int64_t left = until - now_ms();
                int patience = left < 0 ? 0 : (int)left;
                bool begun = t->count > 0 && patience > ESCAPE_MS;
                int n = poll(wait, 3, begun ? ESCAPE_MS : patience);
                if (n < 0 && errno != EINTR)
                        return TERMINAL_END;
                if (n <= 0) {
                        if (t->count > 0)
                                return take_key(t, true);
                        if (n == 0)
                                return TERMINAL_TIME;
                        continue;
                }
                if (wait[0].revents)
                        return take_signal(t);
                if (wait[1].revents) {
                        ssize_t got = read(t->in, t->held + t->count, sizeof t->held - t->count);
                        if (got <= 0)
                                return TERMINAL_END;
                        t->count += (size_t)got;
                } else if (wait[2].revents) {
                        return TERMINAL_OTHER;
                }
        }
}
