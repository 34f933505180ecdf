/* reader.h - one subscribed connection of the load client, in any of its dialects. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include "text.h"

#include <stdint.h>

/*
 *   CONNECTING --tcp--> UPGRADING --101/200--> JOINING --subscribed--> READY
 *                                                    any --------------> CLOSED
 */
enum reader_state {
    READER_CONNECTING,
    READER_UPGRADING,
    READER_JOINING,
    READER_READY,
    READER_CLOSED
};

struct reader;

/* What comes after the head of the first answer. */
enum body {
    BODY_FRAMES, /* WebSocket frames */
    BODY_CHUNKS, /* the chunked body of an event stream */
    BODY_ANSWERS /* one whole HTTP answer after the other: polling */
};

/* How a kind of server is spoken to. All hooks queue bytes in reader->out. */
struct dialect {
    const char *name;
    enum body body;
    void (*on_connected)(struct reader *reader);
    void (*on_upgraded)(struct reader *reader);
    /* One message (event stream: one or more whole events; polling: a body). True when it may
     * be data. */
    bool (*on_text)(struct reader *reader, const char *text, size_t length);
};
/* "ws", "socketio", "recovery" (Socket.IO, connection state recovery), "sse", "polling"
 * (Socket.IO), "longpoll", "nchan", "raw"; dies at any other name. */
const struct dialect *dialect_named(const char *name);

#define PLACE_SIZE 128

struct reader_plan {
    const struct dialect *dialect;
    uint16_t port;
    const char
        *from; /* how to join: "now", "snapshot", "start"; "" = the server's default */
    int receive_bytes; /* of the socket's buffer; 0 = as the system has it */
    bool object_form;  /* Socket.IO: task_subscribe({task_id, from}) */
    void (*on_data)(struct reader *reader, const char *text, size_t length,
                    uint64_t at_ns);
};

/* What a client remembers while it is away, so that it can go on where it was. */
struct place {
    char id[PLACE_SIZE];  /* of the last event it has seen; "" = none yet */
    char pid[PLACE_SIZE]; /* of its session, with recovery */
    unsigned resyncs;     /* times the server could not go on there */
};

struct reader {
    const struct reader_plan *plan;
    enum reader_state state;
    int fd;
    unsigned task;
    void *owner;         /* of on_data */
    struct place *place; /* NULL: it never goes on */
    uint64_t asked_ns;   /* when the subscription was sent */
    uint64_t bytes;      /* received */
    uint64_t messages;   /* of on_data */
    struct text in;      /* an incomplete frame, head or chunk */
    struct text message; /* fragments or an incomplete event */
    struct text out;
    size_t chunk_left;
    char sid[PLACE_SIZE]; /* of a polling session */
};

/* Keeps owner and place of what `reader` was before; set both to NULL at first. */
void reader_open(struct reader *reader, const struct reader_plan *plan, unsigned task);
/* The socket became writable for the first time. */
void reader_connected(struct reader *reader);
/* Takes in what one recv() brings. A reader whose peer is gone becomes READER_CLOSED. */
void reader_readable(struct reader *reader);
void reader_close(struct reader *reader);
/* As if the network went: the peer is told by a reset, unread bytes are lost. */
void reader_cut(struct reader *reader);
/* The text behind the last `key` up to the next quote; false, and `out` as it was, when
 * there is none or it has no room (PLACE_SIZE). */
bool reader_last_text(const char *text, size_t length, const char *key, char *out);

#endif
