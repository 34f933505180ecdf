/* subscription.c - a cursor into a topic, its waits, and stops that were asked for. */
/* SPDX-License-Identifier: MIT */
#include "session/internal.h"

#include <stdlib.h>

static void reader_wake(struct reader *reader)
{
    struct subscription *sub = LIST_ENTRY(reader, struct subscription, reader);

    session_mark(sub->session);
}

/* ---- subscriptions ---- */

struct subscription *subscription_find(const struct session *session,
                                       const struct topic *topic)
{
    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (sub->reader.topic == topic)
            return sub;
    }
    return NULL;
}

struct subscription *subscription_add(struct session *session, struct topic *topic)
{
    struct subscription *sub = calloc(1, sizeof(*sub));

    if (sub == NULL)
        abort();
    sub->session = session;
    sub->stage = STAGE_JOINING;
    sub->owes_reply = true;
    sub->is_native = true;
    sub->generation = topic_generation(topic);
    list_init(&sub->wait);
    list_push_back(&session->subs, &sub->node);
    session->sub_count++;
    reader_init(&sub->reader, reader_wake);
    reader_attach(&sub->reader, topic, topic_next(topic));
    subscription_wait(sub, session->set->options.wait_unknown_ms);
    return sub;
}

static bool is_known(const struct topic *topic)
{
    return topic != NULL && topic_run(topic)->state != RUN_UNKNOWN;
}

static struct topic *own_topic(struct hub *hub, const struct task_key *task,
                               struct slice user, bool create)
{
    struct topic *topic;
    struct buf name;

    if (user.len == 0 || slice_is(user, "Guest"))
        return NULL;
    buf_init(&name, user.len + task->task_id.len + 1);
    topic_user_task_name(&name, user, task->task_id);
    topic = create ? hub_topic(hub, TOPIC_USER_TASK, task->site, buf_view(&name))
                   : hub_find(hub, TOPIC_USER_TASK, task->site, buf_view(&name));
    buf_release(&name);
    return topic;
}

static struct subscription *add_again(struct session *session, struct topic *topic)
{
    struct subscription *old = subscription_find(session, topic);

    if (old != NULL)
        subscription_remove(old);
    if (session->sub_count >= session->set->options.max_subscriptions) {
        counter_add(session->set->refused_subs, 1);
        return NULL;
    }
    return subscription_add(session, topic);
}

static struct subscription *add_twin(struct session *session, struct topic *topic)
{
    struct subscription *twin = add_again(session, topic);

    if (twin == NULL)
        return NULL;
    subscription_unwait(twin);
    twin->is_twin = true;
    twin->owes_reply = false;
    twin->stage = STAGE_LIVE;
    return twin;
}

struct subscription *subscription_find_task(const struct session *session,
                                            struct slice task_id)
{
    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_twin && topic_kind(sub->reader.topic) != TOPIC_ROOM &&
            slice_equal(topic_name(sub->reader.topic), task_id))
            return sub;
    }
    return NULL;
}

struct subscription *subscription_add_task(struct session *session,
                                           const struct task_key *task,
                                           struct slice user)
{
    struct hub *hub = session->set->hub;
    struct topic *topic = hub_topic(hub, TOPIC_TASK, task->site, task->task_id);
    struct topic *own = own_topic(hub, task, user, false);
    struct subscription *sub = subscription_find_task(session, task->task_id);

    if (sub != NULL)
        subscription_remove(sub);
    if (topic == NULL)
        return NULL;
    if (is_known(own) && !is_known(topic))
        return add_again(session, own);
    sub = add_again(session, topic);
    own = is_known(topic) ? NULL : own_topic(hub, task, user, true);
    if (sub != NULL && own != NULL)
        sub->twin = add_twin(session, own);
    return sub;
}

const struct subscription *subscription_speaking(const struct subscription *sub)
{
    if (sub->twin != NULL && !is_known(sub->reader.topic) &&
        is_known(sub->twin->reader.topic))
        return sub->twin;
    return sub;
}

void subscription_remove(struct subscription *sub)
{
    if (sub->twin != NULL)
        subscription_remove(sub->twin);
    subscription_unwait(sub);
    reader_detach(&sub->reader);
    list_remove(&sub->node);
    sub->session->sub_count--;
    free(sub->ack);
    free(sub);
}

bool session_is_finished(const struct session *session)
{
    LIST_FOR_EACH(node, next, &session->subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (sub->is_twin)
            continue;
        sub = subscription_speaking(sub);
        if (sub->stage != STAGE_LIVE || sub->owes_reply ||
            reader_lag(&sub->reader) != READER_LEVEL ||
            !run_state_is_final(topic_run(sub->reader.topic)->state))
            return false;
    }
    return true;
}

/* ---- waiting ---- */

static void rearm_waiting(struct session_set *set)
{
    struct subscription *sub;
    uint64_t now = loop_now_ms(set->loop);

    if (list_is_empty(&set->waiting)) {
        timer_stop(&set->wait_timer);
        return;
    }
    sub = LIST_ENTRY(set->waiting.next, struct subscription, wait);
    timer_start(&set->wait_timer, sub->deadline_ms > now ? sub->deadline_ms - now : 0,
                0);
}

/* All waits are equally long, so the list is ordered by its deadlines. */
void subscription_wait(struct subscription *sub, uint64_t ms)
{
    struct session_set *set = sub->session->set;

    list_remove(&sub->wait);
    sub->deadline_ms = loop_now_ms(set->loop) + ms;
    list_push_back(&set->waiting, &sub->wait);
    if (!timer_is_active(&set->wait_timer))
        rearm_waiting(set);
}

void subscription_unwait(struct subscription *sub)
{
    list_remove(&sub->wait);
}

void subscription_timeouts(struct timer *timer)
{
    struct session_set *set = LIST_ENTRY(timer, struct session_set, wait_timer);
    uint64_t now = loop_now_ms(set->loop);

    while (!list_is_empty(&set->waiting)) {
        struct subscription *sub =
            LIST_ENTRY(set->waiting.next, struct subscription, wait);
        if (sub->deadline_ms > now)
            break;
        list_remove(&sub->wait);
        join_timeout(sub);
    }
    rearm_waiting(set);
}

/* ---- errands ---- */

void errand_begin(struct errand *errand, struct session *session)
{
    errand->session = session;
    list_push_back(&session->errands, &errand->node);
}

struct session *errand_done(struct errand *errand)
{
    list_remove(&errand->node);
    return errand->session;
}

/* ---- stopping ---- */

static void stop_done(void *ctx, enum stop_status status)
{
    struct stop_call *call = ctx;
    struct session *session = errand_done(&call->errand);

    if (session != NULL && !session->is_dead)
        session->ops->stopped(session, call, status);
    free(call->task_id);
    free(call->ack);
    free(call);
}

static char *copy_slice(struct slice text)
{
    char *copy = strndup(text.ptr == NULL ? "" : text.ptr, text.len);

    if (copy == NULL)
        abort();
    return copy;
}

void session_stop(struct session *session, const struct task_key *task, uint64_t epoch,
                  struct slice ack)
{
    const struct session_services *services = &session->set->services;
    struct stop_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        abort();
    call->task_id = copy_slice(task->task_id);
    call->ack = ack.ptr == NULL ? NULL : copy_slice(ack);
    errand_begin(&call->errand, session);
    services->stop(services->ctx, task, epoch, stop_done, call);
}
