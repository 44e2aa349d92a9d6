#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"

#define DYING_WRITERS_TRIES 50
#define DYING_WRITERS_US    100000

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_length, struct err **err)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot open %s", path);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot read %s", path);
        if (!S_ISREG(st.st_mode))
                return err_set(err, ERR_INVALID, "%s is not a regular file", path);
        /* The size is only a hint: files of /proc say 0. */
        size_t room = st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size + 1 : 4096, length = 0;
        CLEANUP_FREE char *data = mem_resize(NULL, room + 1, 1);
        for (;;) {
                ssize_t n = read(fd, data + length, room - length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_set_errno(err, errno, "cannot read %s", path);
                if (n == 0)
                        break;
                length += (size_t)n;
                if (length > max)
                        return err_set(err, ERR_INVALID, "%s is larger than %zu bytes", path, max);
                if (length == room) {
                        room *= 2;
                        data = mem_resize(data, room + 1, 1);
                }
        }
        data[length] = '\0';
        *ret_data = STEAL(data);
        if (ret_length)
                *ret_length = length;
        return 0;
}

static int write_all(int fd, const char *data, size_t length)
{
        while (length > 0) {
                ssize_t n = write(fd, data, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -1;
                data += n;
                length -= (size_t)n;
        }
        return 0;
}

static int sync_folder_of(const char *path)
{
        CLEANUP_FREE char *folder = str_copy(path);
        char *slash = strrchr(folder, '/');
        const char *name = !slash ? "." : slash == folder ? "/" : folder;
        if (slash && slash != folder)
                *slash = '\0';
        CLEANUP_CLOSE int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -1 : fsync(fd);
}

static int fill_temporary(int fd, const void *data, size_t length, mode_t mode, uid_t uid, gid_t gid)
{
        if (write_all(fd, data, length) < 0)
                return -1;
        /* owner before mode: chown takes setuid bits away, and nobody shall read it in between */
        if ((uid != (uid_t)-1 || gid != (gid_t)-1) && fchown(fd, uid, gid) < 0)
                return -1;
        if (fchmod(fd, mode) < 0)
                return -1;
        return fsync(fd);
}

int file_write_atomic(
        const char *path, const void *data, size_t length, mode_t mode, uid_t uid, gid_t gid, struct err **err)
{
        CLEANUP_FREE char *temporary = str_format("%s.XXXXXX", path);
        CLEANUP_CLOSE int fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
        if (fd < 0)
                return err_set_errno(err, errno, "cannot write %s", path);
        if (fill_temporary(fd, data, length, mode, uid, gid) < 0 || rename(temporary, path) < 0) {
                int number = errno;
                unlink(temporary);
                return err_set_errno(err, number, "cannot write %s", path);
        }
        if (sync_folder_of(path) < 0)
                return err_set_errno(err, errno, "cannot write %s", path);
        return 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err **err)
{
        struct stat st;
        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return 0;
                return err_set(err, ERR_EXISTS, "%s exists and is no folder", path);
        }
        CLEANUP_FREE char *parent = str_copy(path);
        char *slash = strrchr(parent, '/');
        if (slash && slash != parent) {
                *slash = '\0';
                int r = file_make_dirs(parent, mode, err);
                if (r < 0)
                        return r;
        }
        if (mkdir(path, mode) < 0) {
                if (errno == EEXIST) /* somebody else was quicker */
                        return 0;
                return err_set_errno(err, errno, "cannot make folder %s", path);
        }
        if (chmod(path, mode) < 0) /* whatever the umask said */
                return err_set_errno(err, errno, "cannot make folder %s", path);
        return 0;
}

static int remove_below(int parent, const char *name, dev_t device, const char *shown, struct err **err);

