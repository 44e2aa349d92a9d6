/* Homes with a hard size: one XFS image file a user, mounted by a loop device.
 *
 * XFS because it grows while it is in use and needs no capability for that which containers lack. The image is sparse:
 * it takes what the user has written (and some MB of log), so that a host may promise more than it has; where it then
 * runs full, writers in the homes get an error. New homes are therefore refused on a host that is nearly full.
 *
 *   <images>/<user>.xfs      the image, 0600; it appears under this name only when it is a complete file system
 *   <images>/.<user>.new     one that is being made; without value
 *   <images>/.<user>.lock    held while something is done to the image or its mount
 *   <mounts>/<user>          where it is mounted (nodev, nosuid, noatime), 0700, the user's
 *
 * "bytes" is what a user can store, not the length of the image: that one is larger by the file system's log and
 * reserve (home_image_length). A home holds at least the bytes promised, and at most 1 % and 4 MB more.
 *
 * Every function may be killed at any point and called again, and then ends in the same place. Thread-safe and safe
 * against other processes; a call waits for another one that works on the same user. */
#ifndef CAAS_CLIENT_HOME_HOME_H
#define CAAS_CLIENT_HOME_HOME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define HOME_BYTES_MIN 100000000LL /* 0.1 GB */
#define HOME_BYTES_MAX 65536000000000LL

struct home_store {
        const char *images; /* absolute */
        const char *mounts;
        /* Called at every point where a kill would leave something half done; for tests, else NULL. */
        void (*point)(const char *name);
};

struct home_info {
        char *user;
        int64_t bytes;   /* what the user can store */
        int64_t used;    /* of it; 0 if not mounted */
        int64_t disk;    /* what the image takes on the host */
        int64_t entries; /* files and folders in it, with its own; 0 if not mounted */
        bool mounted;
};
struct homes {
        struct home_info *item;
        size_t count, capacity;
};
void homes_clear(struct homes *homes);
#define CLEANUP_HOMES __attribute__((cleanup(homes_clear)))

/* Makes the home if there is none, grows it to `bytes` if it is smaller, and mounts it; whatever of that is done
 * already stays as it is. -ERR_INVALID (user, ids, bytes), -ERR_NO_SPACE (host nearly full: nothing was made),
 * -ERR_REFUSED (the home belongs to another uid), -ERR_BUSY (something else is mounted there), -ERR_IO. */
int home_mount(const struct home_store *store, const char *user, uid_t uid, gid_t gid, int64_t bytes, struct err **err);

/* Grows one home: in use, or its image only; the file system then follows at the next mount. A home that is as large or
 * larger stays. -ERR_NOT_FOUND. */
int home_grow(const struct home_store *store, const char *user, int64_t bytes, struct err **err);

/* Grows all homes that are smaller. Goes on after a failure and reports the first. *ret_grown may be NULL. */
int home_grow_all(const struct home_store *store, int64_t bytes, int *ret_grown, struct err **err);

/* Unmounts, waiting up to timeout_ms for processes to leave; not mounted is fine. lazy: after that take it out of the
 * tree although it is in use. -ERR_BUSY. */
int home_unmount(const struct home_store *store, const char *user, int timeout_ms, bool lazy, struct err **err);

/* The same for every user who has an image or a mount point. Goes on after a failure and reports the first. */
int home_unmount_all(const struct home_store *store, int timeout_ms, bool lazy, struct err **err);

/* Removes an unmounted home with everything in it, waiting up to timeout_ms until nobody has it open any more.
 * -ERR_BUSY. */
int home_delete(const struct home_store *store, const char *user, int timeout_ms, struct err **err);

/* All homes, in order of name. */
int home_list(const struct home_store *store, struct homes *ret, struct err **err);

/* Length of an image that holds `bytes` for a user, when made anew. */
int64_t home_image_length(int64_t bytes);

#endif
