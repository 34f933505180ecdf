/* test_flights.c - equal questions, remembered answers, bounds, and going away. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#define MANY 50

static void fifty_equal_questions_are_one_flight(void **state)
{
    struct rig rig;
    struct reply replies[MANY];
    struct reply other = {0};
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 0, NULL);
    for (size_t i = 0; i < MANY; i++) {
        replies[i].frees_auth = false;
        rig_identify(&rig, "sid=s1", NULL, &replies[i]);
    }
    rig_identify(&rig, "sid=s2", NULL, &other);
    rig_wait_requests(&rig, 2);
    assert_int_equal(rig_count(&rig, "auth_questions"), 2);
    assert_int_equal(replies[0].times, 0);
    rig_release(&rig, 200, SYSTEM_USER);
    rig_wait(&rig);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(replies[i].times, 1);
        assert_string_equal(replies[i].user, "a@b.c");
    }
    assert_int_equal(other.times, 1);
    assert_int_equal(rig.request_count, 2);
    assert_int_equal(rig_count(&rig, "auth_questions"), 0);
    assert_int_equal(rig_count(&rig, "auth_questions_total{by=\"backend\"}"), 2);
    assert_int_equal(rig_count(&rig, "auth_questions_total{by=\"flight\"}"), MANY - 1);
    rig_end(&rig);
}

static void fifty_who_are_refused_are_refused_together(void **state)
{
    struct rig rig;
    struct reply replies[MANY];
    struct auth_question question = {slice_of("ToDo"), slice_of("x")};
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 0, NULL);
    for (size_t i = 0; i < MANY; i++)
        rig_permit(&rig, "sid=s1", &question, &replies[i]);
    rig_wait_requests(&rig, 1);
    rig_release(&rig, 500, "");
    rig_wait(&rig);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(replies[i].times, 1);
        assert_false(replies[i].is_allowed);
    }
    rig_end(&rig);
}

static void an_answer_is_good_for_a_while_and_then_asked_again(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.options.cache_ms = 200;
    rig_who(&rig, "sid=s1", NULL, &reply);
    rig_identify(&rig, "sid=s1", NULL, &reply);
    assert_int_equal(reply.times, 1); /* from memory, so at once */
    assert_string_equal(reply.user, "a@b.c");
    assert_true(reply.is_system_user);
    assert_int_equal(rig.request_count, 1);
    assert_int_equal(rig_count(&rig, "auth_questions_total{by=\"cache\"}"), 1);
    rig_pass_ms(&rig, 250);
    rig_say(&rig, 0, 200, GUEST);
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.user, "Guest");
    assert_int_equal(rig.request_count, 2);
    rig_end(&rig);
}

static void hold(void *ctx, struct identity *identity, const char *error)
{
    struct identity **held = ctx;
    assert_null(error);
    *held = identity_ref(identity);
}

static void what_is_no_longer_good_is_forgotten_unasked(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct identity *held = NULL;
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.options.cache_ms = 100;
    rig_who(&rig, "sid=s1", NULL, &reply);
    struct credentials credentials = rig_credentials(&rig, "sid=s1", NULL);
    auth_identify(rig.auth, &credentials, hold, &held);
    assert_int_equal(held->refs, 2);
    rig_pass_ms(&rig, 250);
    assert_int_equal(held->refs, 1);
    identity_unref(held);
    rig_end(&rig);
}

static void nothing_is_remembered_where_that_is_not_wanted(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.options.cache_ms = 0;
    rig_who(&rig, "sid=s1", NULL, &reply);
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_int_equal(rig.request_count, 2);
    rig_end(&rig);
}

static void what_was_used_least_is_forgotten_first(void **state)
{
    static const char *const asked[] = {"sid=a", "sid=b", "sid=a", "sid=c", "sid=a"};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.options.max_cached = 2;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        rig_who(&rig, asked[i], NULL, &reply);
    assert_int_equal(rig.request_count, 3); /* a, b, c */
    rig_who(&rig, "sid=b", NULL, &reply);
    assert_int_equal(rig.request_count, 4); /* c pushed it out */
    rig_end(&rig);
}

static void what_differs_in_anything_is_another_question(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 16, SYSTEM_USER);
    rig_who(&rig, "sid=x", NULL, &reply);
    rig_who(&rig, NULL, "x", &reply); /* the same bytes, the other header */
    rig_who(&rig, "sid=x", "x", &reply);
    assert_int_equal(rig.request_count, 2);
    rig_who(&rig, "sid=X", NULL, &reply);
    assert_int_equal(rig.request_count, 3);
    struct credentials credentials = rig_credentials(&rig, "sid=x", NULL);
    credentials.site = slice_of("site1.local2");
    rig.waiting = 1;
    auth_identify(rig.auth, &credentials, told_identity, &reply);
    rig_wait(&rig);
    assert_int_equal(rig.request_count, 4);
    rig_end(&rig);
}

