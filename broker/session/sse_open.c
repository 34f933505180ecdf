/* sse_open.c - how a stream or a long poll is asked for. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "codec/json.h"
#include "session/sse_inside.h"

#include <stdlib.h>

static void on_held_closed(struct http_exchange *x)
{
    struct stream *stream = x->owner_data;

    stream->x = NULL;
    retelling_over(stream, RETELL_LEFT, NULL);
    session_bury(&stream->session);
}

static void on_held_retired(struct http_exchange *x)
{
    stream_retire(x->owner_data);
}

static bool wants_json(const struct http_request *request)
{
    struct slice accept = http_header(request, "accept");

    return accept.len >= 16 && memmem(accept.ptr, accept.len, "application/json", 16) &&
           memmem(accept.ptr, accept.len, "text/event-stream", 17) == NULL;
}

static uint64_t poll_wait_ms(const struct session_set *set, struct slice query)
{
    struct buf text;
    uint64_t wait_ms = set->options.poll_wait_ms;
    uint64_t asked;

    buf_init(&text, 32);
    if (http_query_get(query, "wait_ms", &text) && json_u64(buf_view(&text), &asked) &&
        asked < wait_ms)
        wait_ms = asked;
    buf_release(&text);
    return wait_ms;
}

/* The place a client asks for: header first, as a browser repeats the URL of its first
 * request for ever. */
static void read_place(const struct http_request *request, struct buf *place)
{
    struct slice header = http_header(request, "last-event-id");

    buf_reset(place);
    if (header.len > 0) {
        buf_slice(place, header);
        return;
    }
    if (http_query_get(request->query, "last_event_id", place) && place->len > 0)
        return;
    if (!http_query_get(request->query, "since", place))
        buf_reset(place);
}

static struct stream *stream_new(struct session_set *set, struct http_exchange *x,
                                 size_t count, struct retelling *retelling)
{
    struct stream *stream = mem_new(sizeof(*stream));
    uint64_t now = loop_now_ms(set->loop);

    stream->retelling = retelling;
    /* Clients of the other forms ask for JSON and mean JSON in events. */
    stream->is_poll = stream->retelling == NULL && wants_json(x->request);
    stream->is_multi = count > 1;
    session_init(&stream->session, set, &stream_ops,
                 stream->is_poll             ? DIALECT_POLL
                 : stream->retelling != NULL ? DIALECT_LINES
                 : count > 1                 ? DIALECT_SSE_MULTI
                                             : DIALECT_SSE);
    stream->x = x;
    stream->start_by_ms = now + START_WAIT_MS;
    stream->beat_ms = now + poll_wait_ms(set, x->request->query);
    buf_init(&stream->notes, SIZE_MAX);
    buf_init(&stream->poll, SIZE_MAX); /* bounded by POLL_BYTES and one event */
    list_push_back(&set->streams, &stream->beat);
    x->owner_data = stream;
    x->on_closed = on_held_closed;
    x->on_retire = on_held_retired;
    return stream;
}

static void refuse(struct stream *stream, unsigned status, const char *code,
                   const char *message, const char *field)
{
    struct http_exchange *x = stream->x;

    counter_add(stream->session.set->bad_requests, 1);
    stream->x = NULL;
    retelling_over(stream, RETELL_LEFT, NULL);
    http_respond_error(x, status, code, message, field);
    session_bury(&stream->session);
}

static bool add_tasks(struct stream *stream, const struct task_key *tasks, size_t count,
                      struct slice user)
{
    for (size_t i = 0; i < count; i++)
        if (subscription_add_task(&stream->session, &tasks[i], user) == NULL)
            return false;
    stream_number_slots(stream);
    return true;
}

/* Where each subscription begins. False when the request was refused. */
static bool place_all(struct stream *stream, struct slice place, struct slice from)
{
    struct slice since = stream->is_multi ? (struct slice){0} : place;
    const char *field = NULL;

    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (sub->is_twin || join_parse(sub, since, from, &field))
            continue;
        refuse(stream, 422, "INVALID_VALUE", "malformed parameter", field);
        return false;
    }
    return true;
}

static void open_stream(struct stream *stream, const struct task_key *tasks,
                        size_t count, struct slice user)
{
    const struct http_request *request = stream->x->request;
    struct buf place;
    struct buf from;

    if (guard_keeps_out(stream->session.set, user)) {
        refuse(stream, 403, "DENIED", "who is not signed in has no tasks", "task_id");
        return;
    }
    buf_init(&place, CURSOR_BYTES);
    buf_init(&from, 64);
    read_place(request, &place);
    http_query_get(request->query, "from", &from);
    if (!add_tasks(stream, tasks, count, user))
        refuse(stream, 503, "TOO_MANY", "too many tasks", NULL);
    else if (place_all(stream, buf_view(&place), buf_view(&from)) && stream->is_multi)
        stream_apply_cursor(stream, buf_view(&place));
    buf_release(&from);
    buf_release(&place);
}

