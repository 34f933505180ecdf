/* ws.c - /ws: JSON text frames for native readers (design.md section 5). */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"
#include "base/mem.h"
#include "codec/json.h"
#include "session/alive.h"
#include "session/internal.h"

#include <limits.h>
#include <stdlib.h>

/* Of messages that came before it is known who sends them. */
#define HELD_LIMIT 32768
#define SITE_LIMIT 256

struct ws_visit;

struct ws_session {
    struct session session;
    struct pipe *pipe; /* NULL once closed */
    struct buf notes;  /* framed answers the socket had no room for */
    struct list beat;  /* in set->sockets */
    uint64_t beat_ms;
    struct alive alive;
    struct ws_visit *visit; /* site and user; owned */
    struct buf held;        /* messages that came before it was known who sends them */
};

/* From the upgrade request on: the backend may be asked whose it is (a bench's users may read
 * what was sent to their own room) and answer before or after the socket is open. */
struct ws_visit {
    char *site;
    char *user;              /* "" = nobody in particular */
    struct guard_pass *pass; /* NULL where no backend guards tasks */
    struct ws_session *ws;
    bool is_asking;
    bool is_refused; /* it needs to be known, and is not */
    bool is_over;    /* nobody waits for the answer: free with it */
};

static struct ws_session *of(struct session *session)
{
    return LIST_ENTRY(session, struct ws_session, session);
}

/* ---- who it is ---- */

static void visit_free(struct ws_visit *visit)
{
    free(visit->site);
    free(visit->user);
    guard_pass_free(visit->pass);
    free(visit);
}

static void visit_end(struct ws_visit *visit)
{
    visit->ws = NULL;
    visit->is_over = true;
    if (!visit->is_asking)
        visit_free(visit);
}

/* ---- writing ---- */

static void close_pipe(struct ws_session *ws, unsigned code, const char *reason)
{
    if (ws->pipe != NULL && !ws->pipe->is_closing)
        pipe_close(ws->pipe, code, reason);
    ws->session.is_dead = true;
}

static bool send_framed(struct ws_session *ws, struct buf *framed)
{
    struct bytes *bytes = buf_share(framed);
    bool has_room = pipe_send(ws->pipe, bytes);

    bytes_unref(bytes);
    return has_room;
}

static void note(struct ws_session *ws, const char *name, struct slice data)
{
    struct format format = {DIALECT_WS, FRAMING_WS, false};
    struct piece piece = {.name = slice_of(name), .data = data, .is_note = true};

    if (ws->pipe == NULL || ws->pipe->is_closing)
        return;
    encode_piece(&ws->notes, slice_of(ws->visit->site), format, &piece);
    if (ws->notes.failed) {
        counter_add(ws->session.set->unread_answers, 1);
        close_pipe(ws, 1008, "too many unread answers");
        return;
    }
    if (pipe_is_ready(ws->pipe))
        send_framed(ws, &ws->notes);
}

static void note_error(struct ws_session *ws, const char *code, const char *message,
                       const char *field, const char *re)
{
    struct buf data;

    buf_init(&data, 2048);
    buf_putc(&data, '{');
    write_error(&data, code, message, field);
    buf_printf(&data, ",\"re\":\"%s\"}", re);
    counter_add(ws->session.set->bad_requests, 1);
    note(ws, "error", buf_view(&data));
    buf_release(&data);
}

/* ---- the session's slots ---- */

static bool ws_window(struct session *session, struct sio_window *window)
{
    struct ws_session *ws = of(session);

    if (ws->pipe == NULL || !pipe_is_ready(ws->pipe))
        return false;
    if (ws->notes.len > 0 && !send_framed(ws, &ws->notes))
        return false;
    *window = (struct sio_window){FRAMING_WS, 4, UINT_MAX, SIZE_MAX};
    return true;
}

static bool ws_send(struct session *session, struct bytes *bytes, unsigned packets)
{
    (void)packets;
    return pipe_send(of(session)->pipe, bytes);
}

static void ws_subscribed(struct subscription *sub, struct slice state)
{
    struct buf data;

    buf_init(&data, 4096);
    buf_putc(&data, '{');
    buf_slice(&data, state);
    buf_putc(&data, '}');
    note(of(sub->session), "subscribed", buf_view(&data));
    buf_release(&data);
}

