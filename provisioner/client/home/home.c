#include "client/home/home.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/home/image.h"
#include "client/home/loop.h"

#define ID_MIN    1000
#define GROWFS_MS 120000
#define TICK_MS   50
/* XFS drops a last allocation group of less than 64 blocks: so much of an image may stay unused. */
#define UNUSED_TAIL (64 * 4096)

/* One user's home while its lock is held. */
struct home {
        const struct home_store *store;
        char *image, *mount;
        int lock;
};

static void home_close(struct home *home)
{
        free(home->image);
        free(home->mount);
        if (home->lock >= 0)
                close(home->lock);
}
#define CLEANUP_HOME __attribute__((cleanup(home_close)))
#define HOME_INIT                                                                                                      \
        {                                                                                                              \
                .lock = -1                                                                                             \
        }

static void point(const struct home *home, const char *name)
{
        if (home->store->point)
                home->store->point(name);
}

static int lock(const char *path, int *ret_fd, struct err **err)
{
        for (;;) {
                CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd < 0)
                        return err_set_errno(err, errno, "cannot open %s", path);
                if (flock(fd, LOCK_EX) < 0) {
                        if (errno == EINTR)
                                continue;
                        return err_set_errno(err, errno, "cannot lock %s", path);
                }
                struct stat held, there;
                if (fstat(fd, &held) < 0)
                        return err_set_errno(err, errno, "cannot look at %s", path);
                if (stat(path, &there) == 0 && there.st_dev == held.st_dev && there.st_ino == held.st_ino) {
                        *ret_fd = file_take(&fd);
                        return 0;
                }
                /* its holder deleted the home while we waited: this lock is nobody's, take the new file's */
        }
}

static int home_open(const struct home_store *store, const char *user, struct home *ret, struct err **err)
{
        ret->store = store;
        ret->image = str_format("%s/%s.xfs", store->images, user);
        ret->mount = str_format("%s/%s", store->mounts, user);
        if (!str_user_name(user))
                return err_set(err, ERR_INVALID,
                        "not a user name: letters, digits, \"_\", \".\" and \"-\", at most 64, are allowed");
        if (store->images[0] != '/' || store->mounts[0] != '/')
                return err_set(err, ERR_INVALID, "the folders of images and mounts must be absolute paths");
        CLEANUP_FREE char *path = str_format("%s/.%s.lock", store->images, user);
        return lock(path, &ret->lock, err);
}

/* Is something mounted on the path itself? */
static bool is_mount(const char *path)
{
        struct statx stx;
        if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0)
                return false;
        return stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT && stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* Opens the loop device a mounted home stands on. -ERR_BUSY when something else is mounted there. */
static int open_mounted(const struct home *home, int *ret_fd, struct err **err)
{
        char path[LOOP_PATH_SIZE];
        struct stat st, device;
        CLEANUP_CLOSE int fd = -1;
        if (loop_find(home->image, path, &fd, NULL) < 0 || stat(home->mount, &st) < 0 || fstat(fd, &device) < 0 ||
                st.st_dev != device.st_rdev)
                return err_set(err, ERR_BUSY, "something else than %s is mounted on %s", home->image, home->mount);
        *ret_fd = file_take(&fd);
        return 0;
}

/* Makes the mounted file system as large as its image. */
static int fit_file_system(const struct home *home, int device, struct err **err)
{
        struct image_shape shape;
        struct statfs fs;
        struct stat st;
        int r = image_shape_read(home->image, &shape, err);
        if (r < 0)
                return r;
        if (stat(home->image, &st) < 0 || statfs(home->mount, &fs) < 0)
                return err_set_errno(err, errno, "cannot look at %s", home->mount);
        if (st.st_size <= (int64_t)fs.f_blocks * fs.f_bsize + shape.log + UNUSED_TAIL)
                return 0;
        point(home, "before-capacity");
        r = loop_grown(device, err);
        if (r < 0)
                return r;
        point(home, "before-growfs");
        const char *argv[] = {"xfs_growfs", "-d", home->mount, NULL};
        const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
        struct proc_spec spec = {.argv = argv, .env = env, .timeout_ms = GROWFS_MS, .new_session = true};
        return proc_must(&spec, NULL, err);
}

