/* The program as people and scripts see it: exit statuses, where things are printed, bad input. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/signals.h"

static char root[40];
static char *program, *state_env;

static int setup(void **state)
{
        (void)state;
        const char *build = getenv("BUILD");
        program = str_format("%s/caas", build && *build ? build : "build");
        strcpy(root, "/tmp/caas-program-XXXXXX");
        assert_non_null(mkdtemp(root));
        state_env = str_format("CAAS_STATE=%s/state", root);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        file_remove_tree(root, NULL);
        free(program);
        free(state_env);
        return 0;
}

/* Runs `caas words…`; its status. The result is the caller's to clear. */
static int run(struct proc_result *ret, const char *words)
{
        CLEANUP_FREE char *command = str_format("exec %s %s", program, words);
        const char *const argv[] = {"/bin/sh", "-c", command, NULL}, *const env[] = {state_env, NULL};
        struct proc_spec spec = {.argv = argv, .env = env, .timeout_ms = 60000, .output_max = 1 << 20};
        CLEANUP_ERR struct err *err = NULL;
        if (proc_run(&spec, ret, &err) < 0)
                fail_msg("%s", err->message);
        return ret->status;
}

/* `part` has to stand in what was printed; "" = nothing was printed. */
static void expect(const char *words, int status, const char *out, const char *notes)
{
        CLEANUP_PROC struct proc_result result = {0};
        if (run(&result, words) != status)
                fail_msg("caas %s: status %d and not %d: %s%s", words, result.status, status, result.output,
                        result.error);
        if (*out ? !strstr(result.output, out) : *result.output)
                fail_msg("caas %s: printed '%s'", words, result.output);
        if (*notes ? !strstr(result.error, notes) : *result.error)
                fail_msg("caas %s: noted '%s'", words, result.error);
}

static void put(const char *name, const char *text)
{
        CLEANUP_FREE char *path = file_join(root, name);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
}

/* A server that closes its connection sends the same signal as a reader that closes the pipe. */
static void test_broken_pipes(void **state)
{
        (void)state;
        CLEANUP_FREE char *command =
                str_format("set -o pipefail; { sleep 0.2; exec %s help; } | true; echo $?", program);
        const char *const argv[] = {"/bin/bash", "-c", command, NULL}, *const env[] = {state_env, NULL};
        struct proc_spec spec = {.argv = argv, .env = env, .timeout_ms = 60000, .output_max = 1 << 20};
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(proc_run(&spec, &result, NULL), 0);
        assert_string_equal(result.output, "141\n");

        signals_pipe();
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        close(pair[1]);
        assert_int_equal(write(pair[0], "x", 1), -1); /* and this test goes on */
        assert_int_equal(errno, EPIPE);
        close(pair[0]);
        signal(SIGPIPE, SIG_DFL);
}

static void test_statuses(void **state)
{
        (void)state;
        expect("version", 0, "caas ", "");
        expect("--version", 0, "caas ", "");
        expect("help", 0, "usage: caas COMMAND", "");
        expect("", 64, "", "usage: caas COMMAND");
        expect("apply --help", 0, "caas apply - ", "");
        expect("help user", 0, "caas user remove - ", "");
        expect("user --help", 0, "caas user remove - ", "");
        expect("help user add", 0, "caas user add - ", "");
        expect("help aply", 64, "", "did you mean 'apply'?");
        expect("aply x", 64, "", "caas: there is no command 'aply'; did you mean 'apply'?\n");
        expect("--json aply", 64, "{\"error\":{\"code\":\"USAGE\"", "did you mean");
        expect("destroy lab --forget --delete-data", 64, "", "give it without --delete-data");
        expect("completion powershell", 64, "", "one of: bash, man");
        expect("schema", 0, "\"$schema\"", "");
        expect("list", 0, "no clusters in ", "");
        expect("list --json", 0, "[]\n", "");
        expect("status", 0, "no clusters in ", "");
        expect("status --json", 0, "[]\n", "");
        expect("help", 0, "\noption of all commands but new and completion:\n  --json ", "");
        expect("new --json", 64, "{\"error\"", "new: has no --json");
        expect("status lab", 1, "", "no cluster was made here yet");
        expect("new Lab_1", 1, "", "cluster: ");
        expect("new 'a\"b'", 1, "", "the text \"a\\\"b\"; allowed is a name of at most 40 letters");
        expect("new \"$(printf 'a\\nb')\"", 1, "", "the text \"a\\nb\"; allowed is a name of at most 40 letters");
        expect("new 'a: b'", 1, "", "allowed is a name of at most 40 letters");
        expect("new ''", 1, "", "allowed is a name of at most 40 letters");
        expect("new lab", 0, "cluster: lab\n", "");
        expect("new lab --target kubernetes", 0, "\ntarget: kubernetes\n", "");
        expect("new --target kubernets", 64, "", "did you mean kubernetes");
        expect("completion bash", 0, "targets) mapfile -t COMPREPLY < <(compgen -W 'host kubernetes'", "");
}

