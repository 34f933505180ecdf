/* support.c - a bench for the engine: the server, a loop, the applications. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the raw application: an echo ---- */

static void eio_on_open(void *ctx, struct eio_session *session)
{
    struct bench *b = ctx;
    b->session = session;
    buf_puts(&b->seen, "open\n");
}

static void eio_on_message(void *ctx, struct eio_session *session, struct slice data,
                           bool is_binary)
{
    struct bench *b = ctx;
    buf_puts(&b->seen, is_binary ? "binary " : "message ");
    buf_slice(&b->seen, data);
    buf_puts(&b->seen, "\n");
    if (!b->keeps_quiet)
        eio_session_send(session, data, is_binary);
}

static void eio_on_drain(void *ctx, struct eio_session *session)
{
    struct bench *b = ctx;
    if (b->on_session_drain != NULL)
        b->on_session_drain(b, session);
}

static void eio_on_alarm(void *ctx, struct eio_session *session)
{
    struct bench *b = ctx;
    (void)session;
    buf_puts(&b->seen, "alarm\n");
}

static void eio_on_close(void *ctx, struct eio_session *session, const char *reason)
{
    struct bench *b = ctx;
    assert_false(eio_session_is_open(session));
    if (b->session == session)
        b->session = NULL;
    buf_printf(&b->seen, "close %s\n", reason);
}

static const char *allow(void *ctx, const struct http_request *request)
{
    const struct bench *b = ctx;
    (void)request;
    return b->forbids;
}

static const struct eio_app eio_app = {
    .allow = allow,
    .on_open = eio_on_open,
    .on_message = eio_on_message,
    .on_drain = eio_on_drain,
    .on_alarm = eio_on_alarm,
    .on_close = eio_on_close,
};

/* ---- the Socket.IO application ---- */

static void note(struct bench *b, const char *what, const struct sio_socket *socket)
{
    buf_printf(&b->seen, "%s ", what);
    buf_slice(&b->seen, sio_nsp(socket));
}

static void sio_on_connect(void *ctx, struct sio_socket *socket, struct slice auth)
{
    struct bench *b = ctx;
    note(b, "connect", socket);
    buf_puts(&b->seen, " ");
    buf_slice(&b->seen, auth);
    buf_puts(&b->seen, "\n");
    b->socket = socket;
    if (b->answers_later)
        return;
    if (slice_is(sio_nsp(socket), "/unknown"))
        sio_refuse(socket, "Invalid namespace", slice_make(NULL, 0));
    else if (slice_is(sio_nsp(socket), "/secret"))
        sio_refuse(socket, "No \"entry\"", slice_of("{\"code\":7}"));
    else
        sio_accept(socket);
}

static void note_attachments(struct bench *b, const struct sio_event *event)
{
    for (unsigned i = 0; i < event->attachment_count; i++) {
        buf_puts(&b->seen, " <");
        buf_slice(&b->seen, event->attachments[i]);
        buf_puts(&b->seen, ">");
    }
}

static void sio_on_event(void *ctx, struct sio_socket *socket,
                         const struct sio_event *event)
{
    struct bench *b = ctx;
    note(b, "event", socket);
    buf_puts(&b->seen, " ");
    buf_slice(&b->seen, event->name);
    buf_puts(&b->seen, " ");
    buf_slice(&b->seen, event->args);
    note_attachments(b, event);
    if (event->wants_ack) {
        buf_puts(&b->seen, " ack ");
        buf_slice(&b->seen, event->ack);
    }
    buf_puts(&b->seen, "\n");
    if (b->on_event != NULL)
        b->on_event(b, socket, event);
}

static void sio_on_drain(void *ctx, struct sio_socket *socket)
{
    struct bench *b = ctx;
    if (b->on_drain != NULL)
        b->on_drain(b, socket);
}

static void sio_on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
    struct bench *b = ctx;
    note(b, "disconnect", socket);
    buf_printf(&b->seen, " %s\n", reason);
    if (b->on_disconnect != NULL)
        b->on_disconnect(b, socket);
}

