/* test_bench.c - the measuring instruments measure right. */
/* SPDX-License-Identifier: MIT */
#include "feed.h"
#include "marker.h"
#include "reader.h"
#include "samples.h"
#include "tally.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_frame_is_the_120_bytes_of_the_design(void **state)
{
    (void)state;
    struct text frame = {0};
    struct marker marker = {7, 299, 123456789012345u};
    marker_frame(&frame, &marker);
    assert_int_equal(frame.length, FRAME_LENGTH);
    text_release(&frame);
}

static void a_marker_survives_envelopes_and_merging(void **state)
{
    (void)state;
    struct text text = {0};
    struct marker first = {1, 2, 3};
    struct marker second = {0xffff, 0xffffff, UINT64_MAX};
    struct marker seen;
    text_printf(&text, "~~ ~0001.00000z.0000000000000003~");
    marker_frame(&text, &first);
    marker_message(&text, &second);
    const char *at = text.bytes;
    const char *end = text.bytes + text.length;
    assert_true(marker_next(&at, end, &seen));
    assert_memory_equal(&seen, &first, sizeof(seen));
    assert_true(marker_next(&at, end, &seen));
    assert_memory_equal(&seen, &second, sizeof(seen));
    assert_false(marker_next(&at, end, &seen));
    text_release(&text);
}

static void a_cut_marker_is_none(void **state)
{
    (void)state;
    static const char whole[] = "~0001.000002.0000000000000003~";
    struct marker seen;
    for (size_t length = 0; length < MARKER_LENGTH; length++) {
        const char *at = whole;
        assert_false(marker_next(&at, whole + length, &seen));
    }
    const char *at = whole;
    assert_true(marker_next(&at, whole + MARKER_LENGTH, &seen));
}

static void words_are_found_in_order(void **state)
{
    (void)state;
    static const char text[] = "{\"text\":\"w00000 w00001 w0000x w12345 w99";
    const char *at = text;
    const char *end = text + sizeof(text) - 1;
    unsigned index = 9;
    assert_true(word_next(&at, end, &index) && index == 0);
    assert_true(word_next(&at, end, &index) && index == 1);
    assert_true(word_next(&at, end, &index) && index == 12345);
    assert_false(word_next(&at, end, &index));
}

static void give(struct tally *tally, unsigned task, unsigned seq)
{
    struct marker marker = {task, seq, 1000};
    tally_delivery(tally, 0, 5, &marker, 1000 + (seq + 1) * 100u);
}

static void losses_doubles_disorder_and_strangers_are_counted_apart(void **state)
{
    (void)state;
    struct tally tally;
    tally_init(&tally, 1, 2, 10);
    give(&tally, 5, 0);
    assert_false(tally_is_warm(&tally));
    give(&tally, 5, 1);
    assert_true(tally_is_warm(&tally));
    give(&tally, 5, 2);
    give(&tally, 5, 4);
    give(&tally, 5, 3);  /* late */
    give(&tally, 5, 4);  /* again */
    give(&tally, 6, 5);  /* not ours */
    give(&tally, 5, 12); /* never sent */
    assert_int_equal(tally.timed, 3);
    assert_int_equal(tally.reordered, 1);
    assert_int_equal(tally.duplicates, 1);
    assert_int_equal(tally.foreign, 2);
    assert_int_equal(tally_lost(&tally), 7);
    assert_false(tally_is_complete(&tally));
    for (unsigned seq = 5; seq < 12; seq++)
        give(&tally, 5, seq);
    assert_true(tally_is_complete(&tally));
    tally_release(&tally);
}

static void percentiles_are_of_timed_deliveries(void **state)
{
    (void)state;
    struct tally tally;
    tally_init(&tally, 1, 0, 100);
    for (unsigned seq = 100; seq-- > 0;)
        give(&tally, 5, seq);
    tally_sort(&tally);
    assert_int_equal(tally_percentile(&tally, 500), 5000);
    assert_int_equal(tally_percentile(&tally, 990), 9900);
    assert_int_equal(tally_percentile(&tally, 1000), 10000);
    tally_release(&tally);
}

