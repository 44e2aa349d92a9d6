/* `caas apply` that is asked to stop, by SIGTERM and by a second signal, while a step waits for something. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#define NEVER_MS 120000

static char root[40];
static char *program, *state_env, *data_env, *form, *made;
static int port, listener;

static void put(const char *name, const char *text)
{
        CLEANUP_FREE char *path = file_join(root, name);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
}

/* The address is taken, and nobody answers there until this test listens. */
static int setup(void **state)
{
        (void)state;
        const char *build = getenv("BUILD");
        program = str_format("%s/caas", build && *build ? build : "build");
        strcpy(root, "/tmp/caas-stop-XXXXXX");
        assert_non_null(mkdtemp(root));
        state_env = str_format("CAAS_STATE=%s/state", root);
        data_env = str_format("CAAS_DATA=%s", root);
        form = file_join(root, "form.yaml");
        made = str_format("%s/state/clusters/lab/made", root);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof at;
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
        port = ntohs(at.sin_port);
        CLEANUP_FREE char *folder = file_join(root, "roles/wait");
        assert_int_equal(file_make_dirs(folder, 0755, NULL), 0);
        CLEANUP_FREE char *role =
                str_format("name: wait\ntargets:\n  host:\n"
                           "    - {id: wait/probe, kind: host.probe, spec: {tcp: \"127.0.0.1:%d\", seconds: 600}}\n"
                           "    - {id: wait/made, kind: host.directory, needs: [wait/probe], spec: {path: "
                           "\"${cluster.dir}/made\", mode: \"0755\"}}\n",
                        port);
        put("roles/wait/role.yaml", role);
        put("form.yaml", "cluster: lab\nnotebook: {cpus: 1, ram: 1, storage: 1}\ndomain: localhost\nexternal_ip: "
                         "127.0.0.1\n");
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        close(listener);
        file_remove_tree(root, NULL);
        free(program), free(state_env), free(data_env), free(form), free(made);
        return 0;
}

/* `caas apply`; what it says, and notes, comes out of the pipe. */
static pid_t start(int *ret_output)
{
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL); /* where a test fails */
                dup2(ends[1], STDOUT_FILENO), dup2(ends[1], STDERR_FILENO);
                close(ends[0]), close(ends[1]);
                putenv(state_env), putenv(data_env);
                signal(SIGTERM, SIG_DFL), signal(SIGINT, SIG_DFL); /* whoever runs these tests may ignore them */
                execl(program, program, "apply", form, "--yes", "--json", (char *)NULL);
                _exit(127);
        }
        close(ends[1]);
        *ret_output = ends[0];
        return pid;
}

/* Reads on until it has said that; NULL: to the end. */
static void until(int output, struct buf *said, const char *word)
{
        struct pollfd wait = {.fd = output, .events = POLLIN};
        char part[4096];
        int64_t end =
                clock_system()->monotonic_ms(clock_system()) + NEVER_MS; /* it says that it waits, again and again */
        while (!word || !strstr(said->data ? said->data : "", word)) {
                if (poll(&wait, 1, NEVER_MS) != 1 || clock_system()->monotonic_ms(clock_system()) > end)
                        fail_msg("it waits for ever; it said: %s", said->data);
                ssize_t n = read(output, part, sizeof part);
                if (n <= 0 && !word)
                        return;
                if (n <= 0)
                        fail_msg("it ended without '%s': %s", word, said->data);
                buf_add(said, part, (size_t)n);
        }
}

static int status_of(pid_t pid)
{
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status)); /* and no signal ended it */
        return WEXITSTATUS(status);
}

static void assert_outcome(const char *expected)
{
        const char *const argv[] = {program, "history", "lab", "--json", NULL}, *const env[] = {state_env, NULL};
        struct proc_spec spec = {.argv = argv, .env = env, .timeout_ms = NEVER_MS, .output_max = 1 << 20};
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(result.status, 0);
        json_auto_t *history = json_loads(result.output, 0, NULL);
        const char *outcome = json_string_value(json_object_get(json_array_get(history, 0), "outcome"));
        assert_non_null(outcome);
        assert_string_equal(outcome, expected);
}

/* What runs is finished, what comes after it is not begun; the same command goes on from there. */
static void test_sigterm_finishes_what_runs(void **state)
{
        (void)state;
        CLEANUP_BUF struct buf said = BUF_INIT(1 << 20), rest = BUF_INIT(1 << 20);
        CLEANUP_CLOSE int output = -1, again = -1;
        pid_t pid = start(&output);
        until(output, &said, "\"event\":\"step_begin\"");
        assert_int_equal(kill(pid, SIGTERM), 0);
        until(output, &said, "once more to stop at once");
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it waits for its step */
        assert_int_equal(listen(listener, 8), 0);
        until(output, &said, NULL);
        assert_int_equal(status_of(pid), 1);
        assert_non_null(strstr(said.data, "\"event\":\"step_done\""));
        assert_non_null(strstr(said.data, "1 step was not done"));
        assert_false(file_exists(made));
        assert_outcome("cancelled");

        pid = start(&again);
        until(again, &rest, NULL);
        assert_int_equal(status_of(pid), 0);
        assert_true(file_exists(made));
        assert_outcome("done");
}

/* Nobody ever answers there: the second one ends the step itself. */
static void test_a_second_signal_stops_at_once(void **state)
{
        (void)state;
        static const int second[] = {SIGTERM, SIGINT};
        for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
                CLEANUP_BUF struct buf said = BUF_INIT(1 << 20);
                CLEANUP_CLOSE int output = -1;
                pid_t pid = start(&output);
                until(output, &said, "\"event\":\"step_begin\"");
                assert_int_equal(kill(pid, SIGTERM), 0);
                until(output, &said, "once more to stop at once");
                assert_int_equal(kill(pid, second[i]), 0);
                until(output, &said, NULL);
                assert_int_equal(status_of(pid), 1);
                assert_non_null(strstr(said.data, "stopping at once"));
                assert_null(strstr(said.data, "\"event\":\"step_done\""));
                assert_false(file_exists(made));
                assert_outcome("cancelled");
        }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_sigterm_finishes_what_runs),
                T(test_a_second_signal_stops_at_once),
        };
        return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
