/* The sandbox, with the real program, bubblewrap and kernel. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/cgroup/cgroup.h"
#include "client/sandbox/sandbox.h"

#define UID 60001

static char base[64], program[PATH_MAX], parent[48];
static const char *unusable;

/* ---- pure ---- */

static void environment(void **state)
{
        (void)state;
        const char *inherited[] = {"LD_PRELOAD=/tmp/x.so", "LD_LIBRARY_PATH=/tmp", "PATH=/bin", "HOME=/root", "A=1",
                "A=2", "=x", "nothing", "GLIBC_TUNABLES=x", "BASH_ENV=/tmp/x", "BASH_FUNC_x%%=() { :; }",
                "NOTIFY_SOCKET=/run/x", "TMPDIR=/nowhere", "LDAP=fine", NULL};
        const char *extra[] = {"B=two\nlines", "LD_AUDIT=/x", "A=3", "USER=root", NULL};
        char **env = sandbox_env(inherited, extra, "alice");
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        for (char **entry = env; *entry; entry++)
                buf_format(&text, "%s|", *entry);
        sandbox_env_free(env);
        assert_string_equal(text.data,
                "PATH=/bin|HOME=/home/alice|A=3|LDAP=fine|B=two\nlines|USER=alice|LOGNAME=alice|SHELL=/bin/bash|");
}

/* ---- real ---- */

static int setup(void **state)
{
        (void)state;
        strcpy(base, "/tmp/caas-sandbox-XXXXXX");
        assert_non_null(mkdtemp(base));
        chmod(base, 0755);
        snprintf(parent, sizeof parent, "caas-sb-%d", (int)getpid());
        const char *build = getenv("BUILD");
        CLEANUP_FREE char *wanted = str_format("%s/caas-sandbox", build ? build : "build");
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        if (geteuid() != 0)
                unusable = "not root";
        else if (!realpath(wanted, program))
                unusable = "caas-sandbox is not built";
        else if (access("/usr/bin/bwrap", X_OK) < 0)
                unusable = "no bubblewrap";
        else if (cgroup_open(NULL, parent, &tree, NULL) < 0)
                unusable = "no control groups";
        if (unusable)
                print_message("skip: sandbox: %s\n", unusable);
        CLEANUP_FREE char *alice = file_join(base, "alice");
        CLEANUP_FREE char *bob = file_join(base, "bob");
        assert_int_equal(mkdir(alice, 0700), 0);
        assert_int_equal(mkdir(bob, 0700), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(alice, UID, UID), 0);
                assert_int_equal(chown(bob, UID + 1, UID + 1), 0);
        }
        return 0;
}

static int run_program(const char *const *argv, struct proc_result *ret)
{
        /* what a malicious environment would bring: it must not reach anything */
        const char *env[] = {"LD_PRELOAD_TEST=1", "VISIBLE=yes", "TMPDIR=/nowhere", NULL};
        struct proc_spec spec = {
                .argv = argv, .env = env, .timeout_ms = 60000, .output_max = 1 << 20, .new_session = true};
        struct err *err = NULL;
        if (proc_run(&spec, ret, &err) < 0)
                fail_msg("%s", err->message);
        return ret->status;
}

static int teardown(void **state)
{
        (void)state;
        if (!unusable) {
                CLEANUP_PROC struct proc_result result = {0};
                run_program((const char *[]){program, "stop", "--parent", parent, "--prefix", "", NULL}, &result);
        }
        return file_remove_tree(base, NULL);
}

#define NEED()                                                                                                         \
        if (unusable)                                                                                                  \
        skip()

#define WORDS_MAX 48

/* The words of a run of alice's, without the command; NULL-terminated. */
static size_t run_words(const char **words, const char *group, const char *home)
{
        const char *fixed[] = {program, "run", "--parent", parent, "--group", group, "--memory", "268435456", "--cpu",
                "1000", "--tasks", "64", "--uid", "60001", "--gid", "60001", "--user", "alice", "--home", home};
        memcpy(words, fixed, sizeof fixed);
        return sizeof fixed / sizeof *fixed;
}

