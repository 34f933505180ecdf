/* stream_chat.c - Chat Completions: chunks and whole answers. */
/* SPDX-License-Identifier: MIT */
#include "stream_inside.h"

/* OpenAI's words, and those of servers that are nearly compatible. */
static enum stream_finish finish_of(struct slice raw)
{
    if (json_raw_is(raw, "length") || json_raw_is(raw, "max_tokens"))
        return FINISH_LENGTH;
    if (json_raw_is(raw, "tool_calls") || json_raw_is(raw, "function_call"))
        return FINISH_TOOL_CALLS;
    if (json_raw_is(raw, "content_filter"))
        return FINISH_CONTENT_FILTER;
    return FINISH_STOP;
}

static void take_usage(struct stream *stream, struct slice object)
{
    struct slice usage;
    struct slice details;

    if (!field_object(object, "usage", &usage))
        return;
    stream->has_usage = true;
    stream->usage.tokens_in = field_u64(usage, "prompt_tokens", 0);
    stream->usage.tokens_out = field_u64(usage, "completion_tokens", 0);
    if (field_object(usage, "prompt_tokens_details", &details))
        stream->usage.cached_tokens = field_u64(details, "cached_tokens", 0);
    if (field_object(usage, "completion_tokens_details", &details))
        stream->usage.reasoning_tokens = field_u64(details, "reasoning_tokens", 0);
}

/* Some servers send the same reasoning under two names: the first that is there counts. */
static bool take_reasoning_text(struct stream *stream, struct slice delta)
{
    static const char *const names[] = {"reasoning_content", "reasoning",
                                        "reasoning_text", "thinking"};
    struct slice raw;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (field_text(delta, names[i], &raw)) {
            stream_tell_reasoning(stream, raw);
            return true;
        }
    }
    return false;
}

static void take_reasoning(struct stream *stream, struct slice delta)
{
    struct json_member item;
    struct slice details;
    struct slice raw;
    size_t at = 0;

    if (take_reasoning_text(stream, delta) ||
        !field_array(delta, "reasoning_details", &details))
        return;
    while (json_next(details, &at, &item)) {
        if (item.kind == JSON_OBJECT && (field_text(item.value, "text", &raw) ||
                                         field_text(item.value, "summary", &raw)))
            stream_tell_reasoning(stream, raw);
    }
}

/* A delta of a chunk, or the message of a whole answer. */
static void take_message(struct stream *stream, struct slice message)
{
    struct json_member content;
    struct slice raw;

    take_reasoning(stream, message);
    if (json_get(message, "content", &content))
        stream_tell_content(stream, &content);
    if (field_text(message, "refusal", &raw))
        stream_tell_text(stream, raw);
    if (field_array(message, "tool_calls", &raw) && raw.len > 2)
        stream_tell_tool(stream, raw);
    if (field_object(message, "function_call", &raw))
        stream_tell_tool(stream, raw);
}

static void take_choice(struct stream *stream, struct slice choice)
{
    struct slice message;
    struct slice raw;

    if (field_object(choice, "delta", &message) ||
        field_object(choice, "message", &message))
        take_message(stream, message);
    if (!field_text(choice, "finish_reason", &raw))
        return;
    if (json_raw_is(raw, "error"))
        stream_fail(stream, FAILURE_SERVER, "finish_reason is error");
    else
        stream->finish = finish_of(raw);
}

void stream_chat_event(struct stream *stream, struct slice object)
{
    struct json_member item;
    struct slice choices;
    struct slice raw;
    size_t at = 0;

    if (stream_fail_if_error(stream, object))
        return;
    if (field_text(object, "model", &raw))
        stream_tell_model(stream, raw);
    take_usage(stream, object);
    if (!field_array(object, "choices", &choices))
        return;
    while (!stream->is_over && json_next(choices, &at, &item)) {
        if (item.kind == JSON_OBJECT && field_u64(item.value, "index", 0) == 0)
            take_choice(stream, item.value);
    }
}

void stream_chat_answer(struct stream *stream, struct slice object)
{
    struct slice choices;

    stream_chat_event(stream, object);
    if (stream->is_over)
        return;
    if (!field_array(object, "choices", &choices)) {
        stream_fail(stream, FAILURE_MALFORMED, "an answer without choices");
        return;
    }
    if (stream->finish == FINISH_NONE)
        stream->finish = FINISH_STOP;
    stream_tell_done(stream);
}
