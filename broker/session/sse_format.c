/* sse_format.c - a run retold over SSE in another dialect: ?format=, and the chat endpoints. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "session/sse_inside.h"

#include <stdio.h>
#include <stdlib.h>

/*
 *   topic --lines of JSON, shared as everybody's--> retelling_send() --> this reader's words
 *
 * A retold stream is a cursor like any other; what it has more is the state of its dialect.
 * Such a stream is whole by itself: who comes back is told everything again, so only the end
 * has an id, which is what makes an EventSource stop (204). The stream of a chat endpoint
 * reads one run from its first event, and who asked for it hears how the stream went.
 */
#define TOLD_LIMIT ((size_t)1 << 31)

/* ---- which ---- */

static struct retelling *make(enum dialect_form form, unsigned options)
{
    struct retelling *retelling = mem_new(sizeof(*retelling));

    dialect_init(&retelling->state, form, options);
    return retelling;
}

bool retelling_new(struct retelling **retelling, struct slice query)
{
    enum dialect_form form = FORM_OPENAI;
    bool is_known = true;
    bool is_native = true;
    struct buf text;

    buf_init(&text, 64);
    if (http_query_get(query, "format", &text) &&
        !slice_is(buf_view(&text), "native")) {
        is_native = false;
        is_known = dialect_form_of(buf_view(&text), &form);
    }
    if (!is_native && is_known) {
        *retelling = make(form, DIALECT_USAGE | DIALECT_REASONING);
        (*retelling)->is_resuming =
            form == FORM_AI_SDK && !http_query_get(query, "from", &text);
    }
    buf_release(&text);
    return is_known;
}

struct retelling *retelling_of(const struct session_retell *asked)
{
    struct retelling *retelling = make(asked->form, asked->options);

    retelling->wanted_epoch = asked->epoch;
    retelling->epoch = asked->epoch;
    retelling->created_s = clock_wall_ms() / 1000;
    retelling->model = mem_text(asked->model);
    retelling->headers = mem_text(slice_of(asked->headers));
    retelling->waits = asked->waits;
    retelling->over = asked->over;
    retelling->ctx = asked->ctx;
    return retelling;
}

void retelling_free(struct retelling *retelling)
{
    if (retelling == NULL)
        return;
    free(retelling->model);
    free(retelling->headers);
    free(retelling);
}

const char *retelling_headers(const struct retelling *retelling)
{
    if (retelling->headers != NULL)
        return retelling->headers;
    return retelling->state.form == FORM_AI_SDK
               ? "x-vercel-ai-ui-message-stream: v1\r\n"
               : "";
}

/* ---- before the start ---- */

static struct subscription *reader_of(const struct stream *stream)
{
    LIST_FOR_EACH(node, next, &stream->session.subs)
    {
        struct subscription *sub = LIST_ENTRY(node, struct subscription, node);
        if (!sub->is_twin)
            return sub;
    }
    return NULL;
}

bool retelling_has_nothing(const struct stream *stream)
{
    const struct subscription *sub = reader_of(stream);
    const struct topic *topic;

    if (stream->retelling == NULL || !stream->retelling->is_resuming || sub == NULL)
        return false;
    topic = subscription_speaking(sub)->reader.topic;
    return topic_phase(topic) == TOPIC_READY &&
           (topic_run(topic)->state == RUN_UNKNOWN ||
            run_state_is_final(topic_run(topic)->state));
}

/* Whether it is the answer, or its end: what was before is said by us. */
static bool is_answer(const struct entry *entry)
{
    return entry->is_delta || entry->type == EVENT_TEXT ||
           entry->type == EVENT_REASONING || entry->type == EVENT_TOOL_CALL;
}

/* It did not come as a stream, and nothing was said before. */
static bool is_whole(const struct entry *entry)
{
    struct json_member member;

    return entry->type == EVENT_TEXT && json_get(entry->body, "whole", &member) &&
           member.kind == JSON_TRUE;
}

static bool has_begun(const struct topic *topic)
{
    uint64_t first = topic_run(topic)->first_pos;

    if (first < topic_base(topic))
        return true;
    for (uint64_t pos = first; pos < topic_next(topic); pos++) {
        const struct entry *entry = topic_entry(topic, pos);
        if (is_answer(entry))
            return !is_whole(entry);
    }
    return false;
}

