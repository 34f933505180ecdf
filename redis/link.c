/* link.c - one Redis connection that comes back by itself. */
/* SPDX-License-Identifier: MIT */
#include "redis/link.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "redis/inside.h"

#include <stdio.h>
#include <stdlib.h>

enum link_state {
    LINK_WAITING,    /* for the back-off to pass */
    LINK_CONNECTING, /* socket and handshake */
    LINK_UP
};

struct link {
    struct loop *loop;
    struct link_options options;
    char *name;
    struct redis_url url;
    enum link_state state;
    struct conn *conn;  /* NULL while waiting */
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
    const char *drop_reason;
    char trouble[128];
    char told_trouble[128]; /* the last one diagnostics saw */
    unsigned depth;         /* of our frames on the stack that still need this memory */
    bool is_freed;
};

/* ---- staying alive through callbacks that free the link ---- */

static void enter(struct link *link)
{
    link->depth++;
}

static void leave(struct link *link)
{
    if (--link->depth == 0 && link->is_freed)
        free(link);
}

/* ---- down ---- */

static void set_trouble(struct link *link, const char *reason)
{
    (void)snprintf(link->trouble, sizeof(link->trouble), "%s", reason);
}

static void tell_trouble(struct link *link, const char *phrase)
{
    if (link->options.is_quiet || strcmp(link->trouble, link->told_trouble) == 0)
        return;
    memcpy(link->told_trouble, link->trouble, sizeof(link->told_trouble));
    diag(DIAG_WARN, phrase, DIAG_S("redis", link->url.target),
         DIAG_S("link", link->name == NULL ? "" : link->name),
         DIAG_S("reason", link->trouble));
}

static void wait_backoff(struct link *link)
{
    uint64_t wait_ms = link->options.backoff_min_ms;

    for (unsigned i = 0; i < link->attempts && wait_ms < link->options.backoff_max_ms;
         i++)
        wait_ms *= 2;
    if (wait_ms > link->options.backoff_max_ms)
        wait_ms = link->options.backoff_max_ms;
    link->attempts++;
    /* Many brokers lose one Redis at once: they must not come back at once. */
    wait_ms = wait_ms / 2 + random_below((uint32_t)(wait_ms / 2) + 1);
    timer_start(&link->timer, wait_ms, 0);
}

/* The caller has entered: a callback may free the link. */
static void lost(struct link *link, const char *reason)
{
    bool was_up = link->state == LINK_UP;

    if (link->conn == NULL || link->is_freed)
        return;
    set_trouble(link, reason);
    conn_close(link->conn);
    link->conn = NULL;
    link->state = LINK_WAITING;
    link->drop_reason = NULL;
    /* Moved first: should a callback free the link, link_free() finds them all there. */
    while (link->in_flight.count > 0)
        waiters_push(&link->refused, waiters_pop(&link->in_flight));
    if (was_up && loop_now_ms(link->loop) - link->up_since_ms > 1000)
        link->attempts = 0;
    wait_backoff(link);
    tell_trouble(link, was_up ? "redis link lost" : "redis link cannot connect");
    if (was_up) {
        link->stats.losses++;
        if (link->options.on_down != NULL)
            link->options.on_down(link->options.ctx, link->trouble);
    }
    if (!link->is_freed)
        waiters_fail(&link->refused);
}

/* ---- up ---- */

static void went_up(struct link *link)
{
    link->state = LINK_UP;
    link->up_since_ms = link->heard_ms;
    link->is_pinging = false;
    link->trouble[0] = '\0';
    link->told_trouble[0] = '\0';
    link->stats.connects++;
    timer_start(&link->timer, link->options.silence_ms, 0);
    if (!link->options.is_quiet)
        diag(DIAG_INFO, "redis link up", DIAG_S("redis", link->url.target),
             DIAG_S("link", link->name == NULL ? "" : link->name));
    subscriptions_forget_sent(&link->subs);
    turn_defer(link->loop, &link->flush);
    if (link->options.on_up != NULL)
        link->options.on_up(link->options.ctx);
}

static void handshake_step(struct link *link)
{
    if (--link->handshake_left == 0)
        went_up(link);
}

static void on_handshake(void *ctx, const struct reply *reply)
{
    struct link *link = ctx;
    char text[96];

    if (reply == NULL)
        return;
    if (reply_kind(reply) != REPLY_ERROR) {
        handshake_step(link);
        return;
    }
    struct slice message = reply_text(reply);
    (void)snprintf(text, sizeof(text), "%.*s", (int)message.len, message.ptr);
    lost(link, text);
}

/* A server that does not let us have a name is a good server all the same. */
static void on_named(void *ctx, const struct reply *reply)
{
    if (reply != NULL)
        handshake_step(ctx);
}

