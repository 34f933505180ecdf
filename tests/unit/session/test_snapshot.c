/* test_snapshot.c - accumulated text, encoded once for all who come late, within a bound. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

static void big_text(struct bench *b, const char *name, uint64_t epoch, size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    text[len] = '\0';
    say_text(b, name, epoch, text);
    free(text);
}

#define LATE 1000

static void a_thousand_late_readers_share_one_snapshot_and_one_burst(void **state)
{
    struct bench *b = *state;
    struct client **late = calloc(LATE, sizeof(struct client *));

    big_text(b, "t", E1, 10000);
    for (int i = 0; i < LATE; i++) {
        late[i] = reader(b, KIND_WS);
        client_join(late[i], "t", NULL, NULL);
    }
    settle(b);
    for (int i = 0; i < LATE; i++) {
        assert_int_equal(late[i]->pipe->sends, 2); /* subscribed, snapshot */
        assert_ptr_equal(late[i]->pipe->last_bytes, late[0]->pipe->last_bytes);
    }
    say_text(b, "t", E1, "a");
    say_text(b, "t", E1, "b");
    settle(b);
    for (int i = 0; i < LATE; i++) {
        assert_int_equal(late[i]->pipe->sends, 3);
        assert_ptr_equal(late[i]->pipe->last_bytes, late[0]->pipe->last_bytes);
    }
    free(late);
}

static struct session_options tight(void)
{
    struct session_options options = patient();

    options.snapshot_total_bytes = 10000;
    return options;
}

static void who_finds_no_room_for_a_snapshot_gets_it_later(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = tight();
    struct bench *b = bench_new(&limits, &options);
    struct client *slow = reader(b, KIND_WS);
    struct client *starved = reader(b, KIND_WS);
    struct client *other = reader(b, KIND_WS);

    (void)state;
    big_text(b, "a", E1, 20000);
    big_text(b, "b", E1, 20000);
    client_join(other, "c", NULL, NULL);
    pipe_stall(slow->pipe);
    slow->pipe->granted += 200; /* room for `subscribed` alone */
    client_join(slow, "a", NULL, NULL);
    settle(b);
    assert_true(slow->pipe->base.is_full);
    client_join(starved, "b", NULL, NULL);
    told(starved, "subscribed b running 11-1 replayed 1\n");
    assert_true(counted(b, "thinkwire_snapshot_waits_total ") > 0);
    say_text(b, "b", E1, "!"); /* part of the snapshot by then */
    say_text(b, "c", E1, "x"); /* others do not wait */
    told(starved, "");
    told(other, "subscribed c unknown null replayed 0\nc: text x 11-1\n");
    pipe_flow(slow->pipe);
    has_all(slow, "a");
    has_all(starved, "b");
    assert_int_equal(client_tale(starved, "b")->text.len, 20001);
    bench_free(b);
}

static void a_slow_reader_that_goes_makes_room(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = tight();
    struct bench *b = bench_new(&limits, &options);
    struct client *slow = reader(b, KIND_WS);
    struct client *starved = reader(b, KIND_WS);

    (void)state;
    big_text(b, "a", E1, 20000);
    big_text(b, "b", E1, 20000);
    pipe_stall(slow->pipe);
    slow->pipe->granted += 200;
    client_join(slow, "a", NULL, NULL);
    client_join(starved, "b", NULL, NULL);
    settle(b);
    client_cut(slow);
    has_all(starved, "b");
    bench_free(b);
}

static void a_starved_reader_may_leave(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = tight();
    struct bench *b = bench_new(&limits, &options);
    struct client *slow = reader(b, KIND_WS);
    struct client *starved = reader(b, KIND_WS);

    (void)state;
    big_text(b, "a", E1, 20000);
    big_text(b, "b", E1, 20000);
    pipe_stall(slow->pipe);
    slow->pipe->granted += 200;
    client_join(slow, "a", NULL, NULL);
    client_join(starved, "b", NULL, NULL);
    settle(b);
    client_cut(starved);
    settle(b);
    pipe_flow(slow->pipe);
    has_all(slow, "a");
    bench_free(b);
}

static void a_finished_text_is_encoded_once_for_readers_that_come_apart(void **state)
{
    struct bench *b = *state;
    struct client *first = reader(b, KIND_WS);
    struct client *second = reader(b, KIND_WS);
    const void *bytes;

    big_text(b, "t", E1, 1000);
    client_join(first, "t", NULL, NULL);
    settle(b);
    bytes = first->pipe->last_bytes;
    client_join(second, "t", NULL, NULL);
    settle(b);
    assert_ptr_equal(second->pipe->last_bytes, bytes);
}

/* Finished tasks that nobody reads are the first to go when there is no room. */
static void make_room(struct bench *b, uint64_t epoch)
{
    struct topic_event event = {
        .id = {epoch, 2, false}, .type = EVENT_STATUS, .body = slice_of("{}")};

    big_text(b, "huge", epoch, 180000);
    (void)topic_append(task(b, "huge"), &event);
    topic_erase(task(b, "huge"));
}

/* A topic may be made where another was freed, with a run of the same id. */
static void a_snapshot_is_never_another_tasks(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct client *c;
    struct bench *b;
    char name[16];

    (void)state;
    limits.retain_total_bytes = 400000;
    b = bench_new(&limits, &options);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "task%u", i);
        say_text(b, name, E1, name);
        say_end(b, name, E1);
        c = reader(b, KIND_WS);
        client_join(c, name, NULL, NULL);
        has_all(c, name);
        client_cut(c);
        settle(b);
        make_room(b, 100 + i);
        assert_null(hub_find(b->hub, TOPIC_TASK, slice_of("site"), slice_of(name)));
    }
    bench_free(b);
}

static void polling_answers_hold_no_more_packets_than_they_may(void **state)
{
    struct bench *b = *state;
    struct client *c = reader(b, KIND_POLLING);
    char text[64];

    say_reasoning(b, "t", E1, "r");
    say_text(b, "t", E1, "x");
    client_read(c);
    exchange_abort(c->x);
    settle(b);
    c = reader(b, KIND_POLLING);
    /* 14 answers, then the acknowledgement and the two packets of the snapshot. */
    for (int i = 0; i < 14; i++) {
        snprintf(text, sizeof(text), "42%d[\"task_unsubscribe\",\"u%d\"]", 100 + i, i);
        client_say(c, text);
    }
    client_join(c, "t", NULL, NULL);
    has_all(c, "t");
    assert_in_range(c->max_packets, 10, 16);
}

int test_snapshot(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_thousand_late_readers_share_one_snapshot_and_one_burst),
        cmocka_unit_test(who_finds_no_room_for_a_snapshot_gets_it_later),
        cmocka_unit_test(a_slow_reader_that_goes_makes_room),
        cmocka_unit_test(a_starved_reader_may_leave),
        BENCH_TEST(a_finished_text_is_encoded_once_for_readers_that_come_apart),
        cmocka_unit_test(a_snapshot_is_never_another_tasks),
        BENCH_TEST(polling_answers_hold_no_more_packets_than_they_may),
    };
    return cmocka_run_group_tests_name("session: snapshots", tests, NULL, NULL);
}
