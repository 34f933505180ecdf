/* history.c - events of a run from before the window, fetched when a reader wants them. */
/* SPDX-License-Identifier: MIT */
#include "log/internal.h"

/*
 * A topic is loaded with the newest events only. What stands before them is asked of the
 * feed when a reader comes that wants it, a part at a time, as far as the bounds allow:
 *
 *     first_pos         bottom_pos        base_pos                 next_pos
 *     | gone, or no room | can be fetched  | e e e e e e e e e e e e |
 *
 * Positions of a run are fixed by its ids, so a reader that stands before the window reads
 * on as soon as its entry is back.
 */
static bool may_have_older(const struct topic *topic)
{
    const struct run *run = &topic->run;
    const struct hub_feed *feed = topic->hub->feed;

    return feed != NULL && feed->on_history != NULL && topic->kind == TOPIC_TASK &&
           topic->phase == TOPIC_READY && run->epoch != 0 && !run->is_local &&
           topic->base_pos > run->first_pos && topic->base_pos > topic->bottom_pos;
}

bool topic_fetch_after(struct topic *topic, struct event_id id)
{
    const struct run *run = &topic->run;
    struct hub *hub = topic->hub;

    if (id.epoch != run->epoch || id.is_local != run->is_local ||
        id.seq > run->last_seq || run->origin_pos + id.seq + 1 >= topic->base_pos ||
        !may_have_older(topic))
        return false;
    if (!topic->is_fetching) {
        topic->is_fetching = true;
        hub->feed->on_history(hub->feed_ctx, topic);
    }
    return true;
}

struct event_id topic_history_end(const struct topic *topic)
{
    const struct run *run = &topic->run;

    if (!may_have_older(topic))
        return (struct event_id){0};
    return (struct event_id){run->epoch, topic->base_pos - run->origin_pos, false};
}

bool topic_restore_older(struct topic *topic, const struct topic_event *event)
{
    const struct run *run = &topic->run;

    if (!may_have_older(topic) || event->id.epoch != run->epoch ||
        run->origin_pos + event->id.seq + 1 != topic->base_pos)
        return false;
    if (!window_has_room(topic, event->body.len) ||
        !hub_make_idle_room(topic->hub, topic, window_cost(event))) {
        topic->bottom_pos = topic->base_pos;
        return false;
    }
    window_put_first(topic, event);
    hub_touch(topic->hub, topic);
    return true;
}

void topic_history_done(struct topic *topic, bool has_more)
{
    topic->is_fetching = false;
    if (!has_more)
        topic->bottom_pos = topic->base_pos;
    hub_mark(topic->hub, topic);
}

/* ---- what another broker has told already ---- */

bool topic_is_behind(const struct topic *topic, struct event_id id)
{
    const struct run *run = &topic->run;

    if (id.epoch == 0 || id.is_local || run->is_local)
        return false;
    return id.epoch != run->epoch ? id.epoch > run->epoch : id.seq > run->last_seq;
}

static void ask_newer(struct topic *topic)
{
    topic->newer_asked++;
    topic->hub->feed->on_newer(topic->hub->feed_ctx, topic);
}

/* A question that is on its way may have been answered before the event came. */
uint64_t topic_ask_newer(struct topic *topic)
{
    const struct hub_feed *feed = topic->hub->feed;

    if (feed == NULL || feed->on_newer == NULL || topic->kind != TOPIC_TASK ||
        topic->phase != TOPIC_READY)
        return 0;
    if (topic->newer_known < topic->newer_asked) {
        topic->wants_newer = true;
        return topic->newer_asked + 1;
    }
    ask_newer(topic);
    return topic->newer_asked;
}

bool topic_newer_is_known(const struct topic *topic, uint64_t number)
{
    return topic->newer_known >= number;
}

void topic_newer_done(struct topic *topic)
{
    topic->newer_known = topic->newer_asked;
    hub_mark(topic->hub, topic);
    if (!topic->wants_newer)
        return;
    topic->wants_newer = false;
    ask_newer(topic);
}