/* Runs a shell script as alice; output is the caller's. */
static int as_alice(const char *script, char **ret_output, const char *const *options)
{
        const char *words[WORDS_MAX];
        CLEANUP_FREE char *home = file_join(base, "alice");
        size_t n = run_words(words, "g", home);
        for (; options && *options; options++)
                words[n++] = *options;
        const char *command[] = {"--", "/bin/bash", "-c", script, NULL};
        memcpy(words + n, command, sizeof command);
        CLEANUP_PROC struct proc_result result = {0};
        run_program(words, &result);
        if (getenv("TEST_VERBOSE"))
                print_message("%s%s\n", result.output, result.error);
        if (ret_output)
                *ret_output = str_format("%s%s", result.output, result.error);
        return result.status;
}

static void says(const char *script, const char *expected)
{
        CLEANUP_FREE char *output = NULL;
        as_alice(script, &output, NULL);
        assert_string_equal(output, expected);
}

static void identity(void **state)
{
        (void)state;
        NEED();
        says("id; echo $HOME $USER $PWD",
                "uid=60001(alice) gid=60001(alice) groups=60001(alice)\n/home/alice alice /home/alice\n");
        says("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -s '\\t\\n' '  '",
                "CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 "
                "CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ");
        says("cat /etc/passwd /etc/group",
                "alice:x:60001:60001::/home/alice:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
                "alice:x:60001:\nnogroup:x:65534:\n");
        says("echo ${VISIBLE}${TMPDIR}", "yes\n");
}

static void nothing_of_others(void **state)
{
        (void)state;
        NEED();
        CLEANUP_FREE char *seen = str_format(
                "for p in %s /root /var/lib /srv /opt /boot /etc/shadow /etc/ssh /etc/dirsrv /etc/sudoers "
                "/etc/machine-id /run/systemd "
                "/proc/1/root/root /home/bob; do [ -e $p ] && echo $p; done; ls /home; ls /proc | grep -c '^[0-9]'",
                base);
        /* bash, ls, grep, the subshell's and process 1: no process of the host */
        CLEANUP_FREE char *output = NULL;
        as_alice(seen, &output, NULL);
        assert_true(str_starts(output, "alice\n"));
        assert_true(atoi(output + 6) <= 6);
        says("mount -t tmpfs x /tmp 2>/dev/null && echo mounted; unshare -U true 2>/dev/null && echo userns; unshare "
             "-Ur id 2>/dev/null; "
             "unshare -m true 2>/dev/null && echo ns; mknod /tmp/d b 7 0 2>/dev/null && echo node; kill -9 1; echo "
             "still here",
                "still here\n");
        says("touch /etc/x /usr/x /run/x /x /home/x /proc/sys/kernel/hostname /sys/fs/cgroup/x 2>/dev/null; "
             "echo 1 2>/dev/null >/proc/sys/vm/drop_caches; ls /etc/x /usr/x /run/x /x /home/x 2>/dev/null; echo done",
                "done\n");
}

/* A setuid root program gains nothing. */
static void setuid_has_no_effect(void **state)
{
        (void)state;
        NEED();
        CLEANUP_FREE char *trap = file_join(base, "trap");
        CLEANUP_PROC struct proc_result result = {0};
        run_program((const char *[]){"cp", "/usr/bin/id", trap, NULL}, &result);
        assert_int_equal(chmod(trap, 04755), 0);
        CLEANUP_FREE char *script = str_format("%s -u", trap);
        CLEANUP_FREE char *output = NULL;
        assert_int_equal(as_alice(script, &output, (const char *[]){"--read-only", trap, NULL}), 0);
        assert_string_equal(output, "60001\n");
        says("su -c id 2>/dev/null </dev/null || echo no; find /usr/bin -perm -4000 -name sudo -exec {} -n id ';' "
             "2>/dev/null; echo end",
                "no\nend\n");
}

