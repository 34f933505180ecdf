/* pipe.c - bytes out: at most one rest per connection, shared bytes and an offset. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "codec/sse.h"
#include "codec/ws.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* No single write is longer, so that one reader does not hold up the others. */
#define WRITE_MAX_BYTES 65536
#define REASON_MAX      120

/*
 * Why send(2) and not lws_write(): lws_write() copies what the socket does not take, up
 * to the whole 64 KB for each stalled reader, unless poll(2) is asked first, a second
 * system call for each frame. Here a short write costs an offset. Everything goes
 * through conn->rest in order, so a torn frame is always ended before the next begins.
 */

static void drop_rest(struct conn *conn)
{
    bytes_unref(conn->rest);
    conn->rest = NULL;
    conn->rest_at = 0;
}

void pipe_release(struct conn *conn)
{
    drop_rest(conn);
    bytes_unref(conn->farewell);
    conn->farewell = NULL;
}

/* One write; answers how far it came, 0 when the socket is full, -1 when it is dead. */
static ssize_t write_once(struct conn *conn, struct slice left, bool *is_full)
{
    size_t want = left.len < WRITE_MAX_BYTES ? left.len : WRITE_MAX_BYTES;
    ssize_t sent = 0;

    do {
        sent = send(wire_fd(conn), left.ptr, want, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        *is_full = errno == EAGAIN || errno == EWOULDBLOCK;
        return *is_full ? 0 : -1;
    }
    counter_add(conn->server->count.sent_bytes, (uint64_t)sent);
    conn->sent_bytes += (uint64_t)sent;
    *is_full = (size_t)sent < want;
    return sent;
}

/* Sends as much of the rest as the socket takes; true when nothing is left. */
static bool flush_rest(struct conn *conn)
{
    while (conn->rest != NULL) {
        struct slice left = slice_make(conn->rest->data + conn->rest_at,
                                       conn->rest->len - conn->rest_at);
        bool is_full = false;
        ssize_t done = write_once(conn, left, &is_full);
        if (done < 0) {
            drop_rest(conn);
            conn_doom(conn, "transport error");
            return false;
        }
        conn->rest_at += (size_t)done;
        if (conn->rest_at == conn->rest->len)
            drop_rest(conn);
        if (is_full) {
            wire_want_writable(conn);
            return false;
        }
    }
    return true;
}

/* A 100 Continue, a 101 or a pong that did not fit stands before something else. */
static void keep_behind_rest(struct conn *conn, const struct bytes *bytes)
{
    size_t left = conn->rest->len - conn->rest_at;
    struct bytes *both = bytes_new(left + bytes->len);

    memcpy(both->data, conn->rest->data + conn->rest_at, left);
    memcpy(both->data + left, bytes->data, bytes->len);
    drop_rest(conn);
    conn->rest = both;
}

bool pipe_put(struct conn *conn, struct bytes *bytes)
{
    if (conn->wsi == NULL || (conn->later & LATER_KILL) != 0)
        return false;
    if (conn->rest != NULL) {
        keep_behind_rest(conn, bytes);
        return false;
    }
    if (bytes->len == 0)
        return true;
    conn->rest = bytes_ref(bytes);
    conn->rest_at = 0;
    return flush_rest(conn);
}

static bool send_frames(struct pipe *pipe, struct bytes *bytes)
{
    struct conn *conn = (struct conn *)(void *)pipe;

    if (pipe->is_closing)
        return false;
    assert(!pipe->is_full);
    if (pipe_put(conn, bytes))
        return true;
    pipe->is_full = true;
    return false;
}

/* ---- the end of a stream ---- */

/* Everything is out. An HTTP/1.1 connection goes on to the next request; on a WebSocket
 * the peer's answer is awaited unless it came first, and a peer that looks for the end
 * alone sees it now. */
static void stream_ended(struct conn *conn)
{
    conn->has_said_bye = true;
    if (conn->state == CONN_STREAM)
        conn_later(conn, LATER_ADVANCE);
    else if (conn->websocket->has_heard_bye)
        conn_later(conn, LATER_KILL);
    else
        (void)shutdown(wire_fd(conn), SHUT_WR);
}

static void say_farewell(struct conn *conn)
{
    struct bytes *farewell = conn->farewell;

    conn->farewell = NULL;
    bool is_out = farewell == NULL || pipe_put(conn, farewell);
    bytes_unref(farewell);
    if (is_out)
        stream_ended(conn);
}

static struct bytes *close_frame(unsigned code, const char *reason)
{
    struct buf frame;
    char payload[2 + REASON_MAX];
    size_t len = 0;

    if (code != 0) {
        size_t reason_len = reason == NULL ? 0 : strnlen(reason, REASON_MAX);
        payload[0] = (char)(code >> 8);
        payload[1] = (char)(code & 0xff);
        if (reason_len > 0)
            memcpy(payload + 2, reason, reason_len);
        len = 2 + reason_len;
    }
    buf_init(&frame, sizeof(payload) + 16);
    (void)ws_frame(&frame, WS_CLOSE, slice_make(payload, len));
    struct bytes *bytes = buf_share(&frame);
    buf_release(&frame);
    return bytes;
}

static void close_pipe(struct pipe *pipe, unsigned code, const char *reason)
{
    struct conn *conn = (struct conn *)(void *)pipe;

    if (pipe->is_closing)
        return;
    pipe->is_closing = true;
    conn->is_ending = true;
    deadline_set(conn, WAIT_CLOSE);
    if (pipe->framing == FRAMING_WS)
        conn->farewell = close_frame(code, reason);
    else if (pipe->framing == FRAMING_CHUNKED)
        conn->farewell = bytes_copy(CHUNK_LAST, sizeof(CHUNK_LAST) - 1);
    if (conn->rest == NULL)
        say_farewell(conn);
}

static struct pipe_progress progress(const struct pipe *pipe)
{
    const struct conn *conn = (const struct conn *)(const void *)pipe;
    struct pipe_progress progress = {.heard = conn->heard};
    int queued = 0;

    if (conn->wsi == NULL || ioctl(wire_fd(conn), SIOCOUTQ, &queued) != 0)
        queued = 0;
    progress.acked = conn->sent_bytes - (uint64_t)queued;
    progress.unacked = (uint64_t)queued;
    if (conn->rest != NULL)
        progress.unacked += conn->rest->len - conn->rest_at;
    return progress;
}

const struct pipe_ops conn_pipe_ops = {
    .send = send_frames, .close = close_pipe, .progress = progress};

/* ---- the socket takes bytes again ---- */

void pipe_writable(struct conn *conn)
{
    bool had_rest = conn->rest != NULL;

    /* A slow reader of a whole answer is given more time as long as it takes bytes. */
    if (conn->state == CONN_ANSWER)
        deadline_set(conn, WAIT_BODY);
    if (conn->wsi == NULL || (conn->later & LATER_KILL) != 0 || !flush_rest(conn))
        return;
    if (conn->state == CONN_ANSWER) {
        if (had_rest)
            respond_done(conn);
        return;
    }
    if (!ws_flush(conn))
        return;
    if (conn->is_ending && !conn->has_said_bye)
        say_farewell(conn);
    if (conn->pipe.owner == NULL || conn->pipe.is_closing || !conn->pipe.is_full)
        return;
    conn->pipe.is_full = false;
    if (conn->pipe.owner->on_drain != NULL)
        conn->pipe.owner->on_drain(&conn->pipe);
}