/* ---- whose request it is: a bench's users may read what was sent to their own room ---- */

struct stream_call {
    struct errand errand;
    struct task_key *tasks; /* copies */
    size_t count;
    size_t questions; /* to the guard, not answered yet */
    bool is_denied;
};

static struct stream_call *call_new(struct stream *stream, const struct task_key *tasks,
                                    size_t count)
{
    struct stream_call *call = mem_new(sizeof(*call));

    call->tasks = mem_array(count, sizeof(*call->tasks));
    call->count = count;
    for (size_t i = 0; i < count; i++)
        call->tasks[i] = task_key_copy(&tasks[i]);
    stream->awaits_who = true;
    errand_begin(&call->errand, &stream->session);
    return call;
}

/* The stream that still waits for it, or NULL. */
static struct stream *call_stream(struct stream_call *call)
{
    struct session *session = call->errand.session;

    if (session == NULL || session->is_dead)
        return NULL;
    return LIST_ENTRY(session, struct stream, session);
}

static void call_free(struct stream_call *call)
{
    errand_done(&call->errand);
    for (size_t i = 0; i < call->count; i++)
        task_key_release(&call->tasks[i]);
    free(call->tasks);
    free(call);
}

static void open_for(struct stream_call *call, struct slice user)
{
    struct stream *stream = call_stream(call);

    if (stream != NULL) {
        stream->awaits_who = false;
        open_stream(stream, call->tasks, call->count, user);
        if (!stream->session.is_dead)
            session_mark(&stream->session);
    }
    call_free(call);
}

/* Who is not known reads what everybody may. */
static void known(void *ctx, struct identity *identity, const char *error)
{
    (void)error;
    open_for(ctx, identity == NULL ? (struct slice){0} : slice_of(identity->user));
}

static void ask_who(struct stream_call *call)
{
    const struct stream *stream = call_stream(call);
    struct credentials credentials;

    if (stream == NULL ||
        !request_may_be_known(stream->session.set, stream->x->request)) {
        open_for(call, (struct slice){0});
        return;
    }
    credentials = credentials_of(stream->x->request, call->tasks[0].site);
    auth_identify(stream->session.set->options.auth, &credentials, known, call);
}

/* All of its tasks, or none. */
static void allowed(void *ctx, bool is_allowed)
{
    struct stream_call *call = ctx;
    struct stream *stream = call_stream(call);

    call->is_denied = call->is_denied || !is_allowed;
    if (--call->questions > 0)
        return;
    if (!call->is_denied) {
        ask_who(call);
        return;
    }
    if (stream != NULL) {
        stream->awaits_who = false;
        refuse(stream, 403, "DENIED", "the backend does not allow it", "task_id");
    }
    call_free(call);
}

static void ask_backend(struct stream *stream, struct stream_call *call)
{
    struct session_set *set = stream->session.set;
    struct guard_asker asker = {
        .credentials = credentials_of(stream->x->request, call->tasks[0].site)};

    /* One for ourselves: what is answered at once must not end the call meanwhile. */
    call->questions = call->count + 1;
    for (size_t i = 0; i < call->count; i++)
        guard_ask(set, &asker, &call->tasks[i], allowed, call);
    allowed(call, true);
}

void session_stream(struct session_set *set, struct http_exchange *x,
                    const struct task_key *tasks, size_t count)
{
    struct retelling *retelling = NULL;
    bool is_known = retelling_new(&retelling, x->request->query);
    struct stream *stream = stream_new(set, x, count, retelling);

    if (count == 0 || count > set->options.max_subscriptions)
        refuse(stream, 422, "INVALID_VALUE", "name at least one task and not too many",
               "task_id");
    else if (stream->is_poll && count > 1)
        refuse(stream, 422, "INVALID_VALUE", "a long poll reads one task", "task_id");
    else if (!is_known)
        refuse(stream, 422, "INVALID_VALUE",
               "the forms are native, openai, chat, ai-sdk and ag-ui", "format");
    else if (stream->retelling != NULL && count > 1)
        refuse(stream, 422, "INVALID_VALUE",
               "several tasks are told in native form only", "format");
    else if (set->options.frappe.guard == TASK_GUARD_BACKEND)
        ask_backend(stream, call_new(stream, tasks, count));
    else if (request_may_be_known(set, x->request))
        ask_who(call_new(stream, tasks, count));
    else
        open_stream(stream, tasks, count, (struct slice){0});
}

void session_retell(struct session_set *set, struct http_exchange *x,
                    const struct session_retell *asked)
{
    struct stream *stream = stream_new(set, x, 1, retelling_of(asked));

    if (add_tasks(stream, &asked->task, 1, (struct slice){0})) {
        session_mark(&stream->session);
        return;
    }
    refuse(stream, 503, "TOO_MANY", "too many tasks", NULL);
}
