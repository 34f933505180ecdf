/* dialect.c - how each kind of server is spoken to. */
/* SPDX-License-Identifier: MIT */
#include "marker.h"
#include "reader.h"
#include "sock.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

static bool text_has(const char *text, size_t length, const char *needle)
{
    return memmem(text, length, needle, strlen(needle)) != NULL;
}

static bool text_starts(const char *text, size_t length, const char *prefix)
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

/* A refusal is told once per reader; what the server said are its own words, no secret. */
static void refused(struct reader *reader, const char *text, size_t length)
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
    char name[TASK_NAME_LENGTH + 1];
    char line[128];
    task_name(reader->task, name);
    if (reader->plan->from[0] != '\0')
        snprintf(line, sizeof(line),
                 "{\"op\":\"subscribe\",\"task_id\":\"%s\",\"from\":\"%s\"}", name,
                 reader->plan->from);
    else
        snprintf(line, sizeof(line), "{\"op\":\"subscribe\",\"task_id\":\"%s\"}", name);
    reader->asked_ns = now_ns();
    say(reader, line);
}

static bool ws_text(struct reader *reader, const char *text, size_t length)
{
    if (reader->state == READER_READY)
        return true;
    if (text_has(text, length, "\"subscribed\""))
        reader->state = READER_READY;
    else if (text_has(text, length, "\"error\""))
        refused(reader, text, length);
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

static void socketio_subscribe(struct reader *reader)
{
    char name[TASK_NAME_LENGTH + 1];
    char line[128];
    task_name(reader->task, name);
    if (reader->plan->object_form)
        snprintf(line, sizeof(line),
                 "420[\"task_subscribe\",{\"task_id\":\"%s\",\"from\":\"%s\"}]", name,
                 reader->plan->from);
    else
        snprintf(line, sizeof(line), "420[\"task_subscribe\",\"%s\"]", name);
    reader->asked_ns = now_ns();
    say(reader, line);
}

static bool socketio_text(struct reader *reader, const char *text, size_t length)
{
    if (length == 1 && text[0] == '2') { /* heartbeat */
        say(reader, "3");
        return false;
    }
    if (reader->state == READER_READY)
        return true;
    if (text_starts(text, length, "0{"))
        say(reader, "40");
    else if (text_starts(text, length, "40"))
        socketio_subscribe(reader);
    else if (text_starts(text, length, "44") || text_has(text, length, "\"ok\":false"))
        refused(reader, text, length);
    else if (text_starts(text, length, "430"))
        reader->state = READER_READY;
    return false;
}

/* ---- server-sent events ---- */

static void sse_connected(struct reader *reader)
{
    char name[TASK_NAME_LENGTH + 1];
    task_name(reader->task, name);
    const char *from = reader->plan->from;
    text_printf(&reader->out,
                "GET /v1/tasks/%s/events%s%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                "Accept: text/event-stream\r\n\r\n",
                name, from[0] ? "?from=" : "", from, reader->plan->port);
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
    {"ws", true, ws_connected, ws_upgraded, ws_text},
    {"socketio", true, socketio_connected, socketio_upgraded, socketio_text},
    {"sse", false, sse_connected, sse_upgraded, sse_text},
    {"nchan", true, nchan_connected, nchan_upgraded, nchan_text},
    {"raw", true, raw_connected, nchan_upgraded, nchan_text},
};

const struct dialect *dialect_named(const char *name)
{
    for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (strcmp(dialects[i].name, name) == 0)
            return &dialects[i];
    }
    die("no dialect is named \"%s\"", name);
}
