/* Homes on real loop devices. */
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
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/home/home.h"
#include "client/home/image.h"
#include "client/home/loop.h"
#include "must.h"

#define MB  1000000LL
#define UID 60001
#define GID 60001

static char base[64], *images, *mounts;
static struct home_store store;
static const char *unusable; /* why nothing here can be tested */

static int setup(void **state)
{
        (void)state;
        strcpy(base, "/tmp/caas-home-XXXXXX");
        assert_non_null(mkdtemp(base));
        images = file_join(base, "images");
        mounts = file_join(base, "mounts");
        store = (struct home_store){.images = images, .mounts = mounts};
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        home_unmount_all(&store, 2000, true, NULL);
        int r = file_remove_tree(base, NULL);
        free(images);
        free(mounts);
        return r;
}

static int probe(void **state)
{
        (void)state;
        struct err *err = NULL;
        if (geteuid() != 0)
                unusable = "not root";
        else if (access("/dev/loop-control", R_OK | W_OK) < 0)
                unusable = "no loop devices";
        else if (setup(NULL) == 0 && home_mount(&store, "probe", UID, GID, 100 * MB, &err) < 0)
                unusable = err ? err->message : "no homes can be mounted";
        if (geteuid() == 0 && !unusable)
                teardown(NULL);
        if (unusable)
                print_message("skip: homes: %s\n", unusable);
        return 0;
}
#define NEED_LOOP()                                                                                                    \
        if (unusable)                                                                                                  \
        skip()

static int64_t available(const char *user)
{
        CLEANUP_FREE char *path = file_join(mounts, user);
        struct statvfs fs;
        assert_int_equal(statvfs(path, &fs), 0);
        return (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
}

static char *inside(const char *user, const char *name)
{
        return str_format("%s/%s/%s", mounts, user, name);
}

static void holds(const char *user, const char *name, const char *text)
{
        CLEANUP_FREE char *path = inside(user, name);
        CLEANUP_FREE char *data = NULL;
        MUST(file_read(path, 4096, &data, NULL, err));
        assert_string_equal(data, text);
}

static void put(const char *user, const char *name, const char *text)
{
        CLEANUP_FREE char *path = inside(user, name);
        MUST(file_write_atomic(path, text, strlen(text), 0600, UID, GID, err));
}

/* Writes until the disk is full, or up to max; returns the bytes. */
static int64_t fill(const char *user, int64_t max)
{
        CLEANUP_FREE char *path = inside(user, "fill");
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        static char block[1 << 20];
        memset(block, 'x', sizeof block);
        int64_t done = 0;
        for (ssize_t n; done < max; done += n) {
                n = write(fd, block, sizeof block);
                if (n < 0) {
                        assert_int_equal(errno, ENOSPC);
                        break;
                }
        }
        return done;
}

/* The promise, without the kernel: never less, at most 1 % and 4 MB more. */
static void lengths(void **state)
{
        (void)state;
        int64_t last = 0;
        for (int64_t bytes = HOME_BYTES_MIN; bytes < HOME_BYTES_MAX; bytes = bytes * 11 / 10 + 12345) {
                struct image_shape shape = image_shape_new(bytes);
                int64_t length = home_image_length(bytes);
                assert_int_equal(length % 4096, 0);
                assert_true(image_capacity(&shape, length) >= bytes);
                assert_true(image_capacity(&shape, length) <= bytes + bytes / 100 + 4 * MB);
                assert_true(length > last);
                last = length;
        }
}

static void sizes_hold(void **state)
{
        (void)state;
        NEED_LOOP();
        static const int64_t sizes[] = {100 * MB, 250 * MB, 300 * MB, 1000 * MB, 200000 * MB};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                CLEANUP_FREE char *user = str_format("user%zu", i);
                MUST(home_mount(&store, user, UID, GID, sizes[i], err));
                assert_true(available(user) >= sizes[i]);
                assert_true(available(user) <= sizes[i] + sizes[i] / 100 + 4 * MB);
        }
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_int_equal(homes.count, 5);
        for (size_t i = 0; i < 5; i++) {
                assert_true(homes.item[i].mounted);
                assert_true(homes.item[i].bytes >= sizes[i]);
                assert_int_equal(homes.item[i].used, 0);
                assert_true(homes.item[i].disk < 80 * MB); /* sparse */
        }
}

