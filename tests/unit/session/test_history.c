/* test_history.c - readers that want more of the past than their topic was loaded with. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

/* What is stored of task "t": events 1.. of run E1, "a" to "z". */
struct shelf {
    struct topic *topic;
    unsigned fetches; /* questions for older events */
    struct bench *bench;
};

static void on_watch(void *ctx, struct topic *topic)
{
    ((struct shelf *)ctx)->topic = topic;
}

static void on_unwatch(void *ctx, struct topic *topic)
{
    (void)topic;
    ((struct shelf *)ctx)->topic = NULL;
}

static void on_history(void *ctx, struct topic *topic)
{
    struct shelf *shelf = ctx;

    assert_ptr_equal(shelf->topic, topic);
    shelf->fetches++;
}

static const struct hub_feed feed = {on_watch, on_unwatch, on_history};

static struct bench *open_shelf(struct shelf *shelf, const struct hub_limits *limits,
                                const struct session_options *options)
{
    struct bench *b = bench_new(limits, options);

    *shelf = (struct shelf){.bench = b};
    hub_set_feed(b->hub, &feed, shelf);
    return b;
}

/* The event `seq` as it is stored; `body` holds it. */
static struct topic_event stored(uint64_t seq, char body[128])
{
    struct topic_event event = {
        .id = {E1, seq, false}, .type = EVENT_TEXT, .is_delta = true};
    int len = snprintf(body, 128,
                       "{\"task_id\":\"t\",\"type\":\"text\",\"partial\":true,"
                       "\"text\":\"%c\"}",
                       (char)('a' + seq - 1));

    event.body = slice_make(body, (size_t)len);
    event.text = slice_make(body + len - 3, 1);
    return event;
}

/* The newest `count` of `last` events. */
static void load(struct shelf *shelf, uint64_t last, uint64_t count)
{
    struct run run = {.epoch = E1, .state = RUN_RUNNING, .last_seq = last};
    char body[128];

    assert_non_null(shelf->topic);
    buf_init(&run.text.utf8, 1 << 16);
    for (uint64_t seq = 1; seq <= last; seq++)
        buf_putc(&run.text.utf8, (char)('a' + seq - 1));
    run.text.merged = last;
    run.text.first_seq = 1;
    run.text.last_seq = last;
    topic_restore(shelf->topic, &run);
    buf_release(&run.text.utf8);
    for (uint64_t seq = last - count + 1; seq <= last; seq++) {
        struct topic_event event = stored(seq, body);
        topic_restore_entry(shelf->topic, &event);
    }
    topic_ready(shelf->topic);
    settle(shelf->bench);
}

/* Answers the question with `count` events. */
static void give(struct shelf *shelf, uint64_t count, bool has_more)
{
    struct event_id end = topic_history_end(shelf->topic);
    char body[128];

    for (uint64_t i = 1; i <= count; i++) {
        struct topic_event event = stored(end.seq - i, body);
        assert_true(topic_restore_older(shelf->topic, &event));
    }
    topic_history_done(shelf->topic, has_more);
    settle(shelf->bench);
}

/* Each kind of reader, on a shelf of its own. */
static void on_shelves(const struct hub_limits *limits,
                       const struct session_options *options,
                       void (*test)(struct shelf *shelf, enum kind kind))
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct shelf shelf;
        struct bench *b = open_shelf(&shelf, limits, options);
        test(&shelf, (enum kind)kind);
        bench_free(b);
    }
}

static void on_roomy_shelves(void (*test)(struct shelf *shelf, enum kind kind))
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    on_shelves(&limits, &options, test);
}

/* ---- what was retained is told ---- */

static void since_an_old_place(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    told(c, "");
    load(shelf, 6, 2);
    told(c, "");
    assert_int_equal(shelf->fetches, 1);
    /* What comes meanwhile does not overtake. */
    say_text(shelf->bench, "t", E1, "g");
    told(c, "");
    give(shelf, 2, true);
    told(c, "subscribed t running 11-7 replayed 5\n"
            "t: text c 11-3\nt: text d 11-4\nt: text e 11-5\nt: text f 11-6\n"
            "t: text g 11-7\n");
    say_text(shelf->bench, "t", E1, "h");
    told(c, "t: text h 11-8\n");
    assert_int_equal(shelf->fetches, 1);
}

static void an_old_place_is_gone_on_from_exactly(void **state)
{
    (void)state;
    on_roomy_shelves(since_an_old_place);
}