/* Makes the image long enough for `bytes`. Never shorter. */
static int fit_image(const struct home *home, int64_t bytes, struct err **err)
{
        struct image_shape shape;
        int r = image_shape_read(home->image, &shape, err);
        if (r < 0)
                return r;
        int64_t length = image_length(&shape, bytes);
        CLEANUP_CLOSE int fd = open(home->image, O_RDWR | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot open %s", home->image);
        if (st.st_size >= length)
                return 0;
        point(home, "before-truncate");
        if (ftruncate(fd, length) < 0 || fsync(fd) < 0)
                return err_set_errno(err, errno, "cannot grow %s to %" PRId64 " bytes", home->image, length);
        point(home, "after-truncate");
        return 0;
}

static int mount_image(const struct home *home, int *ret_fd, struct err **err)
{
        if (mkdir(home->mount, 0700) < 0 && errno != EEXIST)
                return err_set_errno(err, errno, "cannot make %s", home->mount);
        char device[LOOP_PATH_SIZE];
        CLEANUP_CLOSE int fd = -1;
        int r = loop_attach(home->image, device, &fd, err);
        if (r < 0)
                return r;
        point(home, "before-mount");
        if (mount(device, home->mount, "xfs", MS_NODEV | MS_NOSUID | MS_NOATIME, NULL) < 0) {
                int number = errno;
                /* EUCLEAN: damaged; ENODEV: the kernel has no XFS */
                const char *advice = number == EUCLEAN  ? " (damaged: run xfs_repair on it)"
                                     : number == ENODEV ? " (modprobe xfs)"
                                                        : "";
                return err_set_errno(err, number, "cannot mount %s on %s%s", home->image, home->mount, advice);
        }
        point(home, "after-mount");
        *ret_fd = file_take(&fd);
        return 0;
}

/* A fresh file system belongs to root. One that belongs to somebody else is not handed on: a name that the directory
 * has given to another person must not come with the first one's files. */
static int give_to_user(const struct home *home, uid_t uid, gid_t gid, struct err **err)
{
        CLEANUP_CLOSE int fd = open(home->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot open %s", home->mount);
        if (st.st_uid != 0 && st.st_uid != uid)
                return err_set(err, ERR_REFUSED,
                        "the home in %s belongs to uid %u, but the directory says %u now: if it is the same person, "
                        "chown -R it while it "
                        "is mounted; if not, move the image away",
                        home->image, st.st_uid, uid);
        if (st.st_uid == uid && st.st_gid == gid)
                return 0;
        /* mode first: it must not be open to others at any moment */
        if (fchmod(fd, 0700) < 0 || fchown(fd, uid, gid) < 0)
                return err_set_errno(err, errno, "cannot give %s to uid %u", home->mount, uid);
        return 0;
}

int home_mount(const struct home_store *store, const char *user, uid_t uid, gid_t gid, int64_t bytes, struct err **err)
{
        if (bytes < HOME_BYTES_MIN || bytes > HOME_BYTES_MAX)
                return err_set(err, ERR_INVALID, "a home of %" PRId64 " bytes: %lld to %lld are allowed", bytes,
                        HOME_BYTES_MIN, HOME_BYTES_MAX);
        if (uid < ID_MIN || gid < ID_MIN || uid >= UINT32_MAX - 1 || gid >= UINT32_MAX - 1)
                return err_set(err, ERR_INVALID, "uid %u, gid %u: both must be at least %d", uid, gid, ID_MIN);
        CLEANUP_HOME struct home home = HOME_INIT;
        CLEANUP_CLOSE int device = -1;
        if (file_make_dirs(store->images, 0700, err) < 0 || file_make_dirs(store->mounts, 0711, err) < 0)
                return -ERR_IO;
        int r = home_open(store, user, &home, err);
        if (r == 0)
                r = file_exists(home.image) ? fit_image(&home, bytes, err) : image_make(store, user, bytes, err);
        bool before = r == 0 && is_mount(home.mount);
        if (r == 0)
                r = before ? open_mounted(&home, &device, err) : mount_image(&home, &device, err);
        bool mounted = r == 0 && !before;
        if (r == 0)
                r = fit_file_system(&home, device, err);
        if (r == 0)
                r = give_to_user(&home, uid, gid, err);
        if (r < 0 && mounted)
                umount2(home.mount, UMOUNT_NOFOLLOW);
        if (r < 0 && home.lock >= 0) /* else the name itself is what is wrong */
                return err_prefix(err, "home of %s", user);
        return r;
}

int home_grow(const struct home_store *store, const char *user, int64_t bytes, struct err **err)
{
        if (bytes < HOME_BYTES_MIN || bytes > HOME_BYTES_MAX)
                return err_set(err, ERR_INVALID, "a home of %" PRId64 " bytes: %lld to %lld are allowed", bytes,
                        HOME_BYTES_MIN, HOME_BYTES_MAX);
        CLEANUP_HOME struct home home = HOME_INIT;
        CLEANUP_CLOSE int device = -1;
        int r = home_open(store, user, &home, err);
        if (r < 0)
                return r;
        if (!file_exists(home.image))
                return err_set(err, ERR_NOT_FOUND, "%s has no home in %s", user, store->images);
        r = fit_image(&home, bytes, err);
        if (r == 0 && is_mount(home.mount)) {
                r = open_mounted(&home, &device, err);
                if (r == 0)
                        r = fit_file_system(&home, device, err);
        }
        return r < 0 ? err_prefix(err, "home of %s", user) : 0;
}

int home_unmount(const struct home_store *store, const char *user, int timeout_ms, bool lazy, struct err **err)
{
        if (!file_exists(store->images))
                return 0;
        CLEANUP_HOME struct home home = HOME_INIT;
        int r = home_open(store, user, &home, err);
        if (r < 0)
                return r;
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + timeout_ms;
        while (is_mount(home.mount)) {
                bool last = clock->monotonic_ms(clock) >= end;
                if (umount2(home.mount, UMOUNT_NOFOLLOW | (last && lazy ? MNT_DETACH : 0)) == 0)
                        continue; /* there may be one below */
                if (errno != EBUSY)
                        return err_set_errno(err, errno, "cannot unmount %s", home.mount);
                if (last)
                        return err_set(err, ERR_BUSY, "cannot unmount %s: it is in use", home.mount);
                clock->sleep_ms(clock, TICK_MS, NULL);
        }
        if (rmdir(home.mount) < 0 && errno != ENOENT && errno != ENOTEMPTY)
                return err_set_errno(err, errno, "cannot remove %s", home.mount);
        return 0;
}

static bool is_used(const struct home *home)
{
        char path[LOOP_PATH_SIZE];
        CLEANUP_CLOSE int device = -1;
        return file_exists(home->image) && (is_mount(home->mount) || loop_find(home->image, path, &device, NULL) == 0);
}

/* The mount namespace of processes that have just ended lets go of it some time after them. */
int home_delete(const struct home_store *store, const char *user, int timeout_ms, struct err **err)
{
        if (!file_exists(store->images))
                return 0;
        CLEANUP_HOME struct home home = HOME_INIT;
        int r = home_open(store, user, &home, err);
        if (r < 0)
                return r;
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + timeout_ms;
        while (is_used(&home)) {
                if (clock->monotonic_ms(clock) >= end)
                        return err_set(err, ERR_BUSY, "home of %s: it is in use", user);
                clock->sleep_ms(clock, TICK_MS, NULL);
        }
        CLEANUP_FREE char *fresh = str_format("%s/.%s.new", store->images, user);
        CLEANUP_FREE char *lock = str_format("%s/.%s.lock", store->images, user);
        if (file_remove(home.image, err) < 0 || file_remove(fresh, err) < 0)
                return -ERR_IO;
        return file_remove(lock, err);
}
