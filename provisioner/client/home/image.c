#include "client/home/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#define MIB              (1024LL * 1024)
#define BLOCK            4096
#define GROUPS           2           /* two let two writers work side by side; growing adds more of the same size */
#define SUPPORTED_MIN    (300 * MIB) /* mkfs.xfs makes smaller ones only when told that it is meant */
#define LOG_LARGE        (64 * MIB)
#define LOG_SMALL        (24 * MIB)   /* mkfs.xfs 6.13 wants 16 MiB or so */
#define RESERVE_MAX      (32 * MIB)   /* the kernel keeps 5 %, at most this, so that deleting works when it is full */
#define GROUP_OVERHEAD   (160 * 1024) /* headers, roots of trees, lists of free blocks */
#define INODES_PER_MILLE 1            /* the kernel sets this aside for the tree of free inodes */
#define FIXED_OVERHEAD   MIB
#define MKFS_MS          120000
#define HOST_FREE_MIN    1000000000LL
#define HOST_FREE_SHARE  20 /* one part in so many must be free */

static int64_t overhead(const struct image_shape *shape, int64_t length)
{
        int64_t reserve = length / 20 < RESERVE_MAX ? length / 20 : RESERVE_MAX;
        int64_t groups = (length + shape->group - 1) / shape->group;
        return shape->log + reserve + length * INODES_PER_MILLE / 1000 + groups * GROUP_OVERHEAD + FIXED_OVERHEAD;
}

int64_t image_capacity(const struct image_shape *shape, int64_t length)
{
        int64_t bytes = length - overhead(shape, length);
        return bytes > 0 ? bytes : 0;
}

int64_t image_length(const struct image_shape *shape, int64_t bytes)
{
        int64_t length = bytes;
        /* capacity grows a little slower than length, so this closes in from below */
        for (int64_t missing; (missing = bytes - image_capacity(shape, length)) > 0;)
                length += (missing + BLOCK - 1) / BLOCK * BLOCK;
        return (length + BLOCK - 1) / BLOCK * BLOCK;
}

struct image_shape image_shape_new(int64_t bytes)
{
        struct image_shape shape = {.block = BLOCK, .log = LOG_SMALL, .group = INT64_MAX / 4};
        int64_t length = image_length(&shape, bytes);
        if (length >= SUPPORTED_MIN) {
                shape.log = LOG_LARGE;
                length = image_length(&shape, bytes);
        }
        shape.group = length / GROUPS + BLOCK;
        if (shape.group > 1024 * 1024 * MIB) /* XFS has no larger ones */
                shape.group = 1024 * 1024 * MIB - BLOCK;
        shape.file_system = image_length(&shape, bytes);
        return shape;
}

int64_t home_image_length(int64_t bytes)
{
        return image_shape_new(bytes).file_system;
}

static uint32_t big32(const unsigned char *at)
{
        uint32_t value;
        memcpy(&value, at, sizeof value);
        return be32toh(value);
}

int image_shape_read(const char *path, struct image_shape *ret, struct err **err)
{
        unsigned char super[512];
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot open %s", path);
        ssize_t n = pread(fd, super, sizeof super, 0);
        if (n < 0)
                return err_set_errno(err, errno, "cannot read %s", path);
        /* magic 0, block size 4, blocks 8 (64 bit), blocks of a group 84, groups 88, blocks of the log 96 */
        uint64_t blocks;
        memcpy(&blocks, super + 8, sizeof blocks);
        struct image_shape shape = {.block = big32(super + 4)};
        shape.group = big32(super + 84) * shape.block;
        shape.log = big32(super + 96) * shape.block;
        shape.file_system = (int64_t)be64toh(blocks) * shape.block;
        if (n != sizeof super || memcmp(super, "XFSB", 4) != 0 || shape.block < 512 || shape.block > 65536 ||
                shape.group == 0)
                return err_set(err, ERR_CORRUPT, "%s is not an XFS image: restore it from a backup or remove it", path);
        *ret = shape;
        return 0;
}

/* Before anything is written: images are sparse, so the host's space is what their owners will miss one day. */
static int check_host(const char *folder, struct err **err)
{
        struct statvfs fs;
        if (statvfs(folder, &fs) < 0)
                return err_set_errno(err, errno, "cannot look at %s", folder);
        int64_t unit = (int64_t)fs.f_frsize, all = (int64_t)fs.f_blocks * unit, left = (int64_t)fs.f_bavail * unit;
        if (left >= HOST_FREE_MIN && left >= all / HOST_FREE_SHARE)
                return 0;
        return err_set(err, ERR_NO_SPACE,
                "the host's disk is nearly full (%" PRId64 " MB of %" PRId64
                " MB are free below %s; 5 %% and 1 GB are needed): no new home "
                "is made. Free space, or give the folder a larger disk",
                left / 1000000, all / 1000000, folder);
}

static int make_file_system(const char *path, int64_t bytes, struct err **err)
{
        struct image_shape shape = image_shape_new(bytes);
        CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot make %s", path);
        if (ftruncate(fd, shape.file_system) < 0)
                return err_set_errno(err, errno, "cannot make %s of %" PRId64 " bytes", path, shape.file_system);
        CLEANUP_FREE char *log = str_format("size=%" PRId64, shape.log);
        CLEANUP_FREE char *groups = str_format("agsize=%" PRId64, shape.group / BLOCK * BLOCK);
        /* Shared blocks and the map from blocks to owners would take space of their own that nobody here needs. */
        const char *argv[] = {"mkfs.xfs", "-q", "-K", "-b", "size=4096", "-d", groups, "-l", log, "-m",
                "reflink=0,rmapbt=0", path, shape.file_system < SUPPORTED_MIN ? "--unsupported" : NULL, NULL};
        const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
        struct proc_spec spec = {.argv = argv, .env = env, .timeout_ms = MKFS_MS, .new_session = true};
        int r = proc_must(&spec, NULL, err);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? err_set_errno(err, errno, "cannot write %s", path) : 0;
}

static void point(const struct home_store *store, const char *name)
{
        if (store->point)
                store->point(name);
}

int image_make(const struct home_store *store, const char *user, int64_t bytes, struct err **err)
{
        CLEANUP_FREE char *path = str_format("%s/%s.xfs", store->images, user);
        CLEANUP_FREE char *fresh = str_format("%s/.%s.new", store->images, user);
        if (file_remove(fresh, err) < 0) /* of one that was killed */
                return -ERR_IO;
        int r = check_host(store->images, err);
        if (r < 0)
                return r;
        point(store, "before-mkfs");
        r = make_file_system(fresh, bytes, err);
        if (r < 0) {
                file_remove(fresh, NULL);
                return r;
        }
        point(store, "before-rename");
        if (rename(fresh, path) < 0)
                return err_set_errno(err, errno, "cannot rename %s", fresh);
        point(store, "after-rename");
        CLEANUP_CLOSE int folder = open(store->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0 || fsync(folder) < 0)
                return err_set_errno(err, errno, "cannot write %s", store->images);
        return 0;
}
