/* emit.c - the publisher of native runs: the house's own store, one script per event. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_emit --port REDIS [--tasks T] [--first F] [--events E] [--rate R] [--batch B]
 *              [--words N] [--deadline-ms D]
 *
 * As bench_publish, over redis/store.h: unleased runs, B events of one task per script.
 * Paced, what is due leaves once a millisecond, so R > 1000 goes in small groups.
 */
#include "marker.h"
#include "redis/store.h"
#include "sock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Scripts without an answer; enough to keep Redis busy. */
#define EMIT_WINDOW    256u
#define EMIT_BATCH_MAX 256u

struct emit {
    struct loop *loop;
    struct store *store;
    struct timer tick;
    unsigned tasks;
    unsigned first;
    unsigned batch;
    unsigned words;
    uint64_t rate;     /* events per second; 0 = back to back */
    uint64_t requests; /* in all */
    uint64_t sent;
    uint64_t answered;
    uint64_t refused;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t late_max_ns;
};

static void emit_more(struct emit *emit);

static void emit_answered(void *ctx, const struct publish_result *result)
{
    struct emit *emit = ctx;
    emit->answered++;
    if (result->status != PUBLISH_OK && emit->refused++ == 0)
        fprintf(stderr, "bench: refused: %s\n", publish_status_name(result->status));
    if (emit->answered == emit->requests)
        loop_stop(emit->loop);
    else if (emit->rate == 0)
        emit_more(emit);
}

static void emit_one(struct emit *emit)
{
    struct text json = {0};
    struct event events[EMIT_BATCH_MAX];
    size_t ends[EMIT_BATCH_MAX];
    char name[TASK_NAME_LENGTH + 1];
    unsigned task = (unsigned)(emit->sent % emit->tasks);
    unsigned first = emit->first + (unsigned)(emit->sent / emit->tasks) * emit->batch;
    for (unsigned i = 0; i < emit->batch; i++) {
        struct marker marker = {task, first + i, now_ns()};
        if (emit->words > 0)
            word_message(&json, first + i, emit->words);
        else
            marker_message(&json, &marker);
        ends[i] = json.length;
    }
    for (unsigned i = 0; i < emit->batch; i++) {
        size_t start = i > 0 ? ends[i - 1] : 0;
        struct slice one = slice_make(json.bytes + start, ends[i] - start);
        const char *field = NULL;
        enum event_fault fault = event_check(one, &events[i], &field);
        if (fault != EVENT_OK)
            die("our own event is no event: %s", event_fault_text(fault));
    }
    task_name(task, name);
    struct publish_request request = {
        .task = {.site = slice_of(""), .task_id = slice_of(name)},
        .events = events,
        .count = emit->batch};
    emit->sent++;
    store_publish(emit->store, &request, emit_answered, emit);
    text_release(&json);
}

/* How many requests should have left by now. */
static uint64_t emit_due(const struct emit *emit)
{
    if (emit->rate == 0)
        return emit->requests;
    uint64_t gone = now_ns() - emit->start_ns;
    uint64_t due = gone / 1000 * emit->rate / 1000000 / emit->batch + 1;
    return due < emit->requests ? due : emit->requests;
}

static void emit_more(struct emit *emit)
{
    uint64_t due = emit_due(emit);
    while (emit->sent < due && emit->sent - emit->answered < EMIT_WINDOW)
        emit_one(emit);
}

static void emit_tick(struct timer *timer)
{
    struct emit *emit = (struct emit *)((char *)timer - offsetof(struct emit, tick));
    if (now_ns() > emit->deadline_ns)
        loop_stop(emit->loop);
    else if (emit->start_ns > 0)
        emit_more(emit);
}

static void emit_up(void *ctx)
{
    struct emit *emit = ctx;
    if (emit->start_ns > 0) /* a second connection would make the schedule a lie */
        die("the connection to Redis was lost");
    emit->start_ns = now_ns();
    emit_more(emit);
}

static void emit_setup(struct emit *emit, int argc, char **argv)
{
    *emit = (struct emit){
        .loop = loop_new(),
        .tasks = (unsigned)arg_number(argc, argv, "--tasks", 1),
        .first = (unsigned)arg_number(argc, argv, "--first", 0),
        .batch = (unsigned)arg_number(argc, argv, "--batch", 1),
        .words = (unsigned)arg_number(argc, argv, "--words", 0),
        .rate = arg_number(argc, argv, "--rate", 0),
    };
    uint64_t events = arg_number(argc, argv, "--events", 1);
    if (emit->tasks == 0 || emit->batch == 0 || emit->batch > EMIT_BATCH_MAX ||
        events % emit->batch != 0)
        die("--tasks from 1, --batch 1 to %u, --events a multiple of it",
            EMIT_BATCH_MAX);
    emit->requests = events / emit->batch * emit->tasks;
    emit->deadline_ns =
        now_ns() + arg_number(argc, argv, "--deadline-ms", 60000) * 1000000u;
    timer_init(&emit->tick, emit->loop, emit_tick);
    timer_start(&emit->tick, 1, 1);
}

int main(int argc, char **argv)
{
    static const struct store_limits limits = {.retain_events = 100000,
                                               .retain_bytes = 64u << 20,
                                               .retain_text_bytes = 16u << 20,
                                               .retain_finished_ms = 600000,
                                               .retain_running_ms = 600000};
    struct emit emit;
    struct buf error = {0};
    char url[64];
    emit_setup(&emit, argc, argv);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%" PRIu64,
             arg_number(argc, argv, "--port", 6379));
    struct link_options options = {
        .name = "bench", .is_quiet = true, .on_up = emit_up, .ctx = &emit};
    struct link *link = link_new(emit.loop, url, &options, &error);
    if (!link)
        die("%s is no address of a Redis", url);
    emit.store = store_new(link, "tw", &limits);
    loop_run(emit.loop);
    printf("{\"requests\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"wall_ms\":%.3f}\n",
           emit.sent, emit.answered, emit.refused,
           (double)(now_ns() - emit.start_ns) / 1e6);
    fflush(stdout);
    bool is_whole = emit.answered == emit.requests && emit.refused == 0;
    emit.requests = 0; /* what freeing the store still tells is nobody's business */
    store_free(emit.store);
    link_free(link);
    timer_release(&emit.tick);
    loop_free(emit.loop);
    return is_whole ? 0 : 1;
}
