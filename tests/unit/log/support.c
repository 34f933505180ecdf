/* support.c - a hub on its own loop, short ways to append, readers that note their wakes. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the bench ---- */

struct hub_limits roomy(void)
{
    return (struct hub_limits){
        .retain_events = 1000,
        .retain_bytes = 1 << 20,
        .retain_text_bytes = 1 << 20,
        .retain_total_bytes = 64 << 20,
        .retain_finished_ms = 3600000,
        .retain_room_ms = 3600000,
        .abandon_ms = 3600000,
        .linger_ms = 3600000,
        .max_topics = 100,
    };
}

static void on_watch(void *ctx, struct topic *topic)
{
    struct bench *b = ctx;

    assert_int_equal(topic_phase(topic), TOPIC_LOADING);
    b->watched++;
    b->last_watched = topic;
}

static void on_unwatch(void *ctx, struct topic *topic)
{
    struct bench *b = ctx;

    assert_int_equal(topic_phase(topic), TOPIC_COLD);
    b->unwatched++;
}

static void on_history(void *ctx, struct topic *topic)
{
    struct bench *b = ctx;

    assert_int_equal(topic_phase(topic), TOPIC_READY);
    b->fetches++;
}

static const struct hub_feed feed = {on_watch, on_unwatch, on_history, NULL};

static void after_visit(void *ctx)
{
    ((struct bench *)ctx)->visits++;
}

struct bench *bench_new(const struct hub_limits *limits, bool has_feed)
{
    struct bench *b = mem_new(sizeof(*b));

    b->loop = loop_new();
    b->counters = counters_new();
    b->hub = hub_new(b->loop, limits, b->counters);
    hub_set_after_visit(b->hub, after_visit, b);
    if (has_feed)
        hub_set_feed(b->hub, &feed, b);
    return b;
}

void bench_free(struct bench *b)
{
    hub_free(b->hub);
    counters_free(b->counters);
    loop_free(b->loop);
    free(b);
}

int with_hub(void **state)
{
    struct hub_limits limits = roomy();

    *state = bench_new(&limits, false);
    return 0;
}

int with_feed(void **state)
{
    struct hub_limits limits = roomy();

    *state = bench_new(&limits, true);
    return 0;
}

int without(void **state)
{
    bench_free(*state);
    return 0;
}

/* ---- time ---- */

void settle(struct bench *b)
{
    kit_settle(b->loop);
}

void pass_ms(struct bench *b, uint64_t ms)
{
    kit_pass_ms(b->loop, ms);
}

uint64_t counted(struct bench *b, const char *line_start)
{
    return kit_counted(b->counters, line_start);
}

/* ---- readers ---- */

static void on_wake(struct reader *base)
{
    struct fake_reader *reader = LIST_ENTRY(base, struct fake_reader, reader);

    reader->woken++;
    reader->turn = ++reader->bench->wakes;
    if (reader->leaves)
        reader_detach(base);
}

struct topic *task(struct bench *b, const char *name)
{
    struct topic *topic =
        hub_topic(b->hub, TOPIC_TASK, slice_of("site"), slice_of(name));

    assert_non_null(topic);
    return topic;
}

void join(struct bench *b, struct fake_reader *reader, struct topic *topic,
          uint64_t pos)
{
    *reader = (struct fake_reader){.bench = b};
    reader_init(&reader->reader, on_wake);
    reader_attach(&reader->reader, topic, pos);
}

/* ---- events ---- */

static struct topic_event make(struct buf *body, struct event_id id,
                               enum event_type type, const char *text)
{
    struct topic_event event = {.id = id, .type = type};

    buf_init(body, EVENT_MAX_BYTES);
    buf_printf(body, "{\"task_id\":\"t\",\"type\":\"%s\",\"text\":\"",
               event_type_name(type));
    size_t at = body->len;
    buf_printf(body, "%s\",\"partial\":true}", text);
    event.body = buf_view(body);
    event.is_delta = type == EVENT_TEXT || type == EVENT_REASONING;
    if (event.is_delta)
        event.text = slice_make(body->data + at, strlen(text));
    return event;
}

bool say(struct topic *topic, uint64_t epoch, uint64_t seq, enum event_type type,
         const char *text)
{
    struct buf body;
    struct topic_event event =
        make(&body, (struct event_id){epoch, seq, false}, type, text);
    bool is_ok = topic_append(topic, &event);

    buf_release(&body);
    return is_ok;
}

bool say_text(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text)
{
    return say(topic, epoch, seq, EVENT_TEXT, text);
}

bool say_opaque(struct topic *topic, const char *body)
{
    struct topic_event event = {
        .is_opaque = true, .name = slice_of("progress"), .body = slice_of(body)};

    return topic_append(topic, &event);
}

void restore(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text)
{
    struct buf body;
    struct topic_event event =
        make(&body, (struct event_id){epoch, seq, false}, EVENT_TEXT, text);

    topic_restore_entry(topic, &event);
    buf_release(&body);
}

bool restore_older(struct topic *topic, uint64_t epoch, uint64_t seq, const char *text)
{
    struct buf body;
    struct topic_event event =
        make(&body, (struct event_id){epoch, seq, false}, EVENT_TEXT, text);
    bool is_taken = topic_restore_older(topic, &event);

    buf_release(&body);
    return is_taken;
}

struct run known_run(uint64_t epoch, uint64_t last_seq, const char *text)
{
    struct run run = {.epoch = epoch, .state = RUN_RUNNING, .last_seq = last_seq};

    buf_init(&run.text.utf8, 1 << 20);
    buf_puts(&run.text.utf8, text);
    run.text.merged = last_seq;
    run.text.first_seq = 1;
    run.text.last_seq = last_seq;
    snprintf(run.text.timestamp, sizeof(run.text.timestamp),
             "2026-11-20T10:00:00.000Z");
    return run;
}

void run_free(struct run *run)
{
    buf_release(&run->text.utf8);
}

void accumulates(const struct accumulated *acc, const char *utf8)
{
    assert_int_equal(acc->utf8.len, strlen(utf8));
    assert_memory_equal(acc->utf8.len == 0 ? "" : acc->utf8.data, utf8, strlen(utf8));
}
