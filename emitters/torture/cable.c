/* cable.c - the line between emitters and Redis, which can be cut. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/cable.h"

#include "base/list.h"
#include "emitters/torture/process.h"
#include "emitters/torture/producer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PART_BYTES 65536
#define HELD_BYTES ((size_t)16 << 20)

static void note(const struct cable_pair *pair, const char *text)
{
    if (pair->cable->on_note != NULL && pair->task >= 0)
        pair->cable->on_note(pair->cable->ctx, pair->task, text);
}

static void pair_close(struct cable_pair *pair)
{
    watch_close(&pair->near);
    watch_close(&pair->far);
    buf_release(&pair->to_far);
    buf_release(&pair->to_near);
}

static void pair_want(struct cable_pair *pair)
{
    struct watch_set *set = pair->cable->set;

    bool is_open = !pair->cable->is_held;

    watch_want(set, &pair->near, is_open && pair->to_far.len == 0,
               is_open && pair->to_near.len > 0);
    watch_want(set, &pair->far, pair->to_near.len == 0, pair->to_far.len > 0);
}

/* False when the connection is over. */
static bool take(struct watch *watch, struct buf *into)
{
    char *room = buf_reserve(into, PART_BYTES);
    ssize_t n = room == NULL ? 0 : recv(watch->fd, room, PART_BYTES, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    into->len += (size_t)n;
    return n > 0;
}

static bool give(struct watch *watch, struct buf *from)
{
    ssize_t n =
        from->len == 0 ? 0 : send(watch->fd, from->data, from->len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
    buf_consume(from, (size_t)n);
    return true;
}

/* Keys of a task hold its name: "{/torture-3}". */
static void learn_task(struct cable_pair *pair)
{
    static const char sign[] = "{/" TASK_NAME_BEGINS;
    const char *at =
        pair->task >= 0 || pair->to_far.len == 0
            ? NULL
            : memmem(pair->to_far.data, pair->to_far.len, sign, sizeof(sign) - 1);

    if (at == NULL || at + sizeof(sign) >= pair->to_far.data + pair->to_far.len)
        return;
    pair->task = (int)strtoul(at + sizeof(sign) - 1, NULL, 10);
    note(pair, "is connected");
}

static void pump(struct cable_pair *pair, bool near_readable, bool far_readable)
{
    bool is_good = true;

    if (near_readable)
        is_good = take(&pair->near, &pair->to_far);
    learn_task(pair);
    if (far_readable && is_good)
        is_good = take(&pair->far, &pair->to_near);
    if (pair->is_cut && pair->to_near.len > 0)
        is_good = false;
    /* What has been said goes through even when its speaker has just gone. */
    if (give(&pair->far, &pair->to_far) && is_good &&
        give(&pair->near, &pair->to_near)) {
        pair_want(pair);
        return;
    }
    note(pair, pair->is_cut    ? "is cut off, an answer unread"
               : near_readable ? "has closed its connection"
                               : "has lost its connection");
    pair_close(pair);
}

static void on_near(struct watch *watch, bool is_readable, bool is_writable)
{
    (void)is_writable;
    pump(LIST_ENTRY(watch, struct cable_pair, near), is_readable, false);
}

static void on_far(struct watch *watch, bool is_readable, bool is_writable)
{
    (void)is_writable;
    pump(LIST_ENTRY(watch, struct cable_pair, far), false, is_readable);
}

static void begin(struct cable *cable, int near)
{
    for (unsigned i = 0; i < CABLE_PAIRS; i++) {
        struct cable_pair *pair = &cable->pairs[i];
        int far;
        if (pair->near.fd >= 0)
            continue;
        far = port_connect(cable->far_port);
        if (far < 0)
            break;
        pair->is_cut = false;
        pair->task = -1;
        buf_init(&pair->to_far, HELD_BYTES);
        buf_init(&pair->to_near, HELD_BYTES);
        watch_open(cable->set, &pair->near, near);
        watch_open(cable->set, &pair->far, far);
        pair_want(pair);
        return;
    }
    close(near);
}

static void on_listener(struct watch *watch, bool is_readable, bool is_writable)
{
    int near = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)is_readable;
    (void)is_writable;
    if (near >= 0)
        begin(LIST_ENTRY(watch, struct cable, listener), near);
}

bool cable_open(struct cable *cable, struct watch_set *set, uint16_t far_port)
{
    int fd;

    *cable = (struct cable){.set = set, .far_port = far_port};
    for (unsigned i = 0; i < CABLE_PAIRS; i++) {
        struct cable_pair *pair = &cable->pairs[i];
        pair->cable = cable;
        pair->near = (struct watch){.fd = -1, .on_ready = on_near};
        pair->far = (struct watch){.fd = -1, .on_ready = on_far};
    }
    cable->listener = (struct watch){.fd = -1, .on_ready = on_listener};
    fd = port_listen(&cable->port);
    if (fd < 0)
        return false;
    watch_open(set, &cable->listener, fd);
    watch_want(set, &cable->listener, true, false);
    return true;
}

void cable_close(struct cable *cable)
{
    for (unsigned i = 0; i < CABLE_PAIRS; i++) {
        if (cable->pairs[i].cable != NULL)
            pair_close(&cable->pairs[i]);
    }
    watch_close(&cable->listener);
}

void cable_hold(struct cable *cable, bool is_held)
{
    cable->is_held = is_held;
    watch_want(cable->set, &cable->listener, !is_held, false);
    for (unsigned i = 0; i < CABLE_PAIRS; i++)
        pair_want(&cable->pairs[i]);
}

bool cable_cut(struct cable *cable, unsigned task)
{
    for (unsigned i = 0; i < CABLE_PAIRS; i++) {
        struct cable_pair *pair = &cable->pairs[i];
        if (pair->near.fd >= 0 && pair->task == (int)task && !pair->is_cut) {
            pair->is_cut = true;
            return true;
        }
    }
    return false;
}