bool retelling_must_wait(const struct stream *stream)
{
    const struct retelling *retelling = stream->retelling;
    const struct subscription *sub = reader_of(stream);
    const struct run *run;

    if (retelling == NULL || retelling->wanted_epoch == 0 || sub == NULL)
        return false;
    run = topic_run(sub->reader.topic);
    if (run->epoch < retelling->wanted_epoch)
        return true;
    return retelling->waits && !run_state_is_final(run->state) &&
           !has_begun(sub->reader.topic);
}

bool retelling_is_unbegun(const struct stream *stream)
{
    const struct subscription *sub = reader_of(stream);

    return stream->retelling != NULL && stream->retelling->waits && sub != NULL &&
           run_state_is_final(topic_run(sub->reader.topic)->state) &&
           !has_begun(sub->reader.topic);
}

void retelling_over(struct stream *stream, enum retell_end how, struct http_exchange *x)
{
    struct retelling *retelling = stream->retelling;
    void (*over)(void *ctx, const struct retell_told *told);

    if (retelling == NULL || retelling->over == NULL)
        return;
    const struct retell_told told = {
        .how = how,
        .x = x,
        .first_ms = retelling->first_ms,
        .failure = retelling->failure,
    };
    over = retelling->over;
    retelling->over = NULL;
    over(retelling->ctx, &told);
}

/* ---- telling ---- */

static struct dialect_run run_of(const struct stream *stream, const struct topic *topic)
{
    struct retelling *retelling = stream->retelling;
    const struct run *run = topic_run(topic);

    if (retelling->epoch == 0 && run->epoch != 0) {
        retelling->epoch = run->epoch;
        retelling->created_s = run->started_ms / 1000;
    }
    return (struct dialect_run){
        .task_id = topic_name(topic),
        .epoch = retelling->epoch,
        .created_s = retelling->created_s,
        .model = slice_of(retelling->model == NULL ? "" : retelling->model),
    };
}

static bool knows_run(const struct stream *stream)
{
    return stream->retelling->epoch != 0 || stream->retelling->state.form == FORM_CHAT;
}

void retelling_start(struct stream *stream)
{
    struct subscription *sub = reader_of(stream);
    struct dialect_run run;
    struct buf out;

    buf_init(&out, 4096);
    if (sub != NULL) {
        run = run_of(stream, subscription_speaking(sub)->reader.topic);
        if (knows_run(stream))
            dialect_start(&out, &stream->retelling->state, &run);
        /* All of it is told again, and in order. */
        sub->has_since = stream->retelling->wanted_epoch != 0;
        sub->since = (struct event_id){stream->retelling->wanted_epoch, 0, false};
    }
    if (stream->retelling->state.form == FORM_CHAT)
        stream_put_retry(stream, &out);
    if (out.len > 0)
        stream_put(stream, &out);
    buf_release(&out);
}

void retelling_subscribed(struct subscription *sub)
{
    struct stream *stream = stream_of(sub->session);
    struct dialect_run run = run_of(stream, sub->reader.topic);
    struct buf out;

    if (!knows_run(stream))
        return;
    buf_init(&out, 4096);
    dialect_start(&out, &stream->retelling->state, &run);
    stream_note(stream, &out);
    buf_release(&out);
}

/* Gives the last of the blocks in `out` an id. */
static void mark_end(struct buf *out, struct slice id)
{
    size_t at = out->len - 2;
    struct buf marked;

    while (at > 0 && memcmp(out->data + at - 1, "\n\n", 2) != 0)
        at--;
    at = at == 0 ? 0 : at + 1;
    buf_init(&marked, SIZE_MAX);
    buf_append(&marked, out->data, at);
    buf_puts(&marked, "id: ");
    buf_slice(&marked, id);
    buf_putc(&marked, '\n');
    buf_append(&marked, out->data + at, out->len - at);
    buf_reset(out);
    buf_slice(out, buf_view(&marked));
    buf_release(&marked);
}

/* Who reconnects by itself names the id, and is answered 204. */
static void close_with_id(struct stream *stream, struct buf *out,
                          const struct subscription *sub)
{
    struct buf id;

    if (out->len < 2 || stream->retelling->over != NULL)
        return;
    buf_init(&id, CURSOR_BYTES);
    if (sub != NULL)
        stream_put_place(&id, sub);
    mark_end(out, sub == NULL ? slice_of(PLACE_ABSENT) : buf_view(&id));
    buf_release(&id);
}