static void ws_resync(struct subscription *sub, struct slice data)
{
    note(of(sub->session), "resync", data);
}

static void ws_failed(struct subscription *sub, const char *code, const char *message)
{
    struct buf data;

    buf_init(&data, 2048);
    buf_putc(&data, '{');
    write_error(&data, code, message, NULL);
    buf_puts(&data, ",\"re\":\"subscribe\",\"task_id\":");
    json_quote(&data, topic_name(sub->reader.topic));
    buf_putc(&data, '}');
    note(of(sub->session), "error", buf_view(&data));
    buf_release(&data);
}

static void ws_stopped(struct session *session, const struct stop_call *call,
                       enum stop_status status)
{
    struct buf data;

    buf_init(&data, 1024);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, call->task.task_id);
    buf_printf(&data, ",\"status\":\"%s\"}", stop_status_name(status));
    note(of(session), "stop", buf_view(&data));
    buf_release(&data);
}

static void ws_cut(struct session *session, const char *reason)
{
    close_pipe(of(session), 1013, reason);
}

static void ws_free(struct session *session)
{
    struct ws_session *ws = of(session);

    buf_release(&ws->notes);
    buf_release(&ws->held);
    visit_end(ws->visit);
    free(ws);
}

static const struct session_ops ws_ops = {
    .window = ws_window,
    .send = ws_send,
    .subscribed = ws_subscribed,
    .resync = ws_resync,
    .failed = ws_failed,
    .stopped = ws_stopped,
    .cut = ws_cut,
    .free = ws_free,
};

/* ---- operations ---- */

/* What the guard is told of who asks. */
static struct guard_asker asker_of(const struct ws_session *ws)
{
    struct guard_asker asker = {0};

    if (ws->visit->pass != NULL)
        asker = *guard_pass_asker(ws->visit->pass);
    asker.user = slice_of(ws->visit->user);
    return asker;
}

static void subscribe(struct ws_session *ws, const struct task_request *request)
{
    struct task_key task = {slice_of(ws->visit->site), buf_view(&request->task_id)};
    struct subscription *sub =
        subscription_add_task(&ws->session, &task, slice_of(ws->visit->user));
    const char *field = NULL;

    if (sub == NULL) {
        note_error(ws, "TOO_MANY", "too many subscriptions or tasks", NULL,
                   "subscribe");
        return;
    }
    if (join_parse(sub, buf_view(&request->since), buf_view(&request->from), &field))
        return;
    subscription_remove(sub);
    note_error(ws, "INVALID_VALUE", "malformed member", field, "subscribe");
}

/* A subscription that the backend is asked about. */
struct ws_join {
    struct errand errand;
    struct task_request request;
};

static void join_allowed(void *ctx, bool allowed)
{
    struct ws_join *join = ctx;
    struct session *session = errand_done(&join->errand);

    if (session != NULL && !session->is_dead) {
        if (allowed)
            subscribe(of(session), &join->request);
        else
            note_error(of(session), "DENIED", "the backend does not allow it",
                       "task_id", "subscribe");
    }
    task_request_release(&join->request);
    free(join);
}

static void op_subscribe(struct ws_session *ws, struct task_request *request)
{
    struct task_key task = {slice_of(ws->visit->site), buf_view(&request->task_id)};
    struct guard_asker asker = asker_of(ws);
    struct ws_join *join;

    if (guard_keeps_out(ws->session.set, asker.user)) {
        note_error(ws, "DENIED", "who is not signed in has no tasks", "task_id",
                   "subscribe");
        return;
    }
    if (ws->visit->pass == NULL) {
        subscribe(ws, request);
        return;
    }
    join = mem_new(sizeof(*join));
    join->request = *request; /* taken over */
    task_request_init(request);
    errand_begin(&join->errand, &ws->session);
    task.task_id = buf_view(&join->request.task_id);
    guard_ask(ws->session.set, &asker, &task, join_allowed, join);
}

