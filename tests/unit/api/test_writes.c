/* test_writes.c - who may write where nobody is asked who he is. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#define DELTA   "{\"type\":\"text\",\"text\":\"a\",\"partial\":true}"
#define REFUSED "\"code\":\"WRITES_ARE_LOCAL\""

static const struct write {
    enum http_method method;
    const char *target;
    const char *body;
    unsigned status; /* where it may be done */
} writes[] = {
    {HTTP_POST, "/v1/tasks/t/events", DELTA, 200},
    {HTTP_POST, "/v1/tasks/t/stop", "", 200},
    {HTTP_POST, "/v1/tasks/t/continue", "no form", 0},
    {HTTP_POST, "/v1/tasks", "no form", 0},
    {HTTP_POST, "/v1/telemetry", "no form", 400},
    {HTTP_DELETE, "/v1/tasks/t", "", 204},
};
#define WRITES (sizeof(writes) / sizeof(writes[0]))

static void each_is_refused(struct bench *b)
{
    for (size_t i = 0; i < WRITES; i++)
        answered(b, ask(b, writes[i].method, writes[i].target, writes[i].body), 403,
                 REFUSED);
}

static void each_is_served(struct bench *b)
{
    for (size_t i = 0; i < WRITES; i++) {
        struct fake_exchange *x =
            ask(b, writes[i].method, writes[i].target, writes[i].body);
        settle(b);
        assert_true(x->is_answered);
        assert_int_not_equal(x->status, 403);
        if (writes[i].status != 0)
            assert_int_equal(x->status, writes[i].status);
    }
}

static void a_stranger_on_the_port_writes_nothing_and_reads(void **state)
{
    static const char *const strangers[] = {
        "192.0.2.1", "10.127.0.1", "2001:db8::1", "::ffff:192.0.2.1", "::12", ""};
    struct bench *b = *state;

    answered(b, post(b, DELTA), 200, "ok");
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        b->peer = strangers[i];
        each_is_refused(b);
        answered(b, get(b, "/v1/tasks/t"), 200, "\"state\":\"running\",");
    }
}

static void who_comes_through_a_proxy_is_a_stranger(void **state)
{
    static const char *const headers[] = {"x-forwarded-for",   "x-real-ip",
                                          "forwarded",         "x-forwarded-host",
                                          "x-forwarded-proto", "via"};
    static const char *const peers[] = {"127.0.0.1", "unix"};
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        b->proxy = headers[i];
        for (size_t k = 0; k < sizeof(peers) / sizeof(peers[0]); k++) {
            b->peer = peers[k];
            each_is_refused(b);
        }
    }
}

static void a_program_on_this_machine_writes(void **state)
{
    static const char *const peers[] = {"127.0.0.1", "127.3.2.1", "::1", "unix",
                                        "::ffff:127.0.0.1"};
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        b->peer = peers[i];
        each_is_served(b);
    }
}

static void without_the_rule_everybody_writes(void **state)
{
    struct bench *b = *state;

    b->peer = "192.0.2.1";
    b->proxy = "x-forwarded-for";
    each_is_served(b);
}

int test_writes(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stranger_on_the_port_writes_nothing_and_reads,
                                        with_local_writes, without),
        cmocka_unit_test_setup_teardown(who_comes_through_a_proxy_is_a_stranger,
                                        with_local_writes, without),
        cmocka_unit_test_setup_teardown(a_program_on_this_machine_writes,
                                        with_local_writes, without),
        cmocka_unit_test_setup_teardown(without_the_rule_everybody_writes, with_memory,
                                        without),
    };
    return cmocka_run_group_tests_name("api: writes", tests, NULL, NULL);
}
