#include "client/kube/websocket.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "client/kube/base64.h"

#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define CONTROL_MAX 125

char *websocket_accept(const char *key)
{
        CLEANUP_FREE char *text = str_format("%s" GUID, key);
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned int length = 0;
        if (EVP_Digest(text, strlen(text), digest, &length, EVP_sha1(), NULL) != 1)
                abort(); /* SHA-1 is always there */
        return base64_encode(digest, length);
}

/* The trimmed value of a header, or NULL. The caller frees. */
static char *header(const char *head, const char *name)
{
        size_t n = strlen(name);
        for (const char *line = strchr(head, '\n'); line; line = strchr(line, '\n')) {
                line++;
                if (strncasecmp(line, name, n) != 0 || line[n] != ':')
                        continue;
                CLEANUP_FREE char *value = str_copy_n(line + n + 1, strcspn(line + n + 1, "\r\n"));
                return str_copy(str_trim(value));
        }
        return NULL;
}

int websocket_check_head(const char *head, const char *key, const char *protocol, struct err **err)
{
        if (!str_starts(head, "HTTP/1.1 101"))
                return err_set(err, ERR_FAILED, "no switch to a WebSocket: %.*s", (int)strcspn(head, "\r\n"), head);
        CLEANUP_FREE char *upgrade = header(head, "Upgrade");
        CLEANUP_FREE char *accepted = header(head, "Sec-WebSocket-Accept");
        CLEANUP_FREE char *chosen = header(head, "Sec-WebSocket-Protocol");
        CLEANUP_FREE char *extensions = header(head, "Sec-WebSocket-Extensions");
        CLEANUP_FREE char *wanted = websocket_accept(key);
        if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !str_is(accepted, wanted))
                return err_set(err, ERR_FAILED, "no right switch to a WebSocket");
        if (!str_is(chosen, protocol) || (extensions && *extensions))
                return err_set(err, ERR_FAILED, "the server does not speak %s, but %.50s", protocol,
                        chosen && *chosen ? chosen : "something else");
        return 0;
}

void websocket_frame(
        struct buf *out, enum websocket_opcode opcode, const void *payload, size_t length, const uint8_t mask[4])
{
        uint8_t head[14] = {(uint8_t)(0x80 | opcode)};
        size_t n = 2;
        if (length < 126) {
                head[1] = (uint8_t)(0x80 | length);
        } else if (length < 65536) {
                head[1] = 0x80 | 126;
                head[n++] = (uint8_t)(length >> 8);
                head[n++] = (uint8_t)length;
        } else {
                head[1] = 0x80 | 127;
                for (int shift = 56; shift >= 0; shift -= 8)
                        head[n++] = (uint8_t)((uint64_t)length >> shift);
        }
        memcpy(head + n, mask, 4);
        buf_add(out, (const char *)head, n + 4);
        size_t at = out->length;
        buf_add(out, payload, length);
        for (size_t i = 0; i < length && at + i < out->length; i++)
                out->data[at + i] = (char)((uint8_t)out->data[at + i] ^ mask[i % 4]);
}

void websocket_reader_init(struct websocket_reader *reader,
        int (*message)(void *data, enum websocket_opcode opcode, const char *payload, size_t length), void *data)
{
        *reader = (struct websocket_reader){.message = message,
                .data = data,
                .body = BUF_INIT(WEBSOCKET_MESSAGE_MAX),
                .control = BUF_INIT(CONTROL_MAX)};
}

void websocket_reader_clear(struct websocket_reader *reader)
{
        if (reader->body.data)
                explicit_bzero(reader->body.data, reader->body.length);
        buf_clear(&reader->body);
        buf_clear(&reader->control);
}

static bool is_control(uint8_t opcode)
{
        return opcode >= 8;
}

static int invalid(struct err **err, const char *what)
{
        return err_set(err, ERR_INVALID, "a WebSocket frame %s", what);
}

/* How long the head is, as far as its first two bytes tell. */
static size_t head_wanted(const struct websocket_reader *reader)
{
        if (reader->head_length < 2)
                return 2;
        int length = reader->head[1] & 0x7f;
        return length == 127 ? 10 : length == 126 ? 4 : 2;
}

/* The whole head is there. */
static int begin_frame(struct websocket_reader *reader, struct err **err)
{
        const uint8_t *head = reader->head;
        uint8_t opcode = head[0] & 0x0f;
        bool last = head[0] & 0x80;
        uint64_t length = head[1] & 0x7f;
        size_t n = reader->head_length;
        if (head[0] & 0x70)
                return invalid(err, "with reserved bits");
        if (head[1] & 0x80)
                return invalid(err, "of the server is masked");
        if (n > 2) {
                length = 0;
                for (size_t i = 2; i < n; i++)
                        length = length << 8 | head[i];
                if (length < (n == 4 ? 126 : 65536))
                        return invalid(err, "writes its length longer than needed");
        }
        if (is_control(opcode) && (!last || length > CONTROL_MAX))
                return invalid(err, "of control is fragmented or too long");
        if (opcode > WEBSOCKET_BINARY && (opcode < WEBSOCKET_CLOSE || opcode > WEBSOCKET_PONG))
                return invalid(err, "of an unknown kind");
        if (!is_control(opcode) && reader->fragmented != (opcode == WEBSOCKET_MORE))
                return invalid(err, "out of order");
        size_t held = is_control(opcode) ? 0 : reader->body.length;
        if (length > WEBSOCKET_MESSAGE_MAX - held)
                return invalid(err, "is too large");
        reader->opcode = opcode;
        reader->last = last;
        reader->left = length;
        reader->inside = true;
        if (!is_control(opcode) && opcode != WEBSOCKET_MORE)
                reader->message_opcode = opcode;
        return 0;
}

static int end_frame(struct websocket_reader *reader)
{
        bool control = is_control(reader->opcode);
        struct buf *body = control ? &reader->control : &reader->body;
        uint8_t opcode = control ? reader->opcode : reader->message_opcode;
        reader->inside = false;
        reader->head_length = 0;
        if (!control)
                reader->fragmented = !reader->last;
        if (!reader->last)
                return 0;
        int r = reader->message(
                reader->data, (enum websocket_opcode)opcode, body->data ? body->data : "", body->length);
        body->length = 0;
        return r;
}

int websocket_feed(struct websocket_reader *reader, const void *bytes, size_t length, struct err **err)
{
        const char *at = bytes;
        while (length > 0) {
                int r = 0;
                if (!reader->inside) {
                        reader->head[reader->head_length++] = (uint8_t)*at++;
                        length--;
                        if (reader->head_length == head_wanted(reader))
                                r = begin_frame(reader, err);
                } else {
                        size_t n = length < reader->left ? length : (size_t)reader->left;
                        buf_add(is_control(reader->opcode) ? &reader->control : &reader->body, at, n);
                        at += n;
                        length -= n;
                        reader->left -= n;
                }
                if (r == 0 && reader->inside && reader->left == 0)
                        r = end_frame(reader);
                if (r)
                        return r;
        }
        return 0;
}
