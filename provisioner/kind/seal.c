#include "kind/seal.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define KEY_BYTES_MAX 4096

void seal_digest(const char *state_dir, const void *data, size_t length, char ret[DIGEST_SIZE])
{
        if (!state_dir) {
                digest_bytes(data, length, ret);
                return;
        }
        CLEANUP_FREE char *path = file_join(state_dir, "key");
        char *key = NULL;
        size_t key_length = 0;
        if (file_read(path, KEY_BYTES_MAX, &key, &key_length, NULL) < 0)
                key_length = 0; /* no key yet: there is no journal either that could hold the digest */
        char *both = mem_resize(NULL, key_length + length + 1, 1);
        if (key_length > 0)
                memcpy(both, key, key_length);
        if (length > 0)
                memcpy(both + key_length, data, length);
        digest_bytes(both, key_length + length, ret);
        mem_wipe_free(both, key_length + length);
        mem_wipe_free(key, key_length);
}