/* What is deleted XFS lets go of a little later. */
static int64_t entries_soon(int64_t wanted)
{
        struct clock *clock = clock_system();
        for (int i = 0;; i++) {
                CLEANUP_HOMES struct homes homes = {0};
                MUST(home_list(&store, &homes, err));
                if (homes.item[0].entries == wanted || i == 1000)
                        return homes.item[0].entries;
                clock->sleep_ms(clock, 20, NULL);
        }
}

/* XFS makes inodes as it needs them, 64 at once: what it has made and does not use must not count. */
static void entries_are_what_is_there(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        const struct {
                int files, left;
        } steps[] = {{0, 0}, {200, 200}, {200, 3}};
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                for (int n = 0; n < steps[i].files; n++) {
                        CLEANUP_FREE char *name = str_format("file%d", n), *path = inside("alice", name);
                        if (n >= steps[i].left)
                                MUST(file_remove(path, err));
                        else if (!file_exists(path))
                                put("alice", name, "");
                }
                assert_int_equal(entries_soon(steps[i].left + 1), steps[i].left + 1); /* and its own folder */
        }
        MUST(home_unmount(&store, "alice", 2000, false, err));
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_int_equal(homes.item[0].entries, 0);
}

static void full_at_its_size_and_no_sooner(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        int64_t written = fill("alice", 500 * MB);
        assert_true(written >= 98 * MB && written <= 105 * MB);
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_true(homes.item[0].used >= 97 * MB);
}

static void home_of_its_user(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err)); /* again: nothing to do */
        CLEANUP_FREE char *path = file_join(mounts, "alice");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(st.st_uid, UID);
        assert_int_equal(st.st_gid, GID);
        struct statvfs fs;
        assert_int_equal(statvfs(path, &fs), 0);
        assert_true(fs.f_flag & ST_NODEV && fs.f_flag & ST_NOSUID && fs.f_flag & ST_NOATIME);
        put("alice", "kept", "data");
        for (int i = 0; i < 3; i++) {
                MUST(home_unmount(&store, "alice", 1000, false, err));
                assert_int_not_equal(stat(path, &st), 0);
                MUST(home_unmount(&store, "alice", 1000, false, err));
                MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
                holds("alice", "kept", "data");
        }
        /* the name now belongs to somebody else: the files do not */
        MUST(home_unmount(&store, "alice", 1000, false, err));
        REFUSED(home_mount(&store, "alice", UID + 1, GID, 100 * MB, err), ERR_REFUSED, "belongs to uid 60001");
        CLEANUP_FREE char *kept = inside("alice", "kept");
        assert_false(file_exists(kept));
        REFUSED(home_delete(&store, "bob/../alice", 0, err), ERR_INVALID, "not a user name");
        MUST(home_delete(&store, "alice", 0, err));
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_int_equal(homes.count, 0);
}

static void bad_input(void **state)
{
        (void)state;
        REFUSED(home_mount(&store, "../x", UID, GID, 100 * MB, err), ERR_INVALID, "not a user name");
        REFUSED(home_mount(&store, "x", 0, GID, 100 * MB, err), ERR_INVALID, "at least 1000");
        REFUSED(home_mount(&store, "x", UID, 0, 100 * MB, err), ERR_INVALID, "at least 1000");
        REFUSED(home_mount(&store, "x", UID, GID, 99 * MB, err), ERR_INVALID, "allowed");
        REFUSED(home_mount(&store, "x", UID, GID, -1, err), ERR_INVALID, "allowed");
        REFUSED(home_mount(&store, "x", UID, GID, INT64_MAX, err), ERR_INVALID, "allowed");
        MUST(file_make_dirs(images, 0700, err));
        REFUSED(home_grow(&store, "nobody", 100 * MB, err), ERR_NOT_FOUND, "has no home");
        CLEANUP_FREE char *image = file_join(images, "junk.xfs");
        static char junk[200 * 1000];
        MUST(file_write_atomic(image, junk, sizeof junk, 0600, (uid_t)-1, (gid_t)-1, err));
        REFUSED(home_mount(&store, "junk", UID, GID, 100 * MB, err), ERR_CORRUPT, "not an XFS image");
        struct home_store relative = {.images = "images", .mounts = "mounts"};
        REFUSED(home_grow(&relative, "x", 100 * MB, err), ERR_INVALID, "absolute");
}

