/* redis_heal.h - one watched topic, and the questions that keep it level with Redis. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_REDIS_HEAL_H
#define THINKWIRE_BUS_REDIS_HEAL_H

#include "bus/redis_inside.h"

/*
 * One question at a time is asked of Redis for a watched topic, whatever the number of its
 * readers. `step` is what is to be done next; the live channel is a hint that carries the
 * payload, and whatever it leaves open is asked of the stream.
 *
 *   SUBSCRIBE --confirmed--> LOAD ---> LIVE <---------> LOOK (was silent: compare)
 *       ^                     ^  ^      |  ^              |      (and HISTORY, likewise,
 *       |                     |  |      |  |              |       when a reader wants it)
 *       |     other epoch, ---+  |      |  |  level       | behind
 *       |     gone back          |      v  |              |
 *       |                        +---- RANGE <------------+
 *       |                        |      ^  a gap; in chunks until the latest id seen
 *       +--reconnected--> VERIFY +------+
 *                    last entry held: still there, and the same?
 *
 * What is compared is compared over one connection and heard over another. After a failover
 * they come to the new server one after the other, so VERIFY is due when the second of them
 * is there: it waits for commands where the subscription was first, and is asked again where
 * that was compared with the old server meanwhile.
 *
 * An answer that comes when `step` has become something else is thrown away and the new
 * question asked: what arrived meanwhile was newer.
 */
enum step {
    STEP_SUBSCRIBE,
    STEP_LOAD,
    STEP_VERIFY,
    STEP_RANGE,
    /* From here on what the live channel brings is taken in at once. */
    STEP_LIVE,
    STEP_LOOK,
    STEP_HISTORY
};

struct watch {
    struct list node; /* in bus->watches, by probe_ms */
    struct bus_redis *bus;
    struct topic *topic;  /* NULL: nobody watches, the last answer is awaited */
    struct task_key task; /* a copy */
    struct buf channel;
    enum step step;
    enum step asked;
    bool is_asking;
    bool is_stale;      /* the answer on its way is from before an erasure */
    bool wants_history; /* the topic waits for events from before its window */
    bool wants_newer;   /* it is to be looked at, since a reader knows of more */
    bool owes_newer;    /* that has been asked; the topic is told when it is level */
    struct event_id latest; /* the newest id the live channel has told of */
    /* When the question on its way was asked: */
    struct event_id asked_latest;
    struct event_id asked_held; /* the last id of the topic */
    uint64_t
        confirmed; /* the connection (a count) on which it is subscribed; 0 = none */
    uint64_t heard_ms;
    uint64_t probe_ms;
};

void watch_free(struct watch *watch);
/* The last id of the run we hold; epoch 0 when that is none of Redis. */
struct event_id watch_held_id(const struct watch *watch);
/* What the live channel brings is taken in at once. */
bool watch_is_live(const struct watch *watch);
bool event_id_is_newer(struct event_id a, struct event_id b);
/* The live channel, or an answer, has told of this id. */
void watch_see(struct watch *watch, struct event_id id);
/* What is to be done next; asked at once, or as soon as the answer on its way is here. */
void watch_go(struct watch *watch, enum step step);
/* The head is level: what is wanted besides is done next, if anything is. */
void watch_rest(struct watch *watch);
/* What we hold is not the beginning of what Redis holds. */
void watch_reload(struct watch *watch);
/* Asks what the step wants unless that is asked already or cannot be asked now. */
void watch_ask(struct watch *watch);

#endif
