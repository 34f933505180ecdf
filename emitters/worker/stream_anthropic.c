/* stream_anthropic.c - Anthropic's messages: events and whole answers. */
/* SPDX-License-Identifier: MIT */
#include "stream_inside.h"

static enum stream_finish finish_of(struct slice raw)
{
    if (json_raw_is(raw, "max_tokens") ||
        json_raw_is(raw, "model_context_window_exceeded"))
        return FINISH_LENGTH;
    if (json_raw_is(raw, "tool_use"))
        return FINISH_TOOL_CALLS;
    if (json_raw_is(raw, "refusal"))
        return FINISH_CONTENT_FILTER;
    return FINISH_STOP;
}

/* Numbers are cumulative; what an event leaves out stays as it was. */
static void take_usage(struct stream *stream, struct slice object)
{
    struct stream_usage *sum = &stream->usage;
    struct slice usage;

    if (!field_object(object, "usage", &usage))
        return;
    stream->has_usage = true;
    uint64_t fresh = field_u64(usage, "input_tokens", sum->tokens_in);
    struct json_member member;
    if (json_get(usage, "input_tokens", &member)) {
        sum->cached_tokens = field_u64(usage, "cache_read_input_tokens", 0);
        fresh += sum->cached_tokens;
        fresh += field_u64(usage, "cache_creation_input_tokens", 0);
    }
    sum->tokens_in = fresh;
    sum->tokens_out = field_u64(usage, "output_tokens", sum->tokens_out);
}

static void take_start(struct stream *stream, struct slice event)
{
    struct slice message;
    struct slice raw;

    if (!field_object(event, "message", &message))
        return;
    if (field_text(message, "model", &raw))
        stream_tell_model(stream, raw);
    take_usage(stream, message);
}

static void take_block(struct stream *stream, struct slice event)
{
    struct slice block;
    struct slice raw;

    if (!field_object(event, "content_block", &block))
        return;
    if (field_is(block, "type", "tool_use"))
        stream_tell_tool(stream, event);
    else if (field_text(block, "thinking", &raw))
        stream_tell_reasoning(stream, raw);
    else if (field_text(block, "text", &raw))
        stream_tell_text(stream, raw);
}

static void take_delta(struct stream *stream, struct slice event)
{
    struct slice delta;
    struct slice raw;

    if (!field_object(event, "delta", &delta))
        return;
    if (field_is(delta, "type", "input_json_delta"))
        stream_tell_tool(stream, event);
    else if (field_text(delta, "thinking", &raw))
        stream_tell_reasoning(stream, raw);
    else if (field_text(delta, "text", &raw))
        stream_tell_text(stream, raw);
}

static void take_message_delta(struct stream *stream, struct slice event)
{
    struct slice delta;
    struct slice raw;

    take_usage(stream, event);
    if (field_object(event, "delta", &delta) && field_text(delta, "stop_reason", &raw))
        stream->finish = finish_of(raw);
}

static void take_stop(struct stream *stream, struct slice event)
{
    (void)event;
    if (stream->finish == FINISH_NONE)
        stream->finish = FINISH_STOP;
    stream_tell_done(stream);
}

static void take_error(struct stream *stream, struct slice event)
{
    if (!stream_fail_if_error(stream, event))
        stream_fail(stream, FAILURE_SERVER, "an error without a reason");
}

static const struct {
    const char *type;
    void (*take)(struct stream *stream, struct slice event);
} events[] = {
    {"message_start", take_start},       {"content_block_start", take_block},
    {"content_block_delta", take_delta}, {"message_delta", take_message_delta},
    {"message_stop", take_stop},         {"error", take_error},
};

void stream_anthropic_event(struct stream *stream, struct slice name,
                            struct slice object)
{
    struct slice type;

    if (!field_text(object, "type", &type)) {
        type = name;
        if (stream_fail_if_error(stream, object))
            return;
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
        if (json_raw_is(type, events[i].type)) {
            events[i].take(stream, object);
            return;
        }
    }
}

void stream_anthropic_answer(struct stream *stream, struct slice object)
{
    struct slice content;
    struct slice raw;

    if (!field_array(object, "content", &content)) {
        stream_fail(stream, FAILURE_MALFORMED, "a message without content");
        return;
    }
    if (field_text(object, "model", &raw))
        stream_tell_model(stream, raw);
    stream_tell_parts(stream, content);
    take_usage(stream, object);
    stream->finish =
        field_text(object, "stop_reason", &raw) ? finish_of(raw) : FINISH_STOP;
    stream_tell_done(stream);
}
