/* client.c - clients of each kind: what they send, and what they make of what they are told. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>

#define IN_LIMIT (64 << 20)

/* ---- what a client has of a task ---- */

struct tale *client_tale(struct client *c, const char *task)
{
    for (unsigned i = 0; i < c->tale_count; i++)
        if (strcmp(c->tales[i].task, task) == 0)
            return &c->tales[i];
    assert_true(c->tale_count < MAX_TASKS);
    struct tale *tale = &c->tales[c->tale_count++];
    snprintf(tale->task, sizeof(tale->task), "%s", task);
    buf_init(&tale->reasoning, IN_LIMIT);
    buf_init(&tale->text, IN_LIMIT);
    return tale;
}

static void begin_anew(struct tale *tale)
{
    buf_reset(&tale->reasoning);
    buf_reset(&tale->text);
    tale->last_id[0] = '\0';
    tale->endings = 0;
}

static void stand_at(struct tale *tale, const char *id)
{
    if (id != tale->last_id)
        snprintf(tale->last_id, sizeof(tale->last_id), "%s", id);
}

/* ---- members of what was told ---- */

static struct slice member_raw(struct slice object, const char *key)
{
    struct json_member member;

    if (!json_get(object, key, &member))
        return slice_make(NULL, 0);
    return member.kind == JSON_STRING ? json_string_raw(member.value) : member.value;
}

static struct tale *tale_of(struct client *c, struct slice data)
{
    struct slice task = member_raw(data, "task_id");
    char name[64];

    snprintf(name, sizeof(name), "%.*s", (int)task.len, task.len == 0 ? "" : task.ptr);
    return client_tale(c, name);
}

static void put(struct client *c, const char *before, struct slice text)
{
    buf_puts(&c->told, before);
    buf_slice(&c->told, text.len == 0 ? slice_of("-") : text);
}

static void put_if(struct client *c, const char *before, struct slice text)
{
    if (text.ptr != NULL)
        put(c, before, text);
}

/* ---- what is told ---- */

/* Ids of one epoch never repeat nor step back. */
static void rises(const struct tale *tale, struct slice id)
{
    struct event_id last;
    struct event_id next;

    if (!event_id_parse(slice_of(tale->last_id), &last) || !event_id_parse(id, &next) ||
        last.epoch != next.epoch)
        return;
    assert_true(next.seq > last.seq);
}

static void fold(struct tale *tale, struct slice data)
{
    struct slice type = member_raw(data, "type");
    struct slice id = member_raw(data, "id");
    struct buf *kept = slice_is(type, "text")        ? &tale->text
                       : slice_is(type, "reasoning") ? &tale->reasoning
                                                     : NULL;

    if (kept != NULL && slice_is(member_raw(data, "partial"), "true"))
        assert_true(json_unescape(kept, member_raw(data, "text")));
    if (event_type_is_terminal(event_type_of(type)))
        tale->endings++;
    rises(tale, id);
    if (id.len > 0)
        snprintf(tale->last_id, sizeof(tale->last_id), "%.*s", (int)id.len, id.ptr);
}

static void take_progress(struct client *c, struct slice data)
{
    fold(tale_of(c, data), data);
    put(c, "", member_raw(data, "task_id"));
    put(c, ": ", member_raw(data, "type"));
    put(c, " ", member_raw(data, "text"));
    put(c, " ", member_raw(data, "id"));
    put_if(c, " merged ", member_raw(data, "merged"));
}

static void take_subscribed(struct client *c, struct slice data)
{
    put(c, "subscribed ", member_raw(data, "task_id"));
    put(c, " ", member_raw(data, "state"));
    put(c, " ", member_raw(data, "id"));
    put(c, " replayed ", member_raw(data, "replayed"));
}

static void take_error(struct client *c, struct slice data)
{
    put(c, "error ", member_raw(data, "code"));
    put_if(c, " ", member_raw(data, "field"));
    put_if(c, " of ", member_raw(data, "task_id"));
}

static void take(struct client *c, struct slice name, struct slice data)
{
    bool is_object = data.len > 0 && data.ptr[0] == '{';

    assert_true(json_check(data));
    if (slice_is(name, "ai_progress") && is_object &&
        member_raw(data, "type").ptr != NULL) {
        take_progress(c, data);
    } else if (slice_is(name, "subscribed")) {
        take_subscribed(c, data);
    } else if (slice_is(name, "resync")) {
        begin_anew(tale_of(c, data));
        put(c, "resync ", member_raw(data, "task_id"));
        put(c, " ", member_raw(data, "reason"));
    } else if (slice_is(name, "error") || slice_is(name, "task_error")) {
        take_error(c, data);
    } else {
        put(c, "", name);
        put(c, " ", data);
    }
    buf_putc(&c->told, '\n');
}

