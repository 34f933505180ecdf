/* conn.h - one socket to Redis on libuv, bytes in and parsed replies out. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_CONN_H
#define THINKWIRE_REDIS_CONN_H

#include "base/buf.h"
#include "base/loop.h"
#include "redis/url.h"

/*
 * hiredis serves as the parser of replies alone. Its own asynchronous layer is not used:
 * with an adapter like libuv's it never tells of a refused connection, it reads 16 KB per
 * poll, and a PING on a subscribed connection has no place in it.
 *
 * Lifecycle law: after conn_close() nothing is called any more; the memory goes in libuv's
 * close callback (or when a name look-up in flight has come back).
 */
struct conn;
struct redisReply;

struct conn_owner {
    void (*on_connected)(void *ctx);
    /* `reply` is freed after the call. */
    void (*on_reply)(void *ctx, const struct redisReply *reply);
    /* The connection failed or ended: conn_close() is left to the owner. */
    void (*on_broken)(void *ctx, const char *reason);
};

/* Looks the name up (never on the loop's thread), then tries its addresses in turn. `place`
 * is copied. */
struct conn *conn_open(struct loop *loop, const struct redis_place *place,
                       const struct conn_owner *owner, void *ctx);
/* Closes; allowed inside the owner's callbacks. */
void conn_close(struct conn *conn);

/* What is to be sent: append, then conn_flush(). Full means broken promises above: the
 * link checks its bound before it appends. */
struct buf *conn_out(struct conn *conn);
/* Writes what the socket takes now, the rest when it drains. */
void conn_flush(struct conn *conn);
/* Takes in what is ready, as if the poll had said so. */
void conn_read(struct conn *conn);

#endif
