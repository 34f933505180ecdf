/* test_sse.c - event streams, and long polls of the same path. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>

/* Joins and answers the raw bytes of the stream, dechunked by hand: one chunk a send. */
static const char *raw(struct client *c, struct buf *out)
{
    settle(c->bench);
    c->pipe = c->x->pipe;
    assert_non_null(c->pipe);
    buf_reset(out);
    pipe_read(c->pipe, out);
    return buf_text(out);
}

static void a_stream_says_how_it_is_to_be_read(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);
    struct buf out;

    buf_init(&out, 1 << 16);
    client_join(c, "t", NULL, NULL);
    settle(b);
    assert_int_equal(c->x->status, 200);
    assert_non_null(strstr(c->x->extra, "content-type: text/event-stream\r\n"));
    assert_non_null(strstr(c->x->extra, "cache-control: no-cache"));
    assert_non_null(strstr(c->x->extra, "x-accel-buffering: no\r\n"));
    assert_memory_equal(raw(c, &out), "d\r\nretry: 3000\n\n\r\n", 18);
    assert_non_null(
        strstr(buf_text(&out), "event: subscribed\ndata: {\"task_id\":\"t\""));
    say_text(b, "t", E1, "x");
    settle(b);
    assert_string_equal(
        raw(c, &out),
        "67\r\nevent: ai_progress\nid: 11-1\ndata: {\"id\":\"11-1\",\"task_id\":\"t\","
        "\"type\":\"text\",\"text\":\"x\",\"partial\":true}\n\n\r\n");
    buf_release(&out);
}

static void subscribed_tells_a_place_where_there_is_one(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);

    topic_open_run(task(b, "t"), E1, RUN_QUEUED, 1, false);
    client_join(c, "t", NULL, NULL);
    client_read(c);
    assert_string_equal(c->sse_id, "11-0");
    client_cut(c);
    say_text(b, "t", E1, "x");
    client_join(c, "t", NULL, NULL);
    settle(b);
    pipe_stall(c->x->pipe);
    client_cut(c);
    assert_string_equal(c->sse_id, "");
    client_join(c, "t", NULL, "now");
    client_read(c);
    assert_string_equal(c->sse_id, "11-1");
    client_cut(c);
    /* A new run without events yet: its beginning, not the end of the one before. */
    topic_open_run(task(b, "t"), E2, RUN_QUEUED, 1, false);
    client_join(c, "t", NULL, "now");
    client_read(c);
    assert_string_equal(c->sse_id, "22-0");
}

static void heartbeats_are_comments_and_never_into_a_full_socket(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *idle;
    struct client *full;
    struct bench *b;

    (void)state;
    options.heartbeat_ms = 100;
    b = bench_new(&limits, &options);
    idle = client_new(b, KIND_SSE);
    full = client_new(b, KIND_SSE);
    client_join(idle, "t", NULL, NULL);
    client_join(full, "t", NULL, NULL);
    client_read(idle);
    client_read(full);
    buf_reset(&idle->told);
    buf_reset(&full->told);
    pipe_stall(full->pipe);
    say_text(b, "t", E1, "x");
    pass_ms(b, 700);
    told(idle, "t: text x 11-1\ncomment\n");
    pipe_flow(full->pipe);
    told(full, "t: text x 11-1\n");
    bench_free(b);
}

static void names_that_do_not_fit_a_field_are_replaced(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);
    struct topic_event event = {
        .is_opaque = true, .name = slice_of("a\nid: 99"), .body = slice_of("1")};

    client_join(c, "t", NULL, NULL);
    client_read(c);
    buf_reset(&c->told);
    assert_true(topic_append(task(b, "t"), &event));
    told(c, "unnamed 1\n");
    assert_int_equal(c->sse_id[0], '~');
}

/* ---- refusals ---- */

static void refused(struct bench *b, const char *query, const struct task_key *keys,
                    size_t count, const char *wanted)
{
    struct fake_exchange *x = exchange_new(b, HTTP_GET, query, slice_of(""));

    session_stream(b->set, &x->base, keys, count);
    assert_true(x->is_answered);
    assert_int_equal(x->status, strtoul(wanted, NULL, 10));
    assert_non_null(strstr(buf_text(&x->body), wanted + 4));
    settle(b);
}

