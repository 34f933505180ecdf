/* dialect.c - how each kind of server is spoken to. */
/* SPDX-License-Identifier: MIT */
#include "dialect.h"

#include "marker.h"
#include "sock.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

bool text_has(const char *text, size_t length, const char *needle)
{
    return memmem(text, length, needle, strlen(needle)) != NULL;
}

bool text_starts(const char *text, size_t length, const char *prefix)
{
    size_t size = strlen(prefix);
    return length >= size && memcmp(text, prefix, size) == 0;
}

static void say(struct reader *reader, const char *text)
{
    ws_encode_masked(&reader->out, WS_TEXT, text, strlen(text));
}

static void upgrade(struct reader *reader, const char *path)
{
    text_printf(&reader->out,
                "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                path, reader->plan->port);
}

bool dialect_begin(const struct reader *reader, const char **how, const char **where)
{
    bool has_seen = reader->place && reader->place->id[0] != '\0';
    *how = has_seen ? "since" : "from";
    *where = has_seen ? reader->place->id : reader->plan->from;
    return (*where)[0] != '\0';
}

void dialect_note_place(struct reader *reader, const char *text, size_t length)
{
    if (!reader->place)
        return;
    if (text_has(text, length, "resync"))
        reader->place->resyncs++;
    (void)reader_last_text(text, length, "\"id\":\"", reader->place->id);
}

/* A refusal is told once per reader; what the server said are its own words, no secret. */
void dialect_refused(struct reader *reader, const char *text, size_t length)
{
    fprintf(stderr, "bench: %s reader refused: %.*s\n", reader->plan->dialect->name,
            (int)(length > 200 ? 200 : length), text);
    reader_close(reader);
}

/* ---- native WebSocket ---- */

static void ws_connected(struct reader *reader)
{
    upgrade(reader, "/ws");
}

static void ws_upgraded(struct reader *reader)
{
    const char *how;
    const char *where;
    char name[TASK_NAME_LENGTH + 1];
    struct text line = {0};
    task_name(reader->task, name);
    text_printf(&line, "{\"op\":\"subscribe\",\"task_id\":\"%s\"", name);
    if (dialect_begin(reader, &how, &where))
        text_printf(&line, ",\"%s\":\"%s\"", how, where);
    text_add(&line, "}", 1);
    reader->asked_ns = now_ns();
    ws_encode_masked(&reader->out, WS_TEXT, line.bytes, line.length);
    text_release(&line);
}

static bool ws_text(struct reader *reader, const char *text, size_t length)
{
    if (reader->state == READER_READY) {
        dialect_note_place(reader, text, length);
        return true;
    }
    if (text_has(text, length, "\"subscribed\""))
        reader->state = READER_READY;
    else if (text_has(text, length, "\"error\""))
        dialect_refused(reader, text, length);
    return false;
}

/* ---- Engine.IO 4 over WebSocket ---- */

static void socketio_connected(struct reader *reader)
{
    upgrade(reader, "/socket.io/?EIO=4&transport=websocket");
}

static void socketio_upgraded(struct reader *reader)
{
    (void)reader; /* the server speaks first */
}

void socketio_subscription(const struct reader *reader, struct text *out)
{
    const char *how;
    const char *where;
    char name[TASK_NAME_LENGTH + 1];
    task_name(reader->task, name);
    if (!reader->plan->object_form) {
        text_printf(out, "420[\"task_subscribe\",\"%s\"]", name);
        return;
    }
    text_printf(out, "420[\"task_subscribe\",{\"task_id\":\"%s\"", name);
    if (dialect_begin(reader, &how, &where))
        text_printf(out, ",\"%s\":\"%s\"", how, where);
    text_add(out, "}]", 2);
}

static void socketio_subscribe(struct reader *reader)
{
    struct text line = {0};
    socketio_subscription(reader, &line);
    reader->asked_ns = now_ns();
    ws_encode_masked(&reader->out, WS_TEXT, line.bytes, line.length);
    text_release(&line);
}

/* What is no event: the heartbeat and the greeting up to the subscription. */
static void socketio_greeting(struct reader *reader, const char *text, size_t length)
{
    if (text_starts(text, length, "0{"))
        say(reader, "40");
    else if (text_starts(text, length, "40"))
        socketio_subscribe(reader);
    else if (text_starts(text, length, "44") || text_has(text, length, "\"ok\":false"))
        dialect_refused(reader, text, length);
    else if (text_starts(text, length, "430"))
        reader->state = READER_READY;
}

static bool socketio_text(struct reader *reader, const char *text, size_t length)
{
    if (length == 1 && text[0] == '2') { /* heartbeat */
        say(reader, "3");
        return false;
    }
    if (reader->state != READER_READY) {
        socketio_greeting(reader, text, length);
        return false;
    }
    dialect_note_place(reader, text, length);
    return true;
}

/* ---- connection state recovery: pid, and the offset behind each event ---- */

static void recovery_connect(struct reader *reader)
{
    struct text line = {0};
    const struct place *place = reader->place;
    if (place && place->pid[0] != '\0' && place->id[0] != '\0')
        text_printf(&line, "40{\"recovery\":true,\"pid\":\"%s\",\"offset\":\"%s\"}",
                    place->pid, place->id);
    else
        text_printf(&line, "40{\"recovery\":true}");
    reader->asked_ns = now_ns();
    ws_encode_masked(&reader->out, WS_TEXT, line.bytes, line.length);
    text_release(&line);
}

/* The same pid: its rooms are there already, and what it missed follows. */
static void recovery_connected(struct reader *reader, const char *text, size_t length)
{
    char pid[PLACE_SIZE] = "";
    struct place *place = reader->place;
    (void)reader_last_text(text, length, "\"pid\":\"", pid);
    if (place && pid[0] != '\0' && strcmp(pid, place->pid) == 0) {
        reader->state = READER_READY;
        return;
    }
    if (place) {
        if (place->pid[0] != '\0')
            place->resyncs++;
        memcpy(place->pid, pid, sizeof(pid));
    }
    socketio_subscribe(reader);
}

static bool recovery_text(struct reader *reader, const char *text, size_t length)
{
    if (length == 1 && text[0] == '2') {
        say(reader, "3");
        return false;
    }
    /* The reference sends what was missed in front of its answer to the CONNECT; its
     * client keeps it until then. */
    if (reader->state != READER_READY && !text_starts(text, length, "42[")) {
        if (text_starts(text, length, "0{"))
            recovery_connect(reader);
        else if (text_starts(text, length, "40"))
            recovery_connected(reader, text, length);
        else
            socketio_greeting(reader, text, length);
        return false;
    }
    /* 42["ai_progress",{…},"offset"] */
    if (reader->place && length > 2 && memcmp(text + length - 2, "\"]", 2) == 0)
        (void)reader_last_text(text, length, ",\"", reader->place->id);
    return true;
}

/* ---- server-sent events ---- */

static void sse_connected(struct reader *reader)
{
    const char *how;
    const char *where;
    char name[TASK_NAME_LENGTH + 1];
    task_name(reader->task, name);
    text_printf(&reader->out, "GET /v1/tasks/%s/events", name);
    if (dialect_begin(reader, &how, &where))
        text_printf(&reader->out, "?%s=%s", how, where);
    text_printf(&reader->out,
                " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/event-stream\r\n\r\n",
                reader->plan->port);
    reader->asked_ns = now_ns();
}

static void sse_upgraded(struct reader *reader)
{
    (void)reader; /* `event: subscribed` comes by itself */
}

static bool sse_text(struct reader *reader, const char *text, size_t length)
{
    if (reader->state != READER_READY && text_has(text, length, "event: subscribed"))
        reader->state = READER_READY;
    /* The first events may stand in the same piece. */
    if (text_has(text, length, "event: ai_progress"))
        dialect_note_place(reader, text, length);
    return reader->state == READER_READY;
}

/* ---- Nchan, which passes on bytes ---- */

static void nchan_connected(struct reader *reader)
{
    char name[TASK_NAME_LENGTH + 1];
    char path[64];
    task_name(reader->task, name);
    snprintf(path, sizeof(path), "/%s/%s",
             strcmp(reader->plan->from, "start") == 0 ? "replay" : "sub", name);
    reader->asked_ns = now_ns();
    upgrade(reader, path);
}

static void nchan_upgraded(struct reader *reader)
{
    reader->state = READER_READY;
}

static bool nchan_text(struct reader *reader, const char *text, size_t length)
{
    (void)reader;
    (void)text;
    return length > 0;
}

/* ---- the ceiling: frames from the first byte ---- */

static void raw_connected(struct reader *reader)
{
    reader->state = READER_READY;
}

static const struct dialect dialects[] = {
    {"ws", BODY_FRAMES, ws_connected, ws_upgraded, ws_text},
    {"socketio", BODY_FRAMES, socketio_connected, socketio_upgraded, socketio_text},
    {"recovery", BODY_FRAMES, socketio_connected, socketio_upgraded, recovery_text},
    {"sse", BODY_CHUNKS, sse_connected, sse_upgraded, sse_text},
    {"nchan", BODY_FRAMES, nchan_connected, nchan_upgraded, nchan_text},
    {"raw", BODY_FRAMES, raw_connected, nchan_upgraded, nchan_text},
    {"polling", BODY_ANSWERS, polling_connected, socketio_upgraded, polling_text},
    {"longpoll", BODY_ANSWERS, longpoll_connected, socketio_upgraded, longpoll_text},
};

const struct dialect *dialect_named(const char *name)
{
    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (strcmp(dialects[i].name, name) == 0)
            return &dialects[i];
    }
    die("no dialect is named \"%s\"", name);
}
