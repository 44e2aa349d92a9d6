/* Files. Writing is atomic: a reader sees the old content or the new, and so does the next boot. */
#ifndef CAAS_BASE_FILE_H
#define CAAS_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"

/* Reads a whole regular file of at most max bytes; *ret_data is NUL-terminated and the caller's. ret_length may be
 * NULL. -ERR_NOT_FOUND, -ERR_DENIED, -ERR_INVALID (larger than max, or no regular file), -ERR_IO. */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_length, struct err **err);

/* Temporary file in the same folder, fsync, rename, fsync of the folder. uid or gid (uid_t)-1: unchanged.
 * -ERR_NO_SPACE and others; the old file is then untouched. */
int file_write_atomic(
        const char *path, const void *data, size_t length, mode_t mode, uid_t uid, gid_t gid, struct err **err);

/* Makes path and its missing parents; an existing folder is fine and keeps its mode. New ones get mode exactly. */
int file_make_dirs(const char *path, mode_t mode, struct err **err);

/* Removes a tree without following links and without leaving its file system (a mount below it is -ERR_BUSY).
 * Not being there is fine. */
int file_remove_tree(const char *path, struct err **err);

/* Gives to uid and gid what is there of path's present owner, path itself last, so that a run that was cut off is taken
 * up. Follows no links and does not leave the file system. A file with a second name is -ERR_REFUSED: it may stand in
 * other places, too. */
int file_give_tree(const char *path, uid_t uid, gid_t gid, struct err **err);

/* Removes one file or link; not being there is fine. */
int file_remove(const char *path, struct err **err);

bool file_exists(const char *path); /* follows links */

/* "a/b": one slash between, whatever the parts bring. The caller frees. */
char *file_join(const char *folder, const char *name);

static inline void file_cleanup_close(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}
#define CLEANUP_CLOSE __attribute__((cleanup(file_cleanup_close)))

/* Takes a descriptor out of a variable that would close it. */
static inline int file_take(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

#endif
