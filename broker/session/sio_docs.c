/* sio_docs.c - Frappe's rooms and document events (frappe-realtime contract, section 3). */
/* SPDX-License-Identifier: MIT */
#include "session/sio_inside.h"

#include <stdlib.h>

#define OPEN_DOC  "open_doc:"
#define USERS_MAX 256

/* ---- rooms ---- */

static struct topic *room_topic(const struct sio_session *reader, const char *prefix,
                                struct slice a, struct slice b)
{
    struct topic *topic;
    struct buf room;

    buf_init(&room, 2 * SIO_TEXT_LIMIT + 16);
    buf_puts(&room, prefix);
    buf_slice(&room, a);
    if (b.ptr != NULL) {
        buf_putc(&room, '/');
        buf_slice(&room, b);
    }
    topic = room.failed ? NULL
                        : hub_topic(reader->session.set->hub, TOPIC_ROOM,
                                    slice_of(reader->site), buf_view(&room));
    buf_release(&room);
    return topic;
}

static void join(struct sio_session *reader, const char *prefix, struct slice name)
{
    sio_follow(reader, room_topic(reader, prefix, name, (struct slice){0}));
}

void sio_join_rooms(struct sio_session *reader)
{
    const struct session_options *options = &reader->session.set->options;

    if (!options->frappe.on)
        return;
    join(reader, "", slice_of("")); /* what is sent without a room */
    join(reader, "user:", slice_of(reader->who->user));
    join(reader, "website", slice_of(""));
    if (reader->who->is_system_user)
        join(reader, "all", slice_of(""));
}

/* ---- who has a document open ---- */

struct viewers {
    const char *users[USERS_MAX];
    size_t count;
};

static bool collect_viewer(struct reader *reader, void *ctx)
{
    struct viewers *viewers = ctx;
    struct subscription *sub = LIST_ENTRY(reader, struct subscription, reader);
    const struct sio_session *viewer = sio_session_of(sub->session);

    if (sub->session->ops != &SIO_READER_OPS || viewer->who == NULL ||
        viewer->socket == NULL)
        return true;
    for (size_t i = 0; i < viewers->count; i++)
        if (strcmp(viewers->users[i], viewer->who->user) == 0)
            return true;
    viewers->users[viewers->count++] = viewer->who->user;
    return viewers->count < USERS_MAX;
}

/* "open_doc:<doctype>/<name>": the type has no slash. */
static bool split_document(struct slice room, struct slice *doctype, struct slice *name)
{
    size_t prefix = strlen(OPEN_DOC);
    const char *slash;

    if (room.len <= prefix || memcmp(room.ptr, OPEN_DOC, prefix) != 0)
        return false;
    room = slice_make(room.ptr + prefix, room.len - prefix);
    slash = memchr(room.ptr, '/', room.len);
    if (slash == NULL)
        return false;
    *doctype = slice_make(room.ptr, (size_t)(slash - room.ptr));
    *name = slice_make(slash + 1, room.len - doctype->len - 1);
    return true;
}

/* Told to all who have it open; v15 and later keep silent when that is one person alone. */
static void tell_viewers(struct sio_session *reader, struct topic *topic)
{
    struct viewers viewers = {.count = 0};
    struct topic_event event = {.is_opaque = true, .name = slice_of("doc_viewers")};
    struct slice doctype;
    struct slice name;
    struct buf body;

    topic_each_reader(topic, collect_viewer, &viewers);
    if (!split_document(topic_name(topic), &doctype, &name) || viewers.count == 0)
        return;
    if (reader->session.set->options.frappe.version >= 15 && viewers.count == 1 &&
        strcmp(viewers.users[0], reader->who->user) == 0)
        return;
    buf_init(&body, 1 << 20);
    buf_puts(&body, "{\"doctype\":");
    json_quote(&body, doctype);
    buf_puts(&body, ",\"docname\":");
    json_quote(&body, name);
    buf_puts(&body, ",\"users\":[");
    for (size_t i = 0; i < viewers.count; i++) {
        if (i > 0)
            buf_putc(&body, ',');
        json_quote(&body, slice_of(viewers.users[i]));
    }
    buf_puts(&body, "]}");
    event.body = buf_view(&body);
    if (!body.failed)
        topic_append(topic, &event);
    buf_release(&body);
}

static void leave_document(struct sio_session *reader, struct subscription *sub)
{
    struct topic *topic = sub->reader.topic;

    subscription_remove(sub);
    tell_viewers(reader, topic);
}

void sio_tell_documents(struct sio_session *reader)
{
    struct slice doctype;
    struct slice name;

    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (topic_kind(sub->reader.topic) == TOPIC_ROOM &&
            split_document(topic_name(sub->reader.topic), &doctype, &name))
            tell_viewers(reader, sub->reader.topic);
    }
}

