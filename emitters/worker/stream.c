/* stream.c - from bytes to events, and when a stream has ended. */
/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "stream_inside.h"

#include <stdlib.h>

static const char *const finish_names[] = {"", "stop", "length", "tool_calls",
                                           "content_filter"};

const char *stream_finish_name(enum stream_finish finish)
{
    return finish_names[finish];
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* ---- events ---- */

/* [DONE], whatever may stand behind it. */
static void take_done_mark(struct stream *stream)
{
    if (stream->finish == FINISH_NONE)
        stream_fail(stream, FAILURE_TRUNCATED, "[DONE] before the end of the answer");
    else
        stream_tell_done(stream);
}

static void take_object(struct stream *stream, struct slice name, struct slice object)
{
    switch (stream->api) {
    case API_CHAT:
        stream_chat_event(stream, object);
        return;
    case API_RESPONSES:
        stream_responses_event(stream, name, object);
        return;
    case API_ANTHROPIC:
        stream_anthropic_event(stream, name, object);
        return;
    }
}

/* The data as JSON that may be walked: an object, its UTF-8 repaired where it must be. */
static bool as_object(struct stream *stream, struct slice data, struct slice *object)
{
    enum json_kind kind;

    if (!json_check(data)) {
        buf_reset(&stream->scratch);
        if (utf8_is_valid(data.ptr, data.len) ||
            !utf8_repair(&stream->scratch, data.ptr, data.len) ||
            !json_check(buf_view(&stream->scratch)))
            return false;
        data = buf_view(&stream->scratch);
    }
    return json_scan(data, &kind, object) > 0 && kind == JSON_OBJECT;
}

static void on_event(void *ctx, const struct sse_message *message)
{
    static const char mark[] = "[DONE]";
    struct stream *stream = ctx;
    struct slice data = message->data;
    struct slice object;

    if (stream->is_over || sse_parser_dropped(stream->sse) > 0)
        return;
    while (data.len > 0 && is_space(data.ptr[0]))
        data = slice_make(data.ptr + 1, data.len - 1);
    if (data.len == 0)
        return;
    if (data.len >= sizeof(mark) - 1 && memcmp(data.ptr, mark, sizeof(mark) - 1) == 0)
        take_done_mark(stream);
    else if (as_object(stream, data, &object))
        take_object(stream, message->event, object);
    else
        stream_fail(stream, FAILURE_MALFORMED, "an event that is no JSON object");
}

/* ---- life ---- */

static void on_piece(void *ctx, bool is_reasoning, struct slice text)
{
    struct stream *stream = ctx;
    struct stream_value value = {.kind = is_reasoning ? STREAM_REASONING : STREAM_TEXT,
                                 .text = text};

    stream->has_token = true;
    if (!is_reasoning) {
        for (size_t i = 0; i < text.len && !stream->has_text; i++)
            stream->has_text = !is_space(text.ptr[i]);
    }
    stream->on_value(stream->ctx, &value);
}

struct stream *stream_new(enum provider_api api, size_t limit_bytes,
                          void (*on_value)(void *ctx, const struct stream_value *),
                          void *ctx)
{
    struct stream *stream = mem_new(sizeof(*stream));

    stream->api = api;
    stream->limit_bytes = limit_bytes;
    stream->on_value = on_value;
    stream->ctx = ctx;
    stream->sse = sse_parser_new(limit_bytes, on_event, stream);
    think_init(&stream->think, on_piece, stream);
    buf_init(&stream->document, limit_bytes);
    /* A byte that is no UTF-8 becomes three; an escape is never shorter than its text. */
    buf_init(&stream->scratch, 3 * limit_bytes);
    buf_init(&stream->text, 3 * limit_bytes);
    return stream;
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    sse_parser_free(stream->sse);
    buf_release(&stream->document);
    buf_release(&stream->scratch);
    buf_release(&stream->text);
    free(stream);
}

/* Finds out what it is: server-sent events never begin with a brace. */
static struct slice skip_to_beginning(struct stream *stream, struct slice data)
{
    while (!stream->has_begun && data.len > 0) {
        if (is_space(data.ptr[0])) {
            data = slice_make(data.ptr + 1, data.len - 1);
            continue;
        }
        stream->has_begun = true;
        stream->is_document = data.ptr[0] == '{';
    }
    return data;
}

bool stream_feed(struct stream *stream, struct slice data)
{
    stream->has_token = false;
    data = skip_to_beginning(stream, data);
    if (stream->is_over || data.len == 0)
        return false;
    if (stream->is_document) {
        if (!buf_slice(&stream->document, data))
            stream_fail(stream, FAILURE_TOO_LARGE, "a document above the bound");
        return false;
    }
    sse_parser_feed(stream->sse, data);
    if (sse_parser_dropped(stream->sse) > 0)
        stream_fail(stream, FAILURE_TOO_LARGE, "an event above the bound");
    return stream->has_token;
}

void stream_end(struct stream *stream)
{
    if (stream->is_over)
        return;
    if (stream->is_document)
        stream_plain(stream, buf_view(&stream->document));
    else if (stream->api == API_CHAT && stream->finish != FINISH_NONE)
        stream_tell_done(stream);
    else
        stream_fail(stream, FAILURE_TRUNCATED,
                    "the stream ended before the answer did");
}

static void take_answer(struct stream *stream, struct slice object)
{
    switch (stream->api) {
    case API_CHAT:
        stream_chat_answer(stream, object);
        return;
    case API_RESPONSES:
        stream_responses_answer(stream, object);
        return;
    case API_ANTHROPIC:
        stream_anthropic_answer(stream, object);
        return;
    }
}

void stream_plain(struct stream *stream, struct slice body)
{
    struct slice object;

    if (stream->is_over)
        return;
    if (body.len > stream->limit_bytes) {
        stream_fail(stream, FAILURE_TOO_LARGE, "an answer above the bound");
        return;
    }
    if (!as_object(stream, body, &object)) {
        stream_fail(stream, FAILURE_MALFORMED, "an answer that is no JSON object");
        return;
    }
    if (!stream_fail_if_error(stream, object))
        take_answer(stream, object);
}

bool stream_is_over(const struct stream *stream)
{
    return stream->is_over;
}

bool stream_has_finish(const struct stream *stream)
{
    return stream->finish != FINISH_NONE;
}

bool stream_has_answer(const struct stream *stream)
{
    return stream->has_text || stream->has_tool;
}
