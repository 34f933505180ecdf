/* link.h - one Redis connection that comes back by itself. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_LINK_H
#define THINKWIRE_REDIS_LINK_H

#include "base/buf.h"
#include "base/loop.h"

/*
 *   [ask sentinels,] connect, AUTH, ROLE, SELECT, CLIENT SETNAME, SUBSCRIBE again
 *   +------+ -------------------------------------------------------> +----+
 *   | down |                                                          | up |
 *   +------+ <------------------------------------------------------- +----+
 *     refused, time-out, error, silence, a replica, another master named:
 *     back-off with jitter, then again
 *
 * A link is up with a master only. With sentinels it follows the one they name, also when
 * the old one still answers; with a plain address it tries that again until a master is
 * there.
 *
 * Commands given in one turn leave in one write at its end; all that the socket has ready
 * is taken in (1 MB a turn at most) before anybody is visited. Every command's callback is
 * called exactly once, never from inside link_command(): with the reply, or with NULL when
 * the connection was lost (nothing is known then), was down, or the bounds are reached.
 * Nothing is repeated by the link: whether a command may be repeated only its sender knows.
 *
 * RESP2 knows no push on a command connection, so a link is for commands or for messages
 * (`is_subscriber`), never for both.
 */
struct link;

struct link_options {
    const char *name; /* CLIENT SETNAME; letters, digits, '-', '_' only; NULL = none */
    bool is_subscriber;
    bool is_quiet; /* says nothing to diagnostics: inside other people's programs */
    /* 0 = the default in parentheses */
    uint64_t connect_timeout_ms; /* (5000) for everything until the link is up */
    uint64_t silence_ms;         /* (5000) heard nothing for so long: PING */
    uint64_t ping_timeout_ms;    /* (5000) then still nothing: the link is lost */
    uint64_t backoff_min_ms;     /* (50) doubles up to... */
    uint64_t backoff_max_ms;     /* (3000) ...this; each wait is 50-100 % of it */
    size_t max_in_flight;        /* (16384) commands without an answer */
    size_t max_unsent_bytes;     /* (64 MB) */

    /* A replica behind a plain address is good enough: for messages that are published on
     * its master. */
    bool takes_replicas;

    /* All on the loop, all may be NULL, each may free the link. */
    void (*on_up)(void *ctx);
    /* Only after on_up, before the waiting commands are told. `reason`: our own words. */
    void (*on_down)(void *ctx, const char *reason);
    /* Redis has confirmed: every message published from now on arrives. Told again after
     * each reconnect; not told when the subscription was given up meanwhile. */
    void (*on_subscribed)(void *ctx, struct slice channel);
    void (*on_message)(void *ctx, struct slice channel, struct slice payload);
    /* Messages are passed on unlooked at, also those of a channel that was just given up: the
     * owner finds out by itself whether it wants them. */
    bool passes_all;
    void *ctx;
};

/* `url` is one of the forms of url.h. NULL with a message (never the password) in `error`
 * when it is not. Connecting begins at once; a server that is
 * away is no error. `options` is copied. */
struct link *link_new(struct loop *loop, const char *url,
                      const struct link_options *options, struct buf *error);
/* Waiting callbacks are called with NULL before this returns (they must not use the link).
 * Allowed at any time, also inside a callback of this link. NULL is allowed. */
void link_free(struct link *link);

bool link_is_up(const struct link *link);
/* Loop time since when the link has been up without a break; 0 = it is down. */
uint64_t link_up_since_ms(const struct link *link);
/* What link_trouble() says before the first attempt has failed. */
#define LINK_CONNECTING_TEXT "connecting"
/* Why it is down ("connection refused"); NULL when up. Our words or errno's, no secrets. */
const char *link_trouble(const struct link *link);
/* "127.0.0.1:6379/0", "/run/redis.sock" or "mymaster@10.0.0.1:26379,10.0.0.2:26379": for
 * diagnostics, without credentials. */
const char *link_target(const struct link *link);
/* Gives this connection up at the end of the turn and connects again (a server that turned
 * read-only, say). `reason` is static text. */
void link_drop(struct link *link, const char *reason);

struct link_stats {
    uint64_t connects; /* times the link came up */
    uint64_t losses;   /* times it went down again */
    uint64_t commands;
    uint64_t refused;  /* commands past the bounds or while down */
    uint64_t messages; /* pub/sub */
    uint64_t errors;   /* replies the protocol does not allow here */
};
const struct link_stats *link_stats(const struct link *link);

/* ---- commands ---- */

/* An answer, valid during the callback. */
struct reply;
enum reply_kind { REPLY_NIL, REPLY_TEXT, REPLY_NUMBER, REPLY_LIST, REPLY_ERROR };
enum reply_kind reply_kind(const struct reply *reply);
/* REPLY_TEXT, or the message of a REPLY_ERROR; empty otherwise. */
struct slice reply_text(const struct reply *reply);
/* REPLY_NUMBER, or REPLY_TEXT made of decimal digits (not negative); 0 otherwise. */
uint64_t reply_u64(const struct reply *reply);
size_t reply_count(const struct reply *reply);
/* The i-th of a REPLY_LIST; NULL past the end. */
const struct reply *reply_at(const struct reply *reply, size_t i);
/* Of an answer to INFO: what its line "field:" says; empty where it has none. */
struct slice reply_info(const struct reply *reply, const char *field);
/* The same made of decimal digits; 0 otherwise. */
uint64_t reply_info_u64(const struct reply *reply, const char *field);

typedef void link_done(void *ctx, const struct reply *reply);
/* Queues a command (arguments are copied). `done` may be NULL. */
void link_command(struct link *link, const struct slice *argv, size_t argc,
                  link_done *done, void *ctx);
/* True when the next `commands` small commands will not be refused: for MULTI..EXEC. */
bool link_has_room(const struct link *link, size_t commands);

/* ---- subscriptions (is_subscriber) ---- */

/* Remembered while the link is down. Asking twice, or giving up what is not held, is
 * harmless; changes of one turn go out together. */
void link_subscribe(struct link *link, struct slice channel);
void link_unsubscribe(struct link *link, struct slice channel);

#endif
