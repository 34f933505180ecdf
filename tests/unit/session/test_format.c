/* test_format.c - streams in other dialects, and those that answer a request. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

static struct fake_exchange *open_as(struct bench *b, const char *query)
{
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct fake_exchange *x = exchange_new(b, HTTP_GET, query, slice_make(NULL, 0));

    session_stream(b->set, &x->base, &key, 1);
    settle(b);
    return x;
}

/* What has arrived since the last time, chunk sizes and all. */
static const char *heard(struct fake_exchange *x, struct buf *out)
{
    assert_non_null(x->pipe);
    buf_reset(out);
    pipe_read(x->pipe, out);
    return buf_text(out);
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in:\n%s", part, text);
}

static void a_resync_tells_only_the_rest(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct buf out;

    buf_init(&out, 1 << 20);
    say_text(b, "t", E1, "One ");
    x = open_as(b, "format=chat");
    has(heard(x, &out), "data: {\"text\":\"One \"}");
    pipe_stall(x->pipe);
    for (int i = 0; i < 3000; i++)
        say_text(b, "t", E1, "0123456789");
    settle(b);
    pipe_flow(x->pipe);
    settle(b);
    heard(x, &out);
    assert_null(strstr(buf_text(&out), "One "));
    has(buf_text(&out), "0123456789");
    assert_true(counted(b, "thinkwire_merged_total") > 0);
    buf_release(&out);
}

static void another_text_ends_the_stream_with_an_error(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct buf out;

    buf_init(&out, 1 << 16);
    say_text(b, "t", E1, "One ");
    x = open_as(b, "format=openai");
    has(heard(x, &out), "\"content\":\"One \"");
    say_text(b, "t", E2, "Another");
    settle(b);
    has(heard(x, &out), "SUPERSEDED");
    assert_null(strstr(buf_text(&out), "Another"));
    assert_true(x->pipe->was_closed);
    buf_release(&out);
}

static void the_same_text_under_a_new_epoch_goes_on(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct buf out;

    buf_init(&out, 1 << 16);
    say_text(b, "t", E1, "One ");
    x = open_as(b, "format=chat");
    heard(x, &out);
    say_text(b, "t", E2, "One two");
    settle(b);
    has(heard(x, &out), "data: {\"text\":\"two\"}");
    assert_null(strstr(buf_text(&out), "One"));
    buf_release(&out);
}

static void the_end_has_the_id_that_stops_a_browser(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct buf out;

    buf_init(&out, 1 << 16);
    say_text(b, "t", E1, "One ");
    x = open_as(b, "format=chat");
    say_end(b, "t", E1);
    settle(b);
    has(heard(x, &out), "id: 11-2\nevent: done\n");
    assert_true(x->pipe->was_closed);
    b->last_event_id = "11-2";
    assert_int_equal(open_as(b, "format=chat")->status, 204);
    b->last_event_id = NULL;
    /* One that ended, and one that never was: nothing to resume. */
    assert_int_equal(open_as(b, "format=ai-sdk")->status, 204);
    assert_int_equal(open_as(b, "format=ai-sdk&from=snapshot")->status, 200);
    assert_int_equal(open_as(b, "format=html")->status, 422);
    buf_release(&out);
}

static void what_is_no_object_has_no_words(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct buf out;

    buf_init(&out, 1 << 16);
    say_opaque(b, "t", "[\"type\"]");
    say_opaque(b, "t", "{\"type\":\"text\",\n\"text\":\"x\"}");
    x = open_as(b, "format=chat");
    has(heard(x, &out), "data: {\"text\":\"x\"}");
    buf_release(&out);
}

/* ---- answers to a request ---- */

struct asked {
    unsigned calls;
    enum retell_end how;
    struct http_exchange *x;
    uint64_t first_ms;
    char failure[64];
};

