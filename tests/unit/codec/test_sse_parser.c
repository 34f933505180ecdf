/* test_sse_parser.c - server-sent events as a browser reads them (WHATWG HTML 9.2.6). */
/* SPDX-License-Identifier: MIT */
#include "codec/sse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* "event|id|data;" for each event. */
static void keep(void *ctx, const struct sse_message *message)
{
    struct buf *seen = ctx;
    buf_slice(seen, message->event);
    buf_putc(seen, '|');
    buf_slice(seen, message->id);
    buf_putc(seen, '|');
    buf_slice(seen, message->data);
    buf_putc(seen, ';');
}

/* Fed whole, and then in pieces of every size: the events must be the same. */
static void assert_parsed(struct slice stream, const char *expected)
{
    for (size_t piece = stream.len; piece > 0; piece--) {
        struct buf seen;
        buf_init(&seen, 10000);
        struct sse_parser *parser = sse_parser_new(1000, keep, &seen);
        for (size_t at = 0; at < stream.len; at += piece) {
            size_t left = stream.len - at;
            sse_parser_feed(parser,
                            slice_make(stream.ptr + at, left < piece ? left : piece));
        }
        if (strcmp(buf_text(&seen), expected) != 0)
            fail_msg("pieces of %zu: expected '%s', got '%s'", piece, expected,
                     buf_text(&seen));
        assert_int_equal(sse_parser_dropped(parser), 0);
        sse_parser_free(parser);
        buf_release(&seen);
    }
}

#define PARSED(text, expected)                                                         \
    assert_parsed(slice_make((text), sizeof(text) - 1), (expected))

/* The examples of the specification, section 9.2.6. */
static void the_examples_of_the_specification_are_read(void **state)
{
    (void)state;
    PARSED("data: YHOO\ndata: +2\ndata: 10\n\n", "message||YHOO\n+2\n10;");
    PARSED(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
           "data:  third event",
           "message|1|first event;message||second event;");
    PARSED("data\n\ndata\ndata\n\ndata:", "message||;message||\n;");
    PARSED("data:test\n\ndata: test\n\n", "message||test;message||test;");
}

static void all_line_ends_are_understood(void **state)
{
    (void)state;
    PARSED("data: a\r\rdata: b\r\n\r\ndata: c\n\n",
           "message||a;message||b;message||c;");
    PARSED("data: a\r\n\ndata: b\n\r", "message||a;message||b;");
    PARSED("data: a\rdata: b\ndata: c\r\n\r\n", "message||a\nb\nc;");
}

static void fields_are_named_events_and_ids_stick(void **state)
{
    (void)state;
    PARSED("event: x\nid: 7\ndata: 1\n\ndata: 2\n\n", "x|7|1;message|7|2;");
    PARSED("event: x\nevent: y\ndata: 1\n\n", "y||1;");
    PARSED("event: lost\n\ndata: 1\n\n", "message||1;");
    PARSED("id: 9\n\ndata: 1\n\n", "message|9|1;");
    PARSED("Data: no\nfoo: bar\ndata : no\n data: no\ndata: yes\n\n", "message||yes;");
    PARSED("data:a:b: c\n\n", "message||a:b: c;");
    PARSED(":\n: comment\n:data: no\ndata: x\n\n", "message||x;");
}

static void an_id_with_a_nul_is_ignored(void **state)
{
    (void)state;
    PARSED("id: 1\ndata: a\n\nid: 2\0x\ndata: b\n\n", "message|1|a;message|1|b;");
}

static void one_byte_order_mark_at_the_start_is_passed_over(void **state)
{
    (void)state;
    PARSED("\xef\xbb\xbf"
           "data: a\n\n",
           "message||a;");
    PARSED("\xef\xbb\xbf\xef\xbb\xbf"
           "data: a\n\ndata: b\n\n",
           "message||b;");
    PARSED("data: a\n\n\xef\xbb\xbf"
           "data: b\n\n",
           "message||a;");
    PARSED("\xef\xbb"
           "data: a\n\ndata: b\n\n",
           "message||b;");
}

static void an_event_without_its_blank_line_is_not_told(void **state)
{
    (void)state;
    PARSED("data: a\n", "");
    PARSED("data: a", "");
}

