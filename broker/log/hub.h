/* hub.h - all topics of this broker, their bounds, and who is woken when. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LOG_HUB_H
#define THINKWIRE_LOG_HUB_H

#include "base/counters.h"
#include "base/loop.h"
#include "log/topic.h"

/*
 *   bus --topic_append()--> topic --(once, at the end of the turn)--> reader->wake()
 *
 * Everything a turn brought is appended first; then each topic that changed visits its
 * readers once. The hub does not know sessions: a reader is a struct with a wake function.
 */
struct hub;

struct hub_limits {
    size_t retain_events;      /* per topic */
    size_t retain_bytes;       /* per topic */
    size_t retain_text_bytes;  /* accumulated text and reasoning per task, each */
    size_t retain_total_bytes; /* all topics */
    uint64_t
        retain_finished_ms; /* a finished or idle topic without readers goes after it */
    uint64_t retain_room_ms; /* likewise for topics that are no tasks */
    uint64_t abandon_ms;     /* an open topic nobody reads or writes goes after it */
    uint64_t linger_ms; /* with a feed: how long a topic stays loaded without readers */
    size_t max_topics;
};

/* The bus that feeds tasks is told when somebody starts or stops watching one. */
struct hub_feed {
    /* A reader came to a cold topic, which is TOPIC_LOADING now: subscribe, load, then
     * topic_ready(). */
    void (*on_watch)(void *ctx, struct topic *topic);
    /* Nobody watches any more: the topic is cold again or about to be freed. */
    void (*on_unwatch)(void *ctx, struct topic *topic);
    /* A reader wants events from before the window: read some that end right before
     * topic_history_end(), hand them to topic_restore_older() and answer with
     * topic_history_done(). Not asked again before that. NULL: there are none. */
    void (*on_history)(void *ctx, struct topic *topic);
    /* A reader has been told, elsewhere, of an event that is not here yet: compare the topic
     * with its source, take in what is newer, and answer with topic_newer_done(). Not asked
     * again before that. NULL: there is no elsewhere. */
    void (*on_newer)(void *ctx, struct topic *topic);
};

struct hub *hub_new(struct loop *loop, const struct hub_limits *limits,
                    struct counters *counters);
void hub_free(struct hub *hub);
/* Without a feed (memory bus) topics are ready from the start and are never dropped before
 * their retention ends. With one they are a cache: dropped soon after the last reader. */
void hub_set_feed(struct hub *hub, const struct hub_feed *feed, void *ctx);
/* Called at the end of each turn after all readers of changed topics were woken. */
void hub_set_after_visit(struct hub *hub, void (*after)(void *ctx), void *ctx);

/* What is said in a task's room beside its run has a topic of its own. `follow` lets those
 * readers of the task follow it who want all that is said in the room. */
void hub_set_follow(struct hub *hub,
                    void (*follow)(struct topic *task, struct topic *aside));
/* The topic was just made: tells `follow`, if there is one. */
void hub_follow(struct hub *hub, struct topic *task, struct topic *aside);

/* Finds, or makes (NULL when max_topics is reached and counted). Site and name are copied. */
struct topic *hub_topic(struct hub *hub, enum topic_kind kind, struct slice site,
                        struct slice name);
struct topic *hub_find(struct hub *hub, enum topic_kind kind, struct slice site,
                       struct slice name);
/* hub_topic() and hub_find() of a task. */
static inline struct topic *hub_task(struct hub *hub, const struct task_key *task)
{
    return hub_topic(hub, TOPIC_TASK, task->site, task->task_id);
}
static inline struct topic *hub_find_task(struct hub *hub, const struct task_key *task)
{
    return hub_find(hub, TOPIC_TASK, task->site, task->task_id);
}
void hub_each(struct hub *hub, bool (*visit)(struct topic *topic, void *ctx),
              void *ctx);
size_t hub_topic_count(const struct hub *hub);
/* A number no other run of this process has: the nonce of local ids. */
uint64_t hub_nonce(const struct hub *hub);
const struct hub_limits *hub_limits(const struct hub *hub);
/* The next arrival number: for one publication to several topics. */
uint64_t hub_next_order(struct hub *hub);
/* The arrival number of the newest event. */
uint64_t hub_last_order(const struct hub *hub);

#endif
