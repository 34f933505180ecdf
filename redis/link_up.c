/* link_up.c - how a link finds its server and makes sure that it is the right one. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "base/mem.h"
#include "redis/inside.h"

#include <stdio.h>

/* ---- the handshake ---- */

static const char *shown_name(const struct link *link)
{
    return link->name == NULL ? "" : link->name;
}

static void tell_up(const struct link *link)
{
    struct buf server;

    if (link->options.is_quiet)
        return;
    buf_init(&server, 512);
    redis_place_name(&link->place, &server);
    diag(DIAG_INFO, "redis link up", DIAG_S("redis", link->url.target),
         DIAG_S("link", shown_name(link)), DIAG_S("server", buf_text(&server)));
    buf_release(&server);
}

static void went_up(struct link *link)
{
    link->state = LINK_UP;
    link->up_since_ms = link->heard_ms;
    link->is_pinging = false;
    link->has_no_sentinel = false;
    link->trouble[0] = '\0';
    link->told_trouble[0] = '\0';
    link->stats.connects++;
    timer_start(&link->timer, link->options.silence_ms, 0);
    tell_up(link);
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

/* A server that cannot save to its disk refuses PING as it refuses writes, and is there all
 * the same: it can be read, and listened to. */
bool link_is_there(const struct reply *reply)
{
    struct slice text = reply_text(reply);

    return reply_kind(reply) != REPLY_ERROR ||
           (text.len >= 7 && memcmp(text.ptr, "MISCONF", 7) == 0);
}

static void on_handshake(void *ctx, const struct reply *reply)
{
    struct link *link = ctx;
    char text[96];

    if (reply == NULL)
        return;
    if (link_is_there(reply)) {
        handshake_step(link);
        return;
    }
    struct slice message = reply_text(reply);
    (void)snprintf(text, sizeof(text), "%.*s", (int)message.len, message.ptr);
    link_lose(link, text);
}

/* A server that does not let us have a name is a good server all the same. */
static void on_named(void *ctx, const struct reply *reply)
{
    if (reply != NULL)
        handshake_step(ctx);
}

/* After a failover the address, or what a sentinel told a moment ago, may lead to a server
 * that is a replica now. One that does not let us ask is taken to be a master. */
static void on_role(void *ctx, const struct reply *reply)
{
    struct link *link = ctx;
    const struct reply *role = reply == NULL ? NULL : reply_at(reply, 0);

    if (reply == NULL)
        return;
    if (role != NULL && slice_is(reply_text(role), "slave"))
        link_lose(link, "the server is a read-only replica");
    else if (role != NULL && slice_is(reply_text(role), "sentinel"))
        link_lose(link, "the server is a sentinel: its address begins with "
                        "redis+sentinel:// and ends with the name of the master");
    else
        handshake_step(link);
}

static void greet(struct link *link, const char *const *words, link_done *done)
{
    struct slice argv[3];
    size_t argc = 0;

    for (; argc < 3 && words[argc] != NULL; argc++)
        argv[argc] = slice_of(words[argc]);
    link_send_now(link, argv, argc, (struct waiter){done, link});
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
    if (link->sentinel != NULL || !link->options.takes_replicas)
        greet(link, (const char *[]){"ROLE", NULL}, on_role);
    conn_flush(link->conn);
}

static void on_reply(void *ctx, const struct redisReply *raw)
{
    link_take_reply(ctx, (const struct reply *)(const void *)raw);
}

static void on_broken(void *ctx, const char *reason)
{
    struct link *link = ctx;

    link_enter(link);
    link_lose(link, reason);
    link_leave(link);
}

static const struct conn_owner conn_owner_slots = {
    .on_connected = on_connected,
    .on_reply = on_reply,
    .on_broken = on_broken,
};

static void connect_now(struct link *link)
{
    link->state = LINK_CONNECTING;
    link->conn = conn_open(link->loop, &link->place, &conn_owner_slots, link);
    timer_start(&link->timer, link->options.connect_timeout_ms, 0);
}

void link_begin(struct link *link)
{
    if (link->sentinel == NULL) {
        connect_now(link);
        return;
    }
    /* The sentinels' own time-outs bound this state. */
    timer_stop(&link->timer);
    link->state = LINK_SEEKING;
    sentinel_ask(link->sentinel);
}

/* ---- what sentinels say ---- */

static void connect_to(struct link *link, const struct redis_place *place)
{
    redis_place_release(&link->place);
    link->place = redis_place_copy(place);
    connect_now(link);
}

/* Told each second; mostly it is what we know. */
static void on_master(void *ctx, const struct redis_place *place)
{
    struct link *link = ctx;
    bool is_news = !redis_place_equal(place, &link->place);

    link_enter(link);
    link->has_no_sentinel = false;
    if (link->state == LINK_SEEKING) {
        connect_to(link, place);
    } else if (is_news && link->state == LINK_WAITING) {
        /* The back-off was for the one before. */
        link->attempts = 0;
        connect_to(link, place);
    } else if (is_news) {
        link->attempts = 0;
        link_lose(link, "the sentinels name another master");
    }
    link_leave(link);
}

static void on_nobody(void *ctx, const char *reason)
{
    struct link *link = ctx;

    link_enter(link);
    if (link->state == LINK_SEEKING) {
        link_lose(link, reason);
    } else if (link->state == LINK_UP && !link->has_no_sentinel) {
        link->has_no_sentinel = true;
        if (!link->options.is_quiet)
            diag(DIAG_WARN, "redis sentinels are away: a failover would not be seen",
                 DIAG_S("redis", link->url.target), DIAG_S("link", shown_name(link)),
                 DIAG_S("reason", reason));
    }
    link_leave(link);
}

const struct sentinel_owner link_sentinel_owner = {
    .on_master = on_master,
    .on_nobody = on_nobody,
};