static void send_now(struct link *link, const struct slice *argv, size_t argc,
                     struct waiter waiter)
{
    command_encode(conn_out(link->conn), argv, argc);
    waiters_push(&link->in_flight, waiter);
}

static void greet(struct link *link, const char *const *words, link_done *done)
{
    struct slice argv[3];
    size_t argc = 0;

    for (; argc < 3 && words[argc] != NULL; argc++)
        argv[argc] = slice_of(words[argc]);
    send_now(link, argv, argc, (struct waiter){done, link});
    link->handshake_left++;
}

static void on_connected(void *ctx)
{
    struct link *link = ctx;
    const struct redis_url *url = &link->url;
    char db[16];

    (void)snprintf(db, sizeof(db), "%u", url->db);
    link->handshake_left = 0;
    if (url->password != NULL && url->user != NULL)
        greet(link, (const char *[]){"AUTH", url->user, url->password}, on_handshake);
    else if (url->password != NULL)
        greet(link, (const char *[]){"AUTH", url->password, NULL}, on_handshake);
    if (url->db != 0)
        greet(link, (const char *[]){"SELECT", db, NULL}, on_handshake);
    if (link->name != NULL)
        greet(link, (const char *[]){"CLIENT", "SETNAME", link->name}, on_named);
    /* Answered with an error by a server that is still loading. */
    greet(link, (const char *[]){"PING", NULL}, on_handshake);
    conn_flush(link->conn);
}

static void on_broken(void *ctx, const char *reason)
{
    struct link *link = ctx;

    enter(link);
    lost(link, reason);
    leave(link);
}

/* ---- what comes in ---- */

static void on_pushed(struct link *link, const struct reply *reply)
{
    const struct reply *verb = reply_at(reply, 0);
    struct slice kind = verb == NULL ? slice_of("") : reply_text(verb);
    const struct reply *which = reply_at(reply, 1);
    struct slice channel = which == NULL ? slice_of("") : reply_text(which);

    if (slice_is(kind, "message") && reply_count(reply) == 3) {
        link->stats.messages++;
        if (link->options.on_message != NULL &&
            (link->options.passes_all || subscriptions_is_wanted(&link->subs, channel)))
            link->options.on_message(link->options.ctx, channel,
                                     reply_text(reply_at(reply, 2)));
    } else if (slice_is(kind, "subscribe") || slice_is(kind, "unsubscribe")) {
        if (subscriptions_confirm(&link->subs, channel) &&
            link->options.on_subscribed != NULL)
            link->options.on_subscribed(link->options.ctx, channel);
    } else if (reply_kind(reply) == REPLY_ERROR) {
        link->stats.errors++;
        lost(link, "a subscription was refused by the server");
    }
    /* What is left is the answer to PING. */
}

static void on_reply(void *ctx, const struct redisReply *raw)
{
    struct link *link = ctx;
    const struct reply *reply = (const struct reply *)(const void *)raw;

    link->heard_ms = loop_now_ms(link->loop);
    link->is_pinging = false;
    enter(link);
    if (link->options.is_subscriber && link->state == LINK_UP) {
        on_pushed(link, reply);
    } else if (link->in_flight.count == 0) {
        link->stats.errors++;
        lost(link, "an answer to nothing that was asked");
    } else {
        struct waiter waiter = waiters_pop(&link->in_flight);
        if (waiter.done != NULL)
            waiter.done(waiter.ctx, reply);
    }
    leave(link);
}

static const struct conn_owner conn_owner_slots = {
    .on_connected = on_connected,
    .on_reply = on_reply,
    .on_broken = on_broken,
};

/* ---- time ---- */

static void connect_now(struct link *link)
{
    link->state = LINK_CONNECTING;
    link->conn = conn_open(link->loop, &link->url, &conn_owner_slots, link);
    timer_start(&link->timer, link->options.connect_timeout_ms, 0);
}

static void ping(struct link *link)
{
    struct slice argv[1] = {slice_of("PING")};

    link->is_pinging = true;
    timer_start(&link->timer, link->options.ping_timeout_ms, 0);
    if (link->options.is_subscriber)
        command_encode(conn_out(link->conn), argv, 1);
    else
        send_now(link, argv, 1, (struct waiter){NULL, NULL});
    conn_flush(link->conn);
}

static void check_silence(struct link *link)
{
    if (link->is_pinging) {
        /* Timers come before input in a turn: if it was we who slept, the answer is in
         * the socket already. */
        conn_read(link->conn);
        if (!link->is_freed && link->state == LINK_UP && link->is_pinging)
            lost(link, "no answer in time");
        if (link->is_freed || link->state != LINK_UP)
            return;
    }
    uint64_t quiet_ms = loop_now_ms(link->loop) - link->heard_ms;
    if (quiet_ms >= link->options.silence_ms)
        ping(link);
    else
        timer_start(&link->timer, link->options.silence_ms - quiet_ms, 0);
}

