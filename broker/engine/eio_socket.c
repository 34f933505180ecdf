/* eio_socket.c - the WebSocket transport, and the WebSocket that probes for an upgrade. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

/* ---- a pipe that nobody listens to any more ---- */

static void ignore_message(struct pipe *pipe, struct slice data, bool is_binary)
{
    (void)pipe;
    (void)data;
    (void)is_binary;
}

static void ignore_drain(struct pipe *pipe)
{
    (void)pipe;
}

static void ignore_closed(struct pipe *pipe, const char *reason)
{
    (void)pipe;
    (void)reason;
}

static const struct pipe_owner nobody = {
    .on_message = ignore_message,
    .on_drain = ignore_drain,
    .on_closed = ignore_closed,
};

void eio_socket_drop(struct pipe *pipe)
{
    pipe->owner = &nobody;
    pipe->owner_data = NULL;
    pipe_close(pipe, 0, NULL);
}

/* ---- the transport of a session ---- */

static void on_message(struct pipe *pipe, struct slice data, bool is_binary)
{
    struct eio_session *session = pipe->owner_data;
    struct eio_packet packet;

    if (eio_decode_message(session->revision, data, is_binary,
                           &session->server->scratch, &packet) != 0) {
        eio_session_end(session, "parse error", EIO_GOODBYE_CLOSE);
        return;
    }
    eio_session_packet(session, &packet);
}

static void on_drain(struct pipe *pipe)
{
    struct eio_session *session = pipe->owner_data;

    session->wants_drain = true;
    eio_session_mark(session);
}

static void on_closed(struct pipe *pipe, const char *reason)
{
    struct eio_session *session = pipe->owner_data;

    session->pipe = NULL;
    eio_session_end(session, reason, EIO_GOODBYE_CLOSE);
}

/* Without a namespace's DISCONNECT, after which clients would stay away. */
static void on_retire(struct pipe *pipe)
{
    eio_session_end(pipe->owner_data, EIO_RETIRED, EIO_GOODBYE_CLOSE);
}

static const struct pipe_owner transport = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_closed = on_closed,
    .on_retire = on_retire,
};

void eio_socket_attach(struct eio_session *session, struct pipe *pipe)
{
    pipe->owner = &transport;
    pipe->owner_data = session;
    session->pipe = pipe;
    session->is_websocket = true;
    session->wants_drain = true;
    eio_session_mark(session);
}

/* Takes queued packets as frames until about `limit` bytes. */
static void take_frames(struct eio_session *session, struct buf *frames, size_t limit)
{
    struct eio_queue *queue = &session->queue;
    struct eio_packet packet;
    unsigned taken = 0;
    size_t at = 0;

    while (frames->len < limit && eio_queue_next(queue, &at, &packet)) {
        eio_encode(frames, FRAMING_WS, session->revision, 0, &packet);
        taken++;
    }
    eio_queue_drop(queue, taken, at);
}

static bool send_frames(struct pipe *pipe, struct buf *frames)
{
    struct bytes *bytes = buf_share(frames);
    bool has_room = pipe_send(pipe, bytes);

    bytes_unref(bytes);
    return has_room;
}

/* Frames are hardly longer than the records of the queue they are made from. */
static size_t frames_limit(const struct eio_session *session)
{
    return session->queue.records.limit_bytes * 2 + EIO_WINDOW_BYTES;
}

void eio_socket_flush(struct eio_session *session)
{
    while (session->queue.count > 0 && pipe_is_ready(session->pipe)) {
        struct buf frames;

        buf_init(&frames, frames_limit(session));
        take_frames(session, &frames, EIO_WINDOW_BYTES);
        send_frames(session->pipe, &frames);
        buf_release(&frames);
    }
}

bool eio_socket_send(struct eio_session *session, struct bytes *frames)
{
    struct buf joined;
    bool has_room = false;

    if (session->queue.count == 0)
        return pipe_send(session->pipe, frames);
    /* Queued since the window was asked for: one send, so that both find room. */
    buf_init(&joined, frames_limit(session) + frames->len);
    take_frames(session, &joined, SIZE_MAX);
    buf_append(&joined, frames->data, frames->len);
    has_room = send_frames(session->pipe, &joined);
    buf_release(&joined);
    return has_room;
}

/* ---- an upgrade in progress ---- */

static void probe_ends(struct eio_session *session)
{
    session->probe = NULL;
    session->is_probed = false;
    session->upgrade_at_ms = 0;
}

void eio_probe_drop(struct eio_session *session)
{
    struct pipe *pipe = session->probe;

    probe_ends(session);
    eio_socket_drop(pipe);
}

/* `2probe`: answered on the WebSocket; the held GET, and those that follow, end at once so
 * that the client can pause. All data goes on by polling. */
static void answer_probe(struct eio_session *session)
{
    const struct eio_packet pong = {.type = EIO_PONG, .data = slice_of("probe")};
    struct buf frame;

    if (!pipe_is_ready(session->probe)) {
        eio_probe_drop(session);
        return;
    }
    buf_init(&frame, 64);
    eio_encode(&frame, FRAMING_WS, session->revision, 0, &pong);
    send_frames(session->probe, &frame);
    buf_release(&frame);
    session->is_probed = true;
    eio_session_mark(session);
}

/* `5`: from here on the WebSocket is the transport. What is queued goes there. */
static void upgrade(struct eio_session *session)
{
    struct pipe *pipe = session->probe;

    probe_ends(session);
    eio_beat_arm(session);
    if (session->poll != NULL && session->answer.packets > 0)
        eio_poll_finish(session); /* already put into that answer: not lost */
    else if (session->poll != NULL)
        eio_poll_end(session, EIO_CLOSE);
    if (!session->is_open) {
        eio_socket_drop(pipe);
        return;
    }
    counter_add(session->server->counters.upgraded, 1);
    eio_socket_attach(session, pipe);
}

static void on_probe_message(struct pipe *pipe, struct slice data, bool is_binary)
{
    struct eio_session *session = pipe->owner_data;

    if (!is_binary && slice_is(data, "2probe"))
        answer_probe(session);
    else if (!is_binary && slice_is(data, "5"))
        upgrade(session);
    else
        eio_probe_drop(session); /* not a probe: polling goes on */
}

static void on_probe_closed(struct pipe *pipe, const char *reason)
{
    (void)reason;
    probe_ends(pipe->owner_data);
}

static const struct pipe_owner probing = {
    .on_message = on_probe_message,
    .on_drain = ignore_drain,
    .on_closed = on_probe_closed,
};

void eio_probe_attach(struct eio_session *session, struct pipe *pipe)
{
    const struct eio_server *server = session->server;

    pipe->owner = &probing;
    pipe->owner_data = session;
    session->probe = pipe;
    session->upgrade_at_ms =
        loop_now_ms(server->loop) + server->options.upgrade_timeout_ms;
    eio_beat_arm(session);
}