static void from_the_start(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 5, 1);
    told(c, "");
    give(shelf, 2, true);
    told(c, "");
    assert_int_equal(shelf->fetches, 2);
    give(shelf, 2, true);
    told(c, "subscribed t running 11-5 replayed 5\n"
            "t: text a 11-1\nt: text b 11-2\nt: text c 11-3\nt: text d 11-4\n"
            "t: text e 11-5\n");
    has_all(c, "t");
    assert_int_equal(shelf->fetches, 2);
}

static void from_start_tells_all_that_is_stored(void **state)
{
    (void)state;
    on_roomy_shelves(from_the_start);
}

static void of_a_trimmed_log(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 5, 1);
    told(c, "");
    give(shelf, 1, false);
    told(c, "subscribed t running 11-5 replayed 2\nt: text d 11-4\nt: text e 11-5\n");
    assert_int_equal(shelf->fetches, 1);
}

static void from_start_of_a_trimmed_log_begins_with_what_is_left(void **state)
{
    (void)state;
    on_roomy_shelves(of_a_trimmed_log);
}

static void two_joiners_share_one_question(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *near = reader(b, KIND_WS);
    struct client *far = reader(b, KIND_SSE);
    struct client *late = reader(b, KIND_SIO);

    (void)state;
    client_join(near, "t", "11-3", NULL);
    client_join(far, "t", "11-1", NULL);
    settle(b);
    load(&shelf, 5, 1);
    client_join(late, "t", "11-2", NULL);
    settle(b);
    assert_int_equal(shelf.fetches, 1);
    give(&shelf, 3, true);
    told(near,
         "subscribed t running 11-5 replayed 2\nt: text d 11-4\nt: text e 11-5\n");
    told(far, "subscribed t running 11-5 replayed 4\nt: text b 11-2\nt: text c 11-3\n"
              "t: text d 11-4\nt: text e 11-5\n");
    told(late, "subscribed t running 11-5 replayed 3\nt: text c 11-3\n"
               "t: text d 11-4\nt: text e 11-5\n");
    assert_int_equal(shelf.fetches, 1);
    bench_free(b);
}

static void who_wants_no_past_neither_waits_nor_asks(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *snapshot = reader(b, KIND_WS);
    struct client *now = reader(b, KIND_SIO);
    struct client *level = reader(b, KIND_SSE);
    struct client *string = reader(b, KIND_SIO);

    (void)state;
    client_join(snapshot, "t", NULL, NULL);
    client_join(now, "t", NULL, "now");
    client_join(level, "t", "11-5", NULL);
    client_join_string(string, "t");
    settle(b);
    load(&shelf, 5, 1);
    told(snapshot,
         "subscribed t running 11-5 replayed 1\nt: text abcde 11-5 merged 5\n");
    told(now, "subscribed t running 11-5 replayed 0\n");
    told(level, "subscribed t running 11-5 replayed 0\n");
    told(string, "subscribed t running 11-5 replayed 0\n");
    assert_int_equal(shelf.fetches, 0);
    bench_free(b);
}

/* Live readers of the topic are woken by history and told nothing of it. */
static void live_readers_are_told_nothing_of_it(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *live = reader(b, KIND_WS);
    struct client *string = reader(b, KIND_SIO);
    struct client *late = reader(b, KIND_WS);

    (void)state;
    client_join(live, "t", NULL, "now");
    client_join_string(string, "t");
    settle(b);
    load(&shelf, 5, 1);
    told(live, "subscribed t running 11-5 replayed 0\n");
    told(string, "subscribed t running 11-5 replayed 0\n");
    client_join(late, "t", NULL, "start");
    settle(b);
    give(&shelf, 4, false);
    told(live, "");
    told(string, "");
    say_text(b, "t", E1, "f");
    told(live, "t: text f 11-6\n");
    told(string, "t: text f -\n");
    has_all(late, "t");
    bench_free(b);
}

/* Arrival numbers of history say nothing: the one that Frappe's event has, and that was sent
 * last, is not theirs. */
static void history_is_no_copy_of_what_another_topic_brought(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *c = reader(b, KIND_SIO);

    (void)state;
    client_join(c, "t", NULL, "start");
    client_join_string(c, "not native");
    settle(b);
    load(&shelf, 5, 1);
    buf_reset(&c->told);
    for (uint64_t left = 4; left > 0; left--) {
        struct topic_event event = {.is_opaque = true,
                                    .name = slice_of("n"),
                                    .body = slice_of("0"),
                                    .order = hub_next_order(b->hub)};
        assert_true(topic_append(hub_find(b->hub, TOPIC_ROOM, slice_of("site"),
                                          slice_of("task_progress:not native")),
                                 &event));
        give(&shelf, 1, true);
    }
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told),
                           "t: text a 11-1\nt: text b 11-2\nt: text c 11-3\n"
                           "t: text d 11-4\nt: text e 11-5\n"));
    bench_free(b);
}

