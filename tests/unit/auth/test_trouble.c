/* test_trouble.c - backends that refuse, fail, stall, are away or speak nonsense. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "capture.h"
#include "rig.h"

#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define SECRET       "s3cretS3cret"
#define TICKET       "t1cketT1cket"

/* What was written to stderr while somebody asked; freed by the caller. */
static void ask_captured(struct rig *rig, struct reply *reply, struct buf *said)
{
    struct capture capture;
    buf_init(said, 1U << 20);
    diag_setup(DIAG_DEBUG, DIAG_TEXT);
    capture_begin(&capture, STDERR_FILENO);
    rig_who(rig, "sid=" SECRET, "Bearer " TICKET, reply);
    capture_end(&capture, said);
    diag_setup(DIAG_ERROR, DIAG_TEXT);
}

static void assert_refused(struct rig *rig, const struct reply *reply,
                           const char *reason)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "auth_refused_total{reason=\"%s\"}", reason);
    assert_string_equal(reply->error, "Unauthorized");
    assert_int_equal(rig_count(rig, name), 1);
    assert_int_equal(rig_count(rig, "auth_questions"), 0);
}

/* One line with the reason, the status and the address, and nothing that opens a door. */
static void assert_line(const char *said, const char *reason, unsigned status,
                        const char *base)
{
    char expected[256];
    (void)snprintf(expected, sizeof(expected),
                   "reason=%s status=%u base=%s site=", reason, status, base);
    assert_non_null(strstr(said, "backend question refused about=user "));
    if (strstr(said, expected) == NULL)
        fail_msg("\"%s\" is not in: %s", expected, said);
    assert_null(strstr(said, SECRET));
    assert_null(strstr(said, TICKET));
    assert_null(strstr(said, "?"));
    assert_null(strstr(strchr(said, '\n'), "backend question"));
}

static char long_name[1024];
static char long_answer[300 << 10];

static void check_refusal(unsigned version, unsigned status, const char *body,
                          const char *reason)
{
    struct rig rig;
    struct reply reply = {0};
    struct buf said;
    rig_start(&rig, version, "");
    rig_say(&rig, 0, status, body);
    ask_captured(&rig, &reply, &said);
    assert_refused(&rig, &reply, reason);
    assert_line(buf_text(&said), reason, status, rig.origin);
    /* It is not remembered: the next one asks again. */
    rig_say(&rig, 0, 200, SYSTEM_USER);
    rig_who(&rig, "sid=" SECRET, "Bearer " TICKET, &reply);
    assert_string_equal(reply.user, "a@b.c");
    buf_release(&said);
    rig_end(&rig);
}

static void a_backend_that_refuses_or_fails_lets_nobody_in(void **state)
{
    static const struct {
        unsigned status;
        const char *reason;
    } table[] = {
        {403, "forbidden"}, {401, "forbidden"}, {500, "status"},
        {502, "status"},    {503, "status"},    {404, "status"},
        {302, "status"},    {204, "status"},    {201, "status"},
    };
    (void)state;
    for (unsigned version = 13; version <= 17; version++) {
        for (size_t i = 0; i < COUNT(table); i++) {
            const char *body = table[i].status == 204 ? "" : SYSTEM_USER;
            check_refusal(version, table[i].status, body, table[i].reason);
        }
    }
}

static void a_backend_that_speaks_nonsense_lets_nobody_in(void **state)
{
    static const char *const bodies[] = {
        "",
        "<h1>boom</h1>",
        "[]",
        "null",
        "{}",
        "true",
        "{\"message\":null}",
        "{\"message\":\"a@b.c\"}",
        "{\"message\":[\"user\",\"a@b.c\"]}",
        "{\"message\":{\"user_type\":\"System User\"}}",
        "{\"message\":{\"user\":\"\",\"user_type\":\"System User\"}}",
        "{\"message\":{\"user\":null}}",
        "{\"message\":{\"user\":5}}",
        "{\"message\":{\"user\":\"Administrator\\u0000x\"}}",
        "{\"message\":{\"user\":\"a\\nb\"}}",
        "{\"message\":{\"user\":\"a\\u007fb\"}}",
        "{\"message\":{\"user\":\"a@b.c\"}",
        "{\"message\":{\"user\":\"a@b.c\",\"n\":NaN}}",
        "{\"message\":{\"user\":\"a@b.c\"}} trailing",
        "{'message':{'user':'a@b.c'}}",
        long_name,
        long_answer,
    };
    (void)state;
    (void)snprintf(long_name, sizeof(long_name), "{\"message\":{\"user\":\"%0600d\"}}",
                   7);
    (void)snprintf(long_answer, sizeof(long_answer),
                   "{\"message\":{\"user\":\"a@b.c\"},\"x\":\"%0280000d\"}", 7);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        check_refusal(15, 200, bodies[i], "garbage");
        check_refusal(17, 200, bodies[i], "garbage");
    }
}

static void a_refusal_longer_than_we_read_is_a_refusal_still(void **state)
{
    (void)state;
    memset(long_answer, 'x', sizeof(long_answer) - 1);
    check_refusal(15, 403, long_answer, "forbidden");
    check_refusal(15, 500, long_answer, "status");
}

