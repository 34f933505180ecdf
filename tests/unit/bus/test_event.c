/* test_event.c - payloads, notes and entries that come from Redis, good and bad. */
/* SPDX-License-Identifier: MIT */
#include "bus/redis_inside.h"
#include "tests.h"

#include <string.h>

static void payloads_are_an_id_a_blank_and_json(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "1-1",
                                      "x {}",
                                      "1-x {}",
                                      "-1 {}",
                                      "1 {}",
                                      "~ab-1 {}",
                                      "01-1 {}",
                                      "0-1 {}",
                                      "99999999999999999999-1 {}",
                                      " 1-1 {}"};
    struct event_id id;
    struct slice json;

    (void)state;
    assert_true(bus_payload_split(slice_of("17-3 {\"a\": 1}"), &id, &json));
    assert_int_equal(id.epoch, 17);
    assert_int_equal(id.seq, 3);
    assert_true(slice_is(json, "{\"a\": 1}"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(bus_payload_split(slice_of(bad[i]), &id, &json));
}

static void notes_open_or_erase(void **state)
{
    static const char *const bad[] = {"",
                                      "null",
                                      "[]",
                                      "{}",
                                      "{\"type\":1}",
                                      "{\"type\":\"other\"}",
                                      "{\"type\":\"opened\""};
    struct bus_note note;

    (void)state;
    assert_true(bus_note_read(
        slice_of(
            "{\"type\":\"opened\",\"state\":\"queued\",\"started_at\":1732000000000,"
            "\"keeps_text\":true}"),
        &note));
    assert_true(note.is_opened);
    assert_int_equal(note.state, RUN_QUEUED);
    assert_int_equal(note.started_ms, 1732000000000);
    assert_true(note.keeps_text);
    assert_true(
        bus_note_read(slice_of("{\"type\":\"opened\",\"state\":\"running\"}"), &note));
    assert_int_equal(note.state, RUN_RUNNING);
    assert_false(note.keeps_text);
    assert_true(bus_note_read(slice_of("{\"type\":\"erased\"}"), &note));
    assert_true(note.is_erased);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(bus_note_read(slice_of(bad[i]), &note));
}

static void entries_must_be_events_without_an_id(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "null",
        "[]",
        "{\"type\":1}",
        "{\"text\":\"x\"}",
        "{\"type\":\"text\",\"text\":\"x\",\"id\":\"1-1\"}",
        "{\"type\":\"a\",\"x\":NaN}",
        "{\"type\":\"text\",\"text\":\"\xff\"}"};
    struct event_id id = {5, 6, false};
    struct topic_event event;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, EVENT_MAX_BYTES);
    assert_true(
        bus_event_read(id,
                       slice_of("{\"type\":\"text\",\"text\":\"a\\n\",\"partial\":true,"
                                "\"timestamp\":\"2026-11-20T23:00:00.123Z\"}"),
                       &scratch, &event));
    assert_int_equal(event.type, EVENT_TEXT);
    assert_true(event.is_delta);
    assert_true(slice_is(event.text, "a\\n"));
    assert_int_equal(event.timestamp.len, 24);
    assert_int_equal(event.id.seq, 6);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(bus_event_read(id, slice_of(bad[i]), &scratch, &event));
    buf_release(&scratch);
}

static void an_entry_on_several_lines_is_put_on_one(void **state)
{
    struct topic_event event;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, EVENT_MAX_BYTES);
    assert_true(bus_event_read(
        (struct event_id){5, 6, false},
        slice_of("{\n \"type\": \"text\",\n \"text\": \"b\", \"partial\": true}"),
        &scratch, &event));
    assert_true(
        slice_is(event.body, "{\"type\":\"text\",\"text\":\"b\",\"partial\":true}"));
    assert_true(slice_is(event.text, "b"));
    assert_true(event.text.ptr > event.body.ptr &&
                event.text.ptr < event.body.ptr + event.body.len);
    buf_release(&scratch);
}

int test_event(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_are_an_id_a_blank_and_json),
        cmocka_unit_test(notes_open_or_erase),
        cmocka_unit_test(entries_must_be_events_without_an_id),
        cmocka_unit_test(an_entry_on_several_lines_is_put_on_one),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
