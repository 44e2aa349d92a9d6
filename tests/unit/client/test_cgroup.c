/* Control groups: version 1 on this machine's kernel, version 2 on a tree of plain files and, as far as the kernel here
 * has controllers for it, on the real one. */
#include <errno.h>
#include <fcntl.h>
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
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/cgroup/cgroup_impl.h"
#include "must.h"

#define MIB 1048576LL

static const struct cgroup_limits SMALL = {.memory = 64 * MIB, .cpu = 500, .tasks = 32};

/* ---- a tree of plain files that looks like version 2 ---- */

static char fake[64];

static void put(const char *path, const char *text)
{
        CLEANUP_FREE char *full = file_join(fake, path);
        CLEANUP_FREE char *folder = str_copy(full);
        *strrchr(folder, '/') = '\0';
        MUST(file_make_dirs(folder, 0755, err));
        MUST(file_write_atomic(full, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, err));
}

static void holds(const char *path, const char *text)
{
        CLEANUP_FREE char *full = file_join(fake, path);
        CLEANUP_FREE char *data = NULL;
        MUST(file_read(full, 4096, &data, NULL, err));
        assert_string_equal(data, text);
}

static void group_files(const char *group)
{
        static const char *const files[] = {"cgroup.procs", "cgroup.subtree_control", "memory.max", "memory.swap.max",
                "memory.oom.group", "cpu.max", "pids.max", NULL};
        for (const char *const *file = files; *file; file++) {
                CLEANUP_FREE char *path = str_format("%s/%s", group, *file);
                put(path, "");
        }
        CLEANUP_FREE char *controllers = str_format("%s/cgroup.controllers", group);
        put(controllers, "cpuset cpu io memory pids\n");
}

static int setup_fake(void **state)
{
        (void)state;
        strcpy(fake, "/tmp/caas-cgroup-XXXXXX");
        assert_non_null(mkdtemp(fake));
        group_files("cg");
        put("self", "0::/\n");
        return 0;
}

static int teardown_fake(void **state)
{
        (void)state;
        return file_remove_tree(fake, NULL);
}

static int open_fake(struct cgroup_tree **ret, struct err **err)
{
        CLEANUP_FREE char *root = file_join(fake, "cg");
        CLEANUP_FREE char *self = file_join(fake, "self");
        CLEANUP_FREE char *systemd = file_join(fake, "systemd");
        struct cgroup_paths paths = {root, self, systemd};
        return cgroup_open(&paths, "caas-demo", ret, err);
}

static void unified_top(void **state)
{
        (void)state;
        put("self", "0::/user.slice/session-1.scope\n"); /* where the caller stands does not matter */
        group_files("cg/caas-demo");
        group_files("cg/caas-demo/jupyter-alice");
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        MUST(open_fake(&tree, err));
        assert_true(cgroup_unified(tree));
        assert_false(cgroup_by_systemd(tree));
        put("cg/caas-demo/jupyter-alice/memory.max", "67108864\n"); /* what the kernel would show */
        put("cg/caas-demo/jupyter-alice/cpu.max", "50000 100000\n");
        MUST(cgroup_create(tree, "jupyter-alice", &SMALL, err));
        holds("cg/caas-demo/jupyter-alice/memory.swap.max", "0");
        holds("cg/caas-demo/jupyter-alice/memory.oom.group", "0");
        holds("cg/caas-demo/jupyter-alice/memory.max", "67108864\n");
        holds("cg/caas-demo/jupyter-alice/cpu.max", "50000 100000\n");
        holds("cg/caas-demo/jupyter-alice/pids.max", "32");
        MUST(cgroup_enter(tree, "jupyter-alice", 4711, err));
        holds("cg/caas-demo/jupyter-alice/cgroup.procs", "4711");
        /* the kernel shows something else than was asked: that is no limit */
        put("cg/caas-demo/jupyter-alice/memory.max", "max\n");
        REFUSED(cgroup_verify(tree, "jupyter-alice", &SMALL, err), ERR_REFUSED,
                "memory limit of group jupyter-alice does not hold");
        put("cg/caas-demo/jupyter-alice/memory.max", "67108864\n");
        put("cg/caas-demo/jupyter-alice/cpu.max", "max 100000\n");
        REFUSED(cgroup_verify(tree, "jupyter-alice", &SMALL, err), ERR_REFUSED,
                "processor limit of group jupyter-alice does not hold");
}