/* ---- Socket.IO packets ---- */

static void take_ack(struct client *c, struct slice args)
{
    struct json_member first;
    struct json_member error;
    size_t at = 0;

    c->acks++;
    assert_true(json_next(args, &at, &first));
    if (json_get(first.value, "error", &error))
        take(c, slice_of("error"), error.value);
    else if (member_raw(first.value, "state").ptr != NULL)
        take(c, slice_of("subscribed"), first.value);
    else
        take(c, slice_of("ack"), first.value);
}

static void take_packet(struct client *c, struct slice text)
{
    struct sio_packet packet;
    struct json_member name;
    struct json_member data = {.value = slice_of("null")};
    size_t at = 0;

    if (text.len == 0 || text.ptr[0] != '4')
        return; /* open, ping, noop */
    assert_int_equal(sio_decode(4, slice_make(text.ptr + 1, text.len - 1), &packet), 0);
    if (packet.type == SIO_ACK) {
        take_ack(c, packet.json);
    } else if (packet.type == SIO_EVENT) {
        assert_true(json_next(packet.json, &at, &name));
        (void)json_next(packet.json, &at, &data);
        take(c, json_string_raw(name.value), data.value);
    } else if (packet.type != SIO_CONNECT) {
        buf_printf(&c->told, "packet %d\n", packet.type);
    }
}

/* ---- WebSocket frames ---- */

static void take_ws_message(struct client *c, unsigned opcode)
{
    struct slice message = buf_view(&c->message);

    if (opcode == 9)
        buf_puts(&c->told, "ping\n");
    else if (c->kind == KIND_SIO)
        take_packet(c, message);
    else if (slice_is(member_raw(message, "op"), "event")) {
        struct json_member data;
        assert_true(json_get(message, "data", &data));
        take(c, member_raw(message, "event"), data.value);
    } else {
        take(c, member_raw(message, "op"), message);
    }
    buf_reset(&c->message);
}

/* Whole frames off the front of `in`. */
static void take_frames(struct client *c)
{
    while (c->in.len >= 2) {
        const unsigned char *head = (const unsigned char *)c->in.data;
        size_t len = head[1];
        size_t head_len = len < 126 ? 2 : len == 126 ? 4 : 10;
        if (c->in.len < head_len)
            return;
        if (head_len > 2)
            len = 0;
        for (size_t i = 2; i < head_len; i++)
            len = len << 8 | head[i];
        if (c->in.len < head_len + len)
            return;
        buf_append(&c->message, c->in.data + head_len, len);
        if ((head[0] & 0x80) != 0)
            take_ws_message(c, head[0] & 0x0f);
        buf_consume(&c->in, head_len + len);
    }
}

/* ---- server-sent events ---- */

static void on_sse(void *ctx, const struct sse_message *message)
{
    struct client *c = ctx;

    take(c, message->event, message->data);
    snprintf(c->sse_id, sizeof(c->sse_id), "%.*s", (int)message->id.len,
             message->id.len == 0 ? "" : message->id.ptr);
}

/* A place may come in an event without data, which no parser hands on: seen here. */
static void note_bare_id(struct client *c, struct slice text)
{
    const char *end;

    if (text.len < 6 || memcmp(text.ptr, "id: ", 4) != 0 ||
        memcmp(text.ptr + text.len - 2, "\n\n", 2) != 0 ||
        memmem(text.ptr, text.len, "data:", 5) != NULL)
        return;
    end = memchr(text.ptr, '\n', text.len);
    snprintf(c->sse_id, sizeof(c->sse_id), "%.*s", (int)(end - text.ptr) - 4,
             text.ptr + 4);
}

static void take_body(struct client *c, size_t len)
{
    struct slice text = slice_make(c->in.data, len);

    note_bare_id(c, text);
    if (len > 1 && text.ptr[0] == ':')
        buf_puts(&c->told, "comment\n");
    sse_parser_feed(c->sse, text);
    buf_consume(&c->in, len);
}

