/* test_event.c - strict and tolerant reading of events. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "schema/event.h"

#include <stdlib.h>

static enum event_fault check(const char *json, struct event *event, const char **field)
{
    return event_check(slice_of(json), event, field);
}

static void refuses(const char *json, enum event_fault wanted, const char *wanted_field)
{
    struct event event;
    const char *field = "untouched";
    assert_int_equal(check(json, &event, &field), wanted);
    assert_false(event.is_delta);
    if (wanted_field == NULL)
        assert_null(field);
    else
        assert_string_equal(field, wanted_field);
}

static void assert_slice(struct slice got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

static void every_type_has_one_name_and_finds_it_again(void **state)
{
    (void)state;
    for (int t = EVENT_OTHER + 1; t <= EVENT_ERROR; t++) {
        const char *name = event_type_name((enum event_type)t);
        assert_non_null(name);
        assert_int_equal(event_type_of(slice_of(name)), t);
    }
    assert_null(event_type_name(EVENT_OTHER));
    assert_int_equal(event_type_of(slice_of("texts")), EVENT_OTHER);
    assert_int_equal(event_type_of(slice_of("")), EVENT_OTHER);
}

static void only_completion_stopped_and_error_are_terminal(void **state)
{
    (void)state;
    for (int t = EVENT_OTHER; t <= EVENT_ERROR; t++) {
        bool wanted = t == EVENT_COMPLETION || t == EVENT_STOPPED || t == EVENT_ERROR;
        assert_int_equal(event_type_is_terminal((enum event_type)t), wanted);
    }
}

static void a_checked_delta_points_into_its_text(void **state)
{
    static const char json[] =
        " {\"type\":\"reasoning\",\"text\":\"a\\nb\",\"partial\":true,"
        "\"task_id\":\"t1\",\"timestamp\":\"2026-11-20T23:00:00.123Z\",\"more\":[1]} ";
    struct event event;
    const char *field = "untouched";
    (void)state;
    assert_int_equal(check(json, &event, &field), EVENT_OK);
    assert_null(field);
    assert_int_equal(event.type, EVENT_REASONING);
    assert_true(event.is_delta);
    assert_false(event.has_id);
    assert_slice(event.type_name, "reasoning");
    assert_slice(event.text, "a\\nb");
    assert_slice(event.task_id, "t1");
    assert_slice(event.timestamp, "2026-11-20T23:00:00.123Z");
    assert_int_equal(event.json.ptr[0], '{');
    assert_int_equal(event.json.ptr[event.json.len - 1], '}');
    assert_true(event.text.ptr > json && event.text.ptr < json + sizeof(json));
}

static void absent_members_are_null_and_no_delta(void **state)
{
    struct event event;
    const char *field;
    (void)state;
    assert_int_equal(check("{\"type\":\"queued\"}", &event, &field), EVENT_OK);
    assert_null(event.task_id.ptr);
    assert_null(event.text.ptr);
    assert_null(event.timestamp.ptr);
    assert_false(event.is_delta);
    assert_int_equal(check("{\"type\":\"text\",\"text\":\"x\"}", &event, &field),
                     EVENT_OK);
    assert_false(event.is_delta);
    assert_int_equal(
        check("{\"type\":\"other\",\"text\":\"x\",\"partial\":true}", &event, &field),
        EVENT_OK);
    assert_false(event.is_delta);
    assert_int_equal(event.type, EVENT_OTHER);
    assert_slice(event.type_name, "other");
}

static void a_readers_copy_is_told_by_its_id(void **state)
{
    struct event event;
    const char *field;
    (void)state;
    assert_int_equal(check("{\"id\":\"17-2\",\"type\":\"queued\"}", &event, &field),
                     EVENT_OK);
    assert_true(event.has_id);
}

static void a_refusal_names_the_fault_and_the_member(void **state)
{
    (void)state;
    refuses("{\"type\":\"text\"", EVENT_NOT_JSON, NULL);
    refuses("[]", EVENT_NOT_OBJECT, NULL);
    refuses("null", EVENT_NOT_OBJECT, NULL);
    refuses("{}", EVENT_MISSING, "type");
    refuses("{\"type\":\"text\",\"partial\":true}", EVENT_MISSING, "text");
    refuses("{\"type\":\"text\",\"text\":5}", EVENT_BAD_TYPE, "text");
    refuses("{\"type\":\"text\",\"text\":\"x\",\"task_id\":\"a b\"}", EVENT_BAD_VALUE,
            "task_id");
    refuses("{\"type\":\"completion\",\"text\":\"x\",\"partial\":true}",
            EVENT_BAD_VALUE, "partial");
    refuses("{\"type\":\"error\",\"code\":\"X\"}", EVENT_MISSING, "message");
    refuses("{\"type\":\"text\",\"text\":\"x\",\"text\":\"y\",\"partial\":true}",
            EVENT_BAD_VALUE, "text");
    refuses("{\"type\":\"text\",\"text\":\"x\",\"timestamp\":\"now\"}", EVENT_BAD_VALUE,
            "timestamp");
}

static void an_event_past_its_bound_is_refused_before_it_is_read(void **state)
{
    struct event event;
    const char *field;
    static const char json[] = "{\"type\":\"queued\"}";
    char *big = malloc(EVENT_MAX_BYTES + 1);
    (void)state;
    assert_non_null(big);
    memset(big, ' ', EVENT_MAX_BYTES + 1);
    for (size_t i = 0; json[i] != 0; i++)
        big[i] = json[i];
    assert_int_equal(event_check(slice_make(big, EVENT_MAX_BYTES), &event, &field),
                     EVENT_OK);
    assert_int_equal(event_check(slice_make(big, EVENT_MAX_BYTES + 1), &event, &field),
                     EVENT_TOO_LARGE);
    free(big);
}

static void every_fault_has_its_own_words(void **state)
{
    (void)state;
    for (int a = EVENT_OK; a <= EVENT_TOO_LARGE; a++)
        for (int b = EVENT_OK; b < a; b++)
            assert_string_not_equal(event_fault_text((enum event_fault)a),
                                    event_fault_text((enum event_fault)b));
}

static void what_frappe_publishes_is_viewed_and_never_merged(void **state)
{
    struct event event;
    (void)state;
    assert_true(event_view(slice_of("{\n \"partial\": true,\n \"task_id\": \"t 1\",\n"
                                    " \"text\": \"x\",\n \"type\": \"text\"\n}"),
                           &event));
    assert_int_equal(event.type, EVENT_TEXT);
    assert_slice(event.task_id, "t 1");
    assert_slice(event.text, "x");
    assert_false(event.is_delta);
    assert_true(
        event_view(slice_of("{\"type\":7,\"task_id\":8,\"text\":null}"), &event));
    assert_int_equal(event.type, EVENT_OTHER);
    assert_null(event.task_id.ptr);
    assert_null(event.text.ptr);
    /* Of equal members the first counts, however it is written; what is not known is passed
     * over, and a member of a member is none of the event's. */
    assert_true(
        event_view(slice_of(" {\"x\":{\"id\":1,\"type\":\"error\"},\"text\":\"a\","
                            "\"text\":\"b\",\"\\u0074ype\":\"text\","
                            "\"type\":\"error\"} "),
                   &event));
    assert_int_equal(event.type, EVENT_TEXT);
    assert_slice(event.text, "a");
    assert_false(event.has_id);
    assert_true(event_view(slice_of("{\"\\u0069d\":null}"), &event));
    assert_true(event.has_id);
}

static void only_objects_can_be_viewed(void **state)
{
    struct event event;
    (void)state;
    assert_false(event_view(slice_of("\"Failed\""), &event));
    assert_false(event_view(slice_of("[]"), &event));
    assert_false(event_view(slice_of("null"), &event));
    assert_false(event_view(slice_of("{\"a\":NaN}"), &event));
    assert_false(event_view(slice_of(""), &event));
}

int test_event(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_one_name_and_finds_it_again),
        cmocka_unit_test(only_completion_stopped_and_error_are_terminal),
        cmocka_unit_test(a_checked_delta_points_into_its_text),
        cmocka_unit_test(absent_members_are_null_and_no_delta),
        cmocka_unit_test(a_readers_copy_is_told_by_its_id),
        cmocka_unit_test(a_refusal_names_the_fault_and_the_member),
        cmocka_unit_test(an_event_past_its_bound_is_refused_before_it_is_read),
        cmocka_unit_test(every_fault_has_its_own_words),
        cmocka_unit_test(what_frappe_publishes_is_viewed_and_never_merged),
        cmocka_unit_test(only_objects_can_be_viewed),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