static void frames_of_every_length_are_read(void **state)
{
    (void)state;
    static char payload[70000];
    static const size_t sizes[] = {0, 1, 125, 126, 65535};
    struct ws_frame frame;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct text wire = {0};
        ws_encode(&wire, payload, sizes[i]);
        assert_int_equal(ws_decode(wire.bytes, wire.length - 1, &frame), 0);
        assert_int_equal(ws_decode(wire.bytes, wire.length, &frame), wire.length);
        assert_int_equal(frame.length, sizes[i]);
        assert_true(frame.is_final && frame.opcode == WS_TEXT);
        text_release(&wire);
    }
    assert_int_equal(ws_decode("\x81\x80", 2, &frame), -1); /* masked */
    assert_int_equal(ws_decode("\xc1\x00", 2, &frame), -1); /* reserved bit */
}

static void a_masked_frame_is_the_one_of_the_rfc(void **state)
{
    (void)state;
    struct text wire = {0};
    ws_encode_masked(&wire, WS_TEXT, "Hello", 5); /* RFC 6455 section 5.7 */
    assert_int_equal(wire.length, 11);
    assert_memory_equal(wire.bytes, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    text_release(&wire);
}

static void chunks_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char wire[] =
        "5\r\nhello\r\n1b;x=y\r\n world, this is 27 bytes!\n\n\r\n";
    size_t length = sizeof(wire) - 1;
    for (size_t cut = 0; cut <= length; cut++) {
        struct text body = {0};
        size_t left = 0;
        ssize_t used = chunked_decode(wire, cut, &left, &body);
        assert_true(used >= 0);
        assert_int_equal(
            chunked_decode(wire + used, length - (size_t)used, &left, &body),
            (ssize_t)length - used);
        assert_int_equal(body.length, 32);
        assert_memory_equal(body.bytes, "hello world, this is 27 bytes!\n\n", 32);
        text_release(&body);
    }
}

static void heads_tell_status_and_length(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\nbody";
    int status = 0;
    ssize_t body = 0;
    assert_int_equal(http_head(head, 40, &status, &body), 0);
    assert_int_equal(http_head(head, sizeof(head) - 1, &status, &body),
                     sizeof(head) - 1 - 4);
    assert_int_equal(status, 201);
    assert_int_equal(body, 12);
    assert_int_equal(http_head("hello", 5, &status, &body), -1);
}

static void a_publish_nobody_heard_is_refused(void **state)
{
    (void)state;
    const struct feed *feed = feed_named("frappe");
    bool accepted = false;
    assert_int_equal(feed->answer(":1\r\n:1", 6, &accepted), 4);
    assert_true(accepted);
    assert_int_equal(feed->answer(":0\r\n", 4, &accepted), 4);
    assert_false(accepted);
    assert_int_equal(feed->answer("-ERR no\r\n", 9, &accepted), 9);
    assert_false(accepted);
    assert_int_equal(feed->answer(":1", 2, &accepted), 0);
}

static void the_last_id_of_several_is_the_place(void **state)
{
    (void)state;
    static const char text[] = "{\"id\":\"7-1\",\"task_id\":\"x\"},{\"id\":\"7-2\"}";
    char place[PLACE_SIZE] = "before";
    assert_true(reader_last_text(text, sizeof(text) - 1, "\"id\":\"", place));
    assert_string_equal(place, "7-2");
    /* What is cut off, or absent, changes nothing. */
    assert_false(reader_last_text(text, sizeof(text) - 3, "\"id\":\"", place));
    assert_false(reader_last_text(text, sizeof(text) - 1, "\"pid\":\"", place));
    assert_string_equal(place, "7-2");
}

static void an_id_that_has_no_room_is_none(void **state)
{
    (void)state;
    char text[PLACE_SIZE + 8];
    char place[PLACE_SIZE] = "";
    memset(text, 'x', sizeof(text));
    text[0] = '=';
    text[PLACE_SIZE + 1] = '"';
    assert_false(reader_last_text(text, sizeof(text), "=", place));
    text[PLACE_SIZE] = '"';
    assert_true(reader_last_text(text, sizeof(text), "=", place));
    assert_int_equal(strlen(place), PLACE_SIZE - 1);
}

