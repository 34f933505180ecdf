/* inside.h - what the files of the link share; no business of anybody above. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_INSIDE_H
#define THINKWIRE_REDIS_INSIDE_H

#include "base/map.h"
#include "redis/conn.h"
#include "redis/link.h"
#include "redis/sentinel.h"

/* Commands without an answer, oldest first, in a ring. */
struct waiter {
    link_done *done; /* may be NULL */
    void *ctx;
};
struct waiters {
    struct waiter *ring;
    size_t head;
    size_t count;
    size_t cap; /* a power of two, or 0 */
};
void waiters_push(struct waiters *waiters, struct waiter waiter);
/* The oldest; there must be one. */
struct waiter waiters_pop(struct waiters *waiters);
/* Calls all with NULL, also those added meanwhile, and frees the ring. */
void waiters_fail(struct waiters *waiters);

/* Appends one command in RESP. */
void command_encode(struct buf *out, const struct slice *argv, size_t argc);
/* Bytes command_encode() adds, or a little more. */
size_t command_size(const struct slice *argv, size_t argc);

/* What is subscribed, and how far Redis knows of it. */
struct subscriptions {
    struct map *by_channel;
    struct list dirty; /* wanted and sent may differ */
};
void subscriptions_init(struct subscriptions *subs);
void subscriptions_release(struct subscriptions *subs);
/* Sets what is wanted; true when something must be sent at the end of the turn. */
bool subscriptions_want(struct subscriptions *subs, struct slice channel, bool wanted);
/* A new connection knows of nothing. */
void subscriptions_forget_sent(struct subscriptions *subs);
/* Appends SUBSCRIBE and UNSUBSCRIBE commands for what changed. A channel that was given up
 * and wanted again within a turn is subscribed again: Redis confirms that too. */
void subscriptions_encode(struct subscriptions *subs, struct buf *out);
/* Redis confirmed a change of `channel`. True when the subscriber is to be told now. */
bool subscriptions_confirm(struct subscriptions *subs, struct slice channel);
bool subscriptions_is_wanted(const struct subscriptions *subs, struct slice channel);

/* ---- the link itself: link.c loses it, link_up.c brings it up ---- */

enum link_state {
    LINK_WAITING,    /* for the back-off to pass */
    LINK_SEEKING,    /* for the sentinels' answer */
    LINK_CONNECTING, /* socket and handshake */
    LINK_UP
};

struct link {
    struct loop *loop;
    struct link_options options;
    char *name;
    struct redis_url url;
    struct sentinel *sentinel; /* NULL: the address is in the URL */
    struct redis_place place;  /* the server in use, or last tried */
    enum link_state state;
    struct conn *conn;  /* NULL while waiting and seeking */
    struct timer timer; /* back-off, connect time-out, or silence, as the state says */
    struct turn_task flush;
    struct waiters in_flight;
    struct waiters refused; /* told NULL at the end of the turn */
    struct subscriptions subs;
    struct link_stats stats;
    unsigned handshake_left;
    unsigned attempts; /* since it was last up for a while */
    uint64_t up_since_ms;
    uint64_t heard_ms;
    bool is_pinging;
    bool has_no_sentinel; /* diagnostics were told, while up */
    const char *drop_reason;
    char trouble[192];
    char told_trouble[192]; /* the last one diagnostics saw */
    unsigned depth;         /* of our frames on the stack that still need this memory */
    bool is_freed;
};

/* Frames that call back hold on to the link with these two. */
void link_enter(struct link *link);
void link_leave(struct link *link);
/* The connection, or the attempt at one, is over. The caller has entered: a callback may
 * free the link. */
void link_lose(struct link *link, const char *reason);
/* Commands of our own, also before the link is up. */
void link_send_now(struct link *link, const struct slice *argv, size_t argc,
                   struct waiter waiter);
void link_take_reply(struct link *link, const struct reply *reply);
/* What a server says to PING: false where it is not to be used. */
bool link_is_there(const struct reply *reply);
/* Begins an attempt: asks sentinels, or connects. */
void link_begin(struct link *link);
extern const struct sentinel_owner link_sentinel_owner;

#endif