static void a_backend_that_is_away_lets_nobody_in(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct buf said;
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    struct scripted *gone = scripted_new(rig.loop, NULL, NULL, NULL);
    (void)snprintf(rig.origin, sizeof(rig.origin), "http://127.0.0.1:%u",
                   scripted_port(gone));
    scripted_free(gone);
    rig_pass_ms(&rig, 1); /* the listener is closed by now */
    ask_captured(&rig, &reply, &said);
    assert_refused(&rig, &reply, "unreachable");
    assert_line(buf_text(&said), "unreachable", 0, rig.origin);
    assert_non_null(strstr(buf_text(&said), "detail=\"Failed to connect to "));
    buf_release(&said);
    rig_end(&rig);
}

static void a_backend_that_breaks_off_lets_nobody_in(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct buf said;
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.sayings[0].breaks_off = true;
    ask_captured(&rig, &reply, &said);
    assert_refused(&rig, &reply, "broken");
    assert_line(buf_text(&said), "broken", 200, rig.origin);
    buf_release(&said);
    rig_end(&rig);
}

static void on_gone(void *ctx)
{
    rig_stop(ctx);
}

static void a_backend_that_stalls_is_not_waited_for(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct buf said;
    (void)state;
    rig_start(&rig, 15, "");
    rig.options.timeout_ms = 50;
    rig_say(&rig, 0, 0, NULL);
    ask_captured(&rig, &reply, &said);
    assert_refused(&rig, &reply, "timeout");
    assert_line(buf_text(&said), "timeout", 0, rig.origin);
    /* The call is given up upstream too. */
    scripted_on_gone(rig.backend, on_gone);
    if (scripted_gone(rig.backend) == 0)
        rig_run(&rig);
    assert_int_equal(http_client_active(rig.client), 0);
    buf_release(&said);
    rig_end(&rig);
}

/* Sixteen questions that all fail. */
static size_t lines_of_a_storm(struct rig *rig, struct reply *reply, struct buf *said)
{
    struct capture capture;
    size_t lines = 0;
    diag_setup(DIAG_DEBUG, DIAG_TEXT);
    capture_begin(&capture, STDERR_FILENO);
    for (int i = 0; i < 16; i++)
        rig_who(rig, "sid=" SECRET, NULL, reply);
    capture_end(&capture, said);
    diag_setup(DIAG_ERROR, DIAG_TEXT);
    for (const char *at = buf_text(said); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    return lines;
}

static void a_storm_of_failures_is_told_in_a_few_lines(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct buf said;
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 0, 500, "");
    buf_init(&said, 1U << 20);
    size_t lines = lines_of_a_storm(&rig, &reply, &said);
    assert_in_range(lines, 1, 10); /* 5 in each second, and it may cross one */
    assert_int_equal(rig_count(&rig, "auth_refused_total{reason=\"status\"}"), 16);
    assert_null(strstr(buf_text(&said), SECRET));
    buf_release(&said);
    rig_end(&rig);
}

static void no_credential_reaches_a_line_whatever_is_wrong_with_it(void **state)
{
    static const char *const tickets[] = {"Bearer " TICKET "\r\nX-Evil: 1",
                                          "Bearer " TICKET "\x01"};
    (void)state;
    for (size_t i = 0; i < COUNT(tickets); i++) {
        struct rig rig;
        struct reply reply = {0};
        struct buf said;
        struct capture capture;
        rig_start(&rig, 17, SYSTEM_USER);
        buf_init(&said, 1U << 20);
        diag_setup(DIAG_DEBUG, DIAG_TEXT);
        capture_begin(&capture, STDERR_FILENO);
        rig_who(&rig, NULL, tickets[i], &reply);
        capture_end(&capture, &said);
        diag_setup(DIAG_ERROR, DIAG_TEXT);
        assert_refused(&rig, &reply, "unsent");
        assert_line(buf_text(&said), "unsent", 0, rig.origin);
        assert_int_equal(rig.request_count, 0);
        buf_release(&said);
        rig_end(&rig);
    }
}

static void a_question_past_every_measure_is_not_asked(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    static char cookie[20000];
    (void)state;
    (void)snprintf(cookie, sizeof(cookie), "sid=%019000d", 7);
    rig_start(&rig, 15, SYSTEM_USER);
    rig_who(&rig, cookie, NULL, &reply);
    assert_refused(&rig, &reply, "too_large");
    assert_false(rig_may(&rig, "sid=s1", "ToDo", cookie));
    assert_int_equal(rig.request_count, 0);
    rig_end(&rig);
}

int test_trouble(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_that_refuses_or_fails_lets_nobody_in),
        cmocka_unit_test(a_backend_that_speaks_nonsense_lets_nobody_in),
        cmocka_unit_test(a_refusal_longer_than_we_read_is_a_refusal_still),
        cmocka_unit_test(a_backend_that_is_away_lets_nobody_in),
        cmocka_unit_test(a_backend_that_breaks_off_lets_nobody_in),
        cmocka_unit_test(a_backend_that_stalls_is_not_waited_for),
        cmocka_unit_test(a_storm_of_failures_is_told_in_a_few_lines),
        cmocka_unit_test(no_credential_reaches_a_line_whatever_is_wrong_with_it),
        cmocka_unit_test(a_question_past_every_measure_is_not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
