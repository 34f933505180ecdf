/* deadline.c - the bounds in time of all connections, on one timer. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

/*
 * Every wait of one kind lasts equally long, so each kind is a queue in order of
 * deadline and setting one is a list append; the timer stands at the earliest of the
 * few heads. A libuv timer per connection would cost 200 bytes each.
 */

static struct conn *first_of(struct server *server, unsigned kind)
{
    struct list *head = &server->waits[kind];
    return list_is_empty(head) ? NULL : LIST_ENTRY(head->next, struct conn, wait);
}

static void arm(struct server *server, uint64_t at_ms, uint64_t now_ms)
{
    if (timer_is_active(&server->wait_timer) && server->wait_timer_ms <= at_ms)
        return;
    server->wait_timer_ms = at_ms;
    timer_start(&server->wait_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

static bool is_request_late(const struct conn *conn, unsigned kind)
{
    return conn->state == CONN_BODY ||
           (conn->state == CONN_HEAD && kind == WAIT_HEAD && conn->in.len > 0);
}

static void expire(struct conn *conn)
{
    struct server *server = conn->server;
    unsigned kind = conn->wait_kind;

    deadline_clear(conn);
    counter_add(server->count.timeouts[kind], 1);
    if (is_request_late(conn, kind)) {
        respond_refusal(conn, 408, "REQUEST_TIMEOUT",
                        "the request did not arrive in time");
        return;
    }
    conn_doom(conn, kind == WAIT_CLOSE ? "transport error" : "transport close");
}

static void on_timer(struct timer *timer)
{
    struct server *server = LIST_ENTRY(timer, struct server, wait_timer);
    uint64_t now = loop_now_ms(server->loop);

    for (unsigned kind = 0; kind < WAIT_KINDS; kind++) {
        struct conn *conn = first_of(server, kind);
        while (conn != NULL && conn->deadline_ms <= now) {
            expire(conn);
            conn = first_of(server, kind);
        }
        if (conn != NULL)
            arm(server, conn->deadline_ms, now);
    }
}

void deadline_init(struct server *server)
{
    for (unsigned kind = 0; kind < WAIT_KINDS; kind++)
        list_init(&server->waits[kind]);
    server->wait_ms[WAIT_HEAD] = server->options.header_timeout_ms;
    server->wait_ms[WAIT_BODY] = server->options.body_timeout_ms;
    server->wait_ms[WAIT_KEEPALIVE] = server->options.keepalive_timeout_ms;
    server->wait_ms[WAIT_CLOSE] = server->options.close_timeout_ms;
    timer_init(&server->wait_timer, server->loop, on_timer);
}

void deadline_release(struct server *server)
{
    timer_release(&server->wait_timer);
}

void deadline_set(struct conn *conn, enum wait_kind kind)
{
    struct server *server = conn->server;
    uint64_t now = loop_now_ms(server->loop);

    list_remove(&conn->wait);
    conn->wait_kind = (uint8_t)kind;
    conn->deadline_ms = now + server->wait_ms[kind];
    list_push_back(&server->waits[kind], &conn->wait);
    arm(server, conn->deadline_ms, now);
}

void deadline_clear(struct conn *conn)
{
    list_remove(&conn->wait);
}
