#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define OUTPUT_DEFAULT  (64 * 1024)
#define TIMEOUT_DEFAULT (10 * 60 * 1000)
#define TERM_GRACE_MS   5000
#define LINE_MAX_BYTES  4096

extern char **environ;

void proc_result_clear(struct proc_result *result)
{
        free(result->output);
        free(result->error);
        *result = (struct proc_result){0};
}

/* ---- what the child needs, made before fork: after it only async-signal-safe calls are allowed ---- */

static bool same_variable(const char *a, const char *b)
{
        size_t n = strcspn(a, "=");
        return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool kept_when_clean(const char *variable)
{
        return same_variable("PATH=", variable) || same_variable("LANG=", variable) || same_variable("HOME=", variable);
}

/* SASL comes along with libldap. Its plugins, with a database and Kerberos behind them, are for ways to sign in that
 * nobody here uses. */
static char ours_alone[] = "SASL_PATH=/nonexistent";

void proc_own_environment(void)
{
        if (!getenv("SASL_PATH"))
                putenv(ours_alone);
}

/* Borrows the strings. */
static char **make_env(const struct proc_spec *spec)
{
        size_t ours = 0, more = 0, n = 0;
        while (environ[ours])
                ours++;
        while (spec->env && spec->env[more])
                more++;
        char **env = mem_zero_array(ours + more + 1, sizeof *env);
        for (size_t i = 0; i < ours; i++) {
                bool replaced = environ[i] == ours_alone || (spec->clean_env && !kept_when_clean(environ[i]));
                for (size_t j = 0; j < more && !replaced; j++)
                        replaced = same_variable(spec->env[j], environ[i]);
                if (!replaced)
                        env[n++] = environ[i];
        }
        for (size_t j = 0; j < more; j++)
                env[n++] = (char *)spec->env[j];
        return env;
}

/* The program's path, or NULL. */
static char *find_program(const char *name, char *const *env)
{
        if (strchr(name, '/'))
                return str_copy(name);
        const char *path = "/usr/sbin:/usr/bin:/sbin:/bin";
        for (; *env; env++)
                if (str_starts(*env, "PATH="))
                        path = *env + 5;
        CLEANUP_FREE char *folders = str_copy(path);
        char *rest = NULL;
        for (char *folder = strtok_r(folders, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest)) {
                CLEANUP_FREE char *full = file_join(folder, name);
                if (access(full, X_OK) == 0)
                        return STEAL(full);
        }
        /* administration programs may be missing from a user's PATH */
        CLEANUP_FREE char *full = file_join("/usr/sbin", name);
        return access(full, X_OK) == 0 ? STEAL(full) : NULL;
}

struct child {
        const char *path;
        char *const *argv;
        char *const *env;
        const char *directory;
        pid_t parent;             /* it is killed when that one ends; 0 = not */
        int in, out, err, report; /* report: close-on-exec; carries errno when exec fails */
        bool new_session;
};

static void child_run(const struct child *c) __attribute__((noreturn));
static void child_run(const struct child *c)
{
        sigset_t none;
        sigemptyset(&none);
        for (int s = 1; s < NSIG; s++)
                signal(s, SIG_DFL); /* an ignored signal would be inherited */
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (c->new_session)
                setsid();
        if (c->parent && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != c->parent))
                _exit(127); /* it has ended already */
        int report = fcntl(c->report, F_DUPFD_CLOEXEC, 3);
        if (dup2(c->in, 0) >= 0 && dup2(c->out, 1) >= 0 && dup2(c->err, 2) >= 0 &&
                (!c->directory || chdir(c->directory) == 0)) {
                /* everything of ours is close-on-exec; what a library forgot is closed here, too */
                if (report > 3)
                        syscall(SYS_close_range, 3, report - 1, 0);
                syscall(SYS_close_range, report + 1, ~0U, 0);
                execve(c->path, c->argv, c->env);
        }
        int number = errno;
        ssize_t ignored = write(report, &number, sizeof number);
        (void)ignored;
        _exit(127);
}

/* Returns 0 with the pid, or an errno value. */
static int spawn(struct child *c, pid_t *ret_pid)
{
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0)
                return errno;
        c->report = report[1];
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of ours may run in the child */
        pid_t pid = fork();
        if (pid == 0)
                child_run(c);
        int number = pid < 0 ? errno : 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        close(report[1]);
        if (pid > 0) {
                int told = 0;
                ssize_t n;
                while ((n = read(report[0], &told, sizeof told)) < 0 && errno == EINTR)
                        ;
                if (n == sizeof told) {
                        number = told;
                        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                                ;
                }
        }
        close(report[0]);
        *ret_pid = pid;
        return number;
}

/* ---- reading along ---- */

struct stream {
        int fd; /* -1: ended */
        char *data;
        size_t length, max;
        bool truncated;
        char line[LINE_MAX_BYTES];
        size_t line_length;
};

