/* test_ws.c - frames as RFC 6455 section 5 writes them. */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_bytes(const struct buf *buf, const char *bytes, size_t len)
{
    assert_int_equal(buf->len, len);
    assert_memory_equal(buf->data, bytes, len);
}

/* RFC 6455 section 5.7, the unmasked examples. */
static void the_examples_of_the_rfc_are_written(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100000);
    assert_true(ws_frame(&out, WS_TEXT, slice_of("Hello")));
    assert_bytes(&out, "\x81\x05Hello", 7);
    buf_reset(&out);
    assert_true(ws_frame(&out, WS_PING, slice_of("Hello")));
    assert_bytes(&out, "\x89\x05Hello", 7);

    char payload[256] = {0};
    buf_reset(&out);
    assert_true(ws_frame(&out, WS_BINARY, slice_make(payload, 256)));
    assert_int_equal(out.len, 260);
    assert_memory_equal(out.data, "\x82\x7e\x01\x00", 4);
    buf_release(&out);
}

static void headers_have_three_lengths(void **state)
{
    (void)state;
    char header[10];
    assert_int_equal(ws_header(header, WS_TEXT, 0), 2);
    assert_memory_equal(header, "\x81\x00", 2);
    assert_int_equal(ws_header(header, WS_TEXT, 125), 2);
    assert_memory_equal(header, "\x81\x7d", 2);
    assert_int_equal(ws_header(header, WS_TEXT, 126), 4);
    assert_memory_equal(header, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(ws_header(header, WS_BINARY, 65535), 4);
    assert_memory_equal(header, "\x82\x7e\xff\xff", 4);
    assert_int_equal(ws_header(header, WS_BINARY, 65536), 10);
    assert_memory_equal(header, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void an_empty_payload_is_one_frame(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10);
    assert_true(ws_frame(&out, WS_CLOSE, slice_make(NULL, 0)));
    assert_bytes(&out, "\x88\x00", 2);
    assert_int_equal(ws_frame_size(0), 2);
    buf_release(&out);
}

/* An independent reader of unmasked frames: checks them and joins their payload. */
static unsigned read_frames(struct slice frames, unsigned opcode, struct buf *payload)
{
    unsigned count = 0;
    size_t at = 0;
    bool is_last = false;

    while (at < frames.len) {
        const unsigned char *head = (const unsigned char *)frames.ptr + at;
        size_t len = head[1];
        size_t head_len = 2;
        assert_false(is_last);
        is_last = (head[0] & 0x80) != 0;
        assert_int_equal(head[0] & 0x7f, count == 0 ? opcode : 0);
        assert_true(len < 127);
        if (len == 126) {
            len = (size_t)head[2] << 8 | head[3];
            head_len = 4;
            assert_true(len > 125);
        }
        assert_true(head_len + len <= WS_FRAME_MAX_BYTES);
        assert_true(at + head_len + len <= frames.len);
        buf_append(payload, frames.ptr + at + head_len, len);
        at += head_len + len;
        count++;
    }
    assert_true(is_last);
    return count;
}

static void long_messages_are_fragmented_and_no_frame_is_too_long(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        unsigned frames;
    } cases[] = {{0, 1},      {1, 1},      {125, 1},    {126, 1},     {65531, 1},
                 {65532, 1},  {65533, 2},  {65536, 2},  {131064, 2},  {131065, 3},
                 {131189, 3}, {131190, 3}, {131191, 3}, {1000000, 16}};
    char *payload = malloc(1000000);
    assert_non_null(payload);
    for (size_t i = 0; i < 1000000; i++)
        payload[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        struct buf back;
        buf_init(&out, 2000000);
        buf_init(&back, 2000000);
        assert_true(ws_frame(&out, WS_TEXT, slice_make(payload, cases[i].len)));
        assert_int_equal(out.len, ws_frame_size(cases[i].len));
        assert_int_equal(read_frames(buf_view(&out), WS_TEXT, &back), cases[i].frames);
        assert_int_equal(back.len, cases[i].len);
        if (cases[i].len > 0)
            assert_memory_equal(back.data, payload, cases[i].len);
        buf_release(&out);
        buf_release(&back);
    }
    free(payload);
}

static void two_parts_make_the_same_frames_as_one(void **state)
{
    (void)state;
    char *payload = malloc(140000);
    assert_non_null(payload);
    for (size_t i = 0; i < 140000; i++)
        payload[i] = (char)('a' + i % 23);
    static const size_t splits[] = {0, 1, 65531, 65532, 65533, 70000, 140000};
    struct buf whole;
    buf_init(&whole, 200000);
    assert_true(ws_frame(&whole, WS_BINARY, slice_make(payload, 140000)));
    for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        struct buf parts;
        buf_init(&parts, 200000);
        assert_true(
            ws_frame_parts(&parts, WS_BINARY, slice_make(payload, splits[i]),
                           slice_make(payload + splits[i], 140000 - splits[i])));
        assert_true(slice_equal(buf_view(&parts), buf_view(&whole)));
        buf_release(&parts);
    }
    buf_release(&whole);
    free(payload);
}

static void a_payload_is_framed_where_it_stands(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     125,    126,    65531, 65532,
                                   65533, 65535, 131064, 131065, 140000};
    char *payload = malloc(140000);
    assert_non_null(payload);
    for (size_t i = 0; i < 140000; i++)
        payload[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf framed;
        struct buf wrapped;
        buf_init(&framed, 200000);
        buf_init(&wrapped, 200000);
        buf_puts(&framed, "before");
        buf_puts(&wrapped, "before");
        assert_true(ws_frame(&framed, WS_TEXT, slice_make(payload, sizes[i])));
        buf_append(&wrapped, payload, sizes[i]);
        assert_true(ws_wrap(&wrapped, WS_TEXT, 6));
        assert_int_equal(wrapped.len, 6 + ws_frame_size(sizes[i]));
        assert_true(slice_equal(buf_view(&wrapped), buf_view(&framed)));
        buf_release(&wrapped);
        buf_release(&framed);
    }
    free(payload);
}

static void a_payload_that_cannot_be_framed_is_taken_out(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    assert_true(buf_puts(&out, "abcdefg"));
    assert_false(ws_wrap(&out, WS_TEXT, 2));
    assert_bytes(&out, "ab", 2);
    buf_reset(&out);
    assert_true(buf_puts(&out, "ab"));
    assert_false(buf_puts(&out, "much too long"));
    assert_false(ws_wrap(&out, WS_TEXT, 0));
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

static void a_frame_that_does_not_fit_adds_nothing(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    assert_true(ws_frame(&out, WS_TEXT, slice_of("ab")));
    assert_false(ws_frame(&out, WS_TEXT, slice_of("abc")));
    assert_bytes(&out,
                 "\x81\x02"
                 "ab",
                 4);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_written),
        cmocka_unit_test(headers_have_three_lengths),
        cmocka_unit_test(an_empty_payload_is_one_frame),
        cmocka_unit_test(long_messages_are_fragmented_and_no_frame_is_too_long),
        cmocka_unit_test(two_parts_make_the_same_frames_as_one),
        cmocka_unit_test(a_payload_is_framed_where_it_stands),
        cmocka_unit_test(a_payload_that_cannot_be_framed_is_taken_out),
        cmocka_unit_test(a_frame_that_does_not_fit_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