static void unified_delegated(void **state)
{
        (void)state;
        group_files("cg/system.slice/hub.service");
        group_files("cg/system.slice/hub.service/main");
        group_files("cg/system.slice/hub.service/caas-demo");
        group_files("cg/system.slice/hub.service/caas-demo/g");
        put("cg/system.slice/hub.service/caas-demo/g/memory.max", "67108864\n");
        put("cg/system.slice/hub.service/caas-demo/g/cpu.max", "50000 100000\n");
        CLEANUP_FREE char *unit = file_join(fake, "cg/system.slice/hub.service");
        if (setxattr(unit, "trusted.delegate", "1", 1, 0) < 0 && setxattr(unit, "user.delegate", "1", 1, 0) < 0) {
                print_message("skip: no extended attributes in /tmp\n");
                skip();
        }
        static const char *const selves[] = {"0::/system.slice/hub.service\n", "0::/system.slice/hub.service/main\n"};
        for (size_t i = 0; i < 2; i++) {
                put("self", selves[i]);
                CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
                MUST(open_fake(&tree, err));
                CLEANUP_FREE char *path = cgroup_folder(tree, "memory", "g");
                CLEANUP_FREE char *wanted = file_join(unit, "caas-demo/g"); /* beside main, never below it */
                assert_string_equal(path, wanted);
                MUST(cgroup_create(tree, "g", &SMALL, err));
        }
}

static void unified_systemd(void **state)
{
        (void)state;
        put("systemd/units", "");
        group_files("cg/caas.slice/caas-demo.slice/caas-demo-jupyter-alice.scope");
        put("cg/caas.slice/caas-demo.slice/other.scope/cgroup.procs", "");
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        MUST(open_fake(&tree, err));
        assert_true(cgroup_by_systemd(tree));
        REFUSED(cgroup_create(tree, "jupyter-alice", &SMALL, err), ERR_REFUSED, "made by systemd");
        char **names = NULL;
        MUST(cgroup_list(tree, "", &names, err));
        assert_string_equal(names[0], "jupyter-alice");
        assert_null(names[1]);
        cgroup_strv_free(names);
        char **words = cgroup_scope_command(tree, "jupyter-alice", &SMALL);
        CLEANUP_BUF struct buf line = BUF_INIT(4096);
        for (char **word = words; *word; word++)
                buf_format(&line, "%s ", *word);
        cgroup_strv_free(words);
        assert_string_equal(line.data,
                "systemd-run --scope --quiet --collect --description=jupyter-alice of caas-demo "
                "--slice=caas-demo.slice --unit=caas-demo-jupyter-alice.scope "
                "--property=MemoryMax=67108864 --property=MemorySwapMax=0 --property=CPUQuota=50.0% "
                "--property=TasksMax=32 "
                "--property=CPUAccounting=yes --property=Delegate=yes -- ");
}

static void own_folder(void **state)
{
        (void)state;
        CLEANUP_FREE char *root = file_join(fake, "cg");
        CLEANUP_FREE char *self = file_join(fake, "self");
        struct cgroup_paths paths = {root, self, self};
        bool unified = false;
        put("self", "4:memory:/x\n0::/system.slice/a.scope\n");
        CLEANUP_FREE char *scope = cgroup_own_folder(&paths, "memory", &unified);
        CLEANUP_FREE char *wanted = file_join(root, "system.slice/a.scope");
        assert_true(unified);
        assert_string_equal(scope, wanted);
        put("self", "0::/../elsewhere\n");
        assert_null(cgroup_own_folder(&paths, "memory", NULL));
        put("self", "0::/\n");
        assert_null(cgroup_own_folder(&paths, "memory", NULL));
        CLEANUP_FREE char *mark = file_join(root, "cgroup.controllers");
        assert_int_equal(unlink(mark), 0);
        put("self", "5:memory:/m\n4:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/\n");
        CLEANUP_FREE char *cpuacct = cgroup_own_folder(&paths, "cpuacct", &unified);
        CLEANUP_FREE char *hierarchy = file_join(root, "cpuacct/c");
        assert_false(unified);
        assert_string_equal(cpuacct, hierarchy);
        assert_null(cgroup_own_folder(&paths, "pids", NULL));
}

