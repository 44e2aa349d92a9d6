/* What is done for all homes. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/home/home.h"
#include "client/home/image.h"

void homes_clear(struct homes *homes)
{
        for (size_t i = 0; i < homes->count; i++)
                free(homes->item[i].user);
        free(homes->item);
        *homes = (struct homes){0};
}

#define XFS_INODES 2 /* that are no files: what it keeps of a realtime section, even where there is none */

/* Among the first `count`? */
static bool known(const struct homes *homes, size_t count, const char *user)
{
        for (size_t i = 0; i < count; i++)
                if (str_is(homes->item[i].user, user))
                        return true;
        return false;
}

/* Adds the users whose entries in the folder end with suffix. */
static int add_users(const char *folder, const char *suffix, struct homes *homes, struct err **err)
{
        DIR *dir = opendir(folder);
        size_t before = homes->count; /* one folder does not hold a name twice, and there may be thousands */
        if (!dir)
                return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot read %s", folder);
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (!str_ends(entry->d_name, suffix))
                        continue;
                CLEANUP_FREE char *user = str_copy_n(entry->d_name, strlen(entry->d_name) - strlen(suffix));
                if (!str_user_name(user) || known(homes, before, user))
                        continue;
                MEM_GROW(homes->item, homes->count, homes->capacity);
                homes->item[homes->count++] = (struct home_info){.user = STEAL(user)};
        }
        closedir(dir);
        return 0;
}

static int by_user(const void *a, const void *b)
{
        return strcmp(((const struct home_info *)a)->user, ((const struct home_info *)b)->user);
}

static void sort(struct homes *homes)
{
        if (homes->count)
                qsort(homes->item, homes->count, sizeof *homes->item, by_user);
}

static void fill(const struct home_store *store, struct home_info *info)
{
        CLEANUP_FREE char *image = str_format("%s/%s.xfs", store->images, info->user);
        CLEANUP_FREE char *mount = str_format("%s/%s", store->mounts, info->user);
        struct image_shape shape;
        struct stat st, folder, mounted;
        struct statfs fs;
        if (stat(image, &st) < 0 || image_shape_read(image, &shape, NULL) < 0)
                return;
        info->bytes = image_capacity(&shape, st.st_size);
        info->disk = (int64_t)st.st_blocks * 512;
        if (stat(store->mounts, &folder) < 0 || stat(mount, &mounted) < 0 || folder.st_dev == mounted.st_dev ||
                statfs(mount, &fs) < 0)
                return;
        info->mounted = true;
        int64_t used =
                info->bytes - (int64_t)fs.f_bavail * fs.f_bsize; /* an empty one holds a little more than promised */
        info->used = used > 0 ? used : 0;
        /* XFS makes inodes as they are needed: f_files is what could still become one, too, but those in use are exact
         */
        info->entries = (int64_t)(fs.f_files - fs.f_ffree) - XFS_INODES;
}

int home_list(const struct home_store *store, struct homes *ret, struct err **err)
{
        CLEANUP_HOMES struct homes homes = {0};
        int r = add_users(store->images, ".xfs", &homes, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < homes.count; i++)
                fill(store, &homes.item[i]);
        sort(&homes);
        *ret = homes;
        homes = (struct homes){0};
        return 0;
}

int home_grow_all(const struct home_store *store, int64_t bytes, int *ret_grown, struct err **err)
{
        CLEANUP_HOMES struct homes homes = {0};
        int grown = 0, r = home_list(store, &homes, err);
        for (size_t i = 0; i < homes.count; i++) {
                CLEANUP_ERR struct err *one = NULL;
                int s = home_grow(store, homes.item[i].user, bytes, &one);
                if (s == 0 && homes.item[i].bytes < bytes)
                        grown++;
                if (s < 0 && r == 0) {
                        r = s;
                        if (err)
                                *err = STEAL(one);
                }
        }
        if (r == 0 && ret_grown)
                *ret_grown = grown;
        return r;
}

int home_unmount_all(const struct home_store *store, int timeout_ms, bool lazy, struct err **err)
{
        CLEANUP_HOMES struct homes homes = {0};
        int r = add_users(store->images, ".xfs", &homes, err);
        if (r == 0)
                r = add_users(store->mounts, "", &homes, err);
        sort(&homes);
        for (size_t i = 0; i < homes.count; i++) {
                CLEANUP_ERR struct err *one = NULL;
                int s = home_unmount(store, homes.item[i].user, timeout_ms, lazy, &one);
                if (s < 0 && r == 0) {
                        r = s;
                        if (err)
                                *err = STEAL(one);
                }
        }
        return r;
}
