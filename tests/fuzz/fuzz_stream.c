/* What a server streams to us, cut anywhere: WebSocket frames and lines. What comes out does not depend on the cuts,
 * and stays within its bounds. */
#include "base/mem.h"
#include "client/kube/base64.h"
#include "client/kube/lines.h"
#include "client/kube/websocket.h"
#include "fuzz.h"

#define LINE_BYTES 50

static uint64_t sum; /* of all that came out */

static void add(const char *bytes, size_t length, unsigned kind)
{
        sum = sum * 1099511628211u + kind + 1;
        sum = sum * 1099511628211u + length;
        for (size_t i = 0; i < length; i++)
                sum = (sum ^ (uint8_t)bytes[i]) * 1099511628211u;
}

static int on_message(void *user, enum websocket_opcode opcode, const char *payload, size_t length)
{
        (void)user;
        MUST(length <= (opcode >= WEBSOCKET_CLOSE ? 125 : WEBSOCKET_MESSAGE_MAX));
        MUST(opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY ||
                (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG));
        add(payload, length, opcode);
        return 0;
}

static int on_line(void *user, const char *text, size_t length)
{
        (void)user;
        MUST(length <= LINE_BYTES && text[length] == '\0' && !memchr(text, '\n', length));
        add(text, length, 100);
        return 0;
}

/* The size of the pieces changes with seed. */
static uint64_t feed(const uint8_t *data, size_t size, unsigned seed, bool pieces)
{
        struct websocket_reader reader;
        CLEANUP_LINES struct lines lines = {.max = LINE_BYTES, .pieces = pieces, .line = on_line};
        int frames = 0, splits = 0;
        websocket_reader_init(&reader, on_message, NULL);
        uint64_t frame_sum = 0, line_sum = 0;
        for (size_t at = 0, n; at < size; at += n) {
                n = seed ? (seed * 7 + at) % seed + 1 : size;
                n = n < size - at ? n : size - at;
                sum = frame_sum;
                frames = frames ? frames : websocket_feed(&reader, data + at, n, NULL);
                frame_sum = sum;
                sum = line_sum;
                splits = splits ? splits : lines_feed(&lines, (const char *)data + at, n);
                line_sum = sum;
        }
        sum = line_sum;
        if (splits == 0)
                MUST(lines_end(&lines) == 0);
        websocket_reader_clear(&reader);
        return frame_sum ^ (sum << 1) ^ (uint64_t)(uint32_t)frames ^ (uint64_t)(uint32_t)splits << 32;
}

static void decode(const uint8_t *data, size_t size)
{
        char *out = NULL;
        size_t length = 0;
        if (base64_decode((const char *)data, size, &out, &length) < 0)
                return;
        MUST(length <= size && out[length] == '\0');
        CLEANUP_FREE char *text = base64_encode(out, length);
        char *again = NULL;
        size_t again_length = 0;
        MUST(base64_decode(text, strlen(text), &again, &again_length) == 0);
        MUST(again_length == length && memcmp(again, out, length) == 0);
        free(again);
        free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        for (int pieces = 0; pieces < 2; pieces++) {
                uint64_t whole = feed(data, size, 0, pieces);
                MUST(feed(data, size, 1, pieces) == whole);
                MUST(feed(data, size, 17, pieces) == whole);
        }
        CLEANUP_FREE char *head = str_copy_n((const char *)data, size);
        websocket_check_head(head, "dGhlIHNhbXBsZSBub25jZQ==", "v4.channel.k8s.io", NULL);
        decode(data, size);
        return 0;
}
