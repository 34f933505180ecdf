/* sse.c - event streams and long polls over HTTP. */
/* SPDX-License-Identifier: MIT */
#include "codec/sse.h"

#include "base/clock.h"
#include "codec/json.h"
#include "session/sse_inside.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The request is held until every task it names is loaded (or START_WAIT_MS has passed):
 * only then it is known whether there is anything left to say. A client that has it all of
 * tasks that have ended is answered 204, which is what stops an EventSource.
 */
#define POLL_BYTES  1048576
#define POLL_EVENTS 1000

/* ---- writing ---- */

bool stream_put(struct stream *stream, struct buf *out)
{
    struct bytes *bytes;
    bool has_room;

    if (stream->pipe->framing == FRAMING_CHUNKED)
        chunk_wrap(out, 0);
    bytes = buf_share(out);
    has_room = pipe_send(stream->pipe, bytes);
    bytes_unref(bytes);
    return has_room;
}

void stream_note(struct stream *stream, const struct buf *out)
{
    if (stream->pipe == NULL ? stream->x == NULL : stream->pipe->is_closing)
        return;
    buf_slice(&stream->notes, buf_view(out));
    if (stream->pipe != NULL && stream->notes.len > 0 && pipe_is_ready(stream->pipe))
        stream_put(stream, &stream->notes);
}

static void note(struct stream *stream, const char *name, struct slice id,
                 struct slice data)
{
    struct buf out;

    buf_init(&out, SIZE_MAX);
    sse_event(&out, slice_of(name), id, data);
    stream_note(stream, &out);
    buf_release(&out);
}

void stream_finish(struct stream *stream)
{
    stream->session.is_dead = true;
    if (stream->pipe != NULL && !stream->pipe->is_closing)
        pipe_close(stream->pipe, 0, NULL);
}

static void answer_poll(struct stream *stream)
{
    struct subscription *sub = NULL;
    struct http_exchange *x = stream->x;
    struct buf body;
    struct buf cursor;

    buf_init(&body, SIZE_MAX);
    buf_init(&cursor, CURSOR_BYTES);
    if (!list_is_empty(&stream->session.subs))
        sub = LIST_ENTRY(stream->session.subs.next, struct subscription, node);
    buf_puts(&body, "{\"events\":[");
    buf_slice(&body, buf_view(&stream->poll));
    buf_puts(&body, "],\"id\":");
    if (sub != NULL)
        stream_put_place(&cursor, sub);
    if (cursor.len == 0 || slice_is(buf_view(&cursor), PLACE_NONE))
        buf_puts(&body, "null");
    else
        json_quote(&body, buf_view(&cursor));
    buf_printf(&body, ",\"state\":\"%s\"",
               sub == NULL ? "unknown"
                           : run_state_name(topic_run(sub->reader.topic)->state));
    if (stream->poll_resync != NULL)
        buf_printf(&body, ",\"resync\":\"%s\"", stream->poll_resync);
    if (stream->poll_error != NULL)
        buf_printf(&body, ",\"error\":\"%s\"", stream->poll_error);
    buf_putc(&body, '}');
    stream->x = NULL;
    http_respond(x, 200,
                 "content-type: application/json\r\ncache-control: no-store\r\n",
                 buf_view(&body));
    buf_release(&cursor);
    buf_release(&body);
    session_bury(&stream->session);
}

/* ---- starting ---- */

static void on_drain(struct pipe *pipe)
{
    struct stream *stream = pipe->owner_data;

    session_drained(&stream->session);
}

static void on_closed(struct pipe *pipe, const char *reason)
{
    struct stream *stream = pipe->owner_data;

    (void)reason;
    stream->pipe = NULL;
    retelling_over(stream,
                   stream->retelling != NULL &&
                           dialect_is_over(&stream->retelling->state)
                       ? RETELL_TOLD
                       : RETELL_LEFT,
                   NULL);
    session_bury(&stream->session);
}

static void on_retire(struct pipe *pipe)
{
    stream_retire(pipe->owner_data);
}

static const struct pipe_owner stream_owner = {
    .on_drain = on_drain,
    .on_closed = on_closed,
    .on_retire = on_retire,
};

static bool all_loaded(const struct stream *stream)
{
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (topic_phase(sub->reader.topic) != TOPIC_READY)
            return false;
    }
    return true;
}