/* Grows while a process writes; its bytes are all there afterwards. */
static void grows_in_use(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        pid_t writer = fork();
        if (writer == 0) {
                CLEANUP_FREE char *path = inside("alice", "fill");
                int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                static char block[1 << 20];
                for (int i = 0; i < 180; i++) {
                        memset(block, i, sizeof block);
                        for (int try = 0;; try++) {
                                ssize_t n = pwrite(fd, block, sizeof block, i * (off_t)sizeof block);
                                if (n == sizeof block)
                                        break;
                                if ((n < 0 && errno != ENOSPC) || try > 500)
                                        _exit(1);
                                usleep(10000); /* full: until it has grown */
                        }
                }
                _exit(0);
        }
        struct clock *clock = clock_system();
        clock->sleep_ms(clock, 30, NULL);
        MUST(home_grow(&store, "alice", 400 * MB, err));
        int status;
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CLEANUP_FREE char *path = inside("alice", "fill");
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 180; i++) {
                unsigned char byte;
                assert_int_equal(pread(fd, &byte, 1, i * (off_t)(1 << 20) + 77), 1);
                assert_int_equal(byte, i);
        }
        assert_true(available("alice") >= 400 * MB - 181 * (1 << 20));
        /* the kernel fits its reserve of at most 32 MiB to the new size at the next mount only */
        assert_true(available("alice") <= 440 * MB - 180 * (1 << 20));
}

static void grows_at_rest(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        MUST(home_mount(&store, "bob", UID, GID, 300 * MB, err));
        MUST(home_unmount(&store, "alice", 1000, false, err));
        int grown = 0;
        MUST(home_grow_all(&store, 200 * MB, &grown, err));
        assert_int_equal(grown, 1); /* bob has more already */
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_true(homes.item[0].bytes >= 200 * MB && !homes.item[0].mounted);
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err)); /* less than it has: stays */
        assert_true(available("alice") >= 200 * MB);
        assert_true(available("bob") >= 300 * MB);
        MUST(home_mount(&store, "alice", UID, GID, 500 * MB, err)); /* more than it has: grows */
        assert_true(available("alice") >= 500 * MB);
}

static void full_host(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(file_make_dirs(images, 0700, err));
        assert_int_equal(mount("none", images, "tmpfs", 0, "size=900m"), 0); /* all free, but under 1 GB */
        REFUSED(home_mount(&store, "alice", UID, GID, 100 * MB, err), ERR_NO_SPACE, "nearly full");
        CLEANUP_HOMES struct homes homes = {0};
        MUST(home_list(&store, &homes, err));
        assert_int_equal(homes.count, 0);
        assert_int_equal(umount2(images, MNT_DETACH), 0);
}

/* ---- cut off at every point ---- */

static const char *deadly;

static void die_at(const char *name)
{
        if (str_is(name, deadly))
                kill(getpid(), SIGKILL);
}

/* Runs body in a child that is killed at the point; true if it got that far. */
static bool killed_at(const char *name, int (*body)(const struct home_store *))
{
        pid_t pid = fork();
        if (pid == 0) {
                deadly = name;
                struct home_store mortal = store;
                mortal.point = die_at;
                _exit(body(&mortal) < 0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
                return true;
        assert_int_equal(WEXITSTATUS(status), 0);
        return false;
}

static int mount_small(const struct home_store *s)
{
        return home_mount(s, "alice", UID, GID, 100 * MB, NULL);
}

static int mount_large(const struct home_store *s)
{
        return home_mount(s, "alice", UID, GID, 300 * MB, NULL);
}

static void killed_while_made(void **state)
{
        (void)state;
        NEED_LOOP();
        static const char *const points[] = {
                "before-mkfs", "before-rename", "after-rename", "before-mount", "after-mount"};
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                assert_true(killed_at(points[i], mount_small));
                MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
                assert_true(available("alice") >= 100 * MB);
                CLEANUP_FREE char *fresh = file_join(images, ".alice.new");
                assert_false(file_exists(fresh));
                CLEANUP_FREE char *home = file_join(mounts, "alice");
                struct stat st;
                assert_int_equal(stat(home, &st), 0);
                assert_int_equal(st.st_uid, UID);
                assert_int_equal(st.st_mode & 0777, 0700);
                MUST(home_unmount(&store, "alice", 1000, false, err));
                MUST(home_delete(&store, "alice", 0, err));
        }
}

static void killed_while_grown(void **state)
{
        (void)state;
        NEED_LOOP();
        static const char *const points[] = {"before-truncate", "after-truncate", "before-capacity", "before-growfs"};
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
                put("alice", "kept", "data");
                assert_true(killed_at(points[i], mount_large));
                if (i % 2) { /* taken up in use, or after a restart */
                        MUST(home_unmount(&store, "alice", 1000, false, err));
                }
                MUST(home_mount(&store, "alice", UID, GID, 300 * MB, err));
                assert_true(available("alice") >= 299 * MB);
                holds("alice", "kept", "data");
                MUST(home_unmount(&store, "alice", 1000, false, err));
                MUST(home_delete(&store, "alice", 0, err));
        }
}