static void bad_requests_are_refused_before_a_stream_begins(void **state)
{
    struct bench *b = *state;
    struct task_key keys[9];

    for (int i = 0; i < 9; i++)
        keys[i] = (struct task_key){slice_of("site"), slice_of("t")};
    refused(b, "since=nonsense", keys, 1, "422 \"field\":\"since\"");
    refused(b, "from=end", keys, 1, "422 \"field\":\"from\"");
    refused(b, "", keys, 0, "422 \"field\":\"task_id\"");
    refused(b, "", keys, 9, "422 \"field\":\"task_id\"");
    refused(b, "from=end", keys, 3, "422 \"field\":\"from\"");
    b->accept = "application/json";
    refused(b, "", keys, 2, "422 a long poll reads one task");
    b->accept = NULL;
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
    assert_int_equal(counted(b, "thinkwire_sessions{kind=\"sse\"} "), 0);
}

static void too_many_tasks_are_refused(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct task_key keys[2] = {{slice_of("site"), slice_of("a")},
                               {slice_of("site"), slice_of("b")}};
    struct bench *b;

    (void)state;
    limits.max_topics = 1;
    b = bench_new(&limits, &options);
    refused(b, "", keys, 2, "503 TOO_MANY");
    assert_int_equal(topic_reader_count(task(b, "a")), 0);
    bench_free(b);
}

static void a_client_that_gives_up_while_it_is_held_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);

    client_join(c, "t", NULL, NULL);
    client_cut(c);
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
    assert_int_equal(counted(b, "thinkwire_sessions{kind=\"sse\"} "), 0);
}

/* ---- long polls ---- */

static struct fake_exchange *poll(struct bench *b, const char *query)
{
    struct task_key key = {slice_of("site"), slice_of("t")};
    struct fake_exchange *x;

    b->accept = "application/json";
    x = exchange_new(b, HTTP_GET, query, slice_of(""));
    b->accept = NULL;
    session_stream(b->set, &x->base, &key, 1);
    settle(b);
    return x;
}

static void answers(struct fake_exchange *x, const char *wanted)
{
    settle(x->bench);
    assert_true(x->is_answered);
    assert_int_equal(x->status, 200);
    assert_true(json_check(buf_view(&x->body)));
    assert_string_equal(buf_text(&x->body), wanted);
}

#define DELTA(id, text)                                                                \
    "{\"id\":\"" id "\",\"task_id\":\"t\",\"type\":\"text\",\"text\":\"" text          \
    "\",\"partial\":true}"

static void a_long_poll_answers_what_is_there(void **state)
{
    struct bench *b = *state;

    say_text(b, "t", E1, "a");
    say_text(b, "t", E1, "b");
    answers(poll(b, ""), "{\"events\":[{\"id\":\"11-2\",\"task_id\":\"t\",\"type\":"
                         "\"text\",\"text\":\"ab\",\"partial\":true,\"merged\":2}],"
                         "\"id\":\"11-2\",\"state\":\"running\"}");
    answers(poll(b, "since=11-0"), "{\"events\":[" DELTA("11-1", "a") "," DELTA(
                                       "11-2", "b") "],\"id\":\"11-2\",\"state\":"
                                                    "\"running\"}");
    answers(
        poll(b, "since=10-7"),
        "{\"events\":[{\"id\":\"11-2\",\"task_id\":\"t\",\"type\":\"text\",\"text\":"
        "\"ab\",\"partial\":true,\"merged\":2}],\"id\":\"11-2\",\"state\":\"running\","
        "\"resync\":\"replaced\"}");
}

static void a_long_poll_waits_for_the_next_event(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;

    say_text(b, "t", E1, "a");
    x = poll(b, "since=11-1");
    assert_false(x->is_answered);
    say_text(b, "t", E1, "b");
    answers(x, "{\"events\":[" DELTA("11-2",
                                     "b") "],\"id\":\"11-2\",\"state\":\"running\"}");
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
}

static void a_long_poll_is_answered_empty_after_its_wait(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;

    say_text(b, "t", E1, "a");
    x = poll(b, "since=11-1&wait_ms=20");
    pass_ms(b, 700);
    answers(x, "{\"events\":[],\"id\":\"11-1\",\"state\":\"running\"}");
    x = poll(b, "wait_ms=20&from=now");
    pass_ms(b, 700);
    answers(x, "{\"events\":[],\"id\":\"11-1\",\"state\":\"running\"}");
}

static void a_long_poll_of_a_task_that_ended_does_not_wait(void **state)
{
    struct bench *b = *state;

    say_end(b, "t", E1);
    answers(poll(b, "since=11-1"),
            "{\"events\":[],\"id\":\"11-1\",\"state\":\"completed\"}");
    topic_erase(task(b, "t"));
    answers(poll(b, "since=11-1"),
            "{\"events\":[],\"id\":null,\"state\":\"unknown\",\"error\":\"GONE\"}");
}