/* ---- what is not to be had ---- */

static void gone(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    give(shelf, 1, false);
    told(c, "subscribed t running 11-6 replayed 1\nresync t unknown_id\n"
            "t: text abcdef 11-6 merged 6\n");
    assert_int_equal(shelf->fetches, 1);
}

static void a_place_that_is_gone_means_a_new_start(void **state)
{
    (void)state;
    on_roomy_shelves(gone);
}

static void too_old(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-1", NULL);
    settle(shelf->bench);
    load(shelf, 9, 2);
    told(c, "subscribed t running 11-9 replayed 1\nresync t unknown_id\n"
            "t: text abcdefghi 11-9 merged 9\n");
    assert_int_equal(shelf->fetches, 0);
}

static void a_place_from_before_what_may_be_held_is_not_asked_for(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 4;
    on_shelves(&limits, &options, too_old);
}

static void as_much_as_fits(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);
    struct topic_event event;
    char body[128];

    client_join(c, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 9, 2);
    told(c, "");
    for (uint64_t seq = 7; seq >= 6; seq--) {
        event = stored(seq, body);
        assert_true(topic_restore_older(shelf->topic, &event));
    }
    event = stored(5, body);
    assert_false(topic_restore_older(shelf->topic, &event));
    topic_history_done(shelf->topic, true);
    /* The joiner reads what was fetched before the window moves on. */
    say_text(shelf->bench, "t", E1, "j");
    told(c, "subscribed t running 11-10 replayed 5\nt: text f 11-6\nt: text g 11-7\n"
            "t: text h 11-8\nt: text i 11-9\nt: text j 11-10\n");
    assert_int_equal(shelf->fetches, 1);
    assert_int_equal(topic_next(shelf->topic) - topic_base(shelf->topic), 4);
}

static void from_start_gets_as_much_as_may_be_held(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    limits.retain_events = 4;
    on_shelves(&limits, &options, as_much_as_fits);
}

static void new_run(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);
    struct client *start = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    client_join(start, "t", NULL, "start");
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    told(start, "");
    assert_int_equal(shelf->fetches, 1);
    topic_open_run(shelf->topic, E2, RUN_RUNNING, 1, false);
    say_text(shelf->bench, "t", E2, "new");
    told(c, "subscribed t running 22-1 replayed 1\nresync t unknown_id\n"
            "t: text new 22-1 merged 1\n");
    told(start, "subscribed t running 22-1 replayed 1\nt: text new 22-1\n");
    topic_history_done(shelf->topic, false);
    told(c, "");
    told(start, "");
}

static void a_run_that_changes_meanwhile_means_a_new_start(void **state)
{
    (void)state;
    on_roomy_shelves(new_run);
}

static void erased(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    topic_erase(shelf->topic);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error GONE"));
    assert_null(strstr(buf_text(&c->told), "subscribed"));
}

static void a_task_erased_meanwhile_is_gone(void **state)
{
    (void)state;
    on_roomy_shelves(erased);
}

static void unavailable(struct shelf *shelf, enum kind kind)
{
    struct client *c = reader(shelf->bench, kind);

    client_join(c, "t", "11-2", NULL);
    settle(shelf->bench);
    load(shelf, 6, 2);
    told(c, "");
    assert_int_equal(shelf->fetches, 1);
    pass_ms(shelf->bench, 60);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error UNAVAILABLE"));
    assert_null(strstr(buf_text(&c->told), "subscribed"));
    assert_int_equal(topic_reader_count(shelf->topic), 0);
    /* An answer that comes after all harms nobody. */
    give(shelf, 2, true);
    buf_reset(&c->told);
    told(c, "");
}

static void events_that_cannot_be_had_in_time_are_told_as_unavailable(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    (void)state;
    options.wait_unknown_ms = 30;
    on_shelves(&limits, &options, unavailable);
}