static void missing_controllers(void **state)
{
        (void)state;
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        put("cg/cgroup.controllers", "cpuset io memory_hotplug cpu pids\n");
        REFUSED(open_fake(&tree, err), ERR_REFUSED, "no limits are possible here");
        put("cg/cgroup.controllers", "memory pids\n");
        REFUSED(open_fake(&tree, err), ERR_REFUSED, "no limits are possible here");
        CLEANUP_FREE char *mark = file_join(fake, "cg/cgroup.controllers");
        assert_int_equal(unlink(mark), 0); /* version 1 then */
        REFUSED(open_fake(&tree, err), ERR_REFUSED, "missing below");
        put("cg/memory/cgroup.procs", "");
        REFUSED(open_fake(&tree, err), ERR_REFUSED, ": cpu.");
        put("cg/cpu/cgroup.procs", "");
        MUST(open_fake(&tree, err));
        assert_false(cgroup_unified(tree));
        /* a kernel that does not take the limit: nothing is left without one */
        REFUSED(cgroup_create(tree, "g", &SMALL, err), ERR_REFUSED, "Nothing runs without limits");
}

static void bad_names(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "", ".", "..", "../x", "a/b", "-a", "a b", "a\nb", ".x", "a:b", "a\\b", "ä", NULL};
        for (const char *const *name = bad; *name; name++)
                assert_false(cgroup_name_valid(*name));
        assert_false(cgroup_name_valid(NULL));
        char longest[130];
        memset(longest, 'a', 129);
        longest[129] = '\0';
        assert_false(cgroup_name_valid(longest));
        longest[128] = '\0';
        assert_true(cgroup_name_valid(longest));
        assert_true(cgroup_name_valid("dask-0f3a-worker-1.2_x"));
        static const char *const parents[] = {
                NULL, "", "Caas", "caas_demo", "caas/demo", "caas-", "-caas", "1caas", ".."};
        for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
                struct cgroup_tree *tree = NULL;
                REFUSED(cgroup_open(NULL, parents[i], &tree, err), ERR_INVALID, "parent group");
        }
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        MUST(open_fake(&tree, err));
        REFUSED(cgroup_create(tree, "../../x", &SMALL, err), ERR_INVALID, "not a name");
        REFUSED(cgroup_enter(tree, "a/b", 1, err), ERR_INVALID, "not a name");
        REFUSED(cgroup_stop(tree, "..", 10, err), ERR_INVALID, "not a name");
        struct cgroup_limits limits = SMALL;
        limits.memory = -1;
        REFUSED(cgroup_create(tree, "g", &limits, err), ERR_INVALID, "bytes");
        limits = SMALL;
        limits.cpu = 0;
        REFUSED(cgroup_create(tree, "g", &limits, err), ERR_INVALID, "processor");
        limits = SMALL;
        limits.tasks = 0;
        REFUSED(cgroup_create(tree, "g", &limits, err), ERR_INVALID, "processes");
}

/* ---- the real kernel ---- */

static struct cgroup_tree *real;
static char parent[48];

static int setup_real(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        snprintf(parent, sizeof parent, "caas-test-%d", (int)getpid());
        if (geteuid() != 0 || cgroup_open(NULL, parent, &real, &err) < 0 || cgroup_by_systemd(real)) {
                print_message(
                        "skip: real control groups: %s\n", err ? err->message : "no root, or systemd makes them here");
                real = cgroup_close(real);
        }
        return 0;
}

static int teardown_real(void **state)
{
        (void)state;
        char **names = NULL;
        if (real && cgroup_list(real, "", &names, NULL) == 0) {
                for (char **name = names; *name; name++)
                        cgroup_stop(real, *name, 3000, NULL);
                cgroup_strv_free(names);
        }
        real = cgroup_close(real);
        return 0;
}

#define NEED_REAL()                                                                                                    \
        if (!real)                                                                                                     \
        skip()

