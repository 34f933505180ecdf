/* sio_recheck.c - a client that comes back is asked about again, room by room. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "session/sio_inside.h"

#include <stdlib.h>

/* The topic by name: the subscription may be gone when the answer comes. */
struct recheck {
    struct errand errand;
    enum topic_kind kind;
    struct slice name;
    char bytes[];
};

/* The task that the guard decides about; empty when this is none. */
static struct slice guarded_task(const struct sio_session *reader,
                                 const struct recheck *recheck)
{
    size_t prefix = strlen(SIO_TASK_ROOM);
    struct slice name = recheck->name;

    if (reader->session.set->options.frappe.guard == TASK_GUARD_OFF ||
        recheck->kind == TOPIC_USER_TASK)
        return (struct slice){0};
    if (recheck->kind == TOPIC_TASK)
        return name;
    if (name.len > prefix && memcmp(name.ptr, SIO_TASK_ROOM, prefix) == 0)
        return slice_make(name.ptr + prefix, name.len - prefix);
    return (struct slice){0};
}

/* False: it reads this by being who it is, or by knowing a task's id. */
static bool is_asked(const struct sio_session *reader, const struct recheck *recheck)
{
    struct auth_question question;

    return guarded_task(reader, recheck).len > 0 ||
           (recheck->kind == TOPIC_ROOM && sio_room_question(recheck->name, &question));
}

static struct subscription *find(const struct sio_session *reader,
                                 const struct recheck *recheck)
{
    struct topic *topic = hub_find(reader->session.set->hub, recheck->kind,
                                   slice_of(reader->site), recheck->name);

    return topic == NULL ? NULL : subscription_find(&reader->session, topic);
}

/* A twin stands and falls with the subscription that it is one of. */
static void hold(struct subscription *sub, bool is_held)
{
    sub->is_held = is_held;
    if (sub->twin != NULL)
        sub->twin->is_held = is_held;
}

static void answered(void *ctx, bool allowed)
{
    struct recheck *recheck = ctx;
    struct session *session = errand_done(&recheck->errand);
    struct slice doctype;
    struct slice name;

    if (session != NULL && !session->is_dead) {
        struct sio_session *reader = sio_session_of(session);
        struct subscription *sub = find(reader, recheck);
        if (sub != NULL && !allowed) {
            if (sub->is_native)
                session->ops->failed(sub, "DENIED", "the backend does not allow it");
            subscription_remove(sub);
        } else if (sub != NULL) {
            hold(sub, false);
            if (sio_split_document(recheck->name, OPEN_DOC, &doctype, &name))
                sio_tell_viewers(reader, sub->reader.topic);
            session_mark(session);
        }
    }
    free(recheck);
}

static struct recheck *recheck_new(const struct topic *topic)
{
    struct slice name = topic_name(topic);
    struct recheck *recheck = mem_new(sizeof(*recheck) + name.len);

    recheck->kind = topic_kind(topic);
    recheck->name = slice_make(recheck->bytes, name.len);
    if (name.len > 0)
        memcpy(recheck->bytes, name.ptr, name.len);
    return recheck;
}

static void ask(struct sio_session *reader, struct recheck *recheck)
{
    struct session_set *set = reader->session.set;
    struct guard_asker asker = {slice_of(reader->who->user), sio_credentials(reader)};
    struct task_key task = {slice_of(reader->site), guarded_task(reader, recheck)};
    struct auth_question question;

    if (task.task_id.len > 0) {
        guard_ask(set, &asker, &task, answered, recheck);
        return;
    }
    (void)sio_room_question(recheck->name, &question);
    auth_permit(set->options.auth, &asker.credentials, &question, answered, recheck);
}

void sio_recheck(struct sio_session *reader)
{
    struct session *session = &reader->session;
    struct list asked;

    list_init(&asked);
    LIST_FOR_EACH(node, next, &session->subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        struct recheck *recheck = recheck_new(sub->reader.topic);
        bool asks = !sub->is_twin && is_asked(reader, recheck);
        if (!sub->is_twin)
            hold(sub, asks);
        if (asks)
            list_push_back(&asked, &recheck->errand.node);
        else
            free(recheck);
    }
    /* Apart, because an answer that comes at once may remove subscriptions. */
    while (!list_is_empty(&asked)) {
        struct recheck *recheck = LIST_ENTRY(asked.next, struct recheck, errand.node);
        list_remove(&recheck->errand.node);
        errand_begin(&recheck->errand, session);
        ask(reader, recheck);
    }
}
