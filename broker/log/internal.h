/* internal.h - what the files of this room share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LOG_INTERNAL_H
#define THINKWIRE_LOG_INTERNAL_H

#include "log/hub.h"

struct topic {
    struct hub *hub;
    enum topic_kind kind;
    enum topic_phase phase;
    char *key; /* kind letter, site, '/', name: the hub's map key */
    size_t key_len;
    struct slice site;
    struct slice name;
    struct entry **ring; /* power of two; entry at pos is ring[pos & (cap - 1)] */
    size_t cap;
    uint64_t base_pos;
    uint64_t next_pos;
    uint64_t dropped_order;  /* arrival number of the newest entry that is gone */
    uint64_t appended_bytes; /* bodies, since ever; counts from far above zero */
    size_t window_bytes;     /* entries held now, overhead included */
    size_t beside_bytes;     /* topic_charge() */
    size_t charged_bytes;    /* what the hub's total counts for this topic */
    struct list readers;
    size_t reader_count;
    struct list dirty;   /* in hub->dirty while readers wait to be visited */
    struct list visited; /* in hub->visited: to be cut to size at the end of the turn */
    struct list by_age;  /* in hub->by_age: least recently touched first */
    struct list idle;    /* in hub->idle: nobody reads it and nobody will miss it */
    struct list wide;    /* in hub->wide: its window has something to give up */
    uint64_t touched_ms;
    struct run run;
    uint64_t live_pos;   /* see topic_live() */
    uint64_t bottom_pos; /* below it is nothing to be had, whatever the feed holds */
    bool is_fetching;    /* the feed was asked for older events */
    /* Questions for newer events; at most one is on its way, and one waits for its end. */
    uint64_t newer_asked;
    uint64_t newer_known;
    bool wants_newer;
    bool is_erased;
    uint32_t generation;
    void *feed_data;
};

#define BURST_SLOTS 16
struct burst_slot {
    const struct topic *topic;
    struct burst burst;
    struct bytes *bytes;
};

struct hub {
    struct loop *loop;
    struct hub_limits limits;
    struct map *topics;
    struct buf key; /* of the topic that is looked for: each event is, so it is kept */
    struct list dirty;
    struct list visited;
    struct list by_age;
    struct list idle; /* what may go when memory is short, in the order of by_age... */
    struct list wide; /* ...and then, whose windows: nothing else is looked at */
    struct turn_task visit;
    struct timer sweep;
    const struct hub_feed *feed;
    void *feed_ctx;
    void (*after_visit)(void *ctx);
    void *after_ctx;
    void (*follow)(struct topic *task, struct topic *aside);
    uint64_t nonce;
    uint64_t local_seq; /* highest of all local ids: none is given twice */
    uint32_t generation;
    uint64_t order;
    size_t total_bytes;
    struct burst_slot slots[BURST_SLOTS];
    unsigned next_slot;
    struct counter *topics_gauge;
    struct counter *bytes_gauge;
    struct counter *appended;
    struct counter *opaque;
    struct counter *evicted;
    struct counter *refused_topics;
    struct counter *refused_memory;
};

/* topic.c */
struct topic *topic_new(struct hub *hub, enum topic_kind kind, struct slice key,
                        size_t site_len);
void topic_free(struct topic *topic);
/* The task is past its retention: as topic_erase(), but readers that have read all of it
 * are left in peace; they may be waiting for a next run. */
void topic_expire(struct topic *topic);

/* window.c: the entries in [base_pos, next_pos) */
/* Appends a copy of the event; its position is next_pos. */
void window_push(struct topic *topic, const struct topic_event *event);
/* Puts a copy of the event before the first one. */
void window_put_first(struct topic *topic, const struct topic_event *event);
/* What an event costs in memory. */
size_t window_cost(const struct topic_event *event);
/* One more event of so many bytes is within the bounds of a topic. */
bool window_has_room(const struct topic *topic, size_t body_bytes);
void window_clear(struct topic *topic);
/* Cuts the window to its bounds. */
void topic_trim(struct topic *topic);
/* Drops the oldest entry; the window must not be empty. */
void topic_drop_oldest(struct topic *topic);

/* hub.c */
/* Readers of `topic` are visited at the end of this turn. */
void hub_mark(struct hub *hub, struct topic *topic);
/* The topic changed: its age starts anew and its bytes are counted again. */
void hub_touch(struct hub *hub, struct topic *topic);
/* Makes `need` bytes fit the total bound by dropping what is oldest; false when it cannot. */
bool hub_make_room(struct hub *hub, const struct topic *keep, size_t need);
/* The same, but only whole topics that nobody needs are dropped. */
bool hub_make_idle_room(struct hub *hub, const struct topic *keep, size_t need);
void hub_watch(struct hub *hub, struct topic *topic);
/* Somebody reads the topic: it is not idle. */
void hub_keep(struct topic *topic);

/* burst.c */
void burst_forget(struct hub *hub, const struct topic *topic);
void burst_forget_all(struct hub *hub);

#endif
