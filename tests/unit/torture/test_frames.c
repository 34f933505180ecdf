/* test_frames.c - the client's half of HTTP and WebSocket, also when cut anywhere. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "emitters/torture/frames.h"

static void an_answer_s_head_is_read_once_it_is_whole(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y\r\n\r\n";
    struct http_answer answer;

    (void)state;
    for (size_t len = 0; len < sizeof(head) - 1; len++)
        assert_int_equal(http_answer_read(slice_make(head, len), &answer), 0);
    assert_int_equal(http_answer_read(slice_of(head), &answer), sizeof(head) - 1);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.length, 12);
    assert_false(answer.is_chunked);
    assert_int_equal(http_answer_read(slice_of("SSH-2.0-something else"), &answer), -1);
}

static void chunks_end_with_an_empty_one(void **state)
{
    struct http_answer answer;
    struct slice data;

    (void)state;
    assert_true(http_answer_read(
                    slice_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                    &answer) > 0);
    assert_true(answer.is_chunked);
    assert_int_equal(http_chunk_read(slice_of("5\r\nhel"), &data), 0);
    assert_int_equal(http_chunk_read(slice_of("5\r\nhello\r\n0"), &data), 10);
    assert_true(slice_is(data, "hello"));
    assert_int_equal(http_chunk_read(slice_of("0\r\n\r\n"), &data), 5);
    assert_int_equal(data.len, 0);
    assert_int_equal(http_chunk_read(slice_of("zz\r\n"), &data), -1);
}

static void frames_of_all_lengths_are_read(void **state)
{
    struct ws_part part;
    char frame[300] = {(char)0x81, 126, 1, 0};

    (void)state;
    assert_int_equal(ws_part_read(slice_make("\x81\x02hi", 4), &part), 4);
    assert_true(slice_is(part.payload, "hi"));
    assert_true(part.is_last);
    assert_int_equal(part.opcode, 1);
    assert_int_equal(ws_part_read(slice_make("\x81\x02h", 3), &part), 0);
    assert_int_equal(ws_part_read(slice_make(frame, 259), &part), 0);
    assert_int_equal(ws_part_read(slice_make(frame, 260), &part), 260);
    assert_int_equal(part.payload.len, 256);
    /* A server masks nothing. */
    assert_int_equal(ws_part_read(slice_make("\x81\x82....hi", 8), &part), -1);
}

static void what_a_client_says_is_masked(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    ws_part_write(&out, 1, slice_of("hello"));
    assert_int_equal(out.len, 2 + 4 + 5);
    assert_int_equal((unsigned char)out.data[0], 0x81);
    assert_int_equal((unsigned char)out.data[1], 0x85);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(out.data[6 + i] ^ out.data[2 + i % 4], "hello"[i]);
    buf_release(&out);
}

int run_frames_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_s_head_is_read_once_it_is_whole),
        cmocka_unit_test(chunks_end_with_an_empty_one),
        cmocka_unit_test(frames_of_all_lengths_are_read),
        cmocka_unit_test(what_a_client_says_is_masked),
    };

    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