static void what_programs_need(void **state)
{
        (void)state;
        NEED();
        says("touch /tmp/a /var/tmp/a /dev/shm/a ~/a && echo ok", "ok\n");
        says("script -qec 'tty' /dev/null </dev/null | tr -d '\\r'", "/dev/pts/0\n");
        says("getent hosts localhost >/dev/null && echo ok; getent passwd alice | cut -d: -f3", "ok\n60001\n");
        says("test -s /etc/ssl/certs/ca-certificates.crt && echo certs; test -e /etc/resolv.conf && echo resolver",
                "certs\nresolver\n");
        says("/usr/bin/python3 -c 'import multiprocessing, os; multiprocessing.Lock(); print(os.sched_getaffinity(0) "
             "!= set())'",
                "True\n");
        says("/usr/bin/python3 -c 'import threading; t = threading.Thread(target=print, args=(1,)); t.start(); "
             "t.join()'",
                "1\n");
        says("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null", "268435456\n");
        says("dd if=/dev/zero of=/tmp/big bs=1M count=200 2>/dev/null || echo full; df --output=size -B1M /tmp | tail "
             "-1 | tr -d ' '",
                "full\n128\n");
}

static void folders(void **state)
{
        (void)state;
        NEED();
        CLEANUP_FREE char *digest = file_join(base, "env-0f3a");
        CLEANUP_FREE char *link = file_join(base, "env");
        CLEANUP_FREE char *work = file_join(base, "work");
        assert_int_equal(mkdir(digest, 0755), 0);
        assert_int_equal(mkdir(work, 0700), 0);
        assert_int_equal(chown(work, UID, UID), 0);
        assert_int_equal(symlink("env-0f3a", link), 0);
        CLEANUP_FREE char *bind = str_format("%s:/run/work", work);
        CLEANUP_FREE char *closed = str_format("%s:/run/closed", work);
        CLEANUP_FREE char *script =
                str_format("readlink %s; touch %s/x 2>/dev/null || echo read-only; touch x && pwd; ls %s; "
                           "ls /run/closed; touch /run/closed/y 2>/dev/null || echo closed",
                        link, link, base);
        CLEANUP_FREE char *expected = str_format("%s\nread-only\n/run/work\nenv\nenv-0f3a\nx\nclosed\n", digest);
        CLEANUP_FREE char *output = NULL;
        as_alice(script, &output,
                (const char *[]){
                        "--read-only", link, "--bind", bind, "--read-only-at", closed, "--chdir", "/run/work", NULL});
        assert_string_equal(output, expected);
}

