/* cable.h - the line between emitters and Redis, which can be cut. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_CABLE_H
#define THINKWIRE_TORTURE_CABLE_H

#include "base/buf.h"
#include "emitters/torture/watch.h"

/*
 * A forwarder on a port of its own. A cut is the worst one: what the client has sent goes on
 * and is carried out, then the connection ends before its answer is delivered. So the client
 * must repeat, and only de-duplication keeps the repeat from being told twice.
 */
#define CABLE_PAIRS 64

struct cable;
struct cable_pair {
    struct watch near; /* the emitter */
    struct watch far;  /* Redis */
    struct cable *cable;
    struct buf to_far;
    struct buf to_near;
    bool is_cut; /* at the next answer */
    int task;    /* whose it is, found in what it says; -1 = not known yet */
};
struct cable {
    struct watch listener;
    struct watch_set *set;
    bool is_held;
    /* What became of a task's connection, for a history. */
    void (*on_note)(void *ctx, int task, const char *text);
    void *ctx;
    uint16_t port;     /* of ours */
    uint16_t far_port; /* of Redis */
    struct cable_pair pairs[CABLE_PAIRS];
};

/* False when no port could be had. `cable` stays where it is; its on_note may be set. */
bool cable_open(struct cable *cable, struct watch_set *set, uint16_t far_port);
void cable_close(struct cable *cable);
/* While it is held, nothing passes, and who connects is neither refused nor served. */
void cable_hold(struct cable *cable, bool is_held);
/* At the next answer to the producer of that task; false when it has no connection. */
bool cable_cut(struct cable *cable, unsigned task);

#endif
