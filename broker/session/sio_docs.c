/* sio_docs.c - Frappe's rooms and document events (frappe-realtime contract, section 3). */
/* SPDX-License-Identifier: MIT */
#include "session/sio_inside.h"

#include <stdlib.h>

#define DOCTYPE "doctype:"
#define DOC     "doc:"

/* ---- rooms ---- */

struct topic *sio_room(const struct sio_session *reader, const char *prefix,
                       struct slice a, struct slice b, bool create)
{
    struct hub *hub = reader->session.set->hub;
    struct slice site = slice_of(reader->site);
    struct topic *topic = NULL;
    struct buf room;

    buf_init(&room, 2 * SIO_TEXT_LIMIT + 16);
    buf_puts(&room, prefix);
    buf_slice(&room, a);
    if (b.ptr != NULL) {
        buf_putc(&room, '/');
        buf_slice(&room, b);
    }
    if (!room.failed)
        topic = create && !sio_is_full(reader)
                    ? hub_topic(hub, TOPIC_ROOM, site, buf_view(&room))
                    : hub_find(hub, TOPIC_ROOM, site, buf_view(&room));
    buf_release(&room);
    return topic;
}

static void join(struct sio_session *reader, const char *prefix, struct slice name)
{
    sio_follow(reader, sio_room(reader, prefix, name, (struct slice){0}, true));
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

static bool take_prefix(struct slice *room, const char *prefix)
{
    size_t len = strlen(prefix);

    if (room->len < len || memcmp(room->ptr, prefix, len) != 0)
        return false;
    *room = slice_make(room->ptr + len, room->len - len);
    return true;
}

bool sio_room_question(struct slice room, struct auth_question *question)
{
    *question = (struct auth_question){0};
    if (take_prefix(&room, DOCTYPE)) {
        question->doctype = room;
        return true;
    }
    return sio_split_document(room, DOC, &question->doctype, &question->name) ||
           sio_split_document(room, OPEN_DOC, &question->doctype, &question->name);
}

/* ---- subscribing: the backend is asked first ---- */

enum doc_verb { DOC_TYPE, DOC_ONE, DOC_OPEN };
static const char *const room_of[] = {DOCTYPE, DOC, OPEN_DOC};

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
                                   const struct permit_call *call, bool create)
{
    return sio_room(reader, room_of[call->verb], buf_view(&call->doctype),
                    call->verb == DOC_TYPE ? (struct slice){0} : buf_view(&call->name),
                    create);
}

/* A refusal is silent: so it is in the original, and its clients expect no answer. */
static void permitted(void *ctx, bool allowed)
{
    struct permit_call *call = ctx;
    struct session *session = errand_done(&call->errand);

    if (session != NULL && !session->is_dead && allowed) {
        struct sio_session *reader = sio_session_of(session);
        struct topic *topic = topic_of_call(reader, call, true);
        if (sio_follow(reader, topic) != NULL && call->verb == DOC_OPEN) {
            sio_tell_viewers(reader, topic);
            sio_tell_typers(reader, buf_view(&call->doctype), buf_view(&call->name));
        }
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

static bool names_document(const struct sio_event *event)
{
    struct json_member arg;

    return sio_argument(event, 1, &arg) && arg.kind != JSON_NULL &&
           !slice_is(arg.value, "\"\"");
}

/* Without a document's name the older backends say no; from v16 on they are asked about the
 * type, and the room is that of "undefined". */
static void ask(struct sio_session *reader, enum doc_verb verb,
                const struct sio_event *event)
{
    struct credentials credentials = sio_credentials(reader);
    struct permit_call *call = permit_new(verb, event);
    struct auth_question question = {.doctype = buf_view(&call->doctype)};
    bool is_named = verb != DOC_TYPE && names_document(event);

    if (is_named)
        question.name = buf_view(&call->name);
    if (call->doctype.failed || call->name.failed ||
        (verb != DOC_TYPE && !is_named &&
         reader->session.set->options.frappe.version < 16)) {
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
    struct topic *topic = topic_of_call(reader, call, false);
    struct subscription *sub =
        topic == NULL ? NULL : subscription_find(&reader->session, topic);

    if (sub != NULL) {
        subscription_remove(sub);
        if (verb == DOC_OPEN)
            sio_tell_viewers(reader, topic);
    }
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

/* v13 and v14, which ask nobody: it only tells those who have the document open. */
static void set_typing(struct sio_session *reader, const struct sio_event *event,
                       bool is_typing)
{
    struct permit_call *call = permit_new(DOC_OPEN, event);
    struct slice doctype = buf_view(&call->doctype);
    struct slice name = buf_view(&call->name);
    struct topic *topic = NULL;
    struct subscription *sub;

    if (reader->session.set->options.frappe.version < 15 && !call->doctype.failed &&
        !call->name.failed)
        topic = sio_room(reader, TYPING, doctype, name, is_typing);
    if (topic != NULL && is_typing)
        sio_follow(reader, topic);
    if (topic != NULL && !is_typing &&
        (sub = subscription_find(&reader->session, topic)) != NULL)
        subscription_remove(sub);
    if (topic != NULL)
        sio_tell_typers(reader, doctype, name);
    permit_free(call);
}

static void doc_typing(struct sio_session *reader, const struct sio_event *event)
{
    set_typing(reader, event, true);
}

static void doc_typing_stopped(struct sio_session *reader,
                               const struct sio_event *event)
{
    set_typing(reader, event, false);
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

const struct sio_handler sio_doc_handlers[] = {
    {"doctype_subscribe", doctype_subscribe, true},
    {"doctype_unsubscribe", doctype_unsubscribe, true},
    {"doc_subscribe", doc_subscribe, true},
    {"doc_unsubscribe", doc_unsubscribe, true},
    {"doc_open", doc_open, true},
    {"doc_close", doc_close, true},
    {"doc_typing", doc_typing, true},
    {"doc_typing_stopped", doc_typing_stopped, true},
    {"open_in_editor", open_in_editor, true},
    {NULL, NULL, false},
};