/* It was told that nobody knows the task, and nobody does. */
static bool is_still_absent(const struct subscription *sub)
{
    const struct topic *topic = subscription_speaking(sub)->reader.topic;

    return sub->knows_absent && topic_phase(topic) == TOPIC_READY &&
           (topic_was_erased(topic) || topic_run(topic)->state == RUN_UNKNOWN);
}

static bool has_end(const struct subscription *sub)
{
    const struct topic *topic = sub->reader.topic;

    return sub->has_since && run_state_is_final(topic_run(topic)->state) &&
           event_id_equal(sub->since, topic_last_id(topic));
}

static bool has_it_all(const struct stream *stream)
{
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        const struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_twin && !has_end(sub) && !is_still_absent(sub))
            return false;
    }
    return !list_is_empty(&stream->session.subs);
}

static bool named_a_place(const struct stream *stream)
{
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        if (LIST_ENTRY(node, struct subscription, node)->has_since)
            return true;
    }
    return false;
}

/* ---- hello ---- */

/* By the letter of the standard a stream that begins has no last id, and its first event
 * without one makes the browser forget where it was: so it is told first of all. */
static uint64_t jittered(const struct session_options *options)
{
    uint64_t spread = options->retry_ms * options->retry_jitter / 100;

    return options->retry_ms - spread + random_below((uint32_t)(2 * spread + 1));
}

/* The configured time is told, and then, which is what counts, this reader's own: readers that
 * were cut together do not come back together. */
void stream_put_retry(const struct stream *stream, struct buf *out)
{
    const struct session_options *options = &stream->session.set->options;

    if (options->retry_jitter > 0)
        buf_printf(out, "retry: %llu\n", (unsigned long long)options->retry_ms);
    sse_retry(out, jittered(options));
}

static void say_hello(struct stream *stream)
{
    struct session *session = &stream->session;
    struct buf out;

    buf_init(&out, CURSOR_BYTES);
    if (named_a_place(stream)) {
        buf_puts(&out, "id: ");
        if (stream->is_multi)
            stream_cursor(session, &out);
        else
            stream_put_place(&out,
                             LIST_ENTRY(session->subs.next, struct subscription, node));
        buf_putc(&out, '\n');
    }
    stream_put_retry(stream, &out);
    stream_put(stream, &out);
    buf_release(&out);
}

static struct pipe *open_pipe(struct stream *stream, struct http_exchange *x)
{
    struct pipe *pipe;
    struct buf headers;

    buf_init(&headers, 512);
    buf_puts(&headers,
             "content-type: text/event-stream\r\n"
             "cache-control: no-cache, no-store, must-revalidate, no-transform\r\n"
             "x-accel-buffering: no\r\n");
    if (stream->retelling != NULL)
        buf_puts(&headers, retelling_headers(stream->retelling));
    pipe = http_stream(x, 200, buf_text(&headers), &stream_owner, stream);
    buf_release(&headers);
    return pipe;
}

static void start(struct stream *stream)
{
    struct http_exchange *x = stream->x;

    stream->x = NULL;
    if (retelling_is_unbegun(stream)) {
        x->on_closed = NULL;
        x->on_retire = NULL;
        retelling_over(stream, RETELL_UNBEGUN, x);
        session_bury(&stream->session);
        return;
    }
    if (has_it_all(stream) || retelling_has_nothing(stream)) {
        http_respond(x, 204, "cache-control: no-store\r\n", (struct slice){0});
        session_bury(&stream->session);
        return;
    }
    stream->pipe = open_pipe(stream, x);
    if (stream->pipe == NULL) {
        retelling_over(stream, RETELL_LEFT, NULL);
        session_bury(&stream->session);
        return;
    }
    stream->beat_ms = loop_now_ms(stream->session.set->loop) +
                      stream->session.set->options.heartbeat_ms;
    alive_init(&stream->alive, loop_now_ms(stream->session.set->loop));
    if (stream->retelling != NULL)
        retelling_start(stream);
    else
        say_hello(stream);
}

/* ---- the broker is about to end ---- */

/* Many are told at about the same time: each its own delay, half to one and a half. */
static void send_retry(struct stream *stream)
{
    uint64_t retry_ms = stream->session.set->options.retry_ms;
    struct buf out;

    if (!pipe_is_ready(stream->pipe))
        return; /* it keeps the delay it was told when it began */
    buf_init(&out, 64);
    sse_retry(&out, retry_ms / 2 + random_below((uint32_t)(retry_ms + 1)));
    stream_put(stream, &out);
    buf_release(&out);
}