/* A client in memory that is told `told`; answers how it begins its next request. */
static void hear(struct reader *reader, const char *kind, const char *told)
{
    const struct dialect *dialect = dialect_named(kind);
    reader->state = READER_READY;
    (void)dialect->on_text(reader, told, strlen(told));
    reader->out.length = 0;
    dialect->on_connected(reader);
    text_add(&reader->out, "", 1);
}

static void who_has_seen_something_goes_on_behind_it(void **state)
{
    (void)state;
    struct reader_plan plan = {.from = "start", .port = 1};
    struct place place = {0};
    struct reader reader = {.plan = &plan, .place = &place, .fd = -1};
    hear(&reader, "sse", "event: subscribed\ndata: {}\n\n");
    assert_non_null(strstr(reader.out.bytes, "/events?from=start HTTP"));
    hear(&reader, "sse", "event: ai_progress\ndata: {\"id\":\"9-4\"}\n\n");
    assert_non_null(strstr(reader.out.bytes, "/events?since=9-4 HTTP"));
    hear(&reader, "longpoll", "{\"events\":[{\"id\":\"9-5\"}],\"id\":\"9-6\"}");
    assert_non_null(strstr(reader.out.bytes, "/events?since=9-6 HTTP"));
    assert_int_equal(place.resyncs, 0);
    hear(&reader, "sse", "event: resync\ndata: {}\n\nevent: ai_progress\ndata: {}\n\n");
    assert_int_equal(place.resyncs, 1);
    text_release(&reader.out);
}

static void an_offset_is_the_last_argument(void **state)
{
    (void)state;
    struct reader_plan plan = {.from = ""};
    struct place place = {0};
    struct reader reader = {.plan = &plan, .place = &place, .fd = -1};
    const char *told = "42[\"ai_progress\",{\"text\":\"a\"},\"1-2\"]";
    const struct dialect *dialect = dialect_named("recovery");
    reader.state = READER_READY;
    assert_true(dialect->on_text(&reader, told, strlen(told)));
    assert_string_equal(place.id, "1-2");
    /* What was missed may come before the answer that says so. */
    reader.state = READER_JOINING;
    told = "42[\"ai_progress\",{\"text\":\"b\"},\"1-3\"]";
    assert_true(dialect->on_text(&reader, told, strlen(told)));
    assert_int_equal(reader.state, READER_JOINING);
    assert_string_equal(place.id, "1-3");
}

static void percentiles_are_of_all_samples(void **state)
{
    (void)state;
    struct samples samples = {0};
    assert_true(samples_us(&samples, 500) < 0.5);
    for (uint64_t i = 10000; i-- > 0;)
        samples_add(&samples, (i + 1) * 1000);
    samples_sort(&samples);
    assert_int_equal((int)samples_us(&samples, 500), 5000);
    assert_int_equal((int)samples_us(&samples, 999), 9990);
    assert_int_equal((int)samples_us(&samples, 1000), 10000);
    samples_release(&samples);
}

static void the_same_seed_is_the_same_chance(void **state)
{
    (void)state;
    uint64_t one = 5;
    uint64_t other = 5;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = chance_about(&one, 1000);
        assert_int_equal(value, chance_about(&other, 1000));
        assert_in_range(value, 750, 1250);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_is_the_120_bytes_of_the_design),
        cmocka_unit_test(a_marker_survives_envelopes_and_merging),
        cmocka_unit_test(a_cut_marker_is_none),
        cmocka_unit_test(words_are_found_in_order),
        cmocka_unit_test(losses_doubles_disorder_and_strangers_are_counted_apart),
        cmocka_unit_test(percentiles_are_of_timed_deliveries),
        cmocka_unit_test(frames_of_every_length_are_read),
        cmocka_unit_test(a_masked_frame_is_the_one_of_the_rfc),
        cmocka_unit_test(chunks_may_be_cut_anywhere),
        cmocka_unit_test(heads_tell_status_and_length),
        cmocka_unit_test(a_publish_nobody_heard_is_refused),
        cmocka_unit_test(the_last_id_of_several_is_the_place),
        cmocka_unit_test(an_id_that_has_no_room_is_none),
        cmocka_unit_test(who_has_seen_something_goes_on_behind_it),
        cmocka_unit_test(an_offset_is_the_last_argument),
        cmocka_unit_test(percentiles_are_of_all_samples),
        cmocka_unit_test(the_same_seed_is_the_same_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
