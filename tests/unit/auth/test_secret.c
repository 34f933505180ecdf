/* test_secret.c - the secret that backends from v17 on share with their realtime server. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#define SECRET_HEADER "X-Frappe-Socket-Secret"
#define STRANGER      "{\"message\":{}}"

/* Where the secret is kept: the n-th fetch finds the n-th, then the last. */
struct safe {
    const char *found[3]; /* "" = none */
    size_t count;
    unsigned fetches;
    bool is_slow; /* answers when the test says so */
    void (*done)(void *done_ctx, struct slice secret);
    void *done_ctx;
};

static void fetch(void *ctx, void (*done)(void *done_ctx, struct slice secret),
                  void *done_ctx)
{
    struct safe *safe = ctx;
    size_t index = safe->fetches++;
    if (safe->is_slow) {
        safe->done = done;
        safe->done_ctx = done_ctx;
        return;
    }
    if (index >= safe->count)
        index = safe->count - 1;
    done(done_ctx, slice_of(safe->found[index]));
}

static void safe_rig(struct rig *rig, unsigned version, struct safe *safe)
{
    rig_start(rig, version, SYSTEM_USER);
    rig->options.secret = fetch;
    rig->options.secret_ctx = safe;
}

static void the_secret_goes_with_each_question_from_v17_on(void **state)
{
    struct safe safe = {.found = {"first", "second"}, .count = 2};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.user, "a@b.c");
    assert_string_equal(rig_header(&rig, 0, SECRET_HEADER), "first");
    rig_say(&rig, 0, 200, YES);
    assert_true(rig_may(&rig, "sid=s1", "ToDo", "x"));
    assert_string_equal(rig_header(&rig, 1, SECRET_HEADER), "second");
    assert_int_equal(safe.fetches, 2);
    rig_end(&rig);
}

static void no_version_before_is_told_the_secret(void **state)
{
    (void)state;
    for (unsigned version = 13; version <= 16; version++) {
        struct safe safe = {.found = {"first"}, .count = 1};
        struct rig rig;
        struct reply reply = {0};
        safe_rig(&rig, version, &safe);
        rig_who(&rig, "sid=s1", NULL, &reply);
        assert_null(rig_header(&rig, 0, SECRET_HEADER));
        assert_int_equal(safe.fetches, 0);
        rig_end(&rig);
    }
}

/* The backend makes the secret at the first question it gets without one. */
static void a_backend_that_does_not_know_us_is_asked_once_more(void **state)
{
    struct safe safe = {.found = {"", "made"}, .count = 2};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig_say(&rig, 1, 200, SYSTEM_USER);
    rig.sayings[0] = (struct saying){.status = 200, .body = STRANGER};
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.user, "a@b.c");
    assert_int_equal(rig.request_count, 2);
    assert_null(rig_header(&rig, 0, SECRET_HEADER));
    assert_string_equal(rig_header(&rig, 1, SECRET_HEADER), "made");
    assert_string_equal(rig_header(&rig, 1, "Cookie"), "sid=s1");
    assert_int_equal(safe.fetches, 2);
    rig_end(&rig);
}

static void a_backend_that_never_knows_us_lets_nobody_in(void **state)
{
    struct safe safe = {.found = {"wrong"}, .count = 1};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig_say(&rig, 0, 200, STRANGER);
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.error, "Unauthorized");
    assert_int_equal(rig.request_count, 2);
    assert_int_equal(safe.fetches, 2);
    assert_int_equal(rig_count(&rig, "auth_refused_total{reason=\"secret\"}"), 1);
    rig_end(&rig);
}

static void without_a_secret_to_fetch_there_is_no_second_question(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 17, STRANGER);
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.error, "Unauthorized");
    assert_int_equal(rig.request_count, 1);
    rig_end(&rig);
}

static void a_secret_may_take_its_time(void **state)
{
    struct safe safe = {.is_slow = true};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig_identify(&rig, "sid=s1", NULL, &reply);
    assert_int_equal(rig.request_count, 0);
    safe.done(safe.done_ctx, slice_of("late"));
    rig_wait(&rig);
    assert_string_equal(reply.user, "a@b.c");
    assert_string_equal(rig_header(&rig, 0, SECRET_HEADER), "late");
    rig_end(&rig);
}

static void a_secret_that_does_not_come_is_not_waited_for(void **state)
{
    struct safe safe = {.is_slow = true};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig.options.timeout_ms = 30;
    rig_who(&rig, "sid=s1", NULL, &reply);
    assert_string_equal(reply.error, "Unauthorized");
    assert_int_equal(rig_count(&rig, "auth_refused_total{reason=\"timeout\"}"), 1);
    safe.done(safe.done_ctx, slice_of("too late")); /* harmless, and asks nobody */
    assert_int_equal(http_client_active(rig.client), 0);
    rig_end(&rig);
}

static void a_secret_may_come_after_the_end(void **state)
{
    struct safe safe = {.is_slow = true};
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    safe_rig(&rig, 17, &safe);
    rig_identify(&rig, "sid=s1", NULL, &reply);
    auth_free(rig.auth);
    rig.auth = NULL;
    assert_int_equal(reply.times, 1);
    assert_string_equal(reply.error, "Unauthorized");
    safe.done(safe.done_ctx, slice_of("too late"));
    rig_end(&rig);
}

int test_secret(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secret_goes_with_each_question_from_v17_on),
        cmocka_unit_test(no_version_before_is_told_the_secret),
        cmocka_unit_test(a_backend_that_does_not_know_us_is_asked_once_more),
        cmocka_unit_test(a_backend_that_never_knows_us_lets_nobody_in),
        cmocka_unit_test(without_a_secret_to_fetch_there_is_no_second_question),
        cmocka_unit_test(a_secret_may_take_its_time),
        cmocka_unit_test(a_secret_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(a_secret_may_come_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