static void env_file(void **state)
{
        (void)state;
        NEED();
        CLEANUP_FREE char *path = file_join(base, "env-file");
        static const char text[] = "TOKEN=a b\nLD_PRELOAD=/x\0LD_PRELOAD=/tmp/x.so\0EMPTY=\0PATH=/usr/bin";
        assert_int_equal(file_write_atomic(path, text, sizeof text, 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        CLEANUP_FREE char *output = NULL;
        as_alice("echo \"[$TOKEN] [$EMPTY] [$LD_PRELOAD] $PATH\"", &output, (const char *[]){"--env-file", path, NULL});
        assert_string_equal(output, "[a b\nLD_PRELOAD=/x] [] [] /usr/bin\n");
}

static void status_is_passed_through(void **state)
{
        (void)state;
        NEED();
        assert_int_equal(as_alice("exit 0", NULL, NULL), 0);
        assert_int_equal(as_alice("exit 42", NULL, NULL), 42);
        assert_int_equal(as_alice("kill -TERM $$", NULL, NULL), 143);
        assert_int_equal(as_alice("(sleep 1000 &) ; exit 3", NULL, NULL), 3); /* what it leaves behind ends with it */
        CLEANUP_FREE char *output = NULL;
        assert_int_equal(
                as_alice("/usr/bin/python3 -c 'x = bytearray(10**9)'", &output, NULL), 137); /* over the memory limit */
        const char *words[WORDS_MAX];
        CLEANUP_FREE char *home = file_join(base, "alice");
        size_t n = run_words(words, "g", home);
        memcpy(words + n, (const char *[]){"--", "no-such-program", NULL}, 3 * sizeof *words);
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(run_program(words, &result), 127);
        assert_non_null(strstr(result.error, "no-such-program"));
}

static void refuses(void **state)
{
        (void)state;
        NEED();
        static const struct {
                const char *option, *value;
                int status;
                const char *words;
        } cases[] = {
                {"--user", "../bob", 126, "--user"},
                {"--user", "a\nroot:x:0:0::/:/bin/sh", 126, "--user"},
                {"--uid", "0", 126, "at least 1000"},
                {"--gid", "0", 126, "at least 1000"},
                {"--uid", "-1", 64, "not a number"},
                {"--uid", "4294967296", 126, "out of range"},
                {"--uid", "60001x", 64, "not a number"},
                {"--memory", "1", 126, "bytes"},
                {"--memory", "1e9", 64, "not a number"},
                {"--cpu", "0", 126, "processor"},
                {"--tasks", "99999999", 126, "processes"},
                {"--group", "../x", 126, "--group"},
                {"--parent", "../x", 126, "parent group"},
                {"--home", "/nowhere", 126, "not a folder"},
                {"--home", "/tmp/../root", 126, "not a folder"},
                {"--read-only", "/nowhere", 126, "not there"},
                {"--bind", "/tmp", 64, "SOURCE:TARGET"},
                {"--read-only-at", "/tmp", 64, "SOURCE:TARGET"},
                {"--bind", "/tmp:/../x", 126, "absolute"},
                {"--chdir", "relative", 126, "absolute"},
                {"--nonsense", "1", 64, "unknown option"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *output = NULL;
                int status = as_alice("echo ran", &output, (const char *[]){cases[i].option, cases[i].value, NULL});
                if (status != cases[i].status || !strstr(output, cases[i].words) || strstr(output, "ran\n"))
                        fail_msg("%s %s: %d, %s", cases[i].option, cases[i].value, status, output);
        }
}

/* ---- while it runs ---- */

static pid_t start(const char *group, const char *script, int *ret_output)
{
        const char *words[WORDS_MAX];
        CLEANUP_FREE char *home = file_join(base, "alice");
        size_t n = run_words(words, group, home);
        memcpy(words + n, (const char *[]){"--", "/bin/bash", "-c", script, NULL}, 5 * sizeof *words);
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                dup2(ends[1], 1);
                setsid();
                execv(program, (char **)words);
                _exit(99);
        }
        close(ends[1]);
        char up[4];
        assert_int_equal(read(ends[0], up, 3), 3); /* "up\n" */
        *ret_output = ends[0];
        return pid;
}

static int64_t milliseconds(void)
{
        return clock_system()->monotonic_ms(clock_system());
}

/* The status after at most ms; fails the test when it does not end. */
/* Longer than any end takes on a busy machine. Without the sandbox's doing these programs would not end at all. */
#define NEVER_MS 60000

static int ends(pid_t pid)
{
        int64_t end = milliseconds() + NEVER_MS;
        int status;
        for (;;) {
                pid_t r = waitpid(pid, &status, WNOHANG);
                if (r == pid)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                if (milliseconds() > end) {
                        kill(pid, SIGKILL);
                        fail_msg("still runs after %d ms", NEVER_MS);
                }
                clock_system()->sleep_ms(clock_system(), 10, NULL);
        }
}

/* Everything in the sandbox holds the pipe's writing end: at its end nothing is left. */
static void all_gone(int output)
{
        char buffer[256];
        fcntl(output, F_SETFL, O_NONBLOCK);
        int64_t end = milliseconds() + NEVER_MS;
        for (;;) {
                ssize_t n = read(output, buffer, sizeof buffer);
                if (n == 0)
                        break;
                if (milliseconds() > end)
                        fail_msg("processes are left after %d ms", NEVER_MS);
                if (n < 0)
                        clock_system()->sleep_ms(clock_system(), 10, NULL);
        }
        close(output);
}

static void graceful_stop(void **state)
{
        (void)state;
        NEED();
        static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
        for (size_t i = 0; i < 4; i++) {
                int output;
                CLEANUP_FREE char *script =
                        str_format("trap 'echo bye; exit 5' %d; echo up; while :; do sleep 0.02; done", signals[i]);
                pid_t pid = start("term", script, &output);
                assert_int_equal(kill(pid, signals[i]), 0);
                assert_int_equal(ends(pid), 5);
                char said[8] = "";
                assert_int_equal(read(output, said, 4), 4);
                assert_string_equal(said, "bye\n");
                all_gone(output);
        }
}

static void stop_kills_everything(void **state)
{
        (void)state;
        NEED();
        int output;
        pid_t pid = start("stop",
                "trap '' TERM INT HUP; for i in $(seq 30); do (setsid sleep 1000 &); done; echo up; while :; do sleep "
                "1; done",
                &output);
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(
                run_program((const char *[]){program, "stop", "--parent", parent, "--group", "stop", NULL}, &result),
                0);
        assert_int_equal(ends(pid), 137);
        all_gone(output);
        CLEANUP_PROC struct proc_result shown = {0};
        run_program((const char *[]){program, "show", "--parent", parent, "--prefix", "stop", "--json", NULL}, &shown);
        assert_string_equal(shown.output, "[]\n");
}

static void supervisor_killed(void **state)
{
        (void)state;
        NEED();
        int output;
        pid_t pid = start("orphan", "(trap '' TERM; setsid sleep 1000) & echo up; while :; do sleep 1; done", &output);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(ends(pid), 137);
        all_gone(output);
}

/* The hub's end does not end it; a new run of the same name replaces what was left. */
static void outlives_its_starter(void **state)
{
        (void)state;
        NEED();
        int tell[2], output = -1;
        assert_int_equal(pipe(tell), 0);
        pid_t hub = fork();
        if (hub == 0) {
                pid_t pid = start("hub", "echo up; while :; do sleep 1; done", &output);
                _exit(write(tell[1], &pid, sizeof pid) != sizeof pid);
        }
        assert_int_equal(ends(hub), 0);
        pid_t pid = 0;
        assert_int_equal(read(tell[0], &pid, sizeof pid), sizeof pid);
        clock_system()->sleep_ms(clock_system(), 200, NULL);
        assert_int_equal(kill(pid, 0), 0);
        CLEANUP_PROC struct proc_result result = {0};
        run_program((const char *[]){program, "show", "--parent", parent, "--group", "hub", "--json", NULL}, &result);
        assert_non_null(strstr(result.output, "\"memory_limit\": 268435456"));
        pid_t next = start("hub", "echo up; while :; do sleep 1; done", &output);
        CLEANUP_FREE char *stat = str_format("/proc/%d/stat", (int)pid);
        CLEANUP_FREE char *text = NULL;
        if (file_read(stat, 4096, &text, NULL, NULL) ==
                0) /* where nobody reaps orphans, what is left of it is a zombie */
                assert_non_null(strstr(text, ") Z "));
        assert_int_equal(kill(next, SIGTERM), 0);
        assert_int_equal(ends(next), 143);
        all_gone(output);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(environment),
                cmocka_unit_test(identity),
                cmocka_unit_test(nothing_of_others),
                cmocka_unit_test(setuid_has_no_effect),
                cmocka_unit_test(what_programs_need),
                cmocka_unit_test(folders),
                cmocka_unit_test(env_file),
                cmocka_unit_test(status_is_passed_through),
                cmocka_unit_test(refuses),
                cmocka_unit_test(graceful_stop),
                cmocka_unit_test(stop_kills_everything),
                cmocka_unit_test(supervisor_killed),
                cmocka_unit_test(outlives_its_starter),
        };
        return cmocka_run_group_tests_name("sandbox", tests, setup, teardown);
}
