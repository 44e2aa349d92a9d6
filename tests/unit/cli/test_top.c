/* `caas top` itself, in a terminal that has to be given back. */
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>

#include <cmocka.h>

#include "../client/http_server.h"
#include "base/file.h"
#include "base/proc.h"
#include "journal/journal.h"
#include "top_metrics.h"

static char root[40];
static char *program, *state_dir;
static struct server *server;
static atomic_bool hanging;
static atomic_int advancing;

static bool exporter(struct peer *peer, const char *request)
{
        if (!str_starts(request, "GET /metrics ") || !strstr(request, "Authorization: Bearer s3cret\r\n"))
                return answer(peer, "401 Unauthorized", "", "");
        while (hanging && !server->ending)
                poll(NULL, 0, 20);
        if (advancing) {
                int n = advancing++;
                CLEANUP_FREE char *text =
                        str_format("caas_source_last_success_timestamp_seconds{source=\"cgroup\"} %d\n"
                                   "caas_user_cpu_seconds_total{user=\"alice\",kind=\"dask\"} %d\n",
                                n / 2 * 10, n / 2 * 25); /* measured anew every other time */
                return answer(peer, "200 OK", "", text);
        }
        return answer(peer, "200 OK", "", metrics);
}

/* A cluster of which nothing is known but where its exporter is; access may be NULL. */
static void make_cluster(const char *name, const char *access)
{
        struct journal *journal = NULL;
        CLEANUP_ERR struct err *err = NULL;
        int64_t run = 0;
        json_auto_t *form = json_pack("{s:s, s:s}", "cluster", name, "target", "host");
        json_auto_t *spec = json_pack("{s:s?, s:s}", "metrics", access, "token", "s3cret");
        struct resource resource = {.id = (char *)"monitoring/access", .kind = (char *)"value", .spec = spec};
        int r = journal_open(state_dir, true, &journal, &err);
        if (r == 0)
                r = journal_put_cluster(journal, name, "host", form, 1000, &err);
        if (r == 0 && access) {
                r = journal_run_begin(journal, name, "apply", 1000, &run, &err);
                if (r == 0)
                        r = journal_step_intent(journal, run, name, &resource, "create", NULL, 1000, &err);
                if (r == 0)
                        r = journal_step_applied(journal, run, name, resource.id, "x", NULL, spec, 0, 1000, &err);
        }
        if (r < 0)
                fail_msg("%s", err->message);
        journal_close(journal);
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        const char *build = getenv("BUILD");
        program = str_format("%s/caas", build && *build ? build : "build");
        strcpy(root, "/tmp/caas-top-XXXXXX");
        assert_non_null(mkdtemp(root));
        state_dir = str_format("%s/state", root);
        server = server_start(NULL, NULL);
        server->custom = exporter;
        CLEANUP_FREE char *url = str_format("http://127.0.0.1:%d/metrics", server->port);
        make_cluster("lab", url);
        make_cluster("bare", NULL);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server_stop(server);
        file_remove_tree(root, NULL);
        free(program);
        free(state_dir);
        return 0;
}

static int run(struct proc_result *ret, const char *words)
{
        CLEANUP_FREE char *command = str_format("exec %s top %s --state %s", program, words, state_dir);
        const char *const argv[] = {"/bin/sh", "-c", command, NULL};
        struct proc_spec spec = {.argv = argv, .timeout_ms = 60000, .output_max = 1 << 20};
        CLEANUP_ERR struct err *err = NULL;
        if (proc_run(&spec, ret, &err) < 0)
                fail_msg("%s", err->message);
        return ret->status;
}

static void expect(const char *words, int status, const char *out, const char *notes)
{
        CLEANUP_PROC struct proc_result result = {0};
        if (run(&result, words) != status || !strstr(result.output, out) || !strstr(result.error, notes))
                fail_msg("caas top %s: status %d: %s%s", words, result.status, result.output, result.error);
        assert_null(strchr(result.output, '\x1b'));
}

static void test_program(void **state)
{
        (void)state;
        expect("bare", 1, "", "caas: bare has no monitoring: set monitoring.enabled to true in its form");
        expect("lab --sort hom", 64, "", "did you mean home?");
        expect("lab --interval 0", 64, "", "--interval");
        expect("labb", 1, "", "did you mean 'lab'?");
        advancing = 2;
        expect("lab", 0, "CPU 2.50 cores", ""); /* no terminal: once */
        assert_int_equal(advancing, 5);
        advancing = 2;
        expect("lab --json", 0, "\"cpu_seconds\":10.0,", "");
        advancing = 0;
}

