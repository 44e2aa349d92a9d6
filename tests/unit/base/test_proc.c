/* Subprocesses: output, input, time-out, cancelling, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

static const char *const *sh(const char *script)
{
        static const char *argv[4];
        argv[0] = "/bin/sh";
        argv[1] = "-c";
        argv[2] = script;
        argv[3] = NULL;
        return argv;
}

static void test_output_and_status(void **state)
{
        (void)state;
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("echo out; echo err >&2; exit 3")};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(result.status, 3);
        assert_string_equal(result.output, "out\n");
        assert_string_equal(result.error, "err\n");
}

static void test_failure_tells_the_last_lines(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        struct proc_spec spec = {
                .argv = sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do echo line $i >&2; done; exit 1")};
        assert_int_equal(proc_must(&spec, NULL, &err), -ERR_FAILED);
        assert_non_null(strstr(err->message, "status 1"));
        assert_non_null(strstr(err->message, "line 17"));
        assert_null(strstr(err->message, "line 2\n"));
}

static void test_only_the_last_bytes_are_kept(void **state)
{
        (void)state;
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {
                .argv = sh("i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done; echo end"),
                .output_max = 100};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(strlen(result.output), 100);
        assert_true(result.output_truncated);
        assert_true(str_ends(result.output, "end\n"));
}

static void test_input_is_given_whole(void **state)
{
        (void)state;
        size_t size = 300000; /* more than a pipe holds */
        CLEANUP_FREE char *input = mem_zero(size + 1);
        memset(input, 'x', size);
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("wc -c"), .input = input, .input_length = size};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(strtol(result.output, NULL, 10), (long)size);
}

static void test_child_that_does_not_read(void **state)
{
        (void)state;
        size_t size = 300000;
        CLEANUP_FREE char *input = mem_zero(size + 1);
        memset(input, 'x', size);
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("exec <&-; exit 4"), .input = input, .input_length = size};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(result.status, 4);
}

static void test_missing_program(void **state)
{
        (void)state;
        const char *const argv[] = {"no-such-program-here", NULL};
        CLEANUP_ERR struct err *err = NULL;
        struct proc_spec spec = {.argv = argv};
        struct proc_result result;
        assert_int_equal(proc_run(&spec, &result, &err), -ERR_NOT_FOUND);
        const char *const folder[] = {"/tmp", NULL};
        spec.argv = folder;
        err = err_free(err);
        assert_true(proc_run(&spec, &result, &err) < 0);
}

/* In a process of its own, whose kernel does not know pidfd_open. Returns what proc_run does. */
static int run_without_pidfd(const char *command)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
        pid_t pid = fork();
        if (pid == 0) {
                struct proc_result result;
                struct proc_spec spec = {.argv = sh(command), .timeout_ms = 300};
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
                        _exit(100);
                _exit(-proc_run(&spec, &result, NULL));
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return -WEXITSTATUS(status);
}

/* It is not waited for until its time is over as if it still ran. */
static void test_what_cannot_be_watched_is_not_run(void **state)
{
        (void)state;
        assert_int_equal(run_without_pidfd("exit 0"), -ERR_IO);
        assert_int_equal(run_without_pidfd("sleep 100"), -ERR_IO);
}

static void test_time_out_ends_the_whole_group(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        struct proc_result result;
        struct proc_spec spec = {.argv = sh("sleep 100 & sleep 100"), .timeout_ms = 150, .new_session = true};
        assert_int_equal(proc_run(&spec, &result, &err), -ERR_TIMEOUT);
}

static void *raise_twice(void *cancel)
{
        cancel_raise(cancel);
        usleep(20000);
        cancel_raise(cancel);
        return NULL;
}

static void test_second_cancel_ends_it(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        pthread_t thread;
        pthread_create(&thread, NULL, raise_twice, cancel);
        struct proc_result result;
        struct proc_spec spec = {.argv = sh("sleep 100"), .cancel = cancel, .new_session = true};
        assert_int_equal(proc_run(&spec, &result, NULL), -ERR_CANCELLED);
        pthread_join(thread, NULL);
        cancel_free(cancel);
}