static void stream_keep(struct stream *s, const char *data, size_t length)
{
        if (length >= s->max) {
                data += length - s->max;
                length = s->max;
                s->length = 0;
                s->truncated = true;
        }
        if (s->length + length > s->max) { /* the last bytes are the ones that matter */
                size_t drop = s->length + length - s->max;
                memmove(s->data, s->data + drop, s->length - drop);
                s->length -= drop;
                s->truncated = true;
        }
        s->data = mem_resize(s->data, s->length + length + 1, 1);
        memcpy(s->data + s->length, data, length);
        s->length += length;
        s->data[s->length] = '\0';
}

static void stream_lines(struct stream *s, const char *data, size_t length, const struct proc_spec *spec)
{
        for (size_t i = 0; i < length; i++) {
                if (data[i] == '\n' || data[i] == '\r') {
                        s->line[s->line_length] = '\0';
                        if (s->line_length > 0)
                                spec->on_line(spec->data, s->line);
                        s->line_length = 0;
                } else if (s->line_length < LINE_MAX_BYTES - 1) {
                        s->line[s->line_length++] = data[i];
                }
        }
}

static void stream_read(struct stream *s, const struct proc_spec *spec)
{
        char data[16384];
        ssize_t n = read(s->fd, data, sizeof data);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                if (spec->on_line && s->line_length > 0)
                        stream_lines(s, "\n", 1, spec);
                close(s->fd);
                s->fd = -1;
                return;
        }
        stream_keep(s, data, (size_t)n);
        if (spec->on_line)
                stream_lines(s, data, (size_t)n, spec);
}

struct run {
        const struct proc_spec *spec;
        struct stream out, err;
        int input; /* -1: all given */
        size_t given;
        pid_t pid;
        int pidfd;
        int64_t end, kill_at; /* kill_at 0: not asked to end yet */
        int why;              /* ERR_TIMEOUT, ERR_CANCELLED or 0 */
};

static void run_signal(const struct run *run, int signal_number)
{
        kill(run->spec->new_session ? -run->pid : run->pid, signal_number);
}

static void run_give_input(struct run *run)
{
        const struct proc_spec *spec = run->spec;
        ssize_t n = write(run->input, spec->input + run->given, spec->input_length - run->given);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        run->given += n > 0 ? (size_t)n : 0;
        if (n < 0 || run->given == spec->input_length) { /* EPIPE: it does not want it */
                close(run->input);
                run->input = -1;
        }
}

static void run_police(struct run *run, int64_t now)
{
        if (run->kill_at == 0) {
                if (now >= run->end)
                        run->why = ERR_TIMEOUT;
                else if (cancel_level(run->spec->cancel) >= 2)
                        run->why = ERR_CANCELLED;
                if (run->why) {
                        run_signal(run, SIGTERM);
                        run->kill_at = now + TERM_GRACE_MS;
                }
        } else if (now >= run->kill_at) {
                run_signal(run, SIGKILL);
                run->kill_at = now + TERM_GRACE_MS;
        }
}

/* Until the process has ended. Grandchildren may keep the pipes open: what is there is read, then they are left. */
static int run_loop(struct run *run)
{
        struct clock *clock = clock_system();
        for (;;) {
                struct pollfd p[5] = {{.fd = run->out.fd, .events = POLLIN}, {.fd = run->err.fd, .events = POLLIN},
                        {.fd = run->input, .events = POLLOUT}, {.fd = run->pidfd, .events = POLLIN},
                        {.fd = cancel_level(run->spec->cancel) == 0 ? cancel_fd(run->spec->cancel) : -1,
                                .events = POLLIN}};
                int64_t now = clock->monotonic_ms(clock);
                run_police(run, now);
                int64_t wait = (run->kill_at ? run->kill_at : run->end) - now;
                /* once cancelled, a second time is noticed within 200 ms */
                int64_t most = cancel_level(run->spec->cancel) > 0 || run->kill_at ? 200 : 60000;
                int r = poll(p, 5, (int)(wait < 0 ? 0 : wait < most ? wait : most));
                if (r < 0 && errno != EINTR)
                        return errno;
                if (r <= 0)
                        continue;
                if (p[0].revents)
                        stream_read(&run->out, run->spec);
                if (p[1].revents)
                        stream_read(&run->err, run->spec);
                if (p[2].revents)
                        run_give_input(run);
                if (p[3].revents && !(p[0].revents & POLLIN) && !(p[1].revents & POLLIN))
                        return 0;
        }
}

