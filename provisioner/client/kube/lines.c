#include "client/kube/lines.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void lines_clear(struct lines *lines)
{
        mem_wipe_free(lines->held, lines->length);
        lines->held = NULL;
        lines->length = lines->capacity = 0;
}

static void hold(struct lines *lines, const char *bytes, size_t length)
{
        if (lines->length + length + 1 > lines->capacity) {
                size_t twice = 2 * lines->capacity, needed = lines->length + length + 1;
                lines->capacity = twice > needed ? twice : needed;
                lines->held = mem_resize(lines->held, lines->capacity, 1);
        }
        memcpy(lines->held + lines->length, bytes, length);
        lines->length += length;
        lines->held[lines->length] = '\0';
}

static int give(struct lines *lines)
{
        size_t length = lines->length;
        lines->length = 0;
        return lines->line(lines->data, lines->held, length);
}

int lines_feed(struct lines *lines, const char *bytes, size_t length)
{
        while (length > 0) {
                const char *newline = memchr(bytes, '\n', length);
                size_t n = newline ? (size_t)(newline - bytes) : length, room = lines->max - lines->length;
                if (n > room && !lines->pieces)
                        return -ERR_INVALID;
                bool piece = n > room;
                n = piece ? room : n;
                hold(lines, bytes, n);
                bytes += n;
                length -= n;
                int r = piece || newline ? give(lines) : 0;
                if (r)
                        return r;
                if (!piece && newline) {
                        bytes++;
                        length--;
                }
        }
        return 0;
}

int lines_end(struct lines *lines)
{
        return lines->length ? give(lines) : 0;
}
