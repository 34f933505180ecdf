/* drain.c - lets go of every connection in its turn, so that clients come back elsewhere. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

/*
 * Clients that are let go all at once come back all at once. So the connections stand in a
 * queue of random order and leave it evenly over the time there is: a thousand in five
 * seconds are four in each tick.
 *
 * A connection is let go by whoever gives it meaning (on_retire): only the owner knows how
 * its clients are told to come back by themselves. What nobody owns is closed here: a
 * WebSocket with 1012, a stream at its end, an idle connection as if it had timed out. A
 * request that is being handled is answered first.
 */
#define TICK_MS  20
#define FRACTION 65536U

/* RFC 6455's registry: the service restarts, reconnect after a random delay. */
#define CLOSE_RESTART 1012

static void retire_pipe(struct pipe *pipe)
{
    if (pipe->owner == NULL || pipe->is_closing)
        return;
    if (pipe->owner->on_retire != NULL)
        pipe->owner->on_retire(pipe);
    else
        pipe_close(pipe, CLOSE_RESTART, "service restart");
}

void conn_retire(struct conn *conn)
{
    conn->is_retired = true;
    conn->closes = true;
    switch ((enum conn_state)conn->state) {
    case CONN_HEAD:
        if (conn->in.len == 0 && conn->discard == 0)
            respond_done(conn); /* idle; a part of a request is waited for */
        break;
    case CONN_BUSY:
        if (conn->exchange->is_kept && conn->exchange->pub.on_retire != NULL)
            conn->exchange->pub.on_retire(&conn->exchange->pub);
        break;
    case CONN_STREAM:
    case CONN_WEBSOCKET:
        retire_pipe(&conn->pipe);
        break;
    case CONN_BODY:
    case CONN_ANSWER:
    case CONN_LINGER:
    case CONN_GONE:
        break;
    }
}

void drain_forget(struct conn *conn)
{
    if (!list_is_linked(&conn->leaving))
        return;
    list_remove(&conn->leaving);
    conn->server->leaving_count--;
}

/* ---- the queue ---- */

static void shuffle(struct conn **conns, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = random_below((uint32_t)i);
        struct conn *conn = conns[i - 1];
        conns[i - 1] = conns[other];
        conns[other] = conn;
    }
}

static void line_up(struct server *server)
{
    struct conn **conns = mem_array(server->conn_count + 1, sizeof(struct conn *));
    size_t count = 0;

    LIST_FOR_EACH(node, next, &server->conns)
    {
        conns[count++] = LIST_ENTRY(node, struct conn, node);
    }
    shuffle(conns, count);
    for (size_t i = 0; i < count; i++)
        list_push_back(&server->leaving, &conns[i]->leaving);
    server->leaving_count = count;
    free((void *)conns);
}

/* Those whose turn has come: as many stay as there is time left. The fraction is of this
 * drain, so that a lone connection does not always go first, or last. */
static size_t due(const struct server *server)
{
    uint64_t now = loop_now_ms(server->loop);
    uint64_t left_ms = server->drain_until_ms > now ? server->drain_until_ms - now : 0;
    uint64_t staying = 0;

    if (left_ms > 0)
        staying = (server->drain_count * left_ms * FRACTION / server->drain_spread_ms +
                   server->drain_fraction) /
                  FRACTION;
    return server->leaving_count > staying ? server->leaving_count - (size_t)staying
                                           : 0;
}

static void on_tick(struct timer *timer)
{
    struct server *server = LIST_ENTRY(timer, struct server, drain_timer);

    for (size_t n = due(server); n > 0 && !list_is_empty(&server->leaving); n--) {
        struct conn *conn = LIST_ENTRY(server->leaving.next, struct conn, leaving);
        drain_forget(conn);
        conn_retire(conn);
    }
    if (server->conn_count > 0)
        return;
    timer_stop(&server->drain_timer);
    server->on_drained(server->drained_ctx);
}

void drain_init(struct server *server)
{
    list_init(&server->leaving);
    timer_init(&server->drain_timer, server->loop, on_tick);
}

void drain_release(struct server *server)
{
    timer_release(&server->drain_timer);
}

void server_drain(struct server *server, uint64_t spread_ms,
                  void (*on_drained)(void *ctx), void *ctx)
{
    server_stop_listening(server);
    server->on_drained = on_drained;
    server->drained_ctx = ctx;
    server->drain_spread_ms = spread_ms;
    server->drain_until_ms = loop_now_ms(server->loop) + spread_ms;
    server->drain_fraction = random_below(FRACTION);
    line_up(server);
    server->drain_count = server->leaving_count;
    timer_start(&server->drain_timer, 0, TICK_MS);
}