struct tty {
        int master;
        pid_t child;
        struct termios before;
        char text[200000];
        size_t length;
};

static _Noreturn void become(const char *words)
{
        setenv("TERM", "xterm", 1);
        CLEANUP_FREE char *command = str_format("exec %s top lab %s --state %s", program, words, state_dir);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
}

/* What has the terminal: the program itself, with these words, or what stands between it and us. */
static void begin_with(struct tty *tty, void (*what)(const char *words), const char *words)
{
        struct winsize size = {.ws_row = 24, .ws_col = 100};
        int slave;
        *tty = (struct tty){0};
        assert_int_equal(openpty(&tty->master, &slave, NULL, NULL, &size), 0);
        tcgetattr(tty->master, &tty->before);
        tty->child = fork();
        assert_true(tty->child >= 0);
        if (tty->child == 0) {
                login_tty(slave);
                what(words);
                _exit(127);
        }
        close(slave);
}

static void begin(struct tty *tty, const char *words)
{
        begin_with(tty, become, words);
}

/* Reads what is shown until `wanted` is in it, and where; what came before is kept. */
static char *find(struct tty *tty, const char *wanted)
{
        for (int i = 0; i < 600; i++) {
                struct pollfd wait = {.fd = tty->master, .events = POLLIN};
                char *found = memmem(tty->text, tty->length, wanted, strlen(wanted));
                if (found)
                        return found;
                if (poll(&wait, 1, 100) <= 0)
                        continue;
                ssize_t n = read(tty->master, tty->text + tty->length, sizeof tty->text - tty->length);
                if (n <= 0)
                        break;
                tty->length += (size_t)n;
        }
        fail_msg("'%s' was not shown: %.*s", wanted, (int)tty->length, tty->text);
        return NULL;
}

/* The same; what came before is forgotten. */
static void wait_for(struct tty *tty, const char *wanted)
{
        size_t used = (size_t)(find(tty, wanted) - tty->text) + strlen(wanted);
        memmove(tty->text, tty->text + used, tty->length -= used);
}

static void type(struct tty *tty, const char *keys)
{
        assert_int_equal(write(tty->master, keys, strlen(keys)), strlen(keys));
}

/* The terminal is as it was, and on the screen that the shell had. */
static void check_given_back(struct tty *tty)
{
        wait_for(tty, "\x1b[?25h\x1b[?1049l");
        struct termios now;
        for (int i = 0; i < 100; i++) {
                tcgetattr(tty->master, &now);
                if (now.c_lflag == tty->before.c_lflag)
                        break;
                poll(NULL, 0, 20); /* it is set after what is written */
        }
        assert_int_equal(now.c_lflag, tty->before.c_lflag);
        assert_int_equal(now.c_iflag, tty->before.c_iflag);
        assert_true(now.c_lflag & ECHO && now.c_lflag & ICANON);
}