void stream_retire(struct stream *stream)
{
    /* It is nobody's to ask for again: it goes on while the broker is there. */
    if (stream->retelling != NULL && stream->retelling->over != NULL)
        return;
    if (stream->x != NULL && stream->is_poll) {
        answer_poll(stream);
        return;
    }
    /* An error status would end an EventSource for good: it gets a stream that ends. */
    if (stream->x != NULL)
        start(stream);
    if (stream->pipe == NULL)
        return;
    send_retry(stream);
    stream_finish(stream);
}

/* ---- the session's slots ---- */

static bool held_window(struct stream *stream, struct sio_window *window)
{
    uint64_t now = loop_now_ms(stream->session.set->loop);

    if (stream->awaits_who)
        return false;
    if (!all_loaded(stream) && (stream->is_poll || now < stream->start_by_ms))
        return false;
    if (retelling_must_wait(stream))
        return false;
    if (stream->is_poll) {
        *window = (struct sio_window){FRAMING_PLAIN, 4, POLL_EVENTS, POLL_BYTES};
        return true;
    }
    start(stream);
    return false;
}

static bool stream_window(struct session *session, struct sio_window *window)
{
    struct stream *stream = stream_of(session);
    struct buf out;

    if (stream->x != NULL && held_window(stream, window))
        return true;
    if (stream->pipe == NULL || !pipe_is_ready(stream->pipe))
        return false;
    if (stream->notes.len > 0 && !stream_put(stream, &stream->notes))
        return false;
    if (stream->owes_cursor) {
        stream->owes_cursor = false;
        buf_init(&out, CURSOR_BYTES);
        buf_puts(&out, "id: ");
        stream_cursor(session, &out);
        buf_puts(&out, "\n\n");
        stream_put(stream, &out);
        buf_release(&out);
        if (!pipe_is_ready(stream->pipe))
            return false;
    }
    *window = (struct sio_window){stream->retelling != NULL ? FRAMING_PLAIN
                                                            : stream->pipe->framing,
                                  4, UINT_MAX, SIZE_MAX};
    return true;
}

static bool stream_send(struct session *session, struct bytes *bytes, unsigned packets)
{
    struct stream *stream = stream_of(session);

    (void)packets;
    if (stream->retelling != NULL)
        return retelling_send(stream, bytes);
    if (!stream->is_poll)
        return pipe_send(stream->pipe, bytes);
    if (stream->poll.len > 0)
        buf_putc(&stream->poll, ',');
    buf_append(&stream->poll, bytes->data, bytes->len);
    /* An answer is bounded; the rest is for the next poll. */
    if (stream->poll.len < POLL_BYTES)
        return true;
    answer_poll(stream);
    return false;
}

static void stream_subscribed(struct subscription *sub, struct slice state)
{
    struct stream *stream = stream_of(sub->session);
    struct buf data;
    struct buf id;

    if (stream->retelling != NULL)
        retelling_subscribed(sub);
    if (stream->is_poll || stream->retelling != NULL)
        return;
    buf_init(&data, 4096);
    buf_init(&id, CURSOR_BYTES);
    buf_putc(&data, '{');
    buf_slice(&data, state);
    buf_putc(&data, '}');
    /* A place is told with it, so that a browser that reconnects before the next event does
     * not start anew; before a snapshot there is none. */
    if (stream->is_multi)
        stream_cursor(sub->session, &id);
    else if (sub->stage == STAGE_LIVE)
        stream_put_place(&id, sub);
    note(stream, "subscribed",
         slice_is(buf_view(&id), PLACE_NONE) ? slice_of("") : buf_view(&id),
         buf_view(&data));
    buf_release(&id);
    buf_release(&data);
}

static void stream_resync(struct subscription *sub, struct slice data)
{
    struct stream *stream = stream_of(sub->session);
    struct buf id;

    if (stream->is_poll) {
        /* What was collected before belongs to what is replaced now. */
        buf_reset(&stream->poll);
        stream->poll_resync = "replaced";
        return;
    }
    if (stream->retelling != NULL) {
        retelling_resync(sub);
        return;
    }
    buf_init(&id, CURSOR_BYTES);
    /* The reader has nothing now: a browser that reconnects must not name the id it had,
     * but "-" until there is another. */
    if (stream->is_multi)
        stream_cursor(sub->session, &id);
    else
        stream_put_place(&id, sub);
    note(stream, "resync", buf_view(&id), data);
    buf_release(&id);
}

