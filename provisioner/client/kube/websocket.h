/* WebSocket frames (RFC 6455), the client's side: what is needed to speak to an API server, and strict about what comes
 * from there. No input or output here. */
#ifndef CAAS_CLIENT_KUBE_WEBSOCKET_H
#define CAAS_CLIENT_KUBE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define WEBSOCKET_MESSAGE_MAX (1024UL * 1024)

enum websocket_opcode {
        WEBSOCKET_MORE = 0,
        WEBSOCKET_TEXT = 1,
        WEBSOCKET_BINARY = 2,
        WEBSOCKET_CLOSE = 8,
        WEBSOCKET_PING = 9,
        WEBSOCKET_PONG = 10,
};

/* What the server must answer to this key (Sec-WebSocket-Accept); the caller frees. */
char *websocket_accept(const char *key);

/* Is this the head of an answer (up to its empty line) that opens a WebSocket for our key and protocol? -ERR_FAILED. */
int websocket_check_head(const char *head, const char *key, const char *protocol, struct err **err);

/* Adds one masked frame. */
void websocket_frame(
        struct buf *out, enum websocket_opcode opcode, const void *payload, size_t length, const uint8_t mask[4]);

struct websocket_reader {
        /* A whole message (binary or text, its fragments joined), or a control frame. Not 0 ends it. */
        int (*message)(void *data, enum websocket_opcode opcode, const char *payload, size_t length);
        void *data;
        uint8_t head[10];
        size_t head_length;
        uint64_t left;          /* of the frame's payload */
        bool inside;            /* a frame */
        bool fragmented;        /* a message whose end has not come */
        bool last;              /* this frame ends its message */
        uint8_t opcode;         /* of this frame */
        uint8_t message_opcode; /* of the fragmented message */
        struct buf body, control;
};
void websocket_reader_init(struct websocket_reader *reader,
        int (*message)(void *data, enum websocket_opcode opcode, const char *payload, size_t length), void *data);
void websocket_reader_clear(struct websocket_reader *reader);

/* 0, what message() returned when not 0, or -ERR_INVALID: the server does not keep to the rules, or the message is
 * larger than WEBSOCKET_MESSAGE_MAX. Not to be fed after that. */
int websocket_feed(struct websocket_reader *reader, const void *bytes, size_t length, struct err **err);

#endif
