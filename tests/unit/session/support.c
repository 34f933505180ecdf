/* support.c - a hub and its sessions, and short ways to publish. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "kit.h"

#include <stdlib.h>

/* ---- the bench ---- */

struct hub_limits roomy(void)
{
    return (struct hub_limits){
        .retain_events = 10000,
        .retain_bytes = 16 << 20,
        .retain_text_bytes = 16 << 20,
        .retain_total_bytes = 256 << 20,
        .retain_finished_ms = 3600000,
        .retain_room_ms = 3600000,
        .abandon_ms = 3600000,
        .linger_ms = 3600000,
        .max_topics = 100,
    };
}

struct session_options patient(void)
{
    return (struct session_options){
        .heartbeat_ms = 3600000,
        .wait_unknown_ms = 3600000,
        .poll_wait_ms = 3600000,
        .retry_ms = 3000,
        .silence_ms = 3600000,
        .max_subscriptions = 8,
        .opaque_lag_bytes = 1 << 20,
        .snapshot_total_bytes = 64 << 20,
        .snapshot_hold_ms = 3600000,
        .answer_bytes = 32768,
        .ws_message_bytes = 65536,
        .default_site = "site",
    };
}

static void on_stop(void *ctx, const struct task_key *task, uint64_t epoch,
                    void (*done)(void *done_ctx, enum stop_status status),
                    void *done_ctx)
{
    struct bench *b = ctx;

    assert_true(slice_is(task->site, "site"));
    b->stops++;
    b->stop_epoch = epoch;
    b->stop_done = done;
    b->stop_ctx = done_ctx;
    if (!b->stop_is_held)
        done(done_ctx, b->stop_status);
}

static struct sio_options sio_defaults(void)
{
    return (struct sio_options){
        .ping_interval_ms = 3600000,
        .ping_timeout_ms = 3600000,
        .upgrade_timeout_ms = 3600000,
        .connect_timeout_ms = 3600000,
        .max_payload_bytes = 1000000,
        .control_bytes = 65536,
        .max_sessions = 1000,
        .allow_eio3 = true,
        .max_namespaces = 4,
        .max_poll_packets = 16,
    };
}

struct bench *bench_new(const struct hub_limits *limits,
                        const struct session_options *options)
{
    struct bench *b = mem_new(sizeof(*b));
    struct session_services services = {.stop = on_stop, .ctx = b};
    struct sio_options sio = sio_defaults();
    struct session_options mine = *options;

    b->auth = auth_none_new();
    mine.auth = b->auth;
    b->loop = loop_new();
    b->counters = counters_new();
    b->hub = hub_new(b->loop, limits, b->counters);
    b->set = session_set_new(b->loop, b->hub, &mine, &services, b->counters);
    b->sio = sio_server_new(b->loop, &sio, &session_sio_app, b->set, b->counters);
    sio_server_routes(b->sio, "/socket.io/", &b->http, &b->sio_ws);
    session_ws_route(b->set, &b->ws);
    return b;
}

static void clients_free(struct bench *b)
{
    while (b->clients != NULL) {
        struct client *c = b->clients;
        b->clients = c->next;
        for (unsigned i = 0; i < c->tale_count; i++) {
            buf_release(&c->tales[i].reasoning);
            buf_release(&c->tales[i].text);
        }
        sse_parser_free(c->sse);
        buf_release(&c->in);
        buf_release(&c->message);
        buf_release(&c->told);
        free(c);
    }
}

void bench_free(struct bench *b)
{
    sio_server_free(b->sio);
    wires_free(b);
    settle(b);
    session_set_free(b->set);
    auth_free(b->auth);
    hub_free(b->hub);
    clients_free(b);
    counters_free(b->counters);
    loop_free(b->loop);
    free(b);
}

int with_bench(void **state)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    *state = bench_new(&limits, &options);
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

/* ---- publishing ---- */

struct topic *task(struct bench *b, const char *name)
{
    struct topic *topic =
        hub_topic(b->hub, TOPIC_TASK, slice_of("site"), slice_of(name));

    assert_non_null(topic);
    return topic;
}

void say(struct bench *b, const char *name, uint64_t epoch, enum event_type type,
         const char *text)
{
    struct topic *topic = task(b, name);
    const struct run *run = topic_run(topic);
    uint64_t seq = run->epoch == epoch ? run->last_seq + 1 : 1;
    bool is_delta = type == EVENT_TEXT || type == EVENT_REASONING;
    struct topic_event event = {
        .id = {epoch, seq, false}, .type = type, .is_delta = is_delta};
    struct buf body;
    size_t at;

    buf_init(&body, EVENT_MAX_BYTES);
    buf_printf(&body, "{\"task_id\":\"%s\",\"type\":\"%s\",\"text\":\"", name,
               event_type_name(type));
    at = body.len;
    buf_printf(&body, "%s\",\"partial\":%s}", text, is_delta ? "true" : "false");
    event.body = buf_view(&body);
    if (is_delta)
        event.text = slice_make(body.data + at, strlen(text));
    assert_true(topic_append(topic, &event));
    buf_release(&body);
}

void say_text(struct bench *b, const char *name, uint64_t epoch, const char *text)
{
    say(b, name, epoch, EVENT_TEXT, text);
}

void say_reasoning(struct bench *b, const char *name, uint64_t epoch, const char *text)
{
    say(b, name, epoch, EVENT_REASONING, text);
}

void say_end(struct bench *b, const char *name, uint64_t epoch)
{
    say(b, name, epoch, EVENT_COMPLETION, "");
}

void say_opaque(struct bench *b, const char *name, const char *body)
{
    struct topic_event event = {.is_opaque = true, .body = slice_of(body)};

    assert_true(topic_append(task(b, name), &event));
}