static void too_many_questions_at_once_are_refused(void **state)
{
    struct rig rig;
    struct reply first = {0};
    struct reply second = {0};
    struct reply joined = {0};
    (void)state;
    rig_start(&rig, 15, "");
    rig.options.max_questions = 1;
    rig_say(&rig, 0, 0, NULL);
    rig_identify(&rig, "sid=s1", NULL, &first);
    rig_identify(&rig, "sid=s2", NULL, &second);
    assert_int_equal(second.times, 1);
    assert_string_equal(second.error, "Unauthorized");
    assert_int_equal(rig_count(&rig, "auth_refused_total{reason=\"busy\"}"), 1);
    rig_identify(&rig, "sid=s1", NULL, &joined); /* costs no question of its own */
    rig_wait_requests(&rig, 1);
    rig_release(&rig, 200, SYSTEM_USER);
    rig_wait(&rig);
    assert_string_equal(first.user, "a@b.c");
    assert_string_equal(joined.user, "a@b.c");
    rig_say(&rig, 0, 200, SYSTEM_USER);
    rig_who(&rig, "sid=s2", NULL, &second);
    assert_string_equal(second.user, "a@b.c");
    rig_end(&rig);
}

static void going_away_refuses_all_who_wait(void **state)
{
    struct rig rig;
    struct reply replies[3] = {0};
    struct reply permission;
    struct auth_question question = {slice_of("ToDo"), slice_of("x")};
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 0, NULL);
    rig_identify(&rig, "sid=s1", NULL, &replies[0]);
    rig_identify(&rig, "sid=s1", NULL, &replies[1]);
    rig_identify(&rig, "sid=s2", NULL, &replies[2]);
    rig_permit(&rig, "sid=s1", &question, &permission);
    rig_wait_requests(&rig, 3);
    auth_free(rig.auth);
    rig.auth = NULL;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(replies[i].times, 1);
        assert_string_equal(replies[i].error, "Unauthorized");
    }
    assert_int_equal(permission.times, 1);
    assert_false(permission.is_allowed);
    assert_int_equal(http_client_active(rig.client), 0);
    rig_end(&rig);
}

static void who_is_told_may_free_it_all(void **state)
{
    struct rig rig;
    struct reply replies[4] = {0};
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 0, NULL);
    replies[1].frees_auth = true;
    for (size_t i = 0; i < 3; i++)
        rig_identify(&rig, "sid=s1", NULL, &replies[i]);
    rig_identify(&rig, "sid=s2", NULL, &replies[3]);
    rig_wait_requests(&rig, 2);
    rig_release(&rig, 200, SYSTEM_USER);
    rig_wait(&rig);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(replies[i].times, 1);
        assert_string_equal(replies[i].user, "a@b.c");
    }
    /* The other question came first or was ended by the first one's answer. */
    assert_int_equal(replies[3].times, 1);
    rig_end(&rig);
}

static void who_is_told_from_memory_may_free_it_all(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig_who(&rig, "sid=s1", NULL, &reply);
    reply.frees_auth = true;
    rig_identify(&rig, "sid=s1", NULL, &reply);
    assert_int_equal(reply.times, 1);
    assert_null(rig.auth);
    reply.frees_auth = true;
    rig_identify(&rig, NULL, NULL, &reply); /* a new auth, freed when it refuses */
    assert_int_equal(reply.times, 1);
    assert_null(rig.auth);
    rig_end(&rig);
}

struct stubborn {
    struct rig *rig;
    unsigned times;
};

/* Asks once more, whatever it is told. */
static void ask_again(void *ctx, struct identity *identity, const char *error)
{
    struct stubborn *stubborn = ctx;
    assert_null(identity);
    assert_string_equal(error, "Unauthorized");
    if (stubborn->times++ > 0)
        return;
    struct credentials credentials = rig_credentials(stubborn->rig, "sid=s9", NULL);
    auth_identify(stubborn->rig->auth, &credentials, ask_again, stubborn);
}

static void asking_while_it_goes_away_is_refused(void **state)
{
    struct rig rig;
    struct stubborn stubborn = {.rig = &rig};
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 0, NULL);
    rig_auth(&rig);
    struct credentials credentials = rig_credentials(&rig, "sid=s1", NULL);
    auth_identify(rig.auth, &credentials, ask_again, &stubborn);
    rig_wait_requests(&rig, 1);
    auth_free(rig.auth);
    rig.auth = NULL;
    assert_int_equal(stubborn.times, 2);
    rig_end(&rig);
}

int test_flights(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_equal_questions_are_one_flight),
        cmocka_unit_test(fifty_who_are_refused_are_refused_together),
        cmocka_unit_test(an_answer_is_good_for_a_while_and_then_asked_again),
        cmocka_unit_test(what_is_no_longer_good_is_forgotten_unasked),
        cmocka_unit_test(nothing_is_remembered_where_that_is_not_wanted),
        cmocka_unit_test(what_was_used_least_is_forgotten_first),
        cmocka_unit_test(what_differs_in_anything_is_another_question),
        cmocka_unit_test(too_many_questions_at_once_are_refused),
        cmocka_unit_test(going_away_refuses_all_who_wait),
        cmocka_unit_test(who_is_told_may_free_it_all),
        cmocka_unit_test(who_is_told_from_memory_may_free_it_all),
        cmocka_unit_test(asking_while_it_goes_away_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
