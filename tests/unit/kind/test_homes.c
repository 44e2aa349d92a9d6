/* host.homes on real loop devices. */
#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "client/cgroup/cgroup.h"
#include "client/home/home.h"
#include "fixture.h"
#include "kind/table.h"

extern const struct kind kind_host_homes;

#define SPEC(size)                                                                                                     \
        "{\"images\": \"D/homes/images\", \"mounts\": \"D/homes/mounts\", \"parent\": \"caas-homes-test\", " size "}"
#define UID 60001

static bool loops(void)
{
        if (geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0)
                return true;
        print_message("skip: host.homes: no root or no loop devices\n");
        return false;
}

static struct home_store store_of(struct fixture *f, char **ret_images, char **ret_mounts)
{
        *ret_images = fixture_path(f, "homes/images");
        *ret_mounts = fixture_path(f, "homes/mounts");
        return (struct home_store){.images = *ret_images, .mounts = *ret_mounts};
}

static int64_t room(const struct home_store *store, const char *user)
{
        CLEANUP_FREE char *path = file_join(store->mounts, user);
        struct statvfs fs;
        assert_int_equal(statvfs(path, &fs), 0);
        return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static void grows_existing_homes(void **state)
{
        struct fixture *f = *state;
        if (!loops())
                skip();
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *images = NULL;
        CLEANUP_FREE char *mounts = NULL;
        struct home_store store = store_of(f, &images, &mounts);
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.1"), &m), ACTION_CREATE);
        assert_mode(f, "homes", 0711);
        assert_mode(f, "homes/images", 0700);
        assert_mode(f, "homes/mounts", 0711);
        assert_int_equal(json_integer_value(json_object_get(m.outputs, "bytes")), 100000000);
        MUST(home_mount(&store, "alice", UID, UID, 100000000, err));
        MUST(home_mount(&store, "bob", UID + 1, UID + 1, 100000000, err));
        MUST(home_unmount(&store, "bob", 1000, false, err));
        put(f, "homes/mounts/alice/kept", "data");
        assert_int_equal(
                fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.1"), &m), ACTION_NONE); /* users come: no drift */
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.25"), &m), ACTION_UPDATE);
        assert_true(room(&store, "alice") > 245000000);
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.25"), &m), ACTION_NONE);
        MUST(home_mount(&store, "bob", UID + 1, UID + 1, 100000000, err));
        assert_true(room(&store, "bob") > 245000000);
        /* a home of before, put back from a backup, is drift */
        MUST(home_mount(&store, "old", UID + 2, UID + 2, 100000000, err));
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.25"), &m), ACTION_UPDATE);
        assert_true(room(&store, "old") > 245000000);

        CLEANUP_FREE char *kept = fixture_remove(f, &kind_host_homes, &m);
        assert_non_null(strstr(kept, "3 homes are kept in "));
        assert_false(is_there(f, "homes/mounts"));
        assert_true(is_there(f, "homes/images/alice.xfs"));
        CLEANUP_FREE char *again = fixture_remove(f, &kind_host_homes, &m);
        assert_non_null(again);
        /* the next cluster of that name finds them */
        remembered_clear(&m);
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"bytes\": 250000000"), &m), ACTION_CREATE);
        MUST(home_mount(&store, "alice", UID, UID, 250000000, err));
        assert_content(f, "homes/mounts/alice/kept", "data");
        f->ctx.delete_data = true;
        CLEANUP_FREE char *nothing = fixture_remove(f, &kind_host_homes, &m);
        assert_null(nothing);
        assert_false(is_there(f, "homes"));
}

/* A server that the hub left running does not keep a home busy. */
static void ends_sessions(void **state)
{
        struct fixture *f = *state;
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        if (!loops() || cgroup_open(NULL, "caas-homes-test", &tree, NULL) < 0 || cgroup_by_systemd(tree))
                skip();
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *images = NULL;
        CLEANUP_FREE char *mounts = NULL;
        struct home_store store = store_of(f, &images, &mounts);
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 0.1"), &m), ACTION_CREATE);
        MUST(home_mount(&store, "alice", UID, UID, 100000000, err));
        struct cgroup_limits limits = {.memory = 64 << 20, .cpu = 1000, .tasks = 16};
        MUST(cgroup_create(tree, "jupyter-alice", &limits, err));
        CLEANUP_FREE char *home = file_join(mounts, "alice");
        pid_t pid = fork();
        if (pid == 0) {
                if (chdir(home) == 0)
                        pause();
                _exit(1);
        }
        MUST(cgroup_enter(tree, "jupyter-alice", pid, err));
        CLEANUP_FREE char *kept = fixture_remove(f, &kind_host_homes, &m);
        assert_non_null(strstr(kept, "1 home is kept in "));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_false(is_there(f, "homes/mounts"));
}

static void refuses(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"gb\": 10"), &m), ACTION_CREATE);
        CLEANUP_RESOURCE struct resource smaller = fixture_resource(f, &kind_host_homes, SPEC("\"gb\": 9.5"));
        struct change change = {0};
        MUST(kind_host_homes.compare(&smaller, &m.recorded, m.state, &change, err));
        assert_int_equal(change.action, ACTION_REFUSE);
        assert_non_null(strstr(change.reason, "hold 10 GB and 9.5 GB are asked for"));
        change_clear(&change);
        assert_int_equal(fixture_apply(f, &kind_host_homes, SPEC("\"bytes\": 10000000000"), &m),
                ACTION_UPDATE); /* other words */
        struct remembered none = {0};
        CLEANUP_FREE char *tiny = fixture_refused(f, &kind_host_homes, SPEC("\"gb\": 0.01"), &none);
        assert_non_null(strstr(tiny, "allowed"));
        CLEANUP_FREE char *both = fixture_refused(f, &kind_host_homes, SPEC("\"gb\": 1, \"bytes\": 1000000000"), &none);
        CLEANUP_FREE char *outside = fixture_refused(
                f, &kind_host_homes, "{\"images\": \"/home/x\", \"mounts\": \"/home/y\", \"gb\": 1}", &none);
        assert_non_null(strstr(outside, "outside"));
        CLEANUP_FREE char *gone = fixture_remove(f, &kind_host_homes, &m);
        assert_null(gone); /* no home was ever made */
        assert_false(is_there(f, "homes"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(grows_existing_homes, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(ends_sessions, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(refuses, fixture_setup, fixture_teardown),
        };
        return cmocka_run_group_tests_name("homes", tests, NULL, NULL);
}