static void test_no_descriptor_leaks(void **state)
{
        (void)state;
        int leak = open("/dev/null", O_RDONLY); /* without close-on-exec, as a library might */
        assert_true(leak > 2);
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("ls /proc/self/fd | wc -l")};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(strtol(result.output, NULL, 10), 4); /* 0, 1, 2 and the folder ls reads */
        close(leak);
}

static void test_clean_environment(void **state)
{
        (void)state;
        setenv("CAAS_SECRET_THING", "x", 1);
        const char *const more[] = {"ADDED=yes", NULL};
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("env"), .clean_env = true, .env = more};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_null(strstr(result.output, "CAAS_SECRET_THING"));
        assert_non_null(strstr(result.output, "ADDED=yes"));
        assert_non_null(strstr(result.output, "PATH="));
}

/* What is there for our libraries stays with us; what somebody has set stays as it is, and goes on. */
static void test_own_environment(void **state)
{
        (void)state;
        unsetenv("SASL_PATH");
        proc_own_environment();
        assert_non_null(getenv("SASL_PATH"));
        CLEANUP_PROC struct proc_result without = {0}, with = {0};
        struct proc_spec spec = {.argv = sh("env")};
        assert_int_equal(proc_run(&spec, &without, NULL), 0);
        assert_null(strstr(without.output, "SASL_PATH"));
        setenv("SASL_PATH", "/somewhere", 1);
        proc_own_environment();
        assert_int_equal(proc_run(&spec, &with, NULL), 0);
        assert_non_null(strstr(with.output, "SASL_PATH=/somewhere"));
        unsetenv("SASL_PATH");
}

static void count_line(void *data, const char *line)
{
        if (str_starts(line, "line"))
                ++*(int *)data;
}

static void test_lines_come_one_by_one(void **state)
{
        (void)state;
        int lines = 0;
        CLEANUP_PROC struct proc_result result = {0};
        struct proc_spec spec = {.argv = sh("echo line 1; printf 'line 2'"), .on_line = count_line, .data = &lines};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_int_equal(lines, 2);
}

/* The middle process starts one that dies with it, and one that does not, and is killed. */
static void test_it_dies_with_us(void **state)
{
        (void)state;
        for (int with = 0; with < 2; with++) {
                char mark[64];
                snprintf(mark, sizeof mark, "/tmp/caas-proc-%d-%d", (int)getpid(), with);
                CLEANUP_FREE char *script = str_format("echo > %s.begun; sleep 0.4; echo > %s", mark, mark);
                CLEANUP_FREE char *begun = str_format("%s.begun", mark);
                pid_t pid = fork();
                if (pid == 0) {
                        struct proc_result result;
                        struct proc_spec spec = {.argv = sh(script), .die_with_us = with, .new_session = true};
                        proc_run(&spec, &result, NULL);
                        _exit(0);
                }
                for (int i = 0; i < 500 && access(begun, F_OK) < 0; i++)
                        usleep(10000);
                kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                int there = 0;
                for (int i = 0; i < 100 && !there; i++) {
                        usleep(10000);
                        there = access(mark, F_OK) == 0;
                }
                assert_int_equal(there, !with);
                unlink(mark);
                unlink(begun);
        }
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_output_and_status),
                cmocka_unit_test(test_failure_tells_the_last_lines),
                cmocka_unit_test(test_only_the_last_bytes_are_kept),
                cmocka_unit_test(test_input_is_given_whole),
                cmocka_unit_test(test_child_that_does_not_read),
                cmocka_unit_test(test_missing_program),
                cmocka_unit_test(test_what_cannot_be_watched_is_not_run),
                cmocka_unit_test(test_time_out_ends_the_whole_group),
                cmocka_unit_test(test_second_cancel_ends_it),
                cmocka_unit_test(test_no_descriptor_leaks),
                cmocka_unit_test(test_clean_environment),
                cmocka_unit_test(test_own_environment),
                cmocka_unit_test(test_lines_come_one_by_one),
                cmocka_unit_test(test_it_dies_with_us),
        };
        return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
