/* test_faults.c - repeating, reopening, overflowing, leases, and being told to stop. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdlib.h>

static void an_unanswered_open_is_tried_again_with_the_same_producer(void **state)
{
    struct rig rig;
    char producer[33] = "";
    (void)state;
    rig_start(&rig, rig_options());
    rig_turn(&rig);
    memcpy(producer, rig.fake.open.producer.ptr, 32);
    fake_open(&rig.fake, PUBLISH_UNAVAILABLE, 0);
    rig_until_u(&rig, &rig.fake.opens, 2);
    assert_memory_equal(producer, rig.fake.open.producer.ptr, 32);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH);
    assert_int_equal(emitter_epoch(rig.emitter), EPOCH);
    rig_end(&rig);
}

static void a_failed_publish_is_repeated_with_the_same_counter_and_bytes(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    say_text(&rig, "a");
    rig_turn(&rig);
    say_text(&rig, "b");
    fake_answer(&rig.fake, 0, PUBLISH_UNAVAILABLE);
    rig_until(&rig, &rig.fake.count, 2);
    assert_string_equal(fake_lines(&rig.fake, 0), fake_lines(&rig.fake, 1));
    assert_int_equal(rig.fake.calls[1].counter, 1);
    fake_answer(&rig.fake, 1, PUBLISH_OK);
    rig_turn(&rig);
    assert_in(&rig, 2, "\"text\":\"b\"");
    assert_int_equal(rig.fake.calls[2].counter, 2);
    assert_int_equal(emitter_stats(rig.emitter)->retries, 1);
    rig_end(&rig);
}

static void pipelined_publishes_that_fail_are_repeated_in_order(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.window_ms = 0;
    rig_start_open(&rig, options);
    for (int i = 0; i < 3; i++) {
        say_text(&rig, "x");
        rig_turn(&rig);
    }
    assert_int_equal(rig.fake.count, 3);
    fake_answer(&rig.fake, 0, PUBLISH_UNAVAILABLE);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 3); /* first all answers */
    /* The first got lost, so the second came too early: not lost data. */
    fake_answer_gap(&rig.fake, 1, 1);
    fake_answer_gap(&rig.fake, 2, 1);
    rig_until(&rig, &rig.fake.count, 6);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig.fake.calls[3 + i].counter, i + 1);
        assert_string_equal(fake_lines(&rig.fake, i), fake_lines(&rig.fake, 3 + i));
    }
    assert_int_equal(rig.fake.opens, 1);
    rig_end(&rig);
}

static void lose_data(enum publish_status how)
{
    struct rig rig;
    rig_start_open(&rig, rig_options());
    say_reasoning(&rig, "r");
    say_text(&rig, "a");
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    say_text(&rig, "b");
    assert_true(emitter_event(rig.emitter, slice_of("{\"type\":\"tool_call\"}")));
    rig_turn(&rig);
    say_text(&rig, "c");
    if (how == PUBLISH_GAP)
        fake_answer_gap(&rig.fake, 1, 1);
    else
        fake_answer(&rig.fake, 1, how);
    assert_true(emitter_complete(rig.emitter));
    rig_until_u(&rig, &rig.fake.opens, 2);
    assert_int_equal(rig.fake.open.state, RUN_RUNNING);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH + 1);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 3);
    assert_int_equal(rig.fake.calls[2].counter, 1);
    assert_int_equal(rig.fake.calls[2].epoch, EPOCH + 1);
    assert_int_equal(rig.fake.calls[2].count, 4);
    const char *lines = fake_lines(&rig.fake, 2);
    const char *r = strstr(lines, "{\"type\":\"reasoning\",\"text\":\"r\"");
    const char *t = strstr(lines, "{\"type\":\"text\",\"text\":\"abc\"");
    const char *call = strstr(lines, "{\"type\":\"tool_call\"");
    const char *end = strstr(lines, "{\"type\":\"completion\",\"text\":\"abc\"");
    assert_true(r == lines && t > r && call > t && end > call);
    assert_int_equal(emitter_stats(rig.emitter)->reopened, 1);
    fake_answer(&rig.fake, 2, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.ended, 1);
    assert_int_equal(rig.ended_as, PUBLISH_OK);
    rig_end(&rig);
}

