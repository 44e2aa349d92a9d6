#include "client/kube/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value(char c)
{
        const char *at = c ? strchr(alphabet, c) : NULL;
        return at ? (int)(at - alphabet) : -1;
}

int base64_decode(const char *text, size_t length, char **ret, size_t *ret_length)
{
        char *out = mem_zero(length / 4 * 3 + 4);
        size_t n = 0, room = length / 4 * 3 + 4;
        uint32_t bits = 0;
        int count = 0, pads = 0;
        for (size_t i = 0; i < length; i++) {
                if (text[i] == '\n' || text[i] == '\r')
                        continue;
                int v = value(text[i]);
                if (text[i] == '=')
                        pads++;
                else if (v < 0 || pads)
                        goto bad;
                bits = bits << 6 | (uint32_t)(v < 0 ? 0 : v);
                if (++count == 4) {
                        for (int shift = 16; shift >= 0 && pads < 3; shift -= 8)
                                if (16 - shift <= 8 * (2 - pads))
                                        out[n++] = (char)(bits >> shift & 0xff);
                        count = 0;
                        bits = 0;
                        if (pads > 2)
                                goto bad;
                }
        }
        if (count || pads > 2)
                goto bad;
        out[n] = '\0';
        *ret = out;
        *ret_length = n;
        return 0;
bad:
        mem_wipe_free(out, room);
        return -1;
}

char *base64_encode(const void *data, size_t length)
{
        const unsigned char *in = data;
        char *out = mem_zero((length + 2) / 3 * 4 + 1);
        size_t n = 0;
        for (size_t i = 0; i < length; i += 3) {
                size_t left = length - i;
                uint32_t bits = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                                (left > 2 ? (uint32_t)in[i + 2] : 0);
                out[n++] = alphabet[bits >> 18 & 63];
                out[n++] = alphabet[bits >> 12 & 63];
                out[n++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
                out[n++] = left > 2 ? alphabet[bits & 63] : '=';
        }
        return out;
}
