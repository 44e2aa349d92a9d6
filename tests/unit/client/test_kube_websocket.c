/* WebSocket frames and lines, from a server that may send anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "client/kube/lines.h"
#include "client/kube/websocket.h"

static struct buf told;

static int on_message(void *data, enum websocket_opcode opcode, const char *payload, size_t length)
{
        (void)data;
        buf_format(&told, "%d:%zu:%.*s ", opcode, length, (int)(length < 20 ? length : 20), payload);
        return length == 4 && memcmp(payload, "stop", 4) == 0 ? 7 : 0;
}

/* Fed in pieces of every size from 1 to all, the same comes out. */
static int feed(const char *bytes, size_t length, struct err **err)
{
        int first = 0;
        CLEANUP_FREE char *expected = NULL;
        for (size_t size = 1; size <= length; size = size < 64 ? size + 1 : size * 2) {
                struct websocket_reader reader;
                int r = 0;
                buf_clear(&told);
                told = (struct buf)BUF_INIT(10000);
                websocket_reader_init(&reader, on_message, NULL);
                for (size_t at = 0; at < length && r == 0; at += size) {
                        if (err)
                                *err = err_free(*err);
                        r = websocket_feed(&reader, bytes + at, length - at < size ? length - at : size, err);
                }
                websocket_reader_clear(&reader);
                if (size == 1) {
                        first = r;
                        expected = str_copy(told.data ? told.data : "");
                }
                assert_int_equal(r, first);
                assert_string_equal(expected, told.data ? told.data : "");
        }
        return first;
}

#define FEED(bytes) feed(bytes, sizeof(bytes) - 1, NULL)

static void refuse(const char *bytes, size_t length, const char *part)
{
        struct err *err = NULL;
        assert_int_equal(feed(bytes, length, &err), -ERR_INVALID);
        if (!strstr(err->message, part))
                fail_msg("'%s' is not in: %s", part, err->message);
        err_free(err);
}
#define REFUSE(bytes, part) refuse(bytes, sizeof(bytes) - 1, part)

static void test_messages(void **state)
{
        (void)state;
        assert_int_equal(FEED("\x82\x03"
                              "abc"
                              "\x81\x00"
                              "\x89\x02"
                              "hi"
                              "\x88\x02\x03\xe8"),
                0);
        assert_string_equal(told.data, "2:3:abc 1:0: 9:2:hi 8:2:\x03\xe8 ");
        /* fragments, with a ping between them */
        assert_int_equal(FEED("\x02\x02"
                              "ab"
                              "\x00\x00"
                              "\x8a\x01"
                              "!"
                              "\x80\x02"
                              "cd"
                              "\x82\x01"
                              "e"),
                0);
        assert_string_equal(told.data, "10:1:! 2:4:abcd 2:1:e ");
        assert_int_equal(FEED("\x82\x04"
                              "stop"
                              "\x82\x01"
                              "x"),
                7);
        assert_string_equal(told.data, "2:4:stop ");
        CLEANUP_FREE char *large = mem_zero(70010);
        memcpy(large,
                "\x82\x7f\0\0\0\0\0\1\x11\x70"
                "begin",
                15);
        assert_int_equal(feed(large, 70010, NULL), 0);
        assert_true(str_starts(told.data, "2:70000:begin"));
        memcpy(large,
                "\x82\x7e\x00\x7e"
                "begin",
                9);
        assert_int_equal(feed(large, 4 + 126, NULL), 0);
        assert_true(str_starts(told.data, "2:126:begin"));
}

static void test_hostile_frames(void **state)
{
        (void)state;
        REFUSE("\xc2\x01"
               "x",
                "reserved bits");
        REFUSE("\x82\x81\0\0\0\0x", "masked");
        REFUSE("\x83\x01x", "unknown kind");
        REFUSE("\x8b\x00", "unknown kind");
        REFUSE("\x09\x00", "control is fragmented");
        REFUSE("\x89\x7e\x00\x7e", "control is fragmented or too long");
        REFUSE("\x82\x7e\x00\x7d", "longer than needed");
        REFUSE("\x82\x7f\0\0\0\0\0\0\xff\xff", "longer than needed");
        REFUSE("\x82\x7f\x80\0\0\0\0\0\0\0", "too large");
        REFUSE("\x82\x7f\0\0\0\0\0\x10\0\1", "too large");
        REFUSE("\x80\x00", "out of order");
        REFUSE("\x02\x00\x82\x00", "out of order");
        /* fragments that are too large together */
        CLEANUP_FREE char *large = mem_zero(WEBSOCKET_MESSAGE_MAX + 100);
        memcpy(large, "\x02\x7f\0\0\0\0\0\x10\0\0", 10);
        memcpy(large + 10 + WEBSOCKET_MESSAGE_MAX, "\x80\x01", 2);
        struct websocket_reader reader;
        struct err *err = NULL;
        websocket_reader_init(&reader, on_message, NULL);
        assert_int_equal(websocket_feed(&reader, large, 10 + WEBSOCKET_MESSAGE_MAX, NULL), 0);
        assert_int_equal(websocket_feed(&reader, large + 10 + WEBSOCKET_MESSAGE_MAX, 3, &err), -ERR_INVALID);
        assert_non_null(strstr(err->message, "too large"));
        err_free(err);
        websocket_reader_clear(&reader);
}

