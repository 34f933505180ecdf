/* test_run.c - native forms, states, ids and answer names. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "schema/run.h"

static bool site(const char *text)
{
    return site_is_native(slice_of(text));
}

static bool task(const char *text)
{
    return task_id_is_native(slice_of(text));
}

static void native_forms_are_bounded_and_plain(void **state)
{
    char long_name[129];
    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    assert_true(site(""));
    assert_true(site("site1.local"));
    assert_true(site_is_native(slice_make(long_name, 128)));
    assert_false(site_is_native(slice_make(long_name, 129)));
    assert_false(site("a:b"));
    assert_false(site("a/b"));
    assert_false(site_is_native(slice_make("a\0b", 3)));
    assert_false(task(""));
    assert_true(task("task_1_1234567890"));
    assert_true(task("a:b.c-D_9"));
    assert_true(task_id_is_native(slice_make(long_name, 128)));
    assert_false(task_id_is_native(slice_make(long_name, 129)));
    assert_false(task("a}b"));
    assert_false(task("a b"));
    assert_false(task("\xc3\xa9"));
}

static void a_copied_key_outlives_what_it_was_copied_from(void **state)
{
    char site_name[] = "site1.local";
    char id[] = "gen_1";
    struct task_key key = {slice_of(site_name), slice_of(id)};
    struct task_key copy = task_key_copy(&key);
    (void)state;
    memset(site_name, 'x', sizeof(site_name) - 1);
    memset(id, 'y', sizeof(id) - 1);
    assert_true(slice_is(copy.site, "site1.local"));
    assert_true(slice_is(copy.task_id, "gen_1"));
    task_key_release(&copy);
    assert_null(copy.site.ptr);
    assert_int_equal(copy.task_id.len, 0);
    task_key_release(&copy); /* nothing any more */
}

static void a_key_without_a_site_is_copied_too(void **state)
{
    struct task_key key = {{NULL, 0}, slice_of("t")};
    struct task_key copy = task_key_copy(&key);
    (void)state;
    assert_non_null(copy.site.ptr); /* some read it without a look at the length */
    assert_int_equal(copy.site.len, 0);
    assert_true(slice_is(copy.task_id, "t"));
    task_key_release(&copy);
}

static void every_state_has_a_name_and_unknown_names_are_unknown(void **state)
{
    (void)state;
    for (int s = RUN_UNKNOWN; s <= RUN_STOPPED; s++) {
        const char *name = run_state_name((enum run_state)s);
        assert_int_equal(run_state_of(slice_of(name)), s);
        assert_int_equal(run_state_is_final((enum run_state)s), s >= RUN_COMPLETED);
    }
    assert_string_equal(run_state_name(RUN_FAILED), "error");
    assert_int_equal(run_state_of(slice_of("elsewhere")), RUN_UNKNOWN);
}

static void terminal_events_end_a_run_and_others_keep_it_running(void **state)
{
    (void)state;
    assert_int_equal(run_state_after(EVENT_COMPLETION), RUN_COMPLETED);
    assert_int_equal(run_state_after(EVENT_ERROR), RUN_FAILED);
    assert_int_equal(run_state_after(EVENT_STOPPED), RUN_STOPPED);
    assert_int_equal(run_state_after(EVENT_QUEUED), RUN_QUEUED);
    assert_int_equal(run_state_after(EVENT_OTHER), RUN_RUNNING);
    for (int t = EVENT_OTHER; t <= EVENT_ERROR; t++)
        assert_int_equal(run_state_is_final(run_state_after((enum event_type)t)),
                         event_type_is_terminal((enum event_type)t));
}

static void ids_have_one_spelling(void **state)
{
    char text[EVENT_ID_SIZE];
    (void)state;
    event_id_format((struct event_id){1764000000000, 0, false}, text);
    assert_string_equal(text, "1764000000000-0");
    event_id_format((struct event_id){UINT64_MAX, UINT64_MAX, false}, text);
    assert_string_equal(text, "18446744073709551615-18446744073709551615");
    event_id_format((struct event_id){0x90f3a, 10, true}, text);
    assert_string_equal(text, "~90f3a-10");
    event_id_format((struct event_id){UINT64_MAX, 1, true}, text);
    assert_string_equal(text, "~ffffffffffffffff-1");
}

static void ids_survive_writing_and_reading(void **state)
{
    static const struct event_id ids[] = {
        {1, 0, false},
        {1764000000000, 1, false},
        {9999999999999999999U, 9999999999999999999U, false},
        {0x9f3a, 7, true},
        {UINT64_MAX, 42, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char text[EVENT_ID_SIZE];
        struct event_id back = {0, 0, false};
        size_t len = event_id_format(ids[i], text);
        assert_int_equal(len, strlen(text));
        assert_true(event_id_parse(slice_make(text, len), &back));
        assert_true(event_id_equal(back, ids[i]));
    }
}

static void no_id_is_written_as_nothing(void **state)
{
    char text[EVENT_ID_SIZE] = "x";
    (void)state;
    assert_int_equal(event_id_format((struct event_id){0, 5, false}, text), 0);
    assert_string_equal(text, "");
}

static void malformed_ids_are_refused_and_leave_the_target_alone(void **state)
{
    static const char *const bad[] = {
        "",
        "-",
        "1",
        "1-",
        "-1",
        "0-1",
        "01-1",
        "1-01",
        "1 -1",
        "1-1 ",
        "+1-1",
        "1--1",
        "a-1",
        "1-a",
        "~",
        "~-1",
        "~g-1",
        "~A-1",
        "~0-1",
        "~1-",
        "~0f-1",
        "1-1-1",
        "12345678901234567890-1",
        "1-12345678901234567890",
        "~11112222333344445-1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct event_id id = {7, 8, true};
        assert_false(event_id_parse(slice_of(bad[i]), &id));
        assert_true(event_id_equal(id, (struct event_id){7, 8, true}));
    }
    struct event_id id;
    assert_false(event_id_parse(slice_make("1-1\0", 4), &id));
}

static void every_answer_has_its_own_name(void **state)
{
    (void)state;
    for (int a = PUBLISH_OK; a <= PUBLISH_REJECTED; a++)
        for (int b = PUBLISH_OK; b < a; b++)
            assert_string_not_equal(publish_status_name((enum publish_status)a),
                                    publish_status_name((enum publish_status)b));
    for (int a = STOP_ACCEPTED; a <= STOP_UNAVAILABLE; a++)
        for (int b = STOP_ACCEPTED; b < a; b++)
            assert_string_not_equal(stop_status_name((enum stop_status)a),
                                    stop_status_name((enum stop_status)b));
    assert_string_equal(publish_status_name(PUBLISH_GAP), "GAP");
    assert_string_equal(stop_status_name(STOP_STALE_EPOCH), "stale_epoch");
}

int test_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_forms_are_bounded_and_plain),
        cmocka_unit_test(a_copied_key_outlives_what_it_was_copied_from),
        cmocka_unit_test(a_key_without_a_site_is_copied_too),
        cmocka_unit_test(every_state_has_a_name_and_unknown_names_are_unknown),
        cmocka_unit_test(terminal_events_end_a_run_and_others_keep_it_running),
        cmocka_unit_test(ids_have_one_spelling),
        cmocka_unit_test(ids_survive_writing_and_reading),
        cmocka_unit_test(no_id_is_written_as_nothing),
        cmocka_unit_test(malformed_ids_are_refused_and_leave_the_target_alone),
        cmocka_unit_test(every_answer_has_its_own_name),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