/* ---- subscribing: the backend is asked first ---- */

enum doc_verb { DOC_TYPE, DOC_ONE, DOC_OPEN };
static const char *const ROOM_OF[] = {"doctype:", "doc:", OPEN_DOC};

struct permit_call {
    struct errand errand;
    enum doc_verb verb;
    struct buf doctype;
    struct buf name;
};

static void permit_free(struct permit_call *call)
{
    buf_release(&call->doctype);
    buf_release(&call->name);
    free(call);
}

static struct topic *topic_of_call(const struct sio_session *reader,
                                   const struct permit_call *call)
{
    return room_topic(reader, ROOM_OF[call->verb], buf_view(&call->doctype),
                      call->verb == DOC_TYPE ? (struct slice){0}
                                             : buf_view(&call->name));
}

/* A refusal is silent: so it is in the original, and its clients expect no answer. */
static void permitted(void *ctx, bool allowed)
{
    struct permit_call *call = ctx;
    struct session *session = errand_done(&call->errand);

    if (session != NULL && !session->is_dead && allowed) {
        struct sio_session *reader = sio_session_of(session);
        struct topic *topic = topic_of_call(reader, call);
        if (sio_follow(reader, topic) != NULL && call->verb == DOC_OPEN)
            tell_viewers(reader, topic);
    }
    permit_free(call);
}

static struct permit_call *permit_new(enum doc_verb verb, const struct sio_event *event)
{
    struct permit_call *call = calloc(1, sizeof(*call));

    if (call == NULL)
        abort();
    call->verb = verb;
    buf_init(&call->doctype, SIO_TEXT_LIMIT);
    buf_init(&call->name, SIO_TEXT_LIMIT);
    sio_coerce(event, 0, &call->doctype);
    if (verb != DOC_TYPE)
        sio_coerce(event, 1, &call->name);
    return call;
}

static void ask(struct sio_session *reader, enum doc_verb verb,
                const struct sio_event *event)
{
    struct credentials credentials = sio_credentials(reader);
    struct permit_call *call = permit_new(verb, event);
    struct auth_question question = {buf_view(&call->doctype),
                                     verb == DOC_TYPE ? (struct slice){0}
                                                      : buf_view(&call->name)};

    if (call->doctype.failed || call->name.failed) {
        permit_free(call);
        return;
    }
    errand_begin(&call->errand, &reader->session);
    auth_permit(reader->session.set->options.auth, &credentials, &question, permitted,
                call);
}

static void unsubscribe(struct sio_session *reader, enum doc_verb verb,
                        const struct sio_event *event)
{
    struct permit_call *call = permit_new(verb, event);
    struct topic *topic = topic_of_call(reader, call);
    struct subscription *sub =
        topic == NULL ? NULL : subscription_find(&reader->session, topic);

    if (sub != NULL && verb == DOC_OPEN)
        leave_document(reader, sub);
    else if (sub != NULL)
        subscription_remove(sub);
    permit_free(call);
}

static void doctype_subscribe(struct sio_session *reader, const struct sio_event *event)
{
    ask(reader, DOC_TYPE, event);
}

static void doctype_unsubscribe(struct sio_session *reader,
                                const struct sio_event *event)
{
    unsubscribe(reader, DOC_TYPE, event);
}

static void doc_subscribe(struct sio_session *reader, const struct sio_event *event)
{
    ask(reader, DOC_ONE, event);
}

static void doc_unsubscribe(struct sio_session *reader, const struct sio_event *event)
{
    unsubscribe(reader, DOC_ONE, event);
}

static void doc_open(struct sio_session *reader, const struct sio_event *event)
{
    ask(reader, DOC_OPEN, event);
}

static void doc_close(struct sio_session *reader, const struct sio_event *event)
{
    unsubscribe(reader, DOC_OPEN, event);
}

/* {file, line, column} for the developer's editor: never outside developer mode, where it
 * ended the original's process. */
static void open_in_editor(struct sio_session *reader, const struct sio_event *event)
{
    const struct session_set *set = reader->session.set;
    struct json_member arg;

    if (!set->options.frappe.developer_mode || !reader->who->is_system_user ||
        set->services.open_in_editor == NULL || !sio_argument(event, 0, &arg) ||
        arg.kind != JSON_OBJECT)
        return;
    set->services.open_in_editor(set->services.ctx, arg.value);
}

const struct sio_handler SIO_DOC_HANDLERS[] = {
    {"doctype_subscribe", doctype_subscribe, true},
    {"doctype_unsubscribe", doctype_unsubscribe, true},
    {"doc_subscribe", doc_subscribe, true},
    {"doc_unsubscribe", doc_unsubscribe, true},
    {"doc_open", doc_open, true},
    {"doc_close", doc_close, true},
    {"open_in_editor", open_in_editor, true},
    {NULL, NULL, false},
};
