/* subscription.c - a cursor into a topic, its waits, and stops that were asked for. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
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
    session->changes++;
    reader_init(&sub->reader, reader_wake);
    reader_attach(&sub->reader, topic, topic_next(topic));
    subscription_wait(sub, session->set->options.wait_unknown_ms);
    return sub;
}

static bool is_known(const struct topic *topic)
{
    return topic != NULL && topic_run(topic)->state != RUN_UNKNOWN;
}

struct topic *subscription_own_topic(struct hub *hub, const struct task_key *task,
                                     struct slice user, bool create)
{
    struct topic *topic;
    struct buf name;

    if (!guard_is_somebody(user))
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

/* Guarded by `own`, and not known to be the user's: what the room of the user was sent. */
static struct subscription *add_guarded(struct session *session,
                                        const struct task_key *task, struct slice user)
{
    struct topic *own = subscription_own_topic(session->set->hub, task, user, true);
    struct subscription *sub = own == NULL ? NULL : add_again(session, own);

    if (sub != NULL)
        sub->seeks_public = true;
    return sub;
}

/* It reads on from when the task was known to be its own. */
static void place_since(struct subscription *twin, const struct topic *own)
{
    const struct topic *public = twin->reader.topic;
    const struct run *run = topic_run(own);
    uint64_t first =
        run->first_pos > topic_base(own) ? run->first_pos : topic_base(own);
    const struct entry *entry = topic_entry(own, first);

    twin->floor = entry == NULL ? hub_last_order(topic_hub(own)) : entry->order;
    twin->reader.pos = topic_after_order(public, twin->floor);
    if (twin->reader.pos == 0 && !twin->is_native)
        twin->reader.pos = topic_base(public);
}

bool subscription_add_public(struct subscription *sub)
{
    struct session *session = sub->session;
    struct topic *own = sub->reader.topic;
    struct topic *public;

    if (!sub->seeks_public || !is_known(own))
        return false;
    sub->seeks_public = false;
    public = hub_topic(session->set->hub, TOPIC_TASK, topic_site(own), topic_name(own));
    sub->twin = public == NULL ? NULL : add_twin(session, public);
    if (sub->twin == NULL)
        return true;
    sub->twin->is_native = sub->is_native;
    place_since(sub->twin, own);
    if (sub->is_native && is_known(public))
        join_resync(sub->twin, "new_run");
    return true;
}

struct subscription *subscription_add_task(struct session *session,
                                           const struct task_key *task,
                                           struct slice user)
{
    struct hub *hub = session->set->hub;
    struct topic *own = subscription_own_topic(hub, task, user, false);
    struct subscription *sub = subscription_find_task(session, task->task_id);
    bool is_guarded = session->set->options.frappe.guard == TASK_GUARD_OWN;
    struct topic *topic;

    if (sub != NULL)
        subscription_remove(sub);
    topic = is_guarded ? hub_find_task(hub, task) : hub_task(hub, task);
    if (is_guarded && !(is_known(own) && is_known(topic)))
        return add_guarded(session, task, user);
    if (topic == NULL)
        return NULL;
    if (is_known(own) && !is_known(topic))
        return add_again(session, own);
    sub = add_again(session, topic);
    own = is_known(topic) ? NULL : subscription_own_topic(hub, task, user, true);
    if (sub != NULL && own != NULL)
        sub->twin = add_twin(session, own);
    return sub;
}

const struct subscription *subscription_speaking(const struct subscription *sub)
{
    if (sub->twin != NULL && is_known(sub->twin->reader.topic) &&
        (!is_known(sub->reader.topic) ||
         topic_kind(sub->reader.topic) == TOPIC_USER_TASK))
        return sub->twin;
    return sub;
}

void subscription_follow(struct subscription *sub, struct topic *aside)
{
    struct session *session = sub->session;
    struct subscription *twin;

    if (sub->twin != NULL || subscription_find(session, aside) != NULL ||
        session->sub_count >= session->set->options.max_subscriptions)
        return;
    twin = subscription_add(session, aside);
    subscription_unwait(twin);
    twin->is_twin = true;
    twin->is_native = false;
    twin->owes_reply = false;
    twin->stage = STAGE_LIVE;
    twin->is_held = sub->is_held;
    sub->twin = twin;
}

static bool follow_one(struct reader *reader, void *ctx)
{
    struct subscription *sub = LIST_ENTRY(reader, struct subscription, reader);

    /* Other readers than ours have another wake. */
    if (reader->wake == reader_wake && !sub->is_native)
        subscription_follow(sub, ctx);
    return true;
}

void subscription_follow_all(struct topic *task, struct topic *aside)
{
    topic_each_reader(task, follow_one, aside);
}

/* A twin that goes alone is nobody's any more. */
static void disown(const struct subscription *twin)
{
    LIST_FOR_EACH(node, next, &twin->session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (sub->twin == twin)
            sub->twin = NULL;
    }
}

void subscription_remove(struct subscription *sub)
{
    if (sub->is_twin)
        disown(sub);
    if (sub->twin != NULL)
        subscription_remove(sub->twin);
    subscription_unwait(sub);
    reader_detach(&sub->reader);
    list_remove(&sub->node);
    sub->session->sub_count--;
    sub->session->changes++;
    if (!list_is_empty(&sub->session->set->kept))
        session_mark(sub->session); /* what is kept of it for others has changed */
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
    task_key_release(&call->task);
    free(call->ack);
    free(call);
}

/* A task of somebody else is one that nobody knows; the backend says no aloud. */
static void stop_permitted(void *ctx, bool allowed)
{
    struct stop_call *call = ctx;
    const struct session_set *set = call->set;

    if (allowed)
        set->services.stop(set->services.ctx, &call->task, call->epoch, stop_done,
                           call);
    else
        stop_done(call, set->options.frappe.guard == TASK_GUARD_OWN ? STOP_UNKNOWN_TASK
                                                                    : STOP_DENIED);
}

void session_stop(struct session *session, const struct guard_asker *asker,
                  const struct stop_request *request)
{
    struct stop_call *call = mem_new(sizeof(*call));

    call->set = session->set;
    call->task = task_key_copy(&request->task);
    call->ack = request->ack.ptr == NULL ? NULL : mem_text(request->ack);
    call->epoch = request->epoch;
    errand_begin(&call->errand, session);
    if (session->set->options.stops_need_a_user && !guard_is_somebody(asker->user))
        stop_permitted(call, false);
    else
        guard_ask(session->set, asker, &request->task, stop_permitted, call);
}