/* What we write has the mask that the server wants; unmasked it is what the reader takes. */
static void test_our_frames(void **state)
{
        (void)state;
        static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 70000};
        static const uint8_t mask[4] = {0x12, 0xff, 0x00, 0x80};
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                CLEANUP_BUF struct buf out = BUF_INIT(100000);
                CLEANUP_FREE char *payload = mem_zero(lengths[i] + 1);
                for (size_t j = 0; j < lengths[i]; j++)
                        payload[j] = (char)('a' + j % 26);
                websocket_frame(&out, WEBSOCKET_BINARY, payload, lengths[i], mask);
                size_t head = lengths[i] < 126 ? 2 : lengths[i] < 65536 ? 4 : 10;
                assert_int_equal(out.length, head + 4 + lengths[i]);
                assert_true((uint8_t)out.data[1] & 0x80);
                assert_int_equal(memcmp(out.data + head, mask, 4), 0);
                out.data[1] = (char)(out.data[1] & 0x7f);
                for (size_t j = 0; j < lengths[i]; j++)
                        out.data[head + j] = (char)((uint8_t)out.data[head + 4 + j] ^ mask[j % 4]);
                assert_int_equal(feed(out.data, head + lengths[i], NULL), 0);
                CLEANUP_FREE char *expected =
                        str_format("2:%zu:%.*s ", lengths[i], lengths[i] < 20 ? (int)lengths[i] : 20, payload);
                assert_string_equal(told.data, expected);
        }
}

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* of RFC 6455 */

static void head_refused(const char *head, const char *part)
{
        struct err *err = NULL;
        assert_int_equal(websocket_check_head(head, KEY, "v4.channel.k8s.io", &err), -ERR_FAILED);
        if (!strstr(err->message, part))
                fail_msg("'%s' is not in: %s", part, err->message);
        err_free(err);
}

static void test_heads(void **state)
{
        (void)state;
        CLEANUP_FREE char *accept = websocket_accept(KEY);
        assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
#define HEAD(upgrade, accept_text, protocol, more)                                                                     \
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: " upgrade "\r\nSec-Websocket-Accept:" accept_text                \
        "\r\nSec-WebSocket-Protocol: " protocol "\r\n" more "\r\n"
#define GOOD "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert_int_equal(
                websocket_check_head(HEAD("WebSocket", GOOD, "v4.channel.k8s.io", ""), KEY, "v4.channel.k8s.io", NULL),
                0);
        head_refused(HEAD("h2c", GOOD, "v4.channel.k8s.io", ""), "no right switch");
        head_refused(HEAD("websocket", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", "v4.channel.k8s.io", ""), "no right switch");
        head_refused(HEAD("websocket", GOOD, "v5.channel.k8s.io", ""), "but v5.channel.k8s.io");
        head_refused(HEAD("websocket", GOOD, "v4.channel.k8s.io", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
                "does not speak");
        head_refused("HTTP/1.1 200 OK\r\n\r\n", "200 OK");
        head_refused("HTTP/1.1 101 x\r\n\r\n", "no right switch");
        head_refused("", "no switch");
}

/* ---- lines ---- */

static int on_line(void *data, const char *text, size_t length)
{
        (void)data;
        assert_int_equal(text[length], 0);
        buf_format(&told, "%.*s|", (int)length, text);
        return str_is(text, "stop") ? 5 : 0;
}

static int split(const char *text, size_t max, bool pieces)
{
        int first = 0;
        CLEANUP_FREE char *expected = NULL;
        size_t length = strlen(text);
        for (size_t size = 1; size <= length; size++) {
                CLEANUP_LINES struct lines lines = {.max = max, .pieces = pieces, .line = on_line};
                int r = 0;
                buf_clear(&told);
                for (size_t at = 0; at < length && r == 0; at += size)
                        r = lines_feed(&lines, text + at, length - at < size ? length - at : size);
                if (r == 0)
                        r = lines_end(&lines);
                if (size == 1) {
                        first = r;
                        expected = str_copy(told.data ? told.data : "");
                }
                assert_int_equal(r, first);
                assert_string_equal(expected, told.data ? told.data : "");
        }
        return first;
}

static void test_lines(void **state)
{
        (void)state;
        assert_int_equal(split("one\n\ntwo\nthree", 100, false), 0);
        assert_string_equal(told.data, "one||two|three|");
        assert_int_equal(split("one\nstop\ntwo\n", 100, false), 5);
        assert_string_equal(told.data, "one|stop|");
        assert_int_equal(split("abc\nabcd\nabcdefghi\n", 4, true), 0);
        assert_string_equal(told.data, "abc|abcd|abcd|efgh|i|");
        assert_int_equal(split("abc\nabcd\nabcde\n", 4, false), -ERR_INVALID);
        assert_string_equal(told.data, "abc|abcd|");
}

static int end(void **state)
{
        (void)state;
        buf_clear(&told);
        return 0;
}

int main(void)
{
        told = (struct buf)BUF_INIT(10000);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages),
                cmocka_unit_test(test_hostile_frames),
                cmocka_unit_test(test_our_frames),
                cmocka_unit_test(test_heads),
                cmocka_unit_test(test_lines),
        };
        return cmocka_run_group_tests(tests, NULL, end);
}