static void stream_failed(struct subscription *sub, const char *code,
                          const char *message)
{
    struct stream *stream = stream_of(sub->session);
    struct buf data;
    struct buf id;

    if (stream->is_poll) {
        stream->poll_error = code;
        session_mark(sub->session);
        return;
    }
    if (stream->retelling != NULL) {
        retelling_failed(sub, code, message);
        return;
    }
    buf_init(&data, 2048);
    buf_init(&id, CURSOR_BYTES);
    buf_puts(&data, "{\"task_id\":");
    json_quote(&data, topic_name(sub->reader.topic));
    buf_putc(&data, ',');
    write_error(&data, code, message, NULL);
    buf_putc(&data, '}');
    /* A browser that reconnects names it, and is answered 204 while it is still so: else it
     * would come back for ever. */
    stream->failing = sub;
    if (stream->is_multi)
        stream_cursor(sub->session, &id);
    else if (topic_phase(sub->reader.topic) == TOPIC_READY)
        buf_puts(&id, PLACE_ABSENT);
    stream->failing = NULL;
    note(stream, "error", buf_view(&id), buf_view(&data));
    buf_release(&id);
    buf_release(&data);
}

static void stream_after_snapshot(struct subscription *sub)
{
    struct stream *stream = stream_of(sub->session);

    stream->owes_cursor = stream->is_multi;
    if (stream->retelling != NULL)
        stream->retelling->owes_whole = true;
}

static void stream_level(struct session *session)
{
    struct stream *stream = stream_of(session);

    if (stream->is_poll) {
        if (stream->poll.len > 0 || stream->poll_error != NULL ||
            session_is_finished(session))
            answer_poll(stream);
        return;
    }
    /* Nothing is owed and nothing will come. */
    if (!stream->owes_cursor &&
        (session_is_finished(session) ||
         (stream->retelling != NULL && dialect_is_over(&stream->retelling->state))))
        stream_finish(stream);
    else if (stream->owes_cursor)
        session_mark(session);
}

static void stream_cut(struct session *session, const char *reason)
{
    (void)reason;
    stream_finish(stream_of(session));
}

static void stream_free(struct session *session)
{
    struct stream *stream = stream_of(session);

    list_remove(&stream->beat);
    buf_release(&stream->notes);
    buf_release(&stream->poll);
    retelling_free(stream->retelling);
    free(stream);
}

const struct session_ops stream_ops = {
    .window = stream_window,
    .send = stream_send,
    .subscribed = stream_subscribed,
    .resync = stream_resync,
    .after_snapshot = stream_after_snapshot,
    .failed = stream_failed,
    .cursor = stream_cursor,
    .level = stream_level,
    .cut = stream_cut,
    .free = stream_free,
};

/* ---- heartbeat ---- */

static void beat(struct stream *stream, uint64_t now)
{
    struct session_set *set = stream->session.set;
    char text[64];
    struct buf out;

    if (stream->pipe == NULL || stream->pipe->is_closing)
        return;
    if (alive_look(&stream->alive, stream->pipe, false, now) >
        set->options.heartbeat_ms + set->options.silence_ms) {
        counter_add(set->silent_sse, 1);
        stream_finish(stream);
        return;
    }
    if (!pipe_is_ready(stream->pipe))
        return;
    snprintf(text, sizeof(text), "heartbeat %llu", (unsigned long long)clock_wall_ms());
    buf_init(&out, 256);
    sse_comment(&out, slice_of(text));
    stream_put(stream, &out);
    buf_release(&out);
}

void stream_heartbeat(struct session_set *set, uint64_t now)
{
    LIST_FOR_EACH(node, next, &set->streams)
    {
        struct stream *stream = LIST_ENTRY(node, struct stream, beat);
        bool is_due = stream->beat_ms <= now;
        if (stream->session.is_dead)
            continue;
        if (stream->x != NULL && stream->is_poll && is_due)
            answer_poll(stream);
        else if (stream->x != NULL)
            session_mark(&stream->session);
        else if (is_due) {
            stream->beat_ms = now + set->options.heartbeat_ms;
            beat(stream, now);
        }
    }
}
