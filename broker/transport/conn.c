/* conn.c - one connection: its birth, its put-off work, its end. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/mem.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A head, and what one read may bring behind it. */
#define INPUT_MAX_BYTES (H1_HEAD_MAX_BYTES + 8192)

/* ---- bounds ---- */

static struct peer *peer_of(struct server *server, const char *text)
{
    struct peer *peer = map_get(server->peers, slice_of(text));

    if (peer == NULL) {
        peer = mem_new(sizeof(*peer));
        (void)snprintf(peer->text, sizeof(peer->text), "%s", text);
        (void)map_set(server->peers, slice_of(peer->text), peer);
    }
    return peer;
}

static void peer_leave(struct server *server, struct peer *peer)
{
    if (--peer->connections > 0)
        return;
    (void)map_remove(server->peers, slice_of(peer->text));
    free(peer);
}

bool conn_is_welcome(struct server *server, const char *peer_text)
{
    const struct peer *peer = map_get(server->peers, slice_of(peer_text));
    size_t per_ip = server->options.max_connections_per_ip;

    if (server->conn_count >= server->options.max_connections) {
        counter_add(server->count.refused_total, 1);
        return false;
    }
    /* All of a proxy's clients come through the socket file. */
    bool is_bounded = per_ip > 0 && peer != NULL && strcmp(peer_text, "unix") != 0;
    if (is_bounded && peer->connections >= per_ip) {
        counter_add(server->count.refused_ip, 1);
        return false;
    }
    return true;
}

/* ---- put-off work ---- */

static void run_later(struct turn_task *task)
{
    struct conn *conn = LIST_ENTRY(task, struct conn, task);
    unsigned what = conn->later;

    conn->later = 0;
    if ((what & LATER_KILL) != 0) {
        conn_finish(conn, conn->reason);
        return;
    }
    if ((what & LATER_ADVANCE) != 0)
        request_advance(conn);
    if ((what & LATER_RETIRE) != 0 && conn->state != CONN_GONE)
        conn_retire(conn);
}

void conn_later(struct conn *conn, unsigned what)
{
    conn->later |= what;
    turn_defer(conn->server->loop, &conn->task);
}

void conn_doom(struct conn *conn, const char *reason)
{
    if (conn->reason == NULL)
        conn->reason = reason;
    conn->pipe.is_closing = true;
    conn_later(conn, LATER_KILL);
}

/* ---- birth ---- */

static void tune_socket(const struct server *server, int fd)
{
    int yes = 1;
    int unsent = (int)server->options.socket_unsent_bytes;

    /* Fails on a UNIX socket, which has neither problem. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (unsent > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
}

void conn_accept(struct server *server, int fd, const char *peer_text)
{
    struct conn *conn = mem_new(sizeof(*conn));

    conn->server = server;
    conn->pipe.ops = &conn_pipe_ops;
    conn->state = CONN_HEAD;
    list_init(&conn->node);
    list_init(&conn->wait);
    list_init(&conn->leaving);
    turn_task_init(&conn->task, run_later);
    buf_init(&conn->in, INPUT_MAX_BYTES);
    tune_socket(server, fd);
    if (!wire_adopt_raw(conn, fd)) {
        counter_add(server->count.refused_files, 1);
        free(conn);
        return;
    }
    conn->peer = peer_of(server, peer_text);
    conn->peer->connections++;
    list_push_back(&server->conns, &conn->node);
    server->conn_count++;
    counter_add(server->count.accepted, 1);
    server->count.connections->value++;
    deadline_set(conn, WAIT_HEAD);
}

/* ---- end ---- */

/* Tells who still waits, exactly once. */
static void tell_owner(struct conn *conn, const char *reason)
{
    struct exchange *x = conn->exchange;

    conn->exchange = NULL;
    if (x != NULL) {
        if (x->is_kept && x->pub.on_closed != NULL)
            x->pub.on_closed(&x->pub);
        exchange_free(x);
    }
    if (conn->pipe.owner == NULL)
        return;
    const struct pipe_owner *owner = conn->pipe.owner;
    counter_add(conn->route != NULL ? conn->server->count.websockets
                                    : conn->server->count.streams,
                UINT64_MAX); /* one less */
    conn->pipe.is_closing = true;
    owner->on_closed(&conn->pipe, reason);
    conn->pipe.owner = NULL;
}

void conn_finish(struct conn *conn, const char *reason)
{
    struct server *server = conn->server;

    assert(conn->state != CONN_GONE);
    conn->state = CONN_GONE;
    wire_kill(conn);
    deadline_clear(conn);
    turn_cancel(&conn->task);
    drain_forget(conn);
    tell_owner(conn, reason != NULL ? reason : "transport close");
    turn_cancel(&conn->task); /* the owner may have asked for more */
    pipe_release(conn);
    ws_release(conn);
    buf_release(&conn->in);
    list_remove(&conn->node);
    server->conn_count--;
    server->count.connections->value--;
    peer_leave(server, conn->peer);
    free(conn);
}

void conn_lost(struct conn *conn)
{
    conn_finish(conn, conn->reason);
}

void conn_report(struct conn *conn, const char *phrase, uint64_t limit)
{
    struct server *server = conn->server;

    if (!diag_gate_pass(&server->gate, 10, loop_now_ms(server->loop)))
        return;
    diag(DIAG_WARN, phrase, DIAG_S("peer", conn->peer->text), DIAG_N("limit", limit),
         DIAG_N("suppressed", server->gate.suppressed));
    server->gate.suppressed = 0;
}

void conn_set_paused(struct conn *conn, bool is_paused)
{
    if (conn->is_paused == is_paused)
        return;
    conn->is_paused = is_paused;
    wire_set_reading(conn, !is_paused);
}
