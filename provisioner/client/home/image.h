/* Image files: how large they must be, and making them. */
#ifndef CAAS_CLIENT_HOME_IMAGE_H
#define CAAS_CLIENT_HOME_IMAGE_H

#include <stdint.h>

#include "client/home/home.h"

/* What of an XFS file system decides how much of an image is left for the user. */
struct image_shape {
        int64_t block;       /* bytes */
        int64_t log;         /* bytes */
        int64_t group;       /* bytes of an allocation group */
        int64_t file_system; /* bytes of the file system as the image has it: after growing in use, for a moment, less
                              */
};

struct image_shape image_shape_new(int64_t bytes); /* as image_make() would make it */

/* From the image's first block. -ERR_CORRUPT if it is no XFS. */
int image_shape_read(const char *path, struct image_shape *ret, struct err **err);

/* Length of an image of that shape that holds `bytes`; and the bytes that an image of a length holds. */
int64_t image_length(const struct image_shape *shape, int64_t bytes);
int64_t image_capacity(const struct image_shape *shape, int64_t length);

/* Makes <images>/<user>.xfs. The lock is held. -ERR_NO_SPACE and others. */
int image_make(const struct home_store *store, const char *user, int64_t bytes, struct err **err);

#endif
