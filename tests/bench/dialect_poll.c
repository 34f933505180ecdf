/* dialect_poll.c - readers that ask again and again: Socket.IO polling, long poll. */
/* SPDX-License-Identifier: MIT */
#include "dialect.h"
#include "marker.h"
#include "sock.h"

#include <string.h>

/* Between the packets of a payload. */
#define SEPARATOR '\x1e'

/* ---- Engine.IO 4 over polling ---- */

/* Sequential on one connection: while a GET is held nothing else is sent, so a packet of
 * ours leaves when an answer has come. The server pings, hence that is soon enough. */
static void polling_get(struct reader *reader)
{
    text_printf(&reader->out, "GET /socket.io/?EIO=4&transport=polling");
    if (reader->sid[0] != '\0')
        text_printf(&reader->out, "&sid=%s", reader->sid);
    text_printf(&reader->out, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                reader->plan->port);
}

static void polling_post(struct reader *reader, const struct text *payload)
{
    text_printf(&reader->out,
                "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
                "Host: 127.0.0.1:%u\r\nContent-Length: %zu\r\n\r\n",
                reader->sid, reader->plan->port, payload->length);
    text_add(&reader->out, payload->bytes, payload->length);
}

void polling_connected(struct reader *reader)
{
    reader->state = READER_JOINING;
    polling_get(reader);
}

/* What is to be sent because of one packet goes behind `reply`. */
static void polling_packet(struct reader *reader, const char *text, size_t length,
                           struct text *reply)
{
    size_t before = reply->length;
    if (before > 0)
        text_add(reply, "\x1e", 1);
    if (text_starts(text, length, "0{")) {
        (void)reader_last_text(text, length, "\"sid\":\"", reader->sid);
        text_add(reply, "40", 2);
    } else if (text_starts(text, length, "40")) {
        reader->asked_ns = now_ns();
        socketio_subscription(reader, reply);
    } else if (length == 1 && text[0] == '2') {
        text_add(reply, "3", 1);
    } else {
        reply->length = before;
        if (text_starts(text, length, "44") || text_has(text, length, "\"ok\":false"))
            dialect_refused(reader, text, length);
        else if (text_starts(text, length, "430"))
            reader->state = READER_READY;
        else if (text_starts(text, length, "42["))
            dialect_note_place(reader, text, length);
    }
}

bool polling_text(struct reader *reader, const char *text, size_t length)
{
    struct text reply = {0};
    const char *end = text + length;
    bool is_data = text_has(text, length, "42[");
    for (const char *at = text; at < end && reader->state != READER_CLOSED;) {
        const char *stop = memchr(at, SEPARATOR, (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        if (!(size == 2 && memcmp(at, "ok", 2) == 0))
            polling_packet(reader, at, size, &reply);
        at += size + 1;
    }
    if (reader->state != READER_CLOSED) {
        if (reply.length > 0)
            polling_post(reader, &reply);
        else
            polling_get(reader);
    }
    text_release(&reply);
    return is_data && reader->state == READER_READY;
}

/* ---- long poll: GET with Accept: application/json ---- */

static void longpoll_get(struct reader *reader)
{
    const char *how;
    const char *where;
    char name[TASK_NAME_LENGTH + 1];
    task_name(reader->task, name);
    text_printf(&reader->out, "GET /v1/tasks/%s/events", name);
    if (dialect_begin(reader, &how, &where))
        text_printf(&reader->out, "?%s=%s", how, where);
    text_printf(&reader->out,
                " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: application/json\r\n\r\n",
                reader->plan->port);
    reader->asked_ns = now_ns();
}

/* The first answer may be long in coming: a reader that has asked is there. */
void longpoll_connected(struct reader *reader)
{
    reader->state = READER_READY;
    longpoll_get(reader);
}

bool longpoll_text(struct reader *reader, const char *text, size_t length)
{
    dialect_note_place(reader, text, length);
    longpoll_get(reader);
    return true;
}
