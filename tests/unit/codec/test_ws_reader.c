/* test_ws_reader.c - what a client may send, and what it may not (RFC 6455 section 5). */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a reader made of some bytes, written as text: "t:Hel t:lo$" is a text message in two
 * parts, "8:.." a close frame, "!.." the problem. */
struct heard {
    char text[2048];
    size_t len;
};

static void hear(struct heard *heard, const char *bytes, size_t len)
{
    assert_true(heard->len + len < sizeof(heard->text));
    if (len > 0)
        memcpy(heard->text + heard->len, bytes, len);
    heard->len += len;
    heard->text[heard->len] = '\0';
}

static void hear_text(struct heard *heard, const char *text)
{
    hear(heard, text, strlen(text));
}

static void hear_start(struct heard *heard, enum ws_read what,
                       const struct ws_part *part)
{
    static const char *const controls[] = {"[8:", "[9:", "[a:"};

    if (what == WS_READ_CONTROL)
        hear_text(heard, controls[part->opcode - WS_CLOSE]);
    else if (part->is_first)
        hear_text(heard, part->opcode == WS_TEXT ? "t:" : "b:");
}

/* Reads everything; false after a protocol error. Parts of one message are joined, so that
 * it does not matter where the bytes were cut. */
static bool feed(struct ws_reader *reader, struct heard *heard, const char *bytes,
                 size_t len)
{
    char *copy = malloc(len + 1);
    struct ws_bytes input = {.ptr = copy, .len = len};
    struct ws_part part;
    enum ws_read what = WS_READ_MORE;

    memcpy(copy, bytes, len);
    while ((what = ws_read(reader, &input, &part)) != WS_READ_MORE &&
           what != WS_READ_BROKEN) {
        hear_start(heard, what, &part);
        hear(heard, part.payload.ptr, part.payload.len);
        if (part.is_last)
            hear_text(heard, what == WS_READ_CONTROL ? "]" : "$");
    }
    assert_int_equal(what == WS_READ_BROKEN, reader->is_broken);
    if (what == WS_READ_BROKEN) {
        hear_text(heard, "!");
        hear_text(heard, part.problem);
    } else {
        assert_int_equal(input.len, 0);
    }
    free(copy);
    return what != WS_READ_BROKEN;
}

static void the_example_of_the_rfc_is_read(void **state)
{
    struct ws_reader reader = {0};
    struct heard heard = {.len = 0};

    (void)state;
    assert_true(
        feed(&reader, &heard, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11));
    assert_string_equal(heard.text, "t:Hello$");
}

/* One message in three fragments with a ping between, an empty one, a long one, a close. */
static size_t write_everything(char *out)
{
    static const char close[] = "\x88\x82\0\0\0\0\x03\xe8";
    static const char frames[] = "\x01\x83\0\0\0\0one"
                                 "\x89\x84\0\0\0\0ping"
                                 "\x00\x80\0\0\0\0"
                                 "\x80\x83\0\0\0\0two"
                                 "\x81\x80\0\0\0\0"
                                 "\x82\xfe\x00\x82\1\2\3\4";
    static const char key[] = "\1\2\3\4";
    size_t len = sizeof(frames) - 1;

    memcpy(out, frames, sizeof(frames));
    for (size_t i = 0; i < 130; i++)
        out[len++] = (char)('x' ^ key[i % 4]);
    memcpy(out + len, close, sizeof(close));
    return len + sizeof(close) - 1;
}

static void any_cut_gives_the_same(void **state)
{
    char bytes[512];
    size_t len = write_everything(bytes);
    struct heard whole = {.len = 0};
    struct ws_reader reader = {0};

    (void)state;
    assert_true(feed(&reader, &whole, bytes, len));
    assert_memory_equal(whole.text, "t:one[9:ping]two$t:$b:xxx", 25);
    for (size_t cut = 0; cut <= len; cut++) {
        struct heard heard = {.len = 0};
        reader = (struct ws_reader){0};
        assert_true(feed(&reader, &heard, bytes, cut));
        assert_true(feed(&reader, &heard, bytes + cut, len - cut));
        assert_string_equal(heard.text, whole.text);
    }
    struct heard single = {.len = 0};
    reader = (struct ws_reader){0};
    for (size_t i = 0; i < len; i++)
        assert_true(feed(&reader, &single, bytes + i, 1));
    assert_string_equal(single.text, whole.text);
}