static void test_no_state_is_made_by_looking(void **state)
{
        (void)state;
        static const char *const words[] = {"list", "status", "history lab", "logs lab", "users lab",
                "destroy lab --yes", "password lab", "grant lab bob", "test lab"};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                CLEANUP_PROC struct proc_result result = {0};
                run(&result, words[i]);
        }
        put("host.yaml", "cluster: lab\nnotebook: {cpus: 1, ram: 1, storage: 1}\n");
        CLEANUP_FREE char *adopt = str_format("adopt %s/host.yaml", root);
        expect(adopt, 1, "", "come back from a backup");
        CLEANUP_FREE char *path = file_join(root, "state");
        assert_false(file_exists(path));
}

static void test_new_passes_check(void **state)
{
        (void)state;
        CLEANUP_PROC struct proc_result result = {0};
        CLEANUP_FREE char *words = str_format("new lab > %s/form.yaml", root);
        assert_int_equal(run(&result, words), 0);
        CLEANUP_FREE char *check = str_format("check %s/form.yaml", root);
        expect(check, 0, "form.yaml: ok (cluster lab)\n", "");
}

static void test_check(void **state)
{
        (void)state;
        put("good.yaml", "cluster: lab\nnotebook: {cpus: 1, ram: 1, storage: 1}\n");
        put("bad.yaml", "cluster: lab\nnotebook: {cpus: \"\\x1b[2J\", ram: 1, storage: 1}\nnotebok: 1\n");
        CLEANUP_FREE char *bad = str_format("check %s/bad.yaml %s/good.yaml /nonexistent", root, root);
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(run(&result, bad), 1);
        assert_non_null(strstr(result.output, "bad.yaml:2:18: notebook.cpus: "));
        assert_non_null(strstr(result.output, "bad.yaml:3:1: notebok: "));
        assert_non_null(strstr(result.output, "good.yaml: ok"));
        assert_non_null(strstr(
                result.output, "\ncannot open /nonexistent: No such file or directory; 'caas new' prints a form"));
        assert_null(strchr(result.output, '\x1b'));

        CLEANUP_PROC struct proc_result as_json = {0};
        CLEANUP_FREE char *json = str_format("check --json %s/bad.yaml", root);
        assert_int_equal(run(&as_json, json), 1);
        json_auto_t *report = json_loads(as_json.output, 0, NULL);
        const json_t *findings = json_object_get(json_array_get(report, 0), "findings");
        assert_int_equal(json_array_size(findings), 2);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(findings, 1), "line")), 3);

        CLEANUP_FREE char *plan = str_format("plan %s/bad.yaml", root);
        expect(plan, 1, "", "bad.yaml: 2 errors; nothing was touched\n");
        CLEANUP_FREE char *plan_json = str_format("plan --json %s/bad.yaml", root);
        expect(plan_json, 1, "\"findings\":[{\"line\":2", "2 errors");
        CLEANUP_FREE char *apply = str_format("apply %s/bad.yaml", root);
        expect(apply, 1, "", "2 errors");
}

/* The program, as somebody who may not read the form; root may read all, so it is nobody in its place. */
static void test_check_of_what_cannot_be_read(void **state)
{
        (void)state;
        CLEANUP_FREE char *folder = str_format("check %s", root), *no_file = str_format("%s is not a regular", root);
        expect(folder, 1, no_file, "");
        put("closed.yaml", "cluster: lab\nnotebook: {cpus: 1, ram: 1, storage: 1}\n");
        CLEANUP_FREE char *form = file_join(root, "closed.yaml");
        assert_int_equal(chmod(form, geteuid() ? 0 : 0600), 0);
        assert_int_equal(chmod(root, 0711), 0);
        CLEANUP_FREE char *copy = str_format("cp %s %s/caas", program, root);
        assert_int_equal(system(copy), 0); /* nobody need not reach the checkout */
        CLEANUP_FREE char *own = program;
        CLEANUP_FREE char *check = str_format("check %s", form),
                          *says = str_format("cannot open %s: Permission denied", form);
        program = str_format("%s%s/caas", geteuid() ? "" : "setpriv --reuid=65534 --clear-groups ", root);
        expect(check, 1, says, "");
}