static void many_at_once(void **state)
{
        (void)state;
        NEED_LOOP();
        pid_t pids[8];
        for (size_t i = 0; i < 8; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        CLEANUP_FREE char *user = str_format("user%zu", i / 4); /* four for each of two users */
                        _exit(home_mount(&store, user, UID, GID, 100 * MB, NULL) < 0);
                }
        }
        for (size_t i = 0; i < 8; i++) {
                int status;
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_FREE char *path = str_format("%s/user%zu", mounts, i);
                assert_int_equal(umount2(path, 0), 0); /* mounted once … */
                assert_int_equal(umount2(path, 0), -1);
                assert_int_equal(errno, EINVAL); /* … and no more than once */
        }
}

/* A process in a mount namespace of its own (a sandbox) keeps the file system after it was unmounted here. */
static void still_used_elsewhere(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        put("alice", "kept", "data");
        CLEANUP_FREE char *home = file_join(mounts, "alice");
        CLEANUP_CLOSE int held = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(held >= 0);
        REFUSED(home_unmount(&store, "alice", 100, false, err), ERR_BUSY, "in use");
        MUST(home_unmount(&store, "alice", 100, true, err));
        REFUSED(home_delete(&store, "alice", 0, err), ERR_BUSY, "in use");
        /* comes back as the same file system, by the same device */
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        struct stat a, b;
        assert_int_equal(fstat(held, &a), 0);
        assert_int_equal(stat(home, &b), 0);
        assert_int_equal(a.st_dev, b.st_dev);
        holds("alice", "kept", "data");
}

/* Until processes that have been ended are gone, and their mount namespaces with them. */
static void deleted_when_nobody_uses_it_any_more(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        CLEANUP_FREE char *home = file_join(mounts, "alice");
        int held = open(home, O_RDONLY | O_DIRECTORY);
        assert_true(held >= 0);
        pid_t user = fork();
        if (user == 0) {
                usleep(300 * 1000);
                _exit(0);
        }
        close(held);
        assert_true(user > 0);
        MUST(home_unmount(&store, "alice", 0, true, err));
        MUST(home_delete(&store, "alice", 60 * 1000, err));
        assert_int_equal(waitpid(user, NULL, 0), user);
}

static void foreign_mount(void **state)
{
        (void)state;
        NEED_LOOP();
        MUST(home_mount(&store, "alice", UID, GID, 100 * MB, err));
        MUST(home_unmount(&store, "alice", 1000, false, err));
        CLEANUP_FREE char *home = file_join(mounts, "alice");
        assert_int_equal(mkdir(home, 0700), 0);
        assert_int_equal(mount("none", home, "tmpfs", 0, NULL), 0);
        REFUSED(home_mount(&store, "alice", UID, GID, 100 * MB, err), ERR_BUSY, "something else");
        assert_int_equal(umount2(home, 0), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lengths),
                cmocka_unit_test_setup_teardown(bad_input, setup, teardown),
                cmocka_unit_test_setup_teardown(sizes_hold, setup, teardown),
                cmocka_unit_test_setup_teardown(entries_are_what_is_there, setup, teardown),
                cmocka_unit_test_setup_teardown(full_at_its_size_and_no_sooner, setup, teardown),
                cmocka_unit_test_setup_teardown(home_of_its_user, setup, teardown),
                cmocka_unit_test_setup_teardown(grows_in_use, setup, teardown),
                cmocka_unit_test_setup_teardown(grows_at_rest, setup, teardown),
                cmocka_unit_test_setup_teardown(full_host, setup, teardown),
                cmocka_unit_test_setup_teardown(killed_while_made, setup, teardown),
                cmocka_unit_test_setup_teardown(killed_while_grown, setup, teardown),
                cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(still_used_elsewhere, setup, teardown),
                cmocka_unit_test_setup_teardown(deleted_when_nobody_uses_it_any_more, setup, teardown),
                cmocka_unit_test_setup_teardown(foreign_mount, setup, teardown),
        };
        return cmocka_run_group_tests_name("home", tests, probe, NULL);
}