static uint64_t retry_of(const char *stream)
{
    struct buf seen;
    buf_init(&seen, 1000);
    struct sse_parser *parser = sse_parser_new(100, keep, &seen);
    sse_parser_feed(parser, slice_of(stream));
    uint64_t ms = sse_parser_retry_ms(parser);
    sse_parser_free(parser);
    buf_release(&seen);
    return ms;
}

static void retry_takes_digits_only(void **state)
{
    (void)state;
    assert_int_equal(retry_of(""), 0);
    assert_int_equal(retry_of("retry: 2500\n"), 2500);
    assert_int_equal(retry_of("retry: 2500\nretry: 10\n"), 10);
    assert_int_equal(retry_of("retry: 2500\nretry: 1.5\n"), 2500);
    assert_int_equal(retry_of("retry: -1\n"), 0);
    assert_int_equal(retry_of("retry:\n"), 0);
    assert_int_equal(retry_of("retry: 99999999999999999999999\n"), 0);
}

struct limited {
    struct buf seen;
    struct sse_parser *parser;
};

static void limited_begin(struct limited *limited, size_t limit_bytes)
{
    buf_init(&limited->seen, 10000);
    limited->parser = sse_parser_new(limit_bytes, keep, &limited->seen);
}

static void limited_end(struct limited *limited, const char *expected, uint64_t dropped)
{
    assert_string_equal(buf_text(&limited->seen), expected);
    assert_int_equal(sse_parser_dropped(limited->parser), dropped);
    sse_parser_free(limited->parser);
    buf_release(&limited->seen);
}

static void a_line_past_the_limit_drops_its_event_only(void **state)
{
    (void)state;
    struct limited limited;
    limited_begin(&limited, 20);
    sse_parser_feed(limited.parser, slice_of("data: 12345678901234\n\n"));
    sse_parser_feed(limited.parser, slice_of("data: 123456789012345\n\n"));
    sse_parser_feed(limited.parser, slice_of("data: after\n\n"));
    limited_end(&limited, "message||12345678901234;message||after;", 1);
}

static void many_lines_past_the_limit_drop_their_event_only(void **state)
{
    (void)state;
    struct limited limited;
    limited_begin(&limited, 20);
    for (int i = 0; i < 4; i++)
        sse_parser_feed(limited.parser, slice_of("data: 1234567\n"));
    sse_parser_feed(limited.parser, slice_of("\ndata: after\n\n"));
    limited_end(&limited, "message||after;", 1);
}

static void a_long_comment_drops_nothing(void **state)
{
    (void)state;
    struct limited limited;
    limited_begin(&limited, 20);
    sse_parser_feed(limited.parser,
                    slice_of("data: x\n: a comment that is far too long\n\n"));
    sse_parser_feed(limited.parser, slice_of("data: y\n:"));
    for (int i = 0; i < 100; i++)
        sse_parser_feed(limited.parser, slice_of("and it goes on "));
    sse_parser_feed(limited.parser, slice_of("\n\n"));
    limited_end(&limited, "message||x;message||y;", 0);
}

static void what_the_encoder_writes_is_read_back(void **state)
{
    (void)state;
    static const char *const data[] = {"",    "x",    " leading", "a\nb",
                                       "a\n", "\n\n", ":",        "data: x"};
    for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        struct limited limited;
        struct buf stream;
        struct buf expected;
        buf_init(&stream, 1000);
        buf_init(&expected, 1000);
        limited_begin(&limited, 100);
        assert_true(
            sse_event(&stream, slice_of("e"), slice_of("1-1"), slice_of(data[i])));
        sse_parser_feed(limited.parser, buf_view(&stream));
        buf_printf(&expected, "e|1-1|%s;", data[i]);
        limited_end(&limited, buf_text(&expected), 0);
        buf_release(&stream);
        buf_release(&expected);
    }
    sse_parser_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_specification_are_read),
        cmocka_unit_test(all_line_ends_are_understood),
        cmocka_unit_test(fields_are_named_events_and_ids_stick),
        cmocka_unit_test(an_id_with_a_nul_is_ignored),
        cmocka_unit_test(one_byte_order_mark_at_the_start_is_passed_over),
        cmocka_unit_test(an_event_without_its_blank_line_is_not_told),
        cmocka_unit_test(retry_takes_digits_only),
        cmocka_unit_test(a_line_past_the_limit_drops_its_event_only),
        cmocka_unit_test(many_lines_past_the_limit_drop_their_event_only),
        cmocka_unit_test(a_long_comment_drops_nothing),
        cmocka_unit_test(what_the_encoder_writes_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