static int remove_entries(DIR *dir, dev_t device, const char *shown, struct err **err)
{
        struct dirent *entry;
        int parent = dirfd(dir);
        if (parent < 0)
                return err_set_errno(err, errno, "cannot read %s", shown);
        while ((entry = readdir(dir))) {
                if (str_is(entry->d_name, ".") || str_is(entry->d_name, ".."))
                        continue;
                int r = remove_below(parent, entry->d_name, device, shown, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int remove_below(int parent, const char *name, dev_t device, const char *shown, struct err **err)
{
        struct stat st;
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot remove %s", shown);
        if (!S_ISDIR(st.st_mode)) {
                if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
                        return err_set_errno(err, errno, "cannot remove %s in %s", name, shown);
                return 0;
        }
        if (st.st_dev != device)
                return err_set(err, ERR_BUSY, "cannot remove %s: %s in it is a mount", shown, name);
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) /* somebody else may be removing a part of the same tree */
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot remove %s in %s", name, shown);
        DIR *dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return err_set(err, ERR_IO, "cannot read %s in %s", name, shown);
        }
        int r = remove_entries(dir, device, shown, err);
        /* What a killed run started may still be writing while it dies. */
        for (int i = 0; r == 0 && i < DYING_WRITERS_TRIES && unlinkat(parent, name, AT_REMOVEDIR) < 0; i++) {
                if (errno == ENOENT)
                        break;
                if ((errno != ENOTEMPTY && errno != EEXIST) || i + 1 == DYING_WRITERS_TRIES) {
                        r = err_set_errno(err, errno, "cannot remove %s in %s", name, shown);
                        break;
                }
                usleep(DYING_WRITERS_US);
                rewinddir(dir);
                r = remove_entries(dir, device, shown, err);
        }
        closedir(dir);
        return r;
}

int file_remove_tree(const char *path, struct err **err)
{
        CLEANUP_FREE char *parent = str_copy(path);
        size_t n = strlen(parent);
        while (n > 1 && parent[n - 1] == '/')
                parent[--n] = '\0';
        char *slash = strrchr(parent, '/');
        if (!slash || slash[1] == '\0' || slash == parent)
                return err_set(err, ERR_INVALID, "refusing to remove %s", path);
        *slash = '\0';
        CLEANUP_CLOSE int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot remove %s", path);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot remove %s", path);
        return remove_below(fd, slash + 1, st.st_dev, path, err);
}

struct giving {
        struct stat from; /* of the tree's top */
        uid_t uid;
        gid_t gid;
        const char *shown;
};

static int give_below(int parent, const char *name, const struct giving *g, struct err **err);

static int give_entries(int fd, const struct giving *g, struct err **err)
{
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        if (!dir) {
                if (copy >= 0)
                        close(copy);
                return err_set(err, ERR_IO, "cannot read a folder in %s", g->shown);
        }
        int r = 0;
        struct dirent *entry;
        while (r == 0 && (entry = readdir(dir)))
                if (!str_is(entry->d_name, ".") && !str_is(entry->d_name, ".."))
                        r = give_below(fd, entry->d_name, g, err);
        closedir(dir);
        return r;
}

/* By a descriptor of the thing itself: its owner so far cannot put another one in its place. */
static int give_below(int parent, const char *name, const struct giving *g, struct err **err)
{
        CLEANUP_CLOSE int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot look at %s in %s", name, g->shown);
        if (st.st_dev != g->from.st_dev)
                return err_set(err, ERR_BUSY, "%s in %s is a mount", name, g->shown);
        int r = S_ISDIR(st.st_mode) ? give_entries(fd, g, err) : 0;
        if (r < 0 || st.st_uid != g->from.st_uid)
                return r;
        if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
                return err_set(err, ERR_REFUSED, "%s in %s has a second name elsewhere", name, g->shown);
        if (fchownat(fd, "", g->uid, g->gid, AT_EMPTY_PATH) < 0)
                return err_set_errno(err, errno, "cannot change the owner of %s in %s", name, g->shown);
        return 0;
}

int file_give_tree(const char *path, uid_t uid, gid_t gid, struct err **err)
{
        struct giving g = {.uid = uid, .gid = gid, .shown = path};
        if (lstat(path, &g.from) < 0)
                return err_set_errno(err, errno, "cannot look at %s", path);
        return g.from.st_uid == uid ? 0 : give_below(AT_FDCWD, path, &g, err);
}

int file_remove(const char *path, struct err **err)
{
        if (unlink(path) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "cannot remove %s", path);
        return 0;
}

bool file_exists(const char *path)
{
        struct stat st;
        return stat(path, &st) == 0;
}

char *file_join(const char *folder, const char *name)
{
        while (*name == '/')
                name++;
        return str_format("%s%s%s", folder, str_ends(folder, "/") ? "" : "/", name);
}