static void on_over(void *ctx, const struct retell_told *told)
{
    struct asked *asked = ctx;

    asked->calls++;
    asked->how = told->how;
    asked->x = told->x;
    asked->first_ms = told->first_ms;
    assert_true(strlen(told->failure) < sizeof(asked->failure));
    memcpy(asked->failure, told->failure, strlen(told->failure) + 1);
}

static struct fake_exchange *ask(struct bench *b, struct asked *asked, bool waits)
{
    struct fake_exchange *x = exchange_new(b, HTTP_POST, "", slice_make(NULL, 0));
    struct session_retell retell = {
        .task = {slice_of("site"), slice_of("t")},
        .epoch = E2,
        .form = FORM_OPENAI,
        .headers = "x-task-id: t\r\n",
        .waits = waits,
        .over = on_over,
        .ctx = asked,
    };

    *asked = (struct asked){0};
    session_retell(b->set, &x->base, &retell);
    settle(b);
    return x;
}

static void an_answer_is_of_its_run_alone_and_who_asked_hears_its_end(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct asked asked;
    struct buf out;

    buf_init(&out, 1 << 16);
    say_text(b, "t", E1, "earlier");
    say_end(b, "t", E1);
    x = ask(b, &asked, false);
    assert_int_equal(x->status, 0); /* the run is not known here yet */
    say_text(b, "t", E2, "now");
    settle(b);
    assert_int_equal(x->status, 200);
    has(x->extra, "x-task-id: t\r\n");
    has(heard(x, &out), "\"content\":\"now\"");
    assert_null(strstr(buf_text(&out), "earlier"));
    assert_int_equal(asked.calls, 0);
    say_end(b, "t", E2);
    settle(b);
    has(heard(x, &out), "data: [DONE]\n\n");
    pipe_hang_up(x->pipe, "done");
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.how, RETELL_TOLD);
    assert_true(asked.first_ms > 0);
    assert_string_equal(asked.failure, "");
    buf_release(&out);
}

static void who_asked_hears_that_the_reader_has_left(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct asked asked;

    x = ask(b, &asked, false);
    exchange_abort(x);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.how, RETELL_LEFT);
    say_text(b, "t", E2, "now");
    x = ask(b, &asked, false);
    pipe_hang_up(x->pipe, "gone");
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.how, RETELL_LEFT);
}

static void who_asked_hears_which_error_has_ended_it(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct asked asked;

    x = ask(b, &asked, false);
    say(b, "t", E2, EVENT_ERROR, "");
    settle(b);
    pipe_hang_up(x->pipe, "done");
    assert_int_equal(asked.how, RETELL_TOLD);
    assert_string_equal(asked.failure, "ERROR");
    assert_int_equal(asked.first_ms, 0);
}

static void an_answer_that_never_begins_is_handed_back(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    struct asked asked;

    say(b, "t", E2, EVENT_STATUS, "");
    x = ask(b, &asked, true);
    assert_int_equal(x->status, 0);
    say(b, "t", E2, EVENT_ERROR, "");
    settle(b);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.how, RETELL_UNBEGUN);
    assert_ptr_equal(asked.x, &x->base);
    assert_int_equal(x->status, 0);
    http_respond(asked.x, 500, "", slice_of("{}"));
}

int test_format(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_resync_tells_only_the_rest),
        BENCH_TEST(another_text_ends_the_stream_with_an_error),
        BENCH_TEST(the_same_text_under_a_new_epoch_goes_on),
        BENCH_TEST(the_end_has_the_id_that_stops_a_browser),
        BENCH_TEST(what_is_no_object_has_no_words),
        BENCH_TEST(an_answer_is_of_its_run_alone_and_who_asked_hears_its_end),
        BENCH_TEST(who_asked_hears_that_the_reader_has_left),
        BENCH_TEST(who_asked_hears_which_error_has_ended_it),
        BENCH_TEST(an_answer_that_never_begins_is_handed_back),
    };
    return cmocka_run_group_tests_name("session: other dialects", tests, NULL, NULL);
}