static void note_first(struct stream *stream)
{
    struct retelling *retelling = stream->retelling;

    if (retelling->first_ms == 0 && retelling->state.told[PART_TEXT].len > 0)
        retelling->first_ms = loop_now_ms(stream->session.set->loop);
}

static void note_failure(struct retelling *retelling, struct slice code)
{
    (void)snprintf(retelling->failure, sizeof(retelling->failure), "%.*s",
                   (int)code.len, code.ptr);
}

static void tell_whole(struct stream *stream, const struct topic *topic,
                       struct buf *out)
{
    struct retelling *retelling = stream->retelling;
    struct dialect_run run = run_of(stream, topic);
    bool was_over = dialect_is_over(&retelling->state);

    dialect_snapshot(out, &retelling->state, &run,
                     buf_view(&topic_run(topic)->reasoning.utf8),
                     buf_view(&topic_run(topic)->text.utf8));
    if (!was_over && dialect_is_over(&retelling->state))
        note_failure(retelling, slice_of("SUPERSEDED"));
    note_first(stream);
}

/* The event that has ended it may be an error. */
static void note_end(struct retelling *retelling, struct slice event)
{
    struct json_member type;
    struct json_member code;

    if (!json_get(event, "type", &type) || type.kind != JSON_STRING ||
        !json_raw_is(json_string_raw(type.value), "error"))
        return;
    if (json_get(event, "code", &code) && code.kind == JSON_STRING)
        note_failure(retelling, json_string_raw(code.value));
    else
        note_failure(retelling, slice_of("ERROR"));
}

static void tell_lines(struct stream *stream, const struct topic *topic,
                       struct slice lines, struct buf *out)
{
    struct dialect_state *state = &stream->retelling->state;
    struct dialect_run run = run_of(stream, topic);
    size_t at = 0;

    while (at < lines.len) {
        const char *end = memchr(lines.ptr + at, '\n', lines.len - at);
        struct slice line = slice_make(lines.ptr + at, (size_t)(end - lines.ptr) - at);
        at += line.len + 1;
        if (line.len <= 1 || line.ptr[0] != '{' || dialect_is_over(state))
            continue;
        dialect_event(out, state, &run, line);
        if (dialect_is_over(state))
            note_end(stream->retelling, line);
    }
    note_first(stream);
}

/* A part of what was told may be replaced: only the rest can be told. */
void retelling_resync(struct subscription *sub)
{
    struct stream *stream = stream_of(sub->session);
    struct buf out;

    buf_init(&out, TOLD_LIMIT);
    tell_whole(stream, sub->reader.topic, &out);
    stream_note(stream, &out);
    buf_release(&out);
}

void retelling_failed(struct subscription *sub, const char *code, const char *message)
{
    struct stream *stream = stream_of(sub->session);
    struct dialect_run run = run_of(stream, sub->reader.topic);
    struct buf out;

    if (!dialect_is_over(&stream->retelling->state))
        note_failure(stream->retelling, slice_of(code));
    buf_init(&out, 4096);
    dialect_fail(&out, &stream->retelling->state, &run, code, message);
    close_with_id(stream, &out, NULL);
    stream_note(stream, &out);
    buf_release(&out);
}

/* A snapshot is told from the accumulated text itself: what the dialect was told already is
 * left out. Its own bytes only count against the memory that snapshots may take. */
bool retelling_send(struct stream *stream, struct bytes *lines)
{
    const struct subscription *sub = reader_of(stream);
    const struct topic *topic;
    bool has_room = true;
    struct buf out;

    if (sub == NULL)
        return true;
    topic = subscription_speaking(sub)->reader.topic;
    buf_init(&out, TOLD_LIMIT);
    if (stream->retelling->owes_whole)
        tell_whole(stream, topic, &out);
    else
        tell_lines(stream, topic, slice_make(lines->data, lines->len), &out);
    stream->retelling->owes_whole = false;
    if (dialect_is_over(&stream->retelling->state) &&
        run_state_is_final(topic_run(topic)->state))
        close_with_id(stream, &out, subscription_speaking(sub));
    if (out.len > 0)
        has_room = stream_put(stream, &out);
    buf_release(&out);
    return has_room;
}