static int end(struct tty *tty)
{
        int status = 0;
        for (int i = 0; i < 500 && waitpid(tty->child, &status, WNOHANG) == 0; i++)
                poll(NULL, 0, 20);
        close(tty->master);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_keys(void **state)
{
        (void)state;
        struct tty tty;
        begin(&tty, "");
        wait_for(&tty, "\x1b[?1049h\x1b[?25l\x1b[?7l");
        wait_for(&tty, "alice");
        type(&tty, "h");
        wait_for(&tty, "by home");
        type(&tty, "r");
        wait_for(&tty, "by home, reversed");
        type(&tty, "\t");
        wait_for(&tty, "0123456789abcdef0123456789abcdef");
        type(&tty, "\x1b[C");
        wait_for(&tty, "certificate");
        type(&tty, "\x1b[Z\x1bOD"); /* back, and back */
        wait_for(&tty, "OOM");
        type(&tty, "\x1b[99~\x1b[1;5Cx"); /* keys that it does not know */
        struct winsize narrow = {.ws_row = 12, .ws_col = 30};
        ioctl(tty.master, TIOCSWINSZ, &narrow);
        wait_for(&tty, "q quit  Tab page  m mem  c CP\xe2\x80\xa6");
        /* on whose last character the cursor stands now: until the next picture nothing may be wiped out */
        assert_null(memmem(tty.text, (size_t)(find(&tty, "\x1b[H") - tty.text), "\x1b[J", 3));
        type(&tty, "q");
        check_given_back(&tty);
        assert_int_equal(end(&tty), 0);
}

static void test_without_colours(void **state)
{
        (void)state;
        setenv("NO_COLOR", "1", 1);
        struct tty tty;
        begin(&tty, "");
        wait_for(&tty, "proxy is down");
        assert_null(memmem(tty.text, tty.length, "\x1b[1m", 4));
        unsetenv("NO_COLOR");
        type(&tty, "\x03");
        check_given_back(&tty);
        assert_int_equal(end(&tty), 0);
        begin(&tty, "");
        wait_for(&tty, "\x1b[31mproxy is down");
        type(&tty, "q");
        check_given_back(&tty);
        assert_int_equal(end(&tty), 0);
}

static void test_every_end(void **state)
{
        (void)state;
        static const struct {
                int number, status;
        } cases[] = {{SIGINT, 0}, {SIGTERM, 0}, {SIGHUP, 0}, {SIGQUIT, 0}, {SIGABRT, -SIGABRT}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct tty tty;
                begin(&tty, "");
                wait_for(&tty, "alice");
                kill(tty.child, cases[i].number);
                kill(tty.child, cases[i].number); /* twice, as people do: it still gives back what it took */
                check_given_back(&tty);
                int status = end(&tty);
                if (status != cases[i].status && status != -cases[i].number)
                        fail_msg("signal %d: status %d", cases[i].number, status);
        }
}

static void test_stopped_and_gone_on(void **state)
{
        (void)state;
        struct tty tty;
        begin(&tty, "");
        wait_for(&tty, "alice");
        kill(tty.child, SIGSTOP); /* nothing can be done about that one */
        kill(tty.child, SIGCONT);
        wait_for(&tty, "\x1b[?25l\x1b[?7l");
        wait_for(&tty, "alice");
        type(&tty, "q");
        check_given_back(&tty);
        assert_int_equal(end(&tty), 0);
}

/* A shell: the program is its job in the foreground, and once it has stopped, is told to end. Status 0: so it does. */
static _Noreturn void kill_stopped_job(const char *words)
{
        int status = 0;
        signal(SIGTTOU, SIG_IGN);
        pid_t job = fork();
        if (job == 0) {
                setpgid(0, 0);
                tcsetpgrp(STDIN_FILENO, getpid());
                signal(SIGTTOU, SIG_DFL);
                become(words);
        }
        waitpid(job, &status, WUNTRACED);
        bool stopped = WIFSTOPPED(status);
        tcsetpgrp(STDIN_FILENO, getpgrp());
        kill(-job, SIGTERM);
        kill(-job, SIGCONT);
        waitpid(job, &status, WUNTRACED);
        kill(-job, SIGKILL);
        _exit(stopped && WIFEXITED(status) ? 0 : 1);
}

static void test_stopped_and_ended(void **state)
{
        (void)state;
        struct tty tty;
        begin_with(&tty, kill_stopped_job, "");
        wait_for(&tty, "alice");
        type(&tty, "\x1a"); /* Ctrl-Z: what follows must leave the shell's screen alone */
        check_given_back(&tty);
        struct pollfd more = {.fd = tty.master, .events = POLLIN};
        while (poll(&more, 1, 200) > 0 && more.revents == POLLIN)
                tty.length += (size_t)read(tty.master, tty.text + tty.length, sizeof tty.text - tty.length);
        assert_int_equal(tty.length, 0);
        assert_int_equal(end(&tty), 0);

        begin_with(&tty, kill_stopped_job, "");
        wait_for(&tty, "alice");
        kill(-tcgetpgrp(tty.master), SIGSTOP); /* without its knowing */
        wait_for(&tty, "\x1b[?25h\x1b[?1049l");
        assert_int_equal(end(&tty), 0);
}

/* Keys work while it waits for an answer that does not come, and the last figures are still there. */
static void test_exporter_that_hangs(void **state)
{
        (void)state;
        struct tty tty;
        begin(&tty, "--interval 1");
        wait_for(&tty, "alice");
        hanging = true;
        poll(NULL, 0, 1500);
        type(&tty, "\t");
        wait_for(&tty, "0123456789abcdef0123456789abcdef");
        type(&tty, "q");
        check_given_back(&tty);
        assert_int_equal(end(&tty), 0);
        hanging = false;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_program),
                cmocka_unit_test(test_keys),
                cmocka_unit_test(test_without_colours),
                cmocka_unit_test(test_every_end),
                cmocka_unit_test(test_stopped_and_gone_on),
                cmocka_unit_test(test_stopped_and_ended),
                cmocka_unit_test(test_exporter_that_hangs),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
