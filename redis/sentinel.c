/* sentinel.c - where the master is, asked of sentinels. */
/* SPDX-License-Identifier: MIT */
#include "redis/sentinel.h"

#include "base/clock.h"
#include "base/mem.h"
#include "redis/inside.h"

#include <stdio.h>
#include <stdlib.h>

/* A sentinel does next to nothing: one that needs longer is as good as away, and there are
 * others. */
#define ANSWER_MS 1000
/* 50-100 % of it pass between two questions. */
#define REST_MS  1000
#define HOST_MAX 255

enum sentinel_state { SENTINEL_AWAY, SENTINEL_ASKING, SENTINEL_RESTING };

struct sentinel {
    struct loop *loop;
    const struct redis_url *url;
    const struct sentinel_owner *owner;
    void *ctx;
    enum sentinel_state state;
    struct conn *conn; /* NULL = away */
    struct timer timer;
    size_t at;     /* of the list */
    size_t failed; /* in a row */
    unsigned due;  /* answers that come before the one we want */
};

static void connect_next(struct sentinel *sentinel);

static void rest(struct sentinel *sentinel)
{
    timer_start(&sentinel->timer, REST_MS / 2 + random_below(REST_MS / 2 + 1), 0);
}

static void hang_up(struct sentinel *sentinel)
{
    conn_close(sentinel->conn);
    sentinel->conn = NULL;
    sentinel->state = SENTINEL_AWAY;
    sentinel->at = (sentinel->at + 1) % sentinel->url->sentinel_count;
}

static void failed(struct sentinel *sentinel, const char *reason)
{
    char text[160];
    struct buf name;

    buf_init(&name, 512);
    redis_place_name(&sentinel->url->sentinels[sentinel->at], &name);
    (void)snprintf(text, sizeof(text), "sentinel %s: %s", buf_text(&name), reason);
    buf_release(&name);
    hang_up(sentinel);
    sentinel->failed++;
    if (sentinel->failed < sentinel->url->sentinel_count) {
        connect_next(sentinel);
        return;
    }
    sentinel->failed = 0;
    rest(sentinel);
    sentinel->owner->on_nobody(sentinel->ctx, text);
}

/* ---- asking ---- */

static void send_question(struct sentinel *sentinel)
{
    const struct slice argv[3] = {slice_of("SENTINEL"),
                                  slice_of("GET-MASTER-ADDR-BY-NAME"),
                                  slice_of(sentinel->url->master)};

    sentinel->state = SENTINEL_ASKING;
    timer_start(&sentinel->timer, ANSWER_MS, 0);
    command_encode(conn_out(sentinel->conn), argv, 3);
    conn_flush(sentinel->conn);
}

static void on_connected(void *ctx)
{
    struct sentinel *sentinel = ctx;
    const struct redis_url *url = sentinel->url;
    struct slice argv[3] = {slice_of("AUTH")};
    size_t argc = 1;

    sentinel->due = 0;
    if (url->sentinel_user != NULL)
        argv[argc++] = slice_of(url->sentinel_user);
    if (url->sentinel_password != NULL) {
        argv[argc++] = slice_of(url->sentinel_password);
        command_encode(conn_out(sentinel->conn), argv, argc);
        sentinel->due = 1;
    }
    send_question(sentinel);
}

static bool read_place(const struct reply *reply, struct redis_place *place)
{
    const struct reply *host = reply_at(reply, 0);
    const struct reply *port = reply_at(reply, 1);

    if (host == NULL || port == NULL || reply_text(host).len == 0 ||
        reply_text(host).len > HOST_MAX || reply_u64(port) == 0 ||
        reply_u64(port) > 65535)
        return false;
    place->host = mem_text(reply_text(host));
    place->port = (unsigned)reply_u64(port);
    return true;
}

static void take_master(struct sentinel *sentinel, struct redis_place *place)
{
    sentinel->failed = 0;
    sentinel->state = SENTINEL_RESTING;
    rest(sentinel);
    sentinel->owner->on_master(sentinel->ctx, place);
    /* The sentinel may be gone. */
}

static void on_reply(void *ctx, const struct redisReply *raw)
{
    struct sentinel *sentinel = ctx;
    const struct reply *reply = (const struct reply *)(const void *)raw;
    struct redis_place place = {.port = 0};
    char text[96];

    if (reply_kind(reply) == REPLY_ERROR) {
        (void)snprintf(text, sizeof(text), "%.*s", (int)reply_text(reply).len,
                       reply_text(reply).ptr);
        failed(sentinel, text);
    } else if (sentinel->due > 0) {
        sentinel->due--;
    } else if (sentinel->state != SENTINEL_ASKING) {
        failed(sentinel, "an answer to nothing that was asked");
    } else if (read_place(reply, &place)) {
        take_master(sentinel, &place);
        redis_place_release(&place);
    } else {
        failed(sentinel, "knows no master of this name");
    }
}

static void on_broken(void *ctx, const char *reason)
{
    failed(ctx, reason);
}

static const struct conn_owner conn_owner_slots = {
    .on_connected = on_connected,
    .on_reply = on_reply,
    .on_broken = on_broken,
};

static void connect_next(struct sentinel *sentinel)
{
    sentinel->state = SENTINEL_ASKING;
    sentinel->conn = conn_open(sentinel->loop, &sentinel->url->sentinels[sentinel->at],
                               &conn_owner_slots, sentinel);
    timer_start(&sentinel->timer, ANSWER_MS, 0);
}

static void go_on(struct sentinel *sentinel)
{
    if (sentinel->state == SENTINEL_AWAY)
        connect_next(sentinel);
    else if (sentinel->state == SENTINEL_RESTING)
        send_question(sentinel);
}

static void on_timer(struct timer *timer)
{
    struct sentinel *sentinel = LIST_ENTRY(timer, struct sentinel, timer);

    if (sentinel->state == SENTINEL_ASKING)
        failed(sentinel, "no answer in time");
    else
        go_on(sentinel);
}

/* ---- the outside ---- */

struct sentinel *sentinel_new(struct loop *loop, const struct redis_url *url,
                              const struct sentinel_owner *owner, void *ctx)
{
    struct sentinel *sentinel = mem_new(sizeof(*sentinel));

    sentinel->loop = loop;
    sentinel->url = url;
    sentinel->owner = owner;
    sentinel->ctx = ctx;
    /* Not all clients lean on the first of the list. */
    sentinel->at = random_below((uint32_t)url->sentinel_count);
    timer_init(&sentinel->timer, loop, on_timer);
    return sentinel;
}

void sentinel_free(struct sentinel *sentinel)
{
    if (sentinel == NULL)
        return;
    conn_close(sentinel->conn);
    timer_release(&sentinel->timer);
    free(sentinel);
}

void sentinel_ask(struct sentinel *sentinel)
{
    go_on(sentinel);
}

void sentinel_blame(struct sentinel *sentinel)
{
    if (sentinel->url->sentinel_count == 1 || sentinel->state != SENTINEL_RESTING)
        return;
    hang_up(sentinel);
    rest(sentinel);
}
