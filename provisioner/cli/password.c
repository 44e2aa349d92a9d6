/* Passwords come from a terminal without echo or from standard input, never from the command line. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

#define PASSWORD_MAX 1000

enum { KEY_INTERRUPT = 3, KEY_END = 4, KEY_BACKSPACE = 8, KEY_ERASE_LINE = 21, KEY_DELETE = 127 };

int cli_read_byte(const struct cli *cli, int fd, char *ret, struct err **err)
{
        for (;;) {
                struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = cancel_fd(cli->cancel), .events = POLLIN}};
                if (poll(wait, 2, -1) < 0 && errno != EINTR)
                        return err_set_errno(err, errno, "waiting for the password");
                int r = cancel_check(cli->cancel, 1, err);
                if (r < 0)
                        return r;
                if (!wait[0].revents)
                        continue;
                ssize_t n = read(fd, ret, 1);
                if (n == 1)
                        return 0;
                if (n == 0)
                        return 1;
                if (errno != EINTR && errno != EAGAIN)
                        return err_set_errno(err, errno, "reading the password");
        }
}

/* Reads up to the end of the line. *length stays within PASSWORD_MAX + 1. */
static int read_line(const struct cli *cli, int fd, bool keys, char *line, size_t *length, struct err **err)
{
        size_t n = 0;
        for (;;) {
                char c = 0;
                int r = cli_read_byte(cli, fd, &c, err);
                if (r < 0)
                        return r;
                if (r == 1 || c == '\n' || c == '\r' || (keys && c == KEY_END))
                        break;
                if (keys && c == KEY_INTERRUPT)
                        return err_set(err, ERR_CANCELLED, "cancelled");
                if (keys && (c == KEY_BACKSPACE || c == KEY_DELETE)) {
                        bool more = true; /* a character may have several bytes */
                        while (n > 0 && more) {
                                n--;
                                more = (line[n] & 0xc0) == 0x80;
                        }
                } else if (keys && c == KEY_ERASE_LINE) {
                        n = 0;
                } else if (n <= PASSWORD_MAX) {
                        line[n++] = c;
                }
        }
        *length = n;
        return 0;
}

static int checked(const char *line, size_t length, char **ret, struct err **err)
{
        if (length == 0)
                return err_set(err, ERR_INVALID, "an empty password is none");
        if (length > PASSWORD_MAX)
                return err_set(err, ERR_INVALID, "a password may have at most %d bytes", PASSWORD_MAX);
        if (memchr(line, '\0', length))
                return err_set(err, ERR_INVALID, "a password may not hold a NUL byte");
        *ret = str_copy_n(line, length);
        return 0;
}

static int ask(const struct cli *cli, int tty, const char *prompt, char **ret, struct err **err)
{
        struct termios old, silent;
        if (tcgetattr(tty, &old) < 0)
                return err_set_errno(err, errno, "the terminal");
        silent = old;
        silent.c_lflag &= (tcflag_t) ~(ECHO | ICANON | ISIG);
        silent.c_cc[VMIN] = 1;
        silent.c_cc[VTIME] = 0;
        char line[PASSWORD_MAX + 2];
        size_t length = 0;
        dprintf(tty, "%s: ", prompt);
        tcsetattr(tty, TCSAFLUSH, &silent);
        int r = read_line(cli, tty, true, line, &length, err);
        tcsetattr(tty, TCSAFLUSH, &old);
        dprintf(tty, "\n");
        if (r == 0)
                r = checked(line, length, ret, err);
        explicit_bzero(line, sizeof line);
        return r;
}

void cli_forget(char *secret)
{
        mem_wipe_free(secret, secret ? strlen(secret) : 0);
}

static int ask_twice(const struct cli *cli, int tty, const char *prompt, char **ret, struct err **err)
{
        char *first = NULL, *second = NULL;
        int r = ask(cli, tty, prompt, &first, err);
        if (r == 0)
                r = ask(cli, tty, "once more", &second, err);
        if (r == 0 && !str_is(first, second))
                r = err_set(err, ERR_INVALID, "the two passwords differ");
        if (r == 0)
                *ret = STEAL(first);
        cli_forget(first);
        cli_forget(second);
        return r;
}

int cli_password(const struct cli *cli, const char *prompt, bool twice, char **ret, struct err **err)
{
        if (isatty(STDIN_FILENO)) {
                CLEANUP_CLOSE int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
                if (tty < 0)
                        return err_set_errno(err, errno, "cannot ask for a password: /dev/tty");
                return twice ? ask_twice(cli, tty, prompt, ret, err) : ask(cli, tty, prompt, ret, err);
        }
        char line[PASSWORD_MAX + 2];
        size_t length = 0;
        int r = read_line(cli, STDIN_FILENO, false, line, &length, err);
        if (r == 0)
                r = checked(line, length, ret, err);
        explicit_bzero(line, sizeof line);
        return r;
}