/* A child in the group that runs body(); its status is as from waitpid. */
static pid_t start(const char *group, void (*body)(void))
{
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t pid = fork();
        if (pid == 0) {
                char go;
                close(ready[1]);
                if (read(ready[0], &go, 1) != 1)
                        _exit(99);
                body();
                _exit(0);
        }
        MUST(cgroup_enter(real, group, pid, err));
        assert_int_equal(write(ready[1], "x", 1), 1);
        close(ready[0]);
        close(ready[1]);
        return pid;
}

static int ended(pid_t pid)
{
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void wait_for_ever(void)
{
        for (;;)
                pause();
}

static void eat_memory(void)
{
        for (;;) {
                char *block = malloc(4 << 20);
                memset(block, 1, 4 << 20);
        }
}

static void be_busy(void)
{
        for (;;)
                ;
}

static void memory_kills(void **state)
{
        (void)state;
        NEED_REAL();
        MUST(cgroup_create(real, "memory", &SMALL, err));
        pid_t eater = start("memory", eat_memory), other = start("memory", wait_for_ever);
        int status = ended(eater);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(waitpid(other, NULL, WNOHANG), 0); /* the small one lives */
        struct cgroup_usage usage;
        MUST(cgroup_usage(real, "memory", &usage, err));
        assert_true(usage.oom_kills >= 1);
        assert_true(usage.memory_limit == SMALL.memory);
        assert_true(usage.memory <= SMALL.memory && usage.working_set <= usage.memory);
        MUST(cgroup_stop(real, "memory", 3000, err));
        ended(other);
        REFUSED(cgroup_usage(real, "memory", &usage, err), ERR_NOT_FOUND, "there is no group memory");
        MUST(cgroup_stop(real, "memory", 3000, err)); /* again: nothing to do */
}

static void processor_is_held_back(void **state)
{
        (void)state;
        NEED_REAL();
        MUST(cgroup_create(real, "cpu", &SMALL, err));
        struct cgroup_usage before, after;
        pid_t one = start("cpu", be_busy), two = start("cpu", be_busy);
        struct clock *clock = clock_system();
        MUST(cgroup_usage(real, "cpu", &before, err));
        int64_t begin = clock->monotonic_ms(clock);
        clock->sleep_ms(clock, 1500, NULL);
        MUST(cgroup_usage(real, "cpu", &after, err));
        int64_t wall = (clock->monotonic_ms(clock) - begin) * 1000;
        MUST(cgroup_stop(real, "cpu", 3000, err));
        ended(one);
        ended(two);
        int64_t used = after.cpu_usec - before.cpu_usec;
        assert_int_equal(after.cpu_limit, 500);
        assert_true(used <= wall * 7 / 10); /* half a processor, a period of grace at both ends */
        if (used > wall * 45 / 100)         /* else the machine had no more time for us anyway */
                assert_true(after.throttled_usec > before.throttled_usec);
}

static void fork_bomb(void)
{
        for (;;)
                if (fork() < 0 && errno != EAGAIN)
                        _exit(1);
}

static void tasks_are_bounded_and_stop_is_quick(void **state)
{
        (void)state;
        NEED_REAL();
        MUST(cgroup_create(real, "bomb", &SMALL, err));
        pid_t bomb = start("bomb", fork_bomb);
        struct clock *clock = clock_system();
        clock->sleep_ms(clock, 100, NULL);
        struct cgroup_usage usage;
        MUST(cgroup_usage(real, "bomb", &usage, err));
        assert_true(usage.tasks > 1 && usage.tasks <= SMALL.tasks);
        MUST(cgroup_stop(real, "bomb", 1000, err));
        int status = ended(bomb);
        assert_true(WIFSIGNALED(status));
        CLEANUP_FREE char *folder = cgroup_folder(real, "memory", "bomb");
        assert_false(file_exists(folder));
}

static void limits_go_up_and_down(void **state)
{
        (void)state;
        NEED_REAL();
        struct cgroup_usage usage;
        static const int64_t sizes[] = {64 * MIB, 256 * MIB, 32 * MIB, 10000000000LL};
        for (size_t i = 0; i < 4; i++) {
                struct cgroup_limits limits = {.memory = sizes[i], .cpu = 100 + 1000 * (long)i, .tasks = 64};
                MUST(cgroup_create(real, "resize", &limits, err));
                MUST(cgroup_usage(real, "resize", &usage, err));
                assert_true(usage.memory_limit <= sizes[i] && usage.memory_limit > sizes[i] - 65536);
                assert_int_equal(usage.cpu_limit, limits.cpu);
        }
        char **names = NULL;
        MUST(cgroup_create(real, "aaa", &SMALL, err));
        MUST(cgroup_list(real, "", &names, err));
        assert_string_equal(names[0], "aaa");
        assert_string_equal(names[1], "resize");
        assert_null(names[2]);
        cgroup_strv_free(names);
        MUST(cgroup_list(real, "res", &names, err));
        assert_string_equal(names[0], "resize");
        cgroup_strv_free(names);
        MUST(cgroup_stop(real, "aaa", 1000, err));
        MUST(cgroup_stop(real, "resize", 1000, err));
        CLEANUP_FREE char *folder = str_copy(real->folder[CONTROLLER_MEMORY]);
        assert_false(file_exists(folder)); /* gone with its last group */
}

/* Version 2 as the kernel has it, with whatever controller it offers here instead of memory: a group that holds
 * processes is emptied into the leaf "main", controllers are enabled from the top down, and one stroke kills. */
static void unified_kernel(void **state)
{
        (void)state;
        const char *root =
                file_exists("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
        char text[256] = "", word[64], plus[66];
        if (geteuid() != 0 || cgroup_get(root, "cgroup.controllers", text, sizeof text) < 0 ||
                sscanf(text, "%63s", word) != 1) {
                print_message("skip: no controller of control groups version 2 here\n");
                skip();
        }
        snprintf(plus, sizeof plus, "+%s", word);
        const char *enable[] = {plus, NULL};
        cgroup_put(root, "cgroup.subtree_control", plus);
        CLEANUP_FREE char *top = str_format("%s/caas-test-%d", root, (int)getpid());
        CLEANUP_FREE char *leaf = file_join(top, "main");
        assert_int_equal(mkdir(top, 0755), 0);
        CLEANUP_FREE char *folder = file_join(top, "caas-demo");
        struct cgroup_tree tree = {.unified = true,
                .parent = (char *)"caas-demo",
                .top = top,
                .enable = enable,
                .folder = {folder, folder, folder, folder}};
        pid_t inside = fork();
        if (inside == 0)
                wait_for_ever();
        CLEANUP_FREE char *pid = str_format("%d", (int)inside);
        assert_int_equal(cgroup_put(top, "cgroup.procs", pid), 0);
        /* no memory.max here: refused, but the folders are as they must be */
        REFUSED(cgroup_create(&tree, "g", &SMALL, err), ERR_REFUSED, "Nothing runs without limits");
        assert_int_equal(cgroup_get(leaf, "cgroup.procs", text, sizeof text), 0);
        assert_int_equal(atoi(text), (int)inside);
        CLEANUP_FREE char *group = file_join(folder, "g");
        assert_int_equal(cgroup_get(group, "cgroup.controllers", text, sizeof text), 0);
        assert_non_null(strstr(text, word));
        MUST(cgroup_enter(&tree, "g", inside, err));
        MUST(cgroup_stop(&tree, "g", 2000, err));
        int status = ended(inside);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_false(file_exists(folder));
        rmdir(leaf);
        assert_int_equal(rmdir(top), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(unified_top, setup_fake, teardown_fake),
                cmocka_unit_test_setup_teardown(unified_delegated, setup_fake, teardown_fake),
                cmocka_unit_test_setup_teardown(unified_systemd, setup_fake, teardown_fake),
                cmocka_unit_test_setup_teardown(own_folder, setup_fake, teardown_fake),
                cmocka_unit_test_setup_teardown(missing_controllers, setup_fake, teardown_fake),
                cmocka_unit_test_setup_teardown(bad_names, setup_fake, teardown_fake),
                cmocka_unit_test(memory_kills),
                cmocka_unit_test(processor_is_held_back),
                cmocka_unit_test(tasks_are_bounded_and_stop_is_quick),
                cmocka_unit_test(limits_go_up_and_down),
                cmocka_unit_test(unified_kernel),
        };
        return cmocka_run_group_tests_name("cgroup", tests, setup_real, teardown_real);
}