static void take_chunks(struct client *c)
{
    while (c->in.len > 0) {
        if (c->chunk_left > 0) {
            size_t part = c->in.len < c->chunk_left ? c->in.len : c->chunk_left;
            c->chunk_left -= part;
            take_body(c, part);
            continue;
        }
        const char *end = memmem(c->in.data, c->in.len, "\r\n", 2);
        size_t len = end == NULL ? 0 : (size_t)(end - c->in.data);
        if (end == NULL)
            return;
        if (len > 0) /* else the line end behind a chunk */
            c->chunk_left = strtoul(buf_text(&c->in), NULL, 16);
        buf_consume(&c->in, len + 2);
    }
}

/* ---- polling ---- */

static void take_payload(struct client *c, struct slice payload)
{
    unsigned packets = 0;
    size_t start = 0;

    for (size_t i = 0; i <= payload.len; i++) {
        if (i < payload.len && payload.ptr[i] != '\x1e')
            continue;
        take_packet(c, slice_make(payload.ptr + start, i - start));
        start = i + 1;
        packets++;
    }
    if (packets > c->max_packets)
        c->max_packets = packets;
}

static const char *polling_query(const struct client *c, char query[TEXT_SIZE])
{
    snprintf(query, TEXT_SIZE, "EIO=4&transport=polling%s%s",
             c->sid[0] == '\0' ? "" : "&sid=", c->sid);
    return query;
}

void client_poll(struct client *c)
{
    char query[TEXT_SIZE];

    if (c->x != NULL)
        return;
    c->x =
        exchange_new(c->bench, HTTP_GET, polling_query(c, query), slice_make(NULL, 0));
    c->bench->http.handler(c->bench->http.ctx, &c->x->base);
}

/* True when something came. */
static bool poll_once(struct client *c)
{
    client_poll(c);
    settle(c->bench);
    if (!c->x->is_answered || c->x->status != 200)
        return false;
    take_payload(c, buf_view(&c->x->body));
    c->x = NULL;
    return true;
}

static void post(struct client *c, const char *text)
{
    char query[TEXT_SIZE];
    struct fake_exchange *x =
        exchange_new(c->bench, HTTP_POST, polling_query(c, query), slice_of(text));

    c->bench->http.handler(c->bench->http.ctx, &x->base);
    assert_int_equal(x->status, 200);
}

/* ---- what a client does ---- */

struct client *client_new(struct bench *b, enum kind kind)
{
    struct client *c = mem_new(sizeof(*c));

    c->bench = b;
    c->kind = kind;
    buf_init(&c->in, IN_LIMIT);
    buf_init(&c->message, IN_LIMIT);
    buf_init(&c->told, IN_LIMIT);
    c->sse = sse_parser_new(IN_LIMIT, on_sse, c);
    c->next = b->clients;
    b->clients = c;
    return c;
}

static void connect_polling(struct client *c)
{
    const char *sid;

    client_poll(c);
    settle(c->bench);
    assert_int_equal(c->x->status, 200);
    sid = strstr(buf_text(&c->x->body), "\"sid\":\"") + 7;
    snprintf(c->sid, sizeof(c->sid), "%.*s", (int)strcspn(sid, "\""), sid);
    c->x = NULL;
    post(c, "40");
    assert_true(poll_once(c));
}

void client_connect(struct client *c)
{
    unsigned status;

    buf_reset(&c->in);
    buf_reset(&c->message);
    c->x = NULL;
    c->pipe = NULL;
    c->sid[0] = '\0';
    if (c->kind == KIND_WS) {
        c->pipe = pipe_dial(c->bench, &c->bench->ws, "", &status);
    } else if (c->kind == KIND_SIO) {
        c->pipe = pipe_dial(c->bench, &c->bench->sio_ws, "EIO=4&transport=websocket",
                            &status);
        settle(c->bench);
        client_say(c, "40");
    } else if (c->kind == KIND_POLLING) {
        connect_polling(c);
    }
    settle(c->bench);
}

void client_say(struct client *c, const char *text)
{
    if (c->kind == KIND_POLLING)
        post(c, text);
    else
        c->pipe->base.owner->on_message(&c->pipe->base, slice_of(text), false);
}

static void put_member(struct buf *out, const char *name, const char *value)
{
    if (value != NULL)
        buf_printf(out, ",\"%s\":\"%s\"", name, value);
}

