/* memory_runs.c - records beside topics: whose run it is; runs that begin and end. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bus/memory_inside.h"
#include "codec/json.h"

#include <stdlib.h>

#define EVENT_LIMIT 8192
#define KEY_LIMIT   512
/* Of more changes between a producer and others who join its run the oldest are forgotten,
 * and a repeat from before is told too large ids. */
#define MAX_MARKS 64
/* A timer that fires so late was held up, and so were those who renew. */
#define BREAK_MS 500

static struct slice run_key(struct buf *buf, struct slice site, struct slice task_id)
{
    buf_reset(buf);
    buf_slice(buf, site);
    buf_putc(buf, '/');
    buf_slice(buf, task_id);
    return buf_view(buf);
}

void owned_free(struct owned_run *owned)
{
    free(owned->marks);
    free(owned->producer);
    free(owned->request);
    points_free(owned->points);
    free(owned);
}

void owned_forget(struct owned_run *owned)
{
    free(owned->request);
    owned->request = mem_text(slice_make("", 0));
    points_free(owned->points);
    owned->points = NULL;
}

struct owned_run *owned_find(struct bus_memory *mem, const struct topic *topic)
{
    struct owned_run *owned;
    struct buf key;

    if (topic == NULL)
        return NULL;
    buf_init(&key, KEY_LIMIT);
    owned = map_get(mem->runs, run_key(&key, topic_site(topic), topic_name(topic)));
    buf_release(&key);
    return owned;
}

void owned_renew(struct bus_memory *mem, struct owned_run *owned)
{
    owned->lease_until_ms = loop_now_ms(mem->loop) + owned->lease_ms;
}

/* The record of the run that was just opened takes the place of the one before. */
static void owned_set(struct bus_memory *mem, struct topic *topic,
                      const struct run_open_request *request)
{
    struct owned_run *owned = mem_new(sizeof(*owned));
    struct owned_run *old;
    struct buf key;

    owned->epoch = topic_run(topic)->epoch;
    owned->opened_ms = owned->touched_ms = loop_now_ms(mem->loop);
    owned->lease_ms = request->lease_ms;
    owned->counter = 1;
    owned->producer = mem_text(request->producer);
    owned->keeps_text = request->keeps_text;
    owned_renew(mem, owned);
    buf_init(&key, KEY_LIMIT);
    old =
        map_set(mem->runs, run_key(&key, topic_site(topic), topic_name(topic)), owned);
    buf_release(&key);
    /* A continue without words of its own goes on with those it has. */
    if (request->keeps_text && request->request.len == 0 && old != NULL)
        owned->request = mem_text(slice_of(old->request));
    else
        owned->request = mem_text(request->request);
    if (request->keeps_text && old != NULL) {
        owned->points = old->points;
        old->points = NULL;
    }
    topic_charge(topic, points_bytes(owned->points));
    if (old != NULL)
        owned_free(old);
}

bool owned_is_alive(const struct bus_memory *mem, const struct owned_run *owned)
{
    return owned->lease_ms > 0 && loop_now_ms(mem->loop) < owned->lease_until_ms;
}

void owned_mark(struct owned_run *owned, uint64_t seq)
{
    uint64_t offset = seq - owned->counter;

    if (owned->mark_count > 0 && owned->marks[owned->mark_count - 1].offset == offset)
        return;
    if (owned->marks == NULL)
        owned->marks = mem_array(MAX_MARKS, sizeof(struct mark));
    if (owned->mark_count == MAX_MARKS) {
        owned->mark_count--;
        memmove(owned->marks, owned->marks + 1,
                owned->mark_count * sizeof(struct mark));
    }
    owned->marks[owned->mark_count++] = (struct mark){owned->counter, offset};
}

struct event_id owned_id(const struct owned_run *owned, uint64_t counter)
{
    uint64_t seq = counter;

    for (size_t i = owned->mark_count; i > 0; i--) {
        seq = counter + owned->marks[i - 1].offset;
        if (owned->marks[i - 1].counter <= counter)
            break;
    }
    return (struct event_id){owned->epoch, seq, false};
}

bool run_is_open(const struct topic *topic)
{
    const struct run *run = topic_run(topic);

    return run->epoch != 0 && !run->is_local && !run_state_is_final(run->state);
}

/* ---- events of our own ---- */

void memory_append(struct bus_memory *mem, struct topic *topic, enum event_type type,
                   const char *code, const char *message)
{
    const struct run *run = topic_run(topic);
    struct topic_event event = {.id = {run->epoch, run->last_seq + 1, false},
                                .type = type};
    char stamp[CLOCK_ISO_SIZE];
    struct buf body;

    clock_iso(clock_wall_ms(), stamp);
    buf_init(&body, EVENT_LIMIT);
    buf_puts(&body, "{\"task_id\":");
    json_quote(&body, topic_name(topic));
    buf_printf(&body, ",\"type\":\"%s\"", event_type_name(type));
    buf_puts(&body, ",\"partial\":false");
    if (type == EVENT_STOPPED)
        buf_printf(&body, ",\"length\":%zu",
                   utf8_length(run->text.utf8.data, run->text.utf8.len));
    if (code != NULL)
        buf_printf(&body, ",\"code\":\"%s\",\"message\":\"%s\"", code, message);
    buf_printf(&body, ",\"timestamp\":\"%s\"}", stamp);
    event.body = buf_view(&body);
    topic_append(topic, &event);
    buf_release(&body);
    memory_note_end(mem, topic);
}

/* ---- points ---- */

static void words_of(const struct topic *topic, struct slice words[POINT_KINDS])
{
    words[0] = buf_view(&topic_run(topic)->text.utf8);
    words[1] = buf_view(&topic_run(topic)->reasoning.utf8);
}