static void op_unsubscribe(struct ws_session *ws, struct task_request *request)
{
    struct slice task_id = buf_view(&request->task_id);
    struct subscription *sub = subscription_find_task(&ws->session, task_id);
    struct buf data;

    if (sub != NULL)
        subscription_remove(sub);
    buf_init(&data, 1024);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, task_id);
    buf_putc(&data, '}');
    note(ws, "unsubscribed", buf_view(&data));
    buf_release(&data);
}

static void op_stop(struct ws_session *ws, struct task_request *request)
{
    struct guard_asker asker = asker_of(ws);
    struct stop_request stop = {
        .task = {slice_of(ws->visit->site), buf_view(&request->task_id)},
        .epoch = request->epoch,
    };

    session_stop(&ws->session, &asker, &stop);
}

static void op_ping(struct ws_session *ws, struct task_request *request)
{
    (void)request;
    note(ws, "pong", slice_of("{}"));
}

static const struct ws_op {
    const char *name;
    void (*run)(struct ws_session *ws, struct task_request *request);
    bool needs_task;
} ws_operations[] = {
    {"subscribe", op_subscribe, true},
    {"unsubscribe", op_unsubscribe, true},
    {"stop", op_stop, true},
    {"ping", op_ping, false},
};

static void run_op(struct ws_session *ws, const struct ws_op *op, struct slice message)
{
    struct task_request request;
    const char *field = NULL;

    task_request_init(&request);
    if (!op->needs_task || task_request_parse(&request, message, &field))
        op->run(ws, &request);
    else
        note_error(ws, "INVALID_VALUE", "missing or malformed member", field, op->name);
    task_request_release(&request);
}

static void take_message(struct ws_session *ws, struct slice message, bool is_binary)
{
    struct json_member member;
    enum json_kind kind;
    struct slice value;

    if (is_binary || !json_check(message) || json_scan(message, &kind, &value) < 0 ||
        kind != JSON_OBJECT) {
        note_error(ws, "BAD_JSON", "a message is one JSON object in a text frame", NULL,
                   "message");
        return;
    }
    if (!json_get(value, "op", &member) || member.kind != JSON_STRING) {
        note_error(ws, "MISSING_FIELD", "a message names its operation", "op",
                   "message");
        return;
    }
    for (size_t i = 0; i < sizeof(ws_operations) / sizeof(ws_operations[0]); i++) {
        if (slice_is(json_string_raw(member.value), ws_operations[i].name)) {
            run_op(ws, &ws_operations[i], value);
            return;
        }
    }
    note_error(ws, "UNKNOWN_OP", "operations are subscribe, unsubscribe, stop and ping",
               "op", "message");
}

/* A held message: its length, whether it is binary, its bytes. */
struct held_head {
    size_t len;
    bool is_binary;
};

static void on_message(struct pipe *pipe, struct slice message, bool is_binary)
{
    struct ws_session *ws = pipe->owner_data;
    struct held_head head = {message.len, is_binary};

    if (!ws->visit->is_asking) {
        take_message(ws, message, is_binary);
        return;
    }
    buf_append(&ws->held, &head, sizeof(head));
    buf_slice(&ws->held, message);
    if (ws->held.failed)
        close_pipe(ws, 1008, "too many messages before the answer");
}

static void take_held(struct ws_session *ws)
{
    size_t at = 0;

    while (at < ws->held.len && !ws->session.is_dead) {
        struct held_head head;
        memcpy(&head, ws->held.data + at, sizeof(head));
        at += sizeof(head);
        take_message(ws, slice_make(ws->held.data + at, head.len), head.is_binary);
        at += head.len;
    }
    buf_release(&ws->held);
}

static bool is_kept_out(const struct ws_session *ws)
{
    return ws->visit->is_refused && ws->session.set->options.needs_identity;
}

static void visit_known(void *ctx, struct identity *identity, const char *error)
{
    struct ws_visit *visit = ctx;

    /* Who is not known reads what everybody may. */
    (void)error;
    visit->is_asking = false;
    visit->is_refused = identity == NULL;
    if (identity != NULL) {
        free(visit->user);
        visit->user = mem_text(slice_of(identity->user));
    }
    if (identity != NULL && identity->site != NULL) {
        free(visit->site);
        visit->site = mem_text(slice_of(identity->site));
    }
    if (visit->is_over)
        visit_free(visit);
    else if (visit->ws != NULL && is_kept_out(visit->ws))
        close_pipe(visit->ws, 1008, "unauthorized");
    else if (visit->ws != NULL)
        take_held(visit->ws);
}