static void what_is_announced_is_told_before_it_comes(void **state)
{
    struct ws_reader reader = {0};
    char bytes[] = "\x82\xff\0\0\1\0\0\0\0\0\0\0\0\0";
    struct ws_bytes input = {.ptr = bytes, .len = 14};
    struct ws_part part;

    (void)state;
    assert_int_equal(ws_read(&reader, &input, &part), WS_READ_MESSAGE);
    assert_true(part.is_first && !part.is_last);
    assert_int_equal(part.payload.len, 0);
    assert_true(part.left == (uint64_t)1 << 40);
    assert_int_equal(ws_read(&reader, &input, &part), WS_READ_MORE);
}

static void what_the_protocol_forbids_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *heard;
    } cases[] = {
        {"\x81\x05Hello", 7, "!frame without a mask"},
        {"\x88\x00", 2, "!frame without a mask"},
        {"\xc1\x80\0\0\0\0", 6, "!reserved bits without an extension"},
        {"\x91\x80\0\0\0\0", 6, "!reserved bits without an extension"},
        {"\x83\x80\0\0\0\0", 6, "!reserved opcode"},
        {"\x8b\x80\0\0\0\0", 6, "!reserved opcode"},
        {"\x09\x80\0\0\0\0", 6, "!fragmented control frame"},
        {"\x89\xfe\x00\x7e\0\0\0\0", 8, "!control frame too long"},
        {"\x80\x80\0\0\0\0", 6, "!continuation of nothing"},
        {"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12, "t:!message inside a message"},
        {"\x81\x80\0\0\0\0\x80\x80\0\0\0\0", 12, "t:$!continuation of nothing"},
        {"\x81\xfe\x00\x7d\0\0\0\0", 8, "!length not in its shortest form"},
        {"\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14,
         "!length not in its shortest form"},
        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, "!length above 2^63"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_reader reader = {0};
        struct heard heard = {.len = 0};
        assert_false(feed(&reader, &heard, cases[i].bytes, cases[i].len));
        assert_string_equal(heard.text, cases[i].heard);
        /* And nothing is believed any more. */
        assert_false(feed(&reader, &heard, "\x81\x80\0\0\0\0", 6));
    }
}

static void a_control_frame_may_have_125_bytes(void **state)
{
    struct ws_reader reader = {0};
    struct heard heard = {.len = 0};
    char bytes[6 + 125] = "\x8a\xfd\0\0\0\0";

    (void)state;
    memset(bytes + 6, 'p', 125);
    assert_true(feed(&reader, &heard, bytes, sizeof(bytes)));
    assert_int_equal(heard.len, 125 + 4);
}

static void codes_that_may_not_be_sent_are_known(void **state)
{
    unsigned code = 1;

    (void)state;
    assert_true(ws_close_read(slice_make(NULL, 0), &code));
    assert_int_equal(code, 0);
    assert_false(ws_close_read(slice_make("\x03", 1), &code));
    for (unsigned sent = 0; sent < 5200; sent++) {
        char bytes[2] = {(char)(sent >> 8), (char)(sent & 0xff)};
        bool is_good = (sent >= 3000 && sent <= 4999) ||
                       (sent >= 1000 && sent <= 1014 && sent != 1004 && sent != 1005 &&
                        sent != 1006);
        assert_int_equal(ws_close_read(slice_make(bytes, 2), &code), is_good);
        assert_int_equal(code, sent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc_is_read),
        cmocka_unit_test(any_cut_gives_the_same),
        cmocka_unit_test(what_is_announced_is_told_before_it_comes),
        cmocka_unit_test(what_the_protocol_forbids_is_named),
        cmocka_unit_test(a_control_frame_may_have_125_bytes),
        cmocka_unit_test(codes_that_may_not_be_sent_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
