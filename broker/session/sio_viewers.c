/* sio_viewers.c - who has a document open, and who types in it. */
/* SPDX-License-Identifier: MIT */
#include "session/sio_inside.h"

#define USERS_MAX  256
#define BODY_LIMIT (1U << 20)

struct users {
    const char *names[USERS_MAX];
    size_t count;
};

static bool collect(struct reader *reader, void *ctx)
{
    struct users *users = ctx;
    struct subscription *sub = LIST_ENTRY(reader, struct subscription, reader);
    const struct sio_session *one = sio_session_of(sub->session);

    if (sub->session->ops != &sio_reader_ops || one->who == NULL ||
        one->socket == NULL || sub->is_held)
        return true;
    for (size_t i = 0; i < users->count; i++)
        if (strcmp(users->names[i], one->who->user) == 0)
            return true;
    users->names[users->count++] = one->who->user;
    return users->count < USERS_MAX;
}

/* The type has no slash. */
bool sio_split_document(struct slice room, const char *prefix, struct slice *doctype,
                        struct slice *name)
{
    size_t len = strlen(prefix);
    const char *slash;

    if (room.len <= len || memcmp(room.ptr, prefix, len) != 0)
        return false;
    room = slice_make(room.ptr + len, room.len - len);
    slash = memchr(room.ptr, '/', room.len);
    if (slash == NULL)
        return false;
    *doctype = slice_make(room.ptr, (size_t)(slash - room.ptr));
    *name = slice_make(slash + 1, room.len - doctype->len - 1);
    return true;
}

/* {"doctype","docname","users":[unique]} to all who have the document open. */
static void tell(struct topic *open_doc, const char *event_name,
                 const struct users *users)
{
    struct topic_event event = {.is_opaque = true, .name = slice_of(event_name)};
    struct slice doctype;
    struct slice name;
    struct buf body;

    if (!sio_split_document(topic_name(open_doc), OPEN_DOC, &doctype, &name))
        return;
    buf_init(&body, BODY_LIMIT);
    buf_puts(&body, "{\"doctype\":");
    json_quote(&body, doctype);
    buf_puts(&body, ",\"docname\":");
    json_quote(&body, name);
    buf_puts(&body, ",\"users\":[");
    for (size_t i = 0; i < users->count; i++) {
        if (i > 0)
            buf_putc(&body, ',');
        json_quote(&body, slice_of(users->names[i]));
    }
    buf_puts(&body, "]}");
    event.body = buf_view(&body);
    if (!body.failed)
        topic_append(open_doc, &event);
    buf_release(&body);
}

/* v15 and later keep silent when that is one person alone. */
void sio_tell_viewers(struct sio_session *reader, struct topic *open_doc)
{
    struct users users = {.count = 0};

    topic_each_reader(open_doc, collect, &users);
    if (users.count == 0)
        return;
    if (reader->session.set->options.frappe.version >= 15 && users.count == 1 &&
        strcmp(users.names[0], reader->who->user) == 0)
        return;
    tell(open_doc, "doc_viewers", &users);
}

/* An empty list too: it is how the last one is seen to have stopped. */
void sio_tell_typers(const struct sio_session *reader, struct slice doctype,
                     struct slice name)
{
    struct topic *open_doc = sio_room(reader, OPEN_DOC, doctype, name, false);
    struct topic *typing = sio_room(reader, TYPING, doctype, name, false);
    struct users users = {.count = 0};

    if (open_doc == NULL || reader->session.set->options.frappe.version >= 15)
        return;
    if (typing != NULL)
        topic_each_reader(typing, collect, &users);
    tell(open_doc, "doc_typers", &users);
}

void sio_tell_documents(struct sio_session *reader)
{
    struct slice doctype;
    struct slice name;

    LIST_FOR_EACH(node, next, &reader->session.subs)
    {
        struct topic *topic = LIST_ENTRY(node, struct subscription, node)->reader.topic;
        if (topic_kind(topic) != TOPIC_ROOM)
            continue;
        if (sio_split_document(topic_name(topic), OPEN_DOC, &doctype, &name))
            sio_tell_viewers(reader, topic);
        else if (sio_split_document(topic_name(topic), TYPING, &doctype, &name))
            sio_tell_typers(reader, doctype, name);
    }
}