static void join_stream(struct client *c, const char *tasks, const char *from)
{
    struct task_key keys[MAX_TASKS];
    size_t count = 0;
    char query[TEXT_SIZE];

    snprintf(query, sizeof(query), "%s%s",
             from == NULL ? "" : "from=", from == NULL ? "" : from);
    for (const char *at = tasks; count < MAX_TASKS; at++) {
        size_t len = strcspn(at, ",");
        keys[count++] = (struct task_key){slice_of("site"), slice_make(at, len)};
        at += len;
        if (*at == '\0')
            break;
    }
    sse_parser_free(c->sse);
    c->sse = sse_parser_new(IN_LIMIT, on_sse, c);
    buf_reset(&c->in);
    c->chunk_left = 0;
    c->x = exchange_new(c->bench, HTTP_GET, query, slice_make(NULL, 0));
    c->pipe = NULL;
    session_stream(c->bench->set, &c->x->base, keys, count);
}

void client_join(struct client *c, const char *tasks, const char *since,
                 const char *from)
{
    struct buf text;

    if (c->kind == KIND_SSE) {
        c->bench->last_event_id = since;
        if (since == NULL && strchr(tasks, ',') == NULL)
            begin_anew(client_tale(c, tasks));
        else if (since != NULL && strchr(tasks, ',') == NULL)
            stand_at(client_tale(c, tasks), since);
        if (since == NULL)
            c->sse_id[0] = '\0';
        join_stream(c, tasks, from);
        c->bench->last_event_id = NULL;
        return;
    }
    if (since == NULL)
        begin_anew(client_tale(c, tasks));
    else
        stand_at(client_tale(c, tasks), since);
    buf_init(&text, 4096);
    buf_puts(&text, c->kind == KIND_WS ? "{\"op\":\"subscribe\""
                                       : "421[\"task_subscribe\",{\"x\":0");
    put_member(&text, "task_id", tasks);
    put_member(&text, "since", since);
    put_member(&text, "from", from);
    buf_puts(&text, c->kind == KIND_WS ? "}" : "}]");
    client_say(c, buf_text(&text));
    buf_release(&text);
}

void client_join_string(struct client *c, const char *task)
{
    char text[TEXT_SIZE];

    snprintf(text, sizeof(text), "422[\"task_subscribe\",\"%s\"]", task);
    client_say(c, text);
}

static void find_stream(struct client *c)
{
    if (c->kind == KIND_SSE && c->pipe == NULL && c->x != NULL)
        c->pipe = c->x->pipe;
}

void client_read(struct client *c)
{
    settle(c->bench);
    if (c->kind == KIND_POLLING) {
        for (int i = 0; i < 10000 && poll_once(c); i++)
            ;
        return;
    }
    find_stream(c);
    if (c->pipe == NULL)
        return;
    pipe_read(c->pipe, &c->in);
    if (c->kind == KIND_SSE)
        take_chunks(c);
    else
        take_frames(c);
}

void client_cut(struct client *c)
{
    find_stream(c);
    if (c->pipe != NULL && !c->pipe->is_gone)
        pipe_hang_up(c->pipe, "transport close");
    else if (c->x != NULL && !c->x->is_answered && !c->x->is_gone)
        exchange_abort(c->x);
    c->pipe = NULL;
    c->x = NULL;
}

bool client_is_closed(const struct client *c)
{
    return c->pipe != NULL && c->pipe->was_closed;
}

void told(struct client *c, const char *lines)
{
    client_read(c);
    assert_string_equal(buf_text(&c->told), lines);
    buf_reset(&c->told);
}

static void is_same(const struct buf *mine, const struct accumulated *acc)
{
    assert_int_equal(mine->len, acc->utf8.len);
    if (mine->len > 0)
        assert_memory_equal(mine->data, acc->utf8.data, mine->len);
}

void has_all(struct client *c, const char *name)
{
    const struct run *run = topic_run(task(c->bench, name));
    struct tale *tale = client_tale(c, name);

    client_read(c);
    is_same(&tale->reasoning, &run->reasoning);
    is_same(&tale->text, &run->text);
}

struct client *reader(struct bench *b, enum kind kind)
{
    struct client *c = client_new(b, kind);

    client_connect(c);
    return c;
}

void for_all(void **state, void (*test)(struct bench *b, enum kind kind))
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        with_bench(state);
        test(*state, (enum kind)kind);
        without(state);
    }
}