/* A polling client that did not ask for a while stands at no deadline when it comes. */
static void one_that_comes_after_its_deadline_still_has_one(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b;
    struct client *c;

    (void)state;
    options.wait_unknown_ms = 30;
    b = open_shelf(&shelf, &limits, &options);
    c = reader(b, KIND_WS);
    pipe_stall(c->pipe);
    client_join(c, "u", NULL, "now");
    settle(b);
    topic_ready(shelf.topic);
    client_join(c, "t", "11-2", NULL);
    settle(b);
    load(&shelf, 6, 2);
    pass_ms(b, 60);
    pipe_flow(c->pipe);
    settle(b);
    pass_ms(b, 60);
    client_read(c);
    assert_non_null(strstr(buf_text(&c->told), "error UNAVAILABLE"));
    bench_free(b);
}

/* ---- long polls ---- */

static struct fake_exchange *poll_since(struct bench *b, const char *query)
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

static void a_long_poll_waits_for_older_events(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct fake_exchange *x = poll_since(b, "since=11-4");

    (void)state;
    load(&shelf, 6, 1);
    assert_false(x->is_answered);
    assert_int_equal(shelf.fetches, 1);
    give(&shelf, 1, true);
    assert_true(x->is_answered);
    assert_string_equal(buf_text(&x->body),
                        "{\"events\":[{\"id\":\"11-5\",\"task_id\":\"t\",\"type\":"
                        "\"text\",\"partial\":true,\"text\":\"e\"},"
                        "{\"id\":\"11-6\",\"task_id\":\"t\",\"type\":\"text\","
                        "\"partial\":true,\"text\":\"f\"}],\"id\":\"11-6\","
                        "\"state\":\"running\"}");
    bench_free(b);
}

static void a_long_poll_that_waited_too_long_keeps_its_place(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct fake_exchange *x = poll_since(b, "since=11-2&wait_ms=10");

    (void)state;
    load(&shelf, 6, 2);
    pass_ms(b, 700);
    assert_true(x->is_answered);
    assert_string_equal(buf_text(&x->body),
                        "{\"events\":[],\"id\":\"11-2\",\"state\":\"running\"}");
    bench_free(b);
}

/* ---- several tasks on one stream ---- */

static void a_stream_of_several_tasks_waits_for_each_alone(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();
    struct shelf shelf;
    struct bench *b = open_shelf(&shelf, &limits, &options);
    struct client *c = reader(b, KIND_SSE);

    (void)state;
    client_join(c, "u,t", "-,11-3", NULL);
    settle(b);
    load(&shelf, 6, 1);
    topic_ready(task(b, "u"));
    told(c, "subscribed u unknown null replayed 0\nresync u unknown_id\n");
    say_text(b, "u", E2, "x");
    told(c, "u: text x 22-1\n");
    /* The place of the task that still waits is the one it came with. */
    assert_string_equal(c->sse_id, "22-1,11-3");
    give(&shelf, 2, true);
    told(c, "subscribed t running 11-6 replayed 3\nt: text d 11-4\nt: text e 11-5\n"
            "t: text f 11-6\n");
    assert_string_equal(c->sse_id, "22-1,11-6");
    bench_free(b);
}

int test_history(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_place_is_gone_on_from_exactly),
        cmocka_unit_test(from_start_tells_all_that_is_stored),
        cmocka_unit_test(from_start_of_a_trimmed_log_begins_with_what_is_left),
        cmocka_unit_test(two_joiners_share_one_question),
        cmocka_unit_test(who_wants_no_past_neither_waits_nor_asks),
        cmocka_unit_test(live_readers_are_told_nothing_of_it),
        cmocka_unit_test(history_is_no_copy_of_what_another_topic_brought),
        cmocka_unit_test(a_place_that_is_gone_means_a_new_start),
        cmocka_unit_test(a_place_from_before_what_may_be_held_is_not_asked_for),
        cmocka_unit_test(from_start_gets_as_much_as_may_be_held),
        cmocka_unit_test(a_run_that_changes_meanwhile_means_a_new_start),
        cmocka_unit_test(a_task_erased_meanwhile_is_gone),
        cmocka_unit_test(events_that_cannot_be_had_in_time_are_told_as_unavailable),
        cmocka_unit_test(one_that_comes_after_its_deadline_still_has_one),
        cmocka_unit_test(a_long_poll_waits_for_older_events),
        cmocka_unit_test(a_long_poll_that_waited_too_long_keeps_its_place),
        cmocka_unit_test(a_stream_of_several_tasks_waits_for_each_alone),
    };
    return cmocka_run_group_tests_name("session: history", tests, NULL, NULL);
}
