#include "tree/digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int ok)
{
        if (ok != 1) { /* only for want of memory, or of a SHA-256: nothing could be trusted after that */
                fputs("caas: SHA-256 failed\n", stderr);
                abort();
        }
}

static void to_hex(const unsigned char *bytes, unsigned length, char ret[DIGEST_SIZE])
{
        static const char digits[] = "0123456789abcdef";
        for (unsigned i = 0; i < length; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[2 * length] = '\0';
}

void digest_bytes(const void *data, size_t length, char ret[DIGEST_SIZE])
{
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        must(EVP_Digest(data ? data : "", length, bytes, &n, EVP_sha256(), NULL));
        to_hex(bytes, n, ret);
}

static int feed(const char *buffer, size_t size, void *data)
{
        return EVP_DigestUpdate(data, buffer, size) == 1 ? 0 : -1;
}

void digest_tree(const json_t *tree, char ret[DIGEST_SIZE])
{
        if (!tree) {
                digest_bytes("null", 4, ret);
                return;
        }
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned n = 0;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        must(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
        must(json_dump_callback(tree, feed, ctx, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) == 0);
        must(EVP_DigestFinal_ex(ctx, bytes, &n));
        EVP_MD_CTX_free(ctx);
        to_hex(bytes, n, ret);
}