static void on_drain(struct pipe *pipe)
{
    struct ws_session *ws = pipe->owner_data;

    session_drained(&ws->session);
}

static void on_closed(struct pipe *pipe, const char *reason)
{
    struct ws_session *ws = pipe->owner_data;

    (void)reason;
    ws->pipe = NULL;
    list_remove(&ws->beat);
    session_bury(&ws->session);
}

static const struct pipe_owner ws_owner = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

/* ---- heartbeat ---- */

void socket_heartbeat(struct session_set *set, uint64_t now)
{
    while (!list_is_empty(&set->sockets)) {
        struct ws_session *ws = LIST_ENTRY(set->sockets.next, struct ws_session, beat);
        struct buf ping;
        if (ws->beat_ms > now)
            return;
        ws->beat_ms = now + set->options.heartbeat_ms;
        list_remove(&ws->beat);
        list_push_back(&set->sockets, &ws->beat);
        if (ws->pipe == NULL || ws->pipe->is_closing)
            continue;
        if (alive_look(&ws->alive, ws->pipe, true, now) >
            set->options.heartbeat_ms + set->options.silence_ms) {
            counter_add(set->silent_ws, 1);
            close_pipe(ws, 1001, "no sign of life");
            continue;
        }
        /* A full socket has something to carry already. */
        if (!pipe_is_ready(ws->pipe))
            continue;
        buf_init(&ping, 64);
        ws_frame(&ping, WS_PING, slice_of(""));
        send_framed(ws, &ping);
        buf_release(&ping);
    }
}

/* ---- connecting ---- */

static unsigned accept_ws(void *ctx, const struct http_request *request, void **token,
                          const char **body, const char **content_type)
{
    struct session_set *set = ctx;
    struct credentials credentials;
    struct ws_visit *visit;
    struct buf site;

    buf_init(&site, SITE_LIMIT);
    if (!session_site(set, request->query, &site)) {
        buf_release(&site);
        *content_type = "application/json";
        *body = "{\"error\":{\"code\":\"INVALID_VALUE\",\"message\":\"malformed site\","
                "\"field\":\"site\"}}";
        return 422;
    }
    visit = mem_new(sizeof(*visit));
    visit->site = mem_text(buf_view(&site));
    visit->user = mem_text(slice_of(""));
    buf_release(&site);
    *token = visit;
    credentials = credentials_of(request, slice_of(visit->site));
    if (set->options.frappe.guard == TASK_GUARD_BACKEND)
        visit->pass = guard_pass_new(&credentials);
    if (request_may_be_known(set, request)) {
        visit->is_asking = true;
        auth_identify(set->options.auth, &credentials, visit_known, visit);
    } else {
        visit->is_refused = true;
    }
    if (visit->is_asking || !visit->is_refused || !set->options.needs_identity)
        return 0;
    visit_end(visit);
    *content_type = "application/json";
    *body = "{\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":\"an API key or a token "
            "is needed\"}}";
    return 401;
}

static void open_ws(void *ctx, struct pipe *pipe, void *token)
{
    struct session_set *set = ctx;
    struct ws_session *ws = mem_new(sizeof(*ws));

    session_init(&ws->session, set, &ws_ops, DIALECT_WS);
    /* A client that asks on without reading the answers is closed. */
    buf_init(&ws->notes, set->options.answer_bytes);
    buf_init(&ws->held, HELD_LIMIT);
    alive_init(&ws->alive, loop_now_ms(set->loop));
    ws->pipe = pipe;
    ws->visit = token;
    ws->visit->ws = ws;
    ws->beat_ms = loop_now_ms(set->loop) + set->options.heartbeat_ms;
    list_push_back(&set->sockets, &ws->beat);
    pipe->owner = &ws_owner;
    pipe->owner_data = ws;
}

void session_ws_route(struct session_set *set, struct ws_route *route)
{
    *route = (struct ws_route){
        .path = "/ws",
        .message_limit_bytes = set->options.ws_message_bytes,
        .accept = accept_ws,
        .on_open = open_ws,
        .ctx = set,
    };
}
