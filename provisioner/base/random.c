#include "base/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

void random_bytes(void *data, size_t length)
{
        unsigned char *p = data;
        while (length > 0) {
                ssize_t n = getrandom(p, length, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        abort();
                p += n;
                length -= (size_t)n;
        }
}

char *random_hex(size_t bytes)
{
        static const char digits[] = "0123456789abcdef";
        unsigned char *raw = mem_resize(NULL, bytes, 1);
        char *text = mem_zero(2 * bytes + 1);
        random_bytes(raw, bytes);
        for (size_t i = 0; i < bytes; i++) {
                text[2 * i] = digits[raw[i] >> 4];
                text[2 * i + 1] = digits[raw[i] & 15];
        }
        mem_wipe_free(raw, bytes);
        return text;
}

char *random_password(size_t length)
{
        static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        const unsigned n = sizeof letters - 1, fair = 256 - 256 % n; /* the rest would favour the first letters */
        char *text = mem_zero(length + 1);
        for (size_t i = 0; i < length;) {
                uint8_t byte;
                random_bytes(&byte, 1);
                if (byte < fair)
                        text[i++] = letters[byte % n];
        }
        return text;
}
