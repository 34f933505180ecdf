/* dialect.c - how each transport is spoken to, and what it makes of an answer. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "codec/sio.h"
#include "emitters/torture/frames.h"
#include "emitters/torture/producer.h"
#include "emitters/torture/reader.h"

#include <stdio.h>

#define EVENT_BYTES ((size_t)32 << 20)
#define SOCKET_PATH "/socket.io/?EIO=4&transport="

static const char *from_name(enum reader_from from)
{
    static const char *const names[] = {"snapshot", "start", "now"};

    return names[from];
}

static struct slice member(struct slice object, const char *name)
{
    struct json_member m;

    if (!json_get(object, name, &m))
        return (struct slice){0};
    return m.kind == JSON_STRING ? json_string_raw(m.value) : m.value;
}

/* ---- requests ---- */

static void upgrade(struct reader *reader, const char *path)
{
    buf_printf(&reader->out,
               "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               path);
}

static void ask_events(struct reader *reader)
{
    char task[TASK_NAME_SIZE];
    bool is_poll = reader->kind == READER_LONG_POLL;

    told_joining(reader);
    task_name(reader->task, task);
    buf_printf(&reader->out, "GET /v1/tasks/%s/events?from=%s", task,
               from_name(reader->from));
    if (is_poll && reader->since[0] != '\0')
        buf_printf(&reader->out, "&since=%s", reader->since);
    buf_printf(&reader->out, " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: %s\r\n",
               is_poll ? "application/json" : "text/event-stream");
    if (!is_poll && reader->since[0] != '\0')
        buf_printf(&reader->out, "Last-Event-ID: %s\r\n", reader->since);
    buf_puts(&reader->out, "\r\n");
}

static void ask_poll(struct reader *reader)
{
    size_t len = reader->to_post.len;

    reader->is_posting = len > 0;
    buf_printf(&reader->out, "%s " SOCKET_PATH "polling%s%s HTTP/1.1\r\n",
               len > 0 ? "POST" : "GET",
               reader->sid[0] == '\0' ? "" : "&sid=", reader->sid);
    buf_puts(&reader->out, "Host: 127.0.0.1\r\n");
    if (len > 0)
        buf_printf(&reader->out,
                   "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n",
                   len);
    buf_puts(&reader->out, "\r\n");
    buf_slice(&reader->out, buf_view(&reader->to_post));
    buf_reset(&reader->to_post);
}

/* ---- saying ---- */

static void say(struct reader *reader, struct slice text)
{
    if (reader->kind != READER_SIO_POLLING) {
        ws_part_write(&reader->out, 1, text);
        return;
    }
    if (reader->to_post.len > 0)
        buf_putc(&reader->to_post, '\x1e');
    buf_slice(&reader->to_post, text);
}

static void say_text(struct reader *reader, const char *text)
{
    say(reader, slice_of(text));
}

static void subscribe(struct reader *reader)
{
    char task[TASK_NAME_SIZE];
    struct buf text;

    told_joining(reader);
    task_name(reader->task, task);
    buf_init(&text, 512);
    if (reader->kind == READER_SIO_STRING) {
        buf_printf(&text, "420[\"task_subscribe\",\"%s\"]", task);
    } else {
        buf_printf(&text, "%s\"task_id\":\"%s\"",
                   reader->kind == READER_WS ? "{\"op\":\"subscribe\","
                                             : "420[\"task_subscribe\",{",
                   task);
        if (reader->since[0] != '\0')
            buf_printf(&text, ",\"since\":\"%s\"", reader->since);
        else
            buf_printf(&text, ",\"from\":\"%s\"", from_name(reader->from));
        buf_puts(&text, reader->kind == READER_WS ? "}" : "}]");
    }
    say(reader, buf_view(&text));
    buf_release(&text);
}

bool reader_ask_stop(struct reader *reader)
{
    char task[TASK_NAME_SIZE];
    struct buf text;
    bool is_native = reader->kind == READER_WS || reader->kind == READER_SIO_WEBSOCKET;

    /* With its epoch: what is asked late must not stop the next one. */
    if (!is_native || !reader->is_joined || reader->fold.story == NULL ||
        reader->place.epoch == 0 || reader->end_epoch == reader->place.epoch)
        return false;
    task_name(reader->task, task);
    buf_init(&text, 512);
    buf_printf(&text, "%s\"task_id\":\"%s\",\"epoch\":%llu%s",
               reader->kind == READER_WS ? "{\"op\":\"stop\"," : "42[\"task_stop\",{",
               task, (unsigned long long)reader->place.epoch,
               reader->kind == READER_WS ? "}" : "}]");
    say(reader, buf_view(&text));
    buf_release(&text);
    watch_want(reader->house->set, &reader->watch, reader->stalled_until_ms == 0, true);
    return true;
}

/* ---- answers ---- */

static void on_sse(void *ctx, const struct sse_message *message)
{
    struct reader *reader = ctx;

    /* Cut by what was told before. */
    if (reader->phase == READER_AWAY)
        return;
    snprintf(reader->since, sizeof(reader->since), "%.*s", (int)message->id.len,
             message->id.len == 0 ? "" : message->id.ptr);
    told(reader, message->event, message->data);
}

static bool take_ws(struct reader *reader, struct slice text)
{
    struct slice op;

    if (!json_check(text))
        return false;
    op = member(text, "op");
    if (slice_is(op, "event"))
        told(reader, member(text, "event"), member(text, "data"));
    else
        told(reader, op, text);
    return true;
}

static void take_ack(struct reader *reader, struct slice args)
{
    struct json_member first;
    size_t at = 0;

    if (!json_next(args, &at, &first))
        return;
    if (slice_is(member(first.value, "ok"), "true"))
        told(reader, slice_of("subscribed"), first.value);
    else
        told(reader, slice_of("error"), member(first.value, "error"));
}

static bool take_sio(struct reader *reader, struct slice text)
{
    struct sio_packet packet;
    struct json_member name;
    struct json_member data = {0};
    size_t at = 0;

    if (sio_decode(4, text, &packet) != 0)
        return false;
    if (packet.type == SIO_CONNECT) {
        subscribe(reader);
    } else if (packet.type == SIO_DISCONNECT || packet.type == SIO_CONNECT_ERROR) {
        reader_close(reader, 50);
    } else if (packet.type == SIO_ACK) {
        take_ack(reader, packet.json);
    } else if (packet.type == SIO_EVENT && json_next(packet.json, &at, &name)) {
        (void)json_next(packet.json, &at, &data);
        told(reader, json_string_raw(name.value), data.value);
    }
    return true;
}

static bool take_eio(struct reader *reader, struct slice text)
{
    if (text.len == 0)
        return false;
    switch (text.ptr[0]) {
    case '0':
        snprintf(reader->sid, sizeof(reader->sid), "%.*s",
                 (int)member(slice_make(text.ptr + 1, text.len - 1), "sid").len,
                 member(slice_make(text.ptr + 1, text.len - 1), "sid").ptr);
        say_text(reader, "40");
        return true;
    case '1':
        reader_close(reader, 50);
        return true;
    case '2':
        say_text(reader, "3");
        return true;
    case '4':
        return take_sio(reader, slice_make(text.ptr + 1, text.len - 1));
    default:
        return text.ptr[0] == '6';
    }
}

static bool take_payload(struct reader *reader, struct slice payload)
{
    size_t start = 0;

    for (size_t i = 0; i <= payload.len && reader->phase != READER_AWAY; i++) {
        if (i < payload.len && payload.ptr[i] != '\x1e')
            continue;
        if (!take_eio(reader, slice_make(payload.ptr + start, i - start)))
            return false;
        start = i + 1;
    }
    return true;
}

/* {"events":[..],"id":..,"state":..,"resync"?,"error"?}: what is told anew replaces. */
static bool take_long_poll(struct reader *reader, struct slice body)
{
    struct json_member events;
    struct json_member event;
    struct slice id;
    size_t at = 0;

    if (!json_check(body) || !json_get(body, "events", &events))
        return false;
    reader->is_joined = true;
    if (member(body, "resync").len > 0)
        told_resync(reader);
    while (reader->phase != READER_AWAY && json_next(events.value, &at, &event))
        told(reader, slice_of("ai_progress"), event.value);
    if (member(body, "error").len > 0)
        told(reader, slice_of("error"), body);
    if (reader->phase == READER_AWAY)
        return true;
    id = member(body, "id");
    snprintf(reader->since, sizeof(reader->since), "%.*s",
             slice_is(id, "null") ? 0 : (int)id.len, id.ptr);
    return true;
}

bool dialect_body(struct reader *reader, struct slice data)
{
    switch (reader->kind) {
    case READER_SSE:
        sse_parser_feed(reader->sse, data);
        return true;
    case READER_LONG_POLL:
        return take_long_poll(reader, data);
    case READER_SIO_POLLING:
        return reader->is_posting || take_payload(reader, data);
    case READER_WS:
        if (data.ptr != NULL)
            return take_ws(reader, data);
        subscribe(reader); /* the socket has just opened */
        return true;
    case READER_SIO_WEBSOCKET:
    case READER_SIO_STRING:
        return data.ptr == NULL || take_eio(reader, data);
    case READER_KINDS:
        break;
    }
    return false;
}

void dialect_answer_over(struct reader *reader)
{
    if (reader->kind == READER_SIO_POLLING)
        ask_poll(reader);
    else if (reader->end_epoch != 0 && reader->end_epoch == reader->place.epoch)
        reader_close(reader, 200); /* what is over is not asked about in a tight loop */
    else
        ask_events(reader);
}

void dialect_connected(struct reader *reader)
{
    switch (reader->kind) {
    case READER_SSE:
        /* (The one before could not be freed where it was closed: in its own callback.) */
        dialect_release(reader);
        reader->sse = sse_parser_new(EVENT_BYTES, on_sse, reader);
        ask_events(reader);
        return;
    case READER_LONG_POLL:
        ask_events(reader);
        return;
    case READER_SIO_POLLING:
        ask_poll(reader);
        return;
    case READER_WS:
        upgrade(reader, "/ws");
        return;
    case READER_SIO_WEBSOCKET:
    case READER_SIO_STRING:
        upgrade(reader, SOCKET_PATH "websocket");
        return;
    case READER_KINDS:
        return;
    }
}

void dialect_release(struct reader *reader)
{
    sse_parser_free(reader->sse);
    reader->sse = NULL;
}
