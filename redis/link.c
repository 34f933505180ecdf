/* link.c - one Redis connection that comes back by itself. */
/* SPDX-License-Identifier: MIT */
#include "redis/link.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "redis/inside.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- staying alive through callbacks that free the link ---- */

void link_enter(struct link *link)
{
    link->depth++;
}

void link_leave(struct link *link)
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

void link_lose(struct link *link, const char *reason)
{
    bool was_up = link->state == LINK_UP;

    if (link->state == LINK_WAITING || link->is_freed)
        return;
    set_trouble(link, reason);
    if (link->sentinel != NULL && link->state == LINK_CONNECTING)
        sentinel_blame(link->sentinel);
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
    } else if (!link_is_there(reply)) {
        link->stats.errors++;
        link_lose(link, "a subscription was refused by the server");
    }
    /* What is left is the answer to PING. */
}

void link_take_reply(struct link *link, const struct reply *reply)
{
    link->heard_ms = loop_now_ms(link->loop);
    link->is_pinging = false;
    link_enter(link);
    if (link->options.is_subscriber && link->state == LINK_UP) {
        on_pushed(link, reply);
    } else if (link->in_flight.count == 0) {
        link->stats.errors++;
        link_lose(link, "an answer to nothing that was asked");
    } else {
        struct waiter waiter = waiters_pop(&link->in_flight);
        if (waiter.done != NULL)
            waiter.done(waiter.ctx, reply);
    }
    link_leave(link);
}

/* ---- time ---- */

static void ping(struct link *link)
{
    struct slice argv[1] = {slice_of("PING")};

    link->is_pinging = true;
    timer_start(&link->timer, link->options.ping_timeout_ms, 0);
    if (link->options.is_subscriber)
        command_encode(conn_out(link->conn), argv, 1);
    else
        link_send_now(link, argv, 1, (struct waiter){NULL, NULL});
    conn_flush(link->conn);
}

static void check_silence(struct link *link)
{
    if (link->is_pinging) {
        /* Timers come before input in a turn: if it was we who slept, the answer is in
         * the socket already. */
        conn_read(link->conn);
        if (!link->is_freed && link->state == LINK_UP && link->is_pinging)
            link_lose(link, "no answer in time");
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

    link_enter(link);
    switch (link->state) {
    case LINK_WAITING:
        link_begin(link);
        break;
    case LINK_SEEKING:
        break; /* the timer is stopped */
    case LINK_CONNECTING:
        link_lose(link, "no connection in time");
        break;
    case LINK_UP:
        check_silence(link);
        break;
    }
    link_leave(link);
}

static void on_flush(struct turn_task *task)
{
    struct link *link = LIST_ENTRY(task, struct link, flush);

    link_enter(link);
    if (link->drop_reason != NULL)
        link_lose(link, link->drop_reason);
    if (!link->is_freed && link->refused.count > 0)
        waiters_fail(&link->refused);
    if (!link->is_freed && link->state == LINK_UP) {
        if (link->options.is_subscriber)
            subscriptions_encode(&link->subs, conn_out(link->conn));
        conn_flush(link->conn);
    }
    link_leave(link);
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
    turn_task_init_at(&link->flush, TURN_OUTPUT, on_flush);
    timer_init(&link->timer, loop, on_timer);
    if (parsed.sentinels == NULL)
        link->place = redis_place_copy(&parsed.place);
    else
        link->sentinel = sentinel_new(loop, &link->url, &link_sentinel_owner, link);
    set_trouble(link, LINK_CONNECTING_TEXT);
    link_begin(link);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL || link->is_freed)
        return;
    link_enter(link);
    link->is_freed = true;
    conn_close(link->conn);
    link->conn = NULL;
    sentinel_free(link->sentinel);
    link->sentinel = NULL;
    link->state = LINK_WAITING;
    timer_release(&link->timer);
    turn_cancel(&link->flush);
    waiters_fail(&link->in_flight);
    waiters_fail(&link->refused);
    subscriptions_release(&link->subs);
    redis_place_release(&link->place);
    redis_url_release(&link->url);
    free(link->name);
    link_leave(link);
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

void link_send_now(struct link *link, const struct slice *argv, size_t argc,
                   struct waiter waiter)
{
    command_encode(conn_out(link->conn), argv, argc);
    waiters_push(&link->in_flight, waiter);
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
        link_send_now(link, argv, argc, waiter);
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