static void add_point(struct bus_memory *mem, struct topic *topic,
                      struct owned_run *owned, const struct task_point *point)
{
    struct slice words[POINT_KINDS];

    if (owned->points == NULL)
        owned->points = points_new(mem->limits.retain_text_bytes);
    words_of(topic, words);
    points_add(owned->points, point, words);
    topic_charge(topic, points_bytes(owned->points));
}

void memory_note_end(struct bus_memory *mem, struct topic *topic)
{
    const struct run *run = topic_run(topic);
    struct owned_run *owned =
        run_state_is_final(run->state) ? owned_find(mem, topic) : NULL;
    struct task_point point = {.kind = slice_of(run_state_name(run->state)),
                               .epoch = run->epoch};

    if (owned != NULL && owned->epoch == run->epoch && owned->request[0] != '\0')
        add_point(mem, topic, owned, &point);
}

/* A continue that a client asked for: it may begin with the words before a point. */
static void begin_at_point(struct bus_memory *mem, struct topic *topic, uint64_t number)
{
    struct owned_run *owned = owned_find(mem, topic);
    struct task_point point = {
        .kind = slice_of("continued"), .epoch = owned->epoch, .from = number};
    struct slice now[POINT_KINDS];
    struct buf back[POINT_KINDS];

    buf_init(&back[0], SIZE_MAX);
    buf_init(&back[1], SIZE_MAX);
    words_of(topic, now);
    if (number > 0 && points_go_back(owned->points, number, now, back))
        topic_rewrite(topic, buf_view(&back[0]), buf_view(&back[1]));
    add_point(mem, topic, owned, &point);
    buf_release(&back[0]);
    buf_release(&back[1]);
}

void memory_open_run(struct bus_memory *mem, struct topic *topic,
                     const struct run_open_request *request)
{
    const struct owned_run *old = owned_find(mem, topic);
    uint64_t old_epoch = old == NULL ? 0 : old->epoch;
    uint64_t now = clock_wall_ms();
    /* A producer that opens again: redis/README.md, open. */
    bool is_again = old != NULL && request->producer.len > 0 &&
                    slice_is(request->producer, old->producer) &&
                    topic_run(topic)->epoch == old->epoch;

    if (run_is_open(topic) && !is_again)
        memory_append(mem, topic, EVENT_ERROR, "SUPERSEDED", "a newer run was opened");
    mem->last_epoch = now > mem->last_epoch ? now : mem->last_epoch + 1;
    topic_open_run(topic, mem->last_epoch, request->state, now, request->keeps_text);
    owned_set(mem, topic, request);
    if (request->is_submission && request->keeps_text && old_epoch != 0)
        begin_at_point(mem, topic, request->from_point);
    if (request->is_submission)
        memory_append(mem, topic, EVENT_QUEUED, NULL, NULL);
}

/* ---- runs nobody ends ---- */

static void end_run(struct bus_memory *mem, struct topic *topic, const char *code,
                    const char *message)
{
    counter_add(mem->ended, 1);
    memory_append(mem, topic, code == NULL ? EVENT_STOPPED : EVENT_ERROR, code,
                  message);
    memory_tell_stop(mem, topic);
}

/* The conditions of redis/README.md, in the order of the sweep there. */
static void judge_run(struct bus_memory *mem, struct topic *topic,
                      const struct owned_run *owned)
{
    const struct bus_limits *limits = &mem->limits;
    uint64_t now = loop_now_ms(mem->loop);
    bool is_alive = owned_is_alive(mem, owned);
    bool is_queued = topic_run(topic)->state == RUN_QUEUED;

    if (owned->stop_ms != 0 && now - owned->stop_ms >= limits->stop_grace_ms)
        end_run(mem, topic, NULL, NULL);
    else if (is_queued && !is_alive &&
             now - owned->opened_ms >= limits->queue_timeout_ms)
        end_run(mem, topic, "QUEUE_TIMEOUT", "No worker took this run up in time.");
    else if (owned->lease_ms > 0 && !is_queued && !is_alive &&
             now - mem->steady_since_ms >= owned->lease_ms)
        end_run(mem, topic, "PRODUCER_LOST", "The producer of this run has gone away.");
    else if (owned->lease_ms == 0 && now - owned->touched_ms >= limits->abandon_ms)
        end_run(mem, topic, "ABANDONED", "No event of this run came for too long.");
}

static bool sweep_run(struct slice key, void *value, void *ctx)
{
    struct bus_memory *mem = ctx;
    struct owned_run *owned = value;
    const char *slash = memchr(key.ptr, '/', key.len);
    struct task_key task = {
        .site = slice_make(key.ptr, (size_t)(slash - key.ptr)),
        .task_id = slice_make(slash + 1, (size_t)(key.ptr + key.len - slash - 1)),
    };
    struct topic *topic = hub_find_task(mem->hub, &task);

    if (topic == NULL) {
        map_remove(mem->runs, key);
        owned_free(owned);
        return true;
    }
    if (run_is_open(topic) && topic_run(topic)->epoch == owned->epoch)
        judge_run(mem, topic, owned);
    return true;
}

void memory_sweep(struct timer *timer)
{
    struct bus_memory *mem = LIST_ENTRY(timer, struct bus_memory, sweep);
    uint64_t now = loop_now_ms(mem->loop);

    if (now - mem->swept_ms > MEMORY_SWEEP_MS + BREAK_MS)
        mem->steady_since_ms = now;
    mem->swept_ms = now;
    memory_drop_jobs(mem, false);
    map_each(mem->runs, sweep_run, mem);
}
