/* Asking for a password on a real (pseudo) terminal: nothing typed is shown, and the terminal is as before afterwards.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/signals.h"

struct asked {
        pid_t child;
        int master, result; /* a pipe: what was answered */
        char shown[4000];
        char answer[1200];
};

/* The child: asks, and writes the password, or the error in brackets. */
static void answer(int out, bool twice, bool signals)
{
        struct cli cli = {.out = stdout, .notes = stderr};
        if (signals) {
                cli.cancel = signals_install();
                signals_silent(true);
        }
        char *password = NULL;
        struct err *err = NULL;
        if (cli_password(&cli, "password", twice, &password, &err) < 0)
                dprintf(out, "[%s]", err->message);
        else
                dprintf(out, "%s", password);
        cli_forget(password);
        err_free(err);
        _exit(0);
}

static void begin(struct asked *a, bool twice, bool signals)
{
        int pair[2];
        *a = (struct asked){0};
        assert_int_equal(pipe(pair), 0);
        a->child = forkpty(&a->master, NULL, NULL, NULL);
        assert_true(a->child >= 0);
        if (a->child == 0)
                answer(pair[1], twice, signals);
        close(pair[1]);
        a->result = pair[0];
}

/* Reads what the terminal shows until `wanted` is there. */
static void wait_for(struct asked *a, const char *wanted)
{
        for (int i = 0; i < 500 && !strstr(a->shown, wanted); i++) {
                struct pollfd wait = {.fd = a->master, .events = POLLIN};
                size_t n = strlen(a->shown);
                ssize_t got = poll(&wait, 1, 10) > 0 ? read(a->master, a->shown + n, sizeof a->shown - n - 1) : 0;
                if (got > 0)
                        a->shown[n + (size_t)got] = '\0';
        }
        if (!strstr(a->shown, wanted))
                fail_msg("not shown: '%s' (but '%s')", wanted, a->shown);
}

static bool echoes(const struct asked *a)
{
        struct termios now;
        assert_int_equal(tcgetattr(a->master, &now), 0);
        return now.c_lflag & ECHO;
}

/* The prompt is written before the echo goes off and what was typed too early is dropped, so one has to look. */
static void type(struct asked *a, const char *prompt, const char *keys)
{
        wait_for(a, prompt);
        for (int i = 0; i < 500 && echoes(a); i++)
                poll(NULL, 0, 10);
        assert_false(echoes(a));
        assert_int_equal(write(a->master, keys, strlen(keys)), strlen(keys));
}

static void finish(struct asked *a)
{
        size_t n = 0;
        for (ssize_t got; (got = read(a->result, a->answer + n, sizeof a->answer - n - 1)) > 0;)
                n += (size_t)got;
        int status;
        assert_int_equal(waitpid(a->child, &status, 0), a->child);
        struct termios now;
        if (tcgetattr(a->master, &now) == 0)
                assert_true((now.c_lflag & (ECHO | ICANON | ISIG)) == (ECHO | ICANON | ISIG));
        close(a->master);
        close(a->result);
}

static void expect(const char *keys, const char *wanted)
{
        struct asked a;
        begin(&a, false, false);
        type(&a, "password: ", keys);
        finish(&a);
        assert_string_equal(a.answer, wanted);
        assert_null(strstr(a.shown, "secret"));
}

static void test_typed(void **state)
{
        (void)state;
        expect("secret word\r", "secret word");
        expect("secres\x7ft\n", "secret");
        expect("wrong\x15secret\r", "secret");
        expect("s\xc3\xa9\x7f\xc3\xa8\r", "s\xc3\xa8"); /* backspace takes a whole character */
        expect("\x7f\x7fsecret\r", "secret");
        expect("secret\x04", "secret");
        expect("\r", "[an empty password is none]");
        expect("secret\x03", "[cancelled]");
}

static void test_too_long(void **state)
{
        (void)state;
        char keys[1100];
        memset(keys, 'x', sizeof keys);
        keys[1000] = '\r';
        keys[1001] = '\0';
        struct asked a;
        begin(&a, false, false);
        type(&a, "password: ", keys);
        finish(&a);
        assert_int_equal(strlen(a.answer), 1000);
        keys[1000] = 'x';
        keys[1001] = '\r';
        keys[1002] = '\0';
        expect(keys, "[a password may have at most 1000 bytes]");
}

static void test_twice(void **state)
{
        (void)state;
        struct asked a;
        begin(&a, true, false);
        type(&a, "password: ", "secret\r");
        type(&a, "once more: ", "secret\r");
        finish(&a);
        assert_string_equal(a.answer, "secret");
        begin(&a, true, false);
        type(&a, "password: ", "secret\r");
        type(&a, "once more: ", "secrets\r");
        finish(&a);
        assert_string_equal(a.answer, "[the two passwords differ]");
}

/* A signal in the middle: the terminal gets its echo back. (finish() looks.) */
static void test_signal(void **state)
{
        (void)state;
        struct asked a;
        begin(&a, false, true);
        type(&a, "password: ", "sec");
        kill(a.child, SIGTERM);
        finish(&a);
        assert_int_equal(a.answer[0], '[');
}

/* A question, and Ctrl-C instead of an answer: it is no, and nobody is waited for. */
static void test_signal_is_no_answer(void **state)
{
        (void)state;
        int master, status;
        pid_t child = forkpty(&master, NULL, NULL, NULL);
        assert_true(child >= 0);
        if (child == 0) {
                struct cli cli = {.out = stdout, .notes = stderr, .cancel = signals_install()};
                signals_silent(true);
                alarm(20); /* one that goes on waiting */
                _exit(cli_confirm(&cli, "Go on?") ? 2 : 3);
        }
        struct asked a = {.child = child, .master = master};
        wait_for(&a, "[y/N] ");
        assert_int_equal(write(master, "\x03", 1), 1);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(master);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void from_pipe(const char *text, size_t length, const char *wanted)
{
        int in[2], out[2];
        assert_int_equal(pipe(in), 0);
        assert_int_equal(pipe(out), 0);
        pid_t child = fork();
        if (child == 0) {
                close(in[1]); /* or its own end would keep the pipe open */
                dup2(in[0], STDIN_FILENO);
                answer(out[1], true, false);
        }
        assert_int_equal(write(in[1], text, length), length);
        close(in[1]), close(in[0]), close(out[1]);
        char got[1200] = "";
        size_t n = 0;
        for (ssize_t r; (r = read(out[0], got + n, sizeof got - n - 1)) > 0;)
                n += (size_t)r;
        close(out[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_string_equal(got, wanted);
}

static void test_standard_input(void **state)
{
        (void)state;
        from_pipe("secret\nnot this\n", 16, "secret");
        from_pipe("no newline", 10, "no newline");
        from_pipe(" spaces stay \n", 14, " spaces stay ");
        from_pipe("", 0, "[an empty password is none]");
        from_pipe("a\0b\n", 4, "[a password may not hold a NUL byte]");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_typed),
                cmocka_unit_test(test_too_long),
                cmocka_unit_test(test_twice),
                cmocka_unit_test(test_signal),
                cmocka_unit_test(test_signal_is_no_answer),
                cmocka_unit_test(test_standard_input),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