static int collect(pid_t pid)
{
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void close_pair(int pair[2])
{
        for (int i = 0; i < 2; i++)
                if (pair[i] >= 0)
                        close(pair[i]);
}

/* in: [read, write], out and err likewise. Returns 0 or an errno value. */
static int open_pipes(const struct proc_spec *spec, int in[2], int out[2], int err[2])
{
        if (spec->input) {
                if (pipe2(in, O_CLOEXEC) < 0)
                        return errno;
        } else if ((in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
                return errno;
        }
        if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
                return errno;
        if (in[1] >= 0)
                fcntl(in[1], F_SETFL, O_NONBLOCK);
        return 0;
}

static int take_result(struct run *run, struct proc_result *ret, struct err **err)
{
        const char *name = run->spec->argv[0];
        struct proc_result result = {.status = collect(run->pid),
                .output = run->out.data ? run->out.data : str_copy(""),
                .error = run->err.data ? run->err.data : str_copy(""),
                .output_truncated = run->out.truncated || run->err.truncated};
        log_trace("proc", "%s ended with %d", name, result.status);
        if (run->why == ERR_TIMEOUT || run->why == ERR_CANCELLED) {
                proc_result_clear(&result);
                return err_set(err, (enum err_code)run->why,
                        run->why == ERR_TIMEOUT ? "%s took too long" : "%s was cancelled", name);
        }
        *ret = result;
        return 0;
}

int proc_run(const struct proc_spec *spec, struct proc_result *ret, struct err **err)
{
        struct clock *clock = clock_system();
        CLEANUP_FREE char **env = make_env(spec);
        CLEANUP_FREE char *path = find_program(spec->argv[0], env);
        if (!path)
                return err_set(err, ERR_NOT_FOUND, "program %s is not installed", spec->argv[0]);
        int in[2] = {-1, -1}, out[2] = {-1, -1}, er[2] = {-1, -1};
        int number = open_pipes(spec, in, out, er);
        pid_t pid = -1;
        if (number == 0) {
                struct child c = {.path = path,
                        .argv = (char *const *)spec->argv,
                        .env = env,
                        .directory = spec->directory,
                        .in = in[0],
                        .out = out[1],
                        .err = er[1],
                        .parent = spec->die_with_us ? getpid() : 0,
                        .new_session = spec->new_session};
                log_trace("proc", "starting %s", path);
                number = spawn(&c, &pid);
        }
        int pidfd = number == 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        if (number == 0 && pidfd < 0) {
                /* nobody would say when it has ended: an old kernel, a container that does not let us, too many files
                 */
                number = errno;
                kill(pid, SIGKILL);
                collect(pid);
        }
        if (number) {
                close_pair(in);
                close_pair(out);
                close_pair(er);
                return err_set_errno(err, number, "cannot start %s", spec->argv[0]);
        }
        close(in[0]);
        close(out[1]);
        close(er[1]);
        size_t max = spec->output_max ? spec->output_max : OUTPUT_DEFAULT;
        struct run *run = mem_zero(sizeof *run);
        run->spec = spec;
        run->out = (struct stream){.fd = out[0], .max = max};
        run->err = (struct stream){.fd = er[0], .max = max};
        run->input = in[1];
        run->pid = pid;
        run->pidfd = pidfd;
        run->end = clock->monotonic_ms(clock) + (spec->timeout_ms ? spec->timeout_ms : TIMEOUT_DEFAULT);
        if (run->input >= 0 && spec->input_length == 0) {
                close(run->input);
                run->input = -1;
        }
        run_loop(run);
        int left[] = {run->out.fd, run->err.fd, run->input, run->pidfd};
        for (size_t i = 0; i < sizeof left / sizeof *left; i++)
                if (left[i] >= 0)
                        close(left[i]);
        int r = take_result(run, ret, err);
        free(run);
        return r;
}

/* The last lines, at most 15, without the trailing newline. */
static const char *last_lines(char *text)
{
        size_t n = strlen(text);
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
                text[--n] = '\0';
        for (int lines = 0; n > 0; n--)
                if (text[n - 1] == '\n' && ++lines == 15)
                        break;
        return text + n;
}

int proc_must(const struct proc_spec *spec, struct proc_result *ret, struct err **err)
{
        CLEANUP_PROC struct proc_result result = {0};
        int r = proc_run(spec, &result, err);
        if (r < 0)
                return r;
        if (result.status != 0) {
                const char *said = last_lines(*result.error ? result.error : result.output);
                return err_set(err, ERR_FAILED, "%s failed with status %d%s%s", spec->argv[0], result.status,
                        *said ? ":\n" : "", said);
        }
        if (ret) {
                *ret = result;
                result = (struct proc_result){0};
        }
        return 0;
}

int proc_daemon(const char *const *argv, const char *const *env, const char *directory, const char *log_path,
        pid_t *ret_pid, struct err **err)
{
        struct proc_spec spec = {.argv = argv, .env = env};
        CLEANUP_FREE char **full_env = make_env(&spec);
        CLEANUP_FREE char *path = find_program(argv[0], full_env);
        if (!path)
                return err_set(err, ERR_NOT_FOUND, "program %s is not installed", argv[0]);
        CLEANUP_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP_CLOSE int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (null < 0 || log < 0)
                return err_set_errno(err, errno, "cannot start %s: %s", argv[0], log_path);
        struct child c = {.path = path,
                .argv = (char *const *)argv,
                .env = full_env,
                .directory = directory,
                .in = null,
                .out = log,
                .err = log,
                .new_session = true};
        pid_t pid = -1;
        int number = spawn(&c, &pid);
        if (number)
                return err_set_errno(err, number, "cannot start %s", argv[0]);
        *ret_pid = pid;
        return 0;
}