static void an_unknown_run_is_opened_again_and_all_text_republished(void **state)
{
    (void)state;
    lose_data(PUBLISH_UNKNOWN_RUN);
}

static void a_gap_before_what_was_acknowledged_is_lost_data_too(void **state)
{
    (void)state;
    lose_data(PUBLISH_GAP);
}

static void a_continue_republishes_the_earlier_text_when_that_was_lost(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.keeps_text = true;
    options.earlier_text = slice_of("one ");
    rig_start_open(&rig, options);
    say_text(&rig, "two");
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_UNKNOWN_RUN);
    rig_until_u(&rig, &rig.fake.opens, 2);
    assert_false(rig.fake.open.keeps_text);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH + 1);
    rig_turn(&rig);
    assert_in(&rig, 1, "{\"type\":\"text\",\"text\":\"one two\"");
    rig_end(&rig);
}

static void republishing_more_than_the_unsent_bound_is_no_overflow(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.max_unsent_bytes = 1000;
    rig_start_open(&rig, options);
    for (size_t i = 0; i < 20; i++) {
        say_text(&rig, "0123456789012345678901234567890123456789"
                       "0123456789012345678901234567890123456789");
        rig_turn(&rig);
        fake_answer(&rig.fake, i, PUBLISH_OK);
        rig_turn(&rig);
    }
    say_text(&rig, "x");
    rig_turn(&rig);
    fake_answer(&rig.fake, 20, PUBLISH_UNKNOWN_RUN);
    rig_turn(&rig);
    say_text(&rig, "y");
    rig_until_u(&rig, &rig.fake.opens, 2);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH + 1);
    rig_turn(&rig);
    assert_not_in(&rig, 21, "EMITTER_OVERFLOW");
    assert_in(&rig, 21, "xy\"");
    assert_in(&rig, 21, "\"text\":\"0123456789");
    rig_end(&rig);
}

static void past_its_bound_the_run_ends_with_overflow_instead_of_a_hole(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    unsigned accepted = 0;
    (void)state;
    options.max_unsent_bytes = 2000;
    rig_start_open(&rig, options);
    say_text(&rig, "kept");
    rig_turn(&rig);
    while (emitter_text(rig.emitter, slice_of("0123456789")))
        accepted++;
    assert_true(accepted > 100 && accepted < 200);
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.fake.count, 2);
    assert_in(&rig, 1, "\"code\":\"EMITTER_OVERFLOW\"");
    assert_not_in(&rig, 1, "0123456789");
    assert_int_equal(rig.fake.calls[1].counter, 2);
    fake_answer(&rig.fake, 1, PUBLISH_OK);
    rig_turn(&rig);
    assert_int_equal(rig.ended, 1);
    rig_end(&rig);
}

static void somebody_elses_end_is_told_once_and_nothing_more_is_sent(void **state)
{
    static const enum publish_status ends[] = {PUBLISH_FENCED, PUBLISH_ENDED,
                                               PUBLISH_TOO_LARGE, PUBLISH_REJECTED};
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct rig rig;
        rig_start_open(&rig, rig_options());
        say_text(&rig, "a");
        rig_turn(&rig);
        say_text(&rig, "b");
        fake_answer(&rig.fake, 0, ends[i]);
        assert_int_equal(rig.ended, 0);
        rig_turn(&rig);
        assert_int_equal(rig.ended, 1);
        assert_int_equal(rig.ended_as, ends[i]);
        assert_false(emitter_text(rig.emitter, slice_of("c")));
        assert_true(emitter_is_settled(rig.emitter));
        rig_turn(&rig);
        assert_int_equal(rig.ended, 1);
        assert_int_equal(rig.fake.count, 1);
        rig_end(&rig);
    }
}

