/* shelf.c - a store of one task's events, from which a hub is fed on request. */
/* SPDX-License-Identifier: MIT */
#include "shelf.h"

#include <stdio.h>

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

static const struct hub_feed feed = {on_watch, on_unwatch, on_history, NULL};

struct bench *open_shelf(struct shelf *shelf, const struct hub_limits *limits,
                         const struct session_options *options)
{
    struct bench *b = bench_new(limits, options);

    *shelf = (struct shelf){.bench = b};
    hub_set_feed(b->hub, &feed, shelf);
    return b;
}

/* The event `seq` as it is stored; `body` holds it. */
struct topic_event stored(uint64_t seq, char body[128])
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
void load(struct shelf *shelf, uint64_t last, uint64_t count)
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
void give(struct shelf *shelf, uint64_t count, bool has_more)
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
void on_shelves(const struct hub_limits *limits, const struct session_options *options,
                void (*test)(struct shelf *shelf, enum kind kind))
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        struct shelf shelf;
        struct bench *b = open_shelf(&shelf, limits, options);
        test(&shelf, (enum kind)kind);
        bench_free(b);
    }
}

void on_roomy_shelves(void (*test)(struct shelf *shelf, enum kind kind))
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    on_shelves(&limits, &options, test);
}
