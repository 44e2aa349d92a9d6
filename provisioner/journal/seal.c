/* Sealing: AES-256-GCM under the master key. The cluster and the name are authenticated along with the value, so that a
 * sealed value moved to another row does not open. */
#include "journal/journal_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

#define VALUE_MAX (1024 * 1024)

static void cipher_cleanup(EVP_CIPHER_CTX **ctx)
{
        EVP_CIPHER_CTX_free(*ctx); /* wipes */
}
#define CLEANUP_CIPHER __attribute__((cleanup(cipher_cleanup)))

/* Both parts with the NUL between them: "ab" + "c" is not "a" + "bc". */
static unsigned char *context_of(const char *cluster, const char *name, int *ret_length)
{
        *ret_length = (int)(strlen(cluster) + 1 + strlen(name));
        return (unsigned char *)str_format("%s%c%s", cluster, '\0', name);
}

int seal_close(const unsigned char key[SEAL_KEY_SIZE], const char *cluster, const char *name, const char *value,
        struct sealed *ret, struct err **err)
{
        size_t length = strlen(value);
        if (length > VALUE_MAX)
                return err_set(err, ERR_INVALID, "secret %s is longer than %d bytes", name, VALUE_MAX);
        int context_length, n, tail;
        CLEANUP_FREE unsigned char *context = context_of(cluster, name, &context_length);
        CLEANUP_FREE unsigned char *data = mem_resize(NULL, length + SEAL_TAG_SIZE, 1);
        unsigned char nonce[SEAL_NONCE_SIZE];
        random_bytes(nonce, sizeof nonce);
        CLEANUP_CIPHER EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
                EVP_EncryptUpdate(ctx, NULL, &n, context, context_length) != 1 ||
                EVP_EncryptUpdate(ctx, data, &n, (const unsigned char *)value, (int)length) != 1 ||
                EVP_EncryptFinal_ex(ctx, data + n, &tail) != 1 ||
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_SIZE, data + length) != 1)
                return err_set(err, ERR_FAILED, "cannot seal secret %s", name);
        memcpy(ret->nonce, nonce, sizeof nonce);
        ret->length = length + SEAL_TAG_SIZE;
        ret->data = STEAL(data);
        return 0;
}

int seal_open(const unsigned char key[SEAL_KEY_SIZE], const char *cluster, const char *name,
        const struct sealed *sealed, char **ret_value, struct err **err)
{
        if (sealed->length < SEAL_TAG_SIZE || sealed->length > VALUE_MAX + SEAL_TAG_SIZE)
                return err_set(err, ERR_CORRUPT, "secret %s of cluster %s is damaged", name, cluster);
        size_t length = sealed->length - SEAL_TAG_SIZE;
        int context_length, n = 0, tail = 0;
        CLEANUP_FREE unsigned char *context = context_of(cluster, name, &context_length);
        unsigned char tag[SEAL_TAG_SIZE];
        memcpy(tag, sealed->data + length, sizeof tag);
        char *value = mem_zero(length + 1);
        CLEANUP_CIPHER EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        if (!ctx || EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed->nonce) != 1 ||
                EVP_DecryptUpdate(ctx, NULL, &n, context, context_length) != 1 ||
                EVP_DecryptUpdate(ctx, (unsigned char *)value, &n, sealed->data, (int)length) != 1 ||
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_SIZE, tag) != 1 ||
                EVP_DecryptFinal_ex(ctx, (unsigned char *)value + n, &tail) != 1) {
                mem_wipe_free(value, length + 1);
                return err_set(err, ERR_CORRUPT,
                        "secret %s of cluster %s does not open: it was sealed under another key, or tampered with",
                        name, cluster);
        }
        *ret_value = value;
        return 0;
}

static int read_key(const char *path, unsigned char ret[SEAL_KEY_SIZE], struct err **err)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot read the master key %s", path);
        struct stat st;
        if (fstat(fd, &st) < 0)
                return err_set_errno(err, errno, "cannot read the master key %s", path);
        if (st.st_mode & 077)
                return err_set(err, ERR_REFUSED,
                        "others may read the master key %s: its secrets have to be taken as known; run: chmod 600 %s",
                        path, path);
        unsigned char key[SEAL_KEY_SIZE + 1];
        ssize_t n = read(fd, key, sizeof key);
        int r = 0;
        if (n == SEAL_KEY_SIZE)
                memcpy(ret, key, SEAL_KEY_SIZE);
        else
                r = err_set(err, ERR_CORRUPT,
                        "the master key %s is damaged: it has to be %d bytes; bring it back from a backup", path,
                        SEAL_KEY_SIZE);
        explicit_bzero(key, sizeof key);
        return r;
}

/* Writes the whole key to `draft` and gives it its name with link(), which fails if somebody else was first. */
static int write_key(const char *draft, const char *path, struct err **err)
{
        CLEANUP_CLOSE int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot make the master key %s", path);
        unsigned char key[SEAL_KEY_SIZE];
        random_bytes(key, sizeof key);
        ssize_t n = write(fd, key, sizeof key);
        int number = errno;
        explicit_bzero(key, sizeof key);
        if (n != SEAL_KEY_SIZE)
                return err_set_errno(err, n < 0 ? number : ENOSPC, "cannot write the master key %s", path);
        if (fsync(fd) < 0)
                return err_set_errno(err, errno, "cannot write the master key %s", path);
        if (link(draft, path) < 0 && errno != EEXIST)
                return err_set_errno(err, errno, "cannot make the master key %s", path);
        return 0;
}

static int make_key(const char *state_dir, const char *path, struct err **err)
{
        CLEANUP_FREE char *suffix = random_hex(8);
        CLEANUP_FREE char *draft = str_format("%s.%s", path, suffix);
        int r = write_key(draft, path, err);
        unlink(draft);
        if (r < 0)
                return r;
        CLEANUP_CLOSE int folder = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0 || fsync(folder) < 0)
                return err_set_errno(err, errno, "cannot make the master key %s", path);
        return 0;
}

int seal_key(struct journal *journal, bool create, struct err **err)
{
        if (journal->key_loaded)
                return 0;
        CLEANUP_FREE char *path = file_join(journal->state_dir, JOURNAL_KEY);
        if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
                if (!create)
                        return err_set(err, ERR_CORRUPT,
                                "the master key %s is gone: no secret can be opened; bring it back from a backup",
                                path);
                int r = make_key(journal->state_dir, path, err);
                if (r < 0)
                        return r;
        }
        int r = read_key(path, journal->key, err);
        if (r == 0)
                journal->key_loaded = true;
        return r;
}