/* Nor are names of files printed as they are. */
static void test_check_odd_names(void **state)
{
        (void)state;
        put("g\x1b[2J.yaml", "cluster: lab\nnotebook: {cpus: 1, ram: 1, storage: 1}\n");
        CLEANUP_FREE char *good = str_format("check \"$(printf '%s/g\\033[2J.yaml')\"", root);
        expect(good, 0, "/g\\x1b[2J.yaml: ok (cluster lab)\n", "");
        expect("check \"$(printf '/n\\033[2J')\"", 1, "cannot open /n\\x1b[2J: ", "");
}

/* Every finding of tests/forms/bad.yaml, in order; and the form of `make demo`. */
static void test_the_forms_that_are_shown(void **state)
{
        (void)state;
        static const char *const findings[] = {"2:10: cluster", "5:9: notebook.cpus", "6:8: notebook.ram",
                "7:12: notebook.storage", "8:3: notebook.storage", "9:1: prot", "10:9: domain", "11:14: external_ip",
                "13:3: tls.certificate", "13:3: tls.key", "14:3: tls.email", "14:10: tls.email",
                "16:3: identity.server", "17:17: identity.admins[1]", "20:11: dask.worker.cpus",
                "21:10: dask.worker.ram", "23:9: dask.max.ram", "24:17: dask.idle_minutes",
                "26:5: profiles[0].description", "26:5: profiles[0].ram", "29:5: environments[0].image",
                "29:12: environments[0].name", "29:33: environments[0].description", "29:45: environments[0].lock",
                "29:51: environments[0].lock"};
        CLEANUP_PROC struct proc_result result = {0};
        assert_int_equal(run(&result, "check tests/forms/bad.yaml"), 1);
        const char *line = result.output;
        for (size_t i = 0; i < sizeof findings / sizeof *findings; i++) {
                CLEANUP_FREE char *begin = str_format("tests/forms/bad.yaml:%s: ", findings[i]);
                if (!str_starts(line, begin))
                        fail_msg("%s is not the next one of: %s", begin, line);
                line = strchr(line, '\n');
                assert_non_null(line);
                line++;
        }
        assert_string_equal(line, "");
        assert_string_equal(result.error, "");
        expect("check tests/forms/demo.yaml", 0, "tests/forms/demo.yaml: ok (cluster demo)\n", "");
}

/* JSON is UTF-8; names that people give need not be. */
static void test_names_that_are_no_utf8(void **state)
{
        (void)state;
        expect("--json check \"$(printf '/n\\377')\"", 1, "\"file\":\"/n?\"", "");
        expect("--json plan \"$(printf '/n\\377')\"", 1,
                "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"cannot open /n?", "/n?");
}

static void test_output_that_cannot_be_written(void **state)
{
        (void)state;
        expect("new lab > /dev/full", 1, "", "cannot write the output: No space left on device");
        expect("list --json > /dev/full", 1, "", "cannot write the output");
        put("good.yaml", "cluster: nobodys\nnotebook: {cpus: 1, ram: 1, storage: 1}\n");
        CLEANUP_FREE char *full = str_format("plan %s/good.yaml > /dev/full", root);
        expect(full, 1, "", "cannot write the output");
        /* Closed: the next file that is opened must not become the output. */
        CLEANUP_FREE char *closed = str_format("plan %s/good.yaml >&-", root);
        expect(closed, 1, "", "cannot write the output: Bad file descriptor");
        CLEANUP_FREE char *no_input = str_format("plan --quiet %s/good.yaml <&-", root);
        expect(no_input, 2, "nobodys: ", "");
}

static void test_colours(void **state)
{
        (void)state;
        CLEANUP_PROC struct proc_result result = {0};
        run(&result, "status"); /* no terminal: none */
        assert_null(strchr(result.error, '\x1b'));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_statuses),
                T(test_no_state_is_made_by_looking),
                T(test_new_passes_check),
                T(test_check),
                T(test_check_of_what_cannot_be_read),
                T(test_check_odd_names),
                T(test_the_forms_that_are_shown),
                T(test_names_that_are_no_utf8),
                T(test_output_that_cannot_be_written),
                T(test_broken_pipes),
                T(test_colours),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