static void a_long_poll_is_bounded_and_goes_on(void **state)
{
    struct bench *b = *state;
    char *text = malloc(60001);
    char query[64] = "since=11-0";
    unsigned total = 0;
    unsigned polls = 0;

    memset(text, 'x', 60000);
    text[60000] = '\0';
    for (int i = 0; i < 60; i++)
        say_text(b, "t", E1, text);
    free(text);
    say_end(b, "t", E1);
    for (const char *at = ""; total < 61; polls++) {
        struct fake_exchange *x = poll(b, query);
        assert_true(x->is_answered);
        assert_true(x->body.len < 1300000);
        for (at = buf_text(&x->body); (at = strstr(at, "\"task_id\"")) != NULL; at++)
            total++;
        at = strstr(buf_text(&x->body), "],\"id\":\"") + 8;
        snprintf(query, sizeof(query), "since=%.*s", (int)strcspn(at, "\""), at);
    }
    assert_int_equal(total, 61);
    assert_in_range(polls, 3, 6);
}

static void a_long_poll_leaves_out_what_a_new_run_replaces(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = poll(b, "");

    say_text(b, "t", E1, "old");
    say_end(b, "t", E1);
    say_text(b, "t", E2, "new");
    answers(
        x,
        "{\"events\":[{\"id\":\"22-1\",\"task_id\":\"t\",\"type\":\"text\",\"text\":"
        "\"new\",\"partial\":true,\"merged\":1}],\"id\":\"22-1\",\"state\":\"running\","
        "\"resync\":\"replaced\"}");
}

static void a_long_poll_whose_snapshot_waits_has_no_place(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct fake_exchange *x;
    struct client *slow;
    struct bench *b;
    char text[3000];

    (void)state;
    options.snapshot_total_bytes = 1000;
    b = bench_new(&limits, &options);
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    say_text(b, "big", E1, text);
    say_text(b, "t", E1, "a");
    slow = reader(b, KIND_WS);
    pipe_stall(slow->pipe);
    slow->pipe->granted += 200;
    client_join(slow, "big", NULL, NULL);
    settle(b);
    /* An id that may be given one day: the reader must not be left standing there. */
    x = poll(b, "since=11-5&wait_ms=20");
    pass_ms(b, 700);
    answers(
        x, "{\"events\":[],\"id\":null,\"state\":\"running\",\"resync\":\"replaced\"}");
    bench_free(b);
}

static void a_long_poll_that_is_given_up_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = poll(b, "");

    exchange_abort(x);
    settle(b);
    say_text(b, "t", E1, "x");
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "t")), 0);
}

static void who_takes_both_gets_a_stream(void **state)
{
    struct bench *b = *state;
    struct client *c = client_new(b, KIND_SSE);

    b->accept = "text/event-stream, application/json";
    client_join(c, "t", NULL, NULL);
    b->accept = NULL;
    told(c, "subscribed t unknown null replayed 0\n");
}

int test_sse(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_stream_says_how_it_is_to_be_read),
        BENCH_TEST(subscribed_tells_a_place_where_there_is_one),
        cmocka_unit_test(heartbeats_are_comments_and_never_into_a_full_socket),
        BENCH_TEST(names_that_do_not_fit_a_field_are_replaced),
        BENCH_TEST(bad_requests_are_refused_before_a_stream_begins),
        cmocka_unit_test(too_many_tasks_are_refused),
        BENCH_TEST(a_client_that_gives_up_while_it_is_held_leaves_nothing),
        BENCH_TEST(a_long_poll_answers_what_is_there),
        BENCH_TEST(a_long_poll_waits_for_the_next_event),
        BENCH_TEST(a_long_poll_is_answered_empty_after_its_wait),
        BENCH_TEST(a_long_poll_of_a_task_that_ended_does_not_wait),
        BENCH_TEST(a_long_poll_is_bounded_and_goes_on),
        BENCH_TEST(a_long_poll_leaves_out_what_a_new_run_replaces),
        cmocka_unit_test(a_long_poll_whose_snapshot_waits_has_no_place),
        BENCH_TEST(a_long_poll_that_is_given_up_leaves_nothing),
        BENCH_TEST(who_takes_both_gets_a_stream),
    };
    return cmocka_run_group_tests_name("session: streams", tests, NULL, NULL);
}