static void on_timer(struct timer *timer)
{
    struct link *link = LIST_ENTRY(timer, struct link, timer);

    enter(link);
    switch (link->state) {
    case LINK_WAITING:
        connect_now(link);
        break;
    case LINK_CONNECTING:
        lost(link, "no connection in time");
        break;
    case LINK_UP:
        check_silence(link);
        break;
    }
    leave(link);
}

static void on_flush(struct turn_task *task)
{
    struct link *link = LIST_ENTRY(task, struct link, flush);

    enter(link);
    if (link->drop_reason != NULL)
        lost(link, link->drop_reason);
    if (!link->is_freed && link->refused.count > 0)
        waiters_fail(&link->refused);
    if (!link->is_freed && link->state == LINK_UP) {
        if (link->options.is_subscriber)
            subscriptions_encode(&link->subs, conn_out(link->conn));
        conn_flush(link->conn);
    }
    leave(link);
}

/* ---- the outside ---- */

static void set_defaults(struct link_options *options)
{
    if (options->connect_timeout_ms == 0)
        options->connect_timeout_ms = 5000;
    if (options->silence_ms == 0)
        options->silence_ms = 5000;
    if (options->ping_timeout_ms == 0)
        options->ping_timeout_ms = 5000;
    if (options->backoff_min_ms == 0)
        options->backoff_min_ms = 50;
    if (options->backoff_max_ms == 0)
        options->backoff_max_ms = 3000;
    if (options->max_in_flight == 0)
        options->max_in_flight = 16384;
    if (options->max_unsent_bytes == 0)
        options->max_unsent_bytes = (size_t)64 << 20;
}

struct link *link_new(struct loop *loop, const char *url,
                      const struct link_options *options, struct buf *error)
{
    struct redis_url parsed;

    if (!redis_url_parse(url, &parsed, error))
        return NULL;
    struct link *link = mem_new(sizeof(*link));
    link->loop = loop;
    link->options = *options;
    set_defaults(&link->options);
    link->name = options->name == NULL ? NULL : mem_text(slice_of(options->name));
    link->options.name = link->name;
    link->url = parsed;
    subscriptions_init(&link->subs);
    turn_task_init(&link->flush, on_flush);
    timer_init(&link->timer, loop, on_timer);
    set_trouble(link, "connecting");
    connect_now(link);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL || link->is_freed)
        return;
    enter(link);
    link->is_freed = true;
    conn_close(link->conn);
    link->conn = NULL;
    link->state = LINK_WAITING;
    timer_release(&link->timer);
    turn_cancel(&link->flush);
    waiters_fail(&link->in_flight);
    waiters_fail(&link->refused);
    subscriptions_release(&link->subs);
    redis_url_release(&link->url);
    free(link->name);
    leave(link);
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP;
}

uint64_t link_up_since_ms(const struct link *link)
{
    return link->state == LINK_UP ? link->up_since_ms : 0;
}

const char *link_trouble(const struct link *link)
{
    return link->state == LINK_UP ? NULL : link->trouble;
}

const char *link_target(const struct link *link)
{
    return link->url.target;
}

void link_drop(struct link *link, const char *reason)
{
    link->drop_reason = reason;
    turn_defer(link->loop, &link->flush);
}

const struct link_stats *link_stats(const struct link *link)
{
    return &link->stats;
}

bool link_has_room(const struct link *link, size_t commands)
{
    return link->state == LINK_UP && !link->options.is_subscriber &&
           link->in_flight.count + commands <= link->options.max_in_flight &&
           conn_out(link->conn)->len + commands * 1024 <=
               link->options.max_unsent_bytes;
}

void link_command(struct link *link, const struct slice *argv, size_t argc,
                  link_done *done, void *ctx)
{
    struct waiter waiter = {done, ctx};

    link->stats.commands++;
    if (link_has_room(link, 1) &&
        conn_out(link->conn)->len + command_size(argv, argc) <=
            link->options.max_unsent_bytes) {
        send_now(link, argv, argc, waiter);
    } else {
        link->stats.refused++;
        waiters_push(&link->refused, waiter);
    }
    turn_defer(link->loop, &link->flush);
}

void link_subscribe(struct link *link, struct slice channel)
{
    if (subscriptions_want(&link->subs, channel, true))
        turn_defer(link->loop, &link->flush);
}

void link_unsubscribe(struct link *link, struct slice channel)
{
    if (subscriptions_want(&link->subs, channel, false))
        turn_defer(link->loop, &link->flush);
}