static void a_queued_run_is_claimed_and_a_lost_claim_is_the_end(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.claim_epoch = 77;
    rig_start(&rig, options);
    rig_turn(&rig);
    assert_int_equal(rig.fake.claimed, 77);
    fake_open(&rig.fake, PUBLISH_FENCED, 0);
    rig_turn(&rig);
    assert_int_equal(rig.ended_as, PUBLISH_FENCED);
    rig_end(&rig);
}

static void a_quiet_run_renews_its_lease_and_a_busy_one_need_not(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.lease_ms = 90;
    rig_start_open(&rig, options);
    rig_until_u(&rig, &rig.fake.renewals, 1);
    fake_renew(&rig.fake, PUBLISH_OK);
    rig_until_u(&rig, &rig.fake.renewals, 2);
    fake_renew(&rig.fake, PUBLISH_UNAVAILABLE);
    rig_until_u(&rig, &rig.fake.renewals, 3);
    fake_renew(&rig.fake, PUBLISH_ENDED);
    rig_turn(&rig);
    assert_int_equal(rig.ended_as, PUBLISH_ENDED);
    rig_end(&rig);
}

static void a_renewal_that_finds_the_run_gone_opens_it_again(void **state)
{
    struct rig rig;
    struct emitter_options options = rig_options();
    (void)state;
    options.lease_ms = 30;
    rig_start_open(&rig, options);
    say_text(&rig, "a");
    rig_turn(&rig);
    fake_answer(&rig.fake, 0, PUBLISH_OK);
    rig_until_u(&rig, &rig.fake.renewals, 1);
    fake_renew(&rig.fake, PUBLISH_UNKNOWN_RUN);
    rig_until_u(&rig, &rig.fake.opens, 2);
    fake_open(&rig.fake, PUBLISH_OK, EPOCH + 1);
    rig_turn(&rig);
    assert_in(&rig, 1, "{\"type\":\"text\",\"text\":\"a\"");
    rig_end(&rig);
}

static void a_stop_request_is_told_once_and_the_run_goes_on_until_its_end(void **state)
{
    struct rig rig;
    (void)state;
    rig_start_open(&rig, rig_options());
    for (size_t i = 0; i < 3; i++) {
        say_text(&rig, "a");
        rig_turn(&rig);
        fake_answer_stop(&rig.fake, i);
        rig_turn(&rig);
        assert_int_equal(rig.stops, 1);
    }
    assert_true(emitter_stopped(rig.emitter));
    rig_end(&rig);
}

int test_faults(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unanswered_open_is_tried_again_with_the_same_producer),
        cmocka_unit_test(a_failed_publish_is_repeated_with_the_same_counter_and_bytes),
        cmocka_unit_test(pipelined_publishes_that_fail_are_repeated_in_order),
        cmocka_unit_test(an_unknown_run_is_opened_again_and_all_text_republished),
        cmocka_unit_test(a_gap_before_what_was_acknowledged_is_lost_data_too),
        cmocka_unit_test(a_continue_republishes_the_earlier_text_when_that_was_lost),
        cmocka_unit_test(republishing_more_than_the_unsent_bound_is_no_overflow),
        cmocka_unit_test(past_its_bound_the_run_ends_with_overflow_instead_of_a_hole),
        cmocka_unit_test(somebody_elses_end_is_told_once_and_nothing_more_is_sent),
        cmocka_unit_test(a_queued_run_is_claimed_and_a_lost_claim_is_the_end),
        cmocka_unit_test(a_quiet_run_renews_its_lease_and_a_busy_one_need_not),
        cmocka_unit_test(a_renewal_that_finds_the_run_gone_opens_it_again),
        cmocka_unit_test(a_stop_request_is_told_once_and_the_run_goes_on_until_its_end),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