static void sio_on_ack(void *ctx, struct sio_socket *socket, uint64_t id,
                       const struct sio_event *answer)
{
    struct bench *b = ctx;
    note(b, "ack", socket);
    buf_printf(&b->seen, " %llu ", (unsigned long long)id);
    buf_slice(&b->seen, answer->args);
    note_attachments(b, answer);
    buf_puts(&b->seen, "\n");
}

static const struct sio_app sio_app = {
    .on_connect = sio_on_connect,
    .on_event = sio_on_event,
    .on_drain = sio_on_drain,
    .on_disconnect = sio_on_disconnect,
    .on_ack = sio_on_ack,
    .allow = allow,
};

/* ---- the bench ---- */

struct eio_options eio_defaults(void)
{
    return (struct eio_options){
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .max_payload_bytes = 1000000,
        .control_bytes = 65536,
        .max_sessions = 8,
        .allow_eio3 = true,
        .max_poll_packets = 16,
    };
}

struct sio_options sio_defaults(void)
{
    return (struct sio_options){
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .connect_timeout_ms = 45000,
        .max_payload_bytes = 1000000,
        .control_bytes = 65536,
        .max_sessions = 8,
        .allow_eio3 = true,
        .max_namespaces = 4,
        .max_poll_packets = 16,
    };
}

static struct bench *bench_new(void)
{
    struct bench *b = mem_new(sizeof(*b));
    b->loop = loop_new();
    b->counters = counters_new();
    buf_init(&b->seen, 1 << 20);
    return b;
}

struct bench *bench_eio(const struct eio_options *options)
{
    struct bench *b = bench_new();
    b->eio = eio_server_new(b->loop, options, &eio_app, b, b->counters);
    eio_server_routes(b->eio, "/engine.io/", &b->http, &b->ws);
    return b;
}

struct bench *bench_sio(const struct sio_options *options)
{
    struct bench *b = bench_new();
    b->sio = sio_server_new(b->loop, options, &sio_app, b, b->counters);
    sio_server_routes(b->sio, "/socket.io/", &b->http, &b->ws);
    return b;
}

static void free_exchanges(struct bench *b)
{
    while (b->exchanges != NULL) {
        struct fake_exchange *x = b->exchanges;
        b->exchanges = x->next;
        assert_true(x->is_answered);
        buf_release(&x->body);
        free(x);
    }
}

static void free_pipes(struct bench *b)
{
    while (b->pipes != NULL) {
        struct fake_pipe *pipe = b->pipes;
        b->pipes = pipe->next;
        if (!pipe->is_gone) /* the transport ends last, and says so to whoever listens */
            pipe->base.owner->on_closed(&pipe->base, "transport close");
        buf_release(&pipe->wire);
        buf_release(&pipe->said);
        free(pipe);
    }
}

void bench_free(struct bench *b)
{
    if (b->eio != NULL)
        eio_server_free(b->eio);
    if (b->sio != NULL)
        sio_server_free(b->sio);
    free_exchanges(b);
    free_pipes(b);
    buf_release(&b->seen);
    counters_free(b->counters);
    loop_free(b->loop);
    free(b);
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

void await_answer(struct bench *b, const struct fake_exchange *x)
{
    for (int i = 0; i < 2500 && !x->is_answered; i++)
        pass_ms(b, 2);
    assert_true(x->is_answered);
}

void await_close(struct bench *b, const struct fake_pipe *pipe)
{
    for (int i = 0; i < 2500 && !pipe->was_closed; i++)
        pass_ms(b, 2);
    assert_true(pipe->was_closed);
}

void heard(struct bench *b, const char *lines)
{
    settle(b);
    assert_string_equal(buf_text(&b->seen), lines);
    buf_reset(&b->seen);
}

uint64_t counted(struct bench *b, const char *line_start)
{
    return kit_counted(b->counters, line_start);
}
