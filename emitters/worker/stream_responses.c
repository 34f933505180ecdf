/* stream_responses.c - the Responses API: events and whole answers. */
/* SPDX-License-Identifier: MIT */
#include "stream_inside.h"

static void take_usage(struct stream *stream, struct slice response)
{
    struct slice usage;
    struct slice details;

    if (!field_object(response, "usage", &usage))
        return;
    stream->has_usage = true;
    stream->usage.tokens_in = field_u64(usage, "input_tokens", 0);
    stream->usage.tokens_out = field_u64(usage, "output_tokens", 0);
    if (field_object(usage, "input_tokens_details", &details))
        stream->usage.cached_tokens = field_u64(details, "cached_tokens", 0);
    if (field_object(usage, "output_tokens_details", &details))
        stream->usage.reasoning_tokens = field_u64(details, "reasoning_tokens", 0);
}

/* ---- whole answers ---- */

static void tell_texts(struct stream *stream, struct slice item, const char *key,
                       void (*tell)(struct stream *, struct slice))
{
    struct json_member part;
    struct slice list;
    struct slice raw;
    size_t at = 0;

    if (!field_array(item, key, &list))
        return;
    while (json_next(list, &at, &part)) {
        if (part.kind == JSON_OBJECT && (field_text(part.value, "text", &raw) ||
                                         field_text(part.value, "refusal", &raw)))
            tell(stream, raw);
    }
}

static bool is_call(struct slice item)
{
    return field_is(item, "type", "function_call") ||
           field_is(item, "type", "custom_tool_call");
}

static void tell_item(struct stream *stream, struct slice item, bool with_reasoning)
{
    if (field_is(item, "type", "reasoning")) {
        if (!with_reasoning)
            return;
        tell_texts(stream, item, "summary", stream_tell_reasoning);
        tell_texts(stream, item, "content", stream_tell_reasoning);
    } else if (field_is(item, "type", "message")) {
        tell_texts(stream, item, "content", stream_tell_text);
    } else if (is_call(item)) {
        stream_tell_tool(stream, item);
    }
}

static void tell_output(struct stream *stream, struct slice response)
{
    struct json_member item;
    struct slice output;
    bool with_reasoning = !stream->came_reasoning;
    size_t at = 0;

    if (!field_array(response, "output", &output))
        return;
    while (json_next(output, &at, &item)) {
        if (item.kind == JSON_OBJECT)
            tell_item(stream, item.value, with_reasoning);
    }
}

/* ---- the end ---- */

static enum stream_finish finish_of(const struct stream *stream, struct slice response)
{
    struct slice details;

    if (field_object(response, "incomplete_details", &details)) {
        if (field_is(details, "reason", "content_filter"))
            return FINISH_CONTENT_FILTER;
        return FINISH_LENGTH;
    }
    if (field_is(response, "status", "incomplete"))
        return FINISH_LENGTH;
    return stream->has_tool && !stream->has_text ? FINISH_TOOL_CALLS : FINISH_STOP;
}

/* Servers that send no deltas have told nothing until here. */
static void complete(struct stream *stream, struct slice response)
{
    if (!stream->came_text && !stream->has_tool)
        tell_output(stream, response);
    take_usage(stream, response);
    stream->finish = finish_of(stream, response);
    stream_tell_done(stream);
}

static void fail(struct stream *stream, struct slice response)
{
    struct slice error;

    take_usage(stream, response);
    if (field_object(response, "error", &error))
        stream_fail_with(stream, error);
    else
        stream_fail(stream, FAILURE_SERVER, "the response failed without a reason");
}

/* ---- events ---- */

static void take_delta(struct stream *stream, struct slice event)
{
    struct slice raw;

    if (!field_text(event, "delta", &raw))
        return;
    stream->part_is_told = true;
    stream_tell_text(stream, raw);
}

/* The whole part once more; news only when it came without deltas. */
static void take_part(struct stream *stream, struct slice event)
{
    struct slice raw;

    if (!stream->part_is_told &&
        (field_text(event, "text", &raw) || field_text(event, "refusal", &raw)))
        stream_tell_text(stream, raw);
    stream->part_is_told = false;
}

static void take_reasoning(struct stream *stream, struct slice event)
{
    struct slice raw;

    if (field_text(event, "delta", &raw))
        stream_tell_reasoning(stream, raw);
}

/* Parts of a summary are paragraphs. */
static void take_summary_part(struct stream *stream, struct slice event)
{
    if (field_u64(event, "summary_index", 0) > 0)
        stream_tell_reasoning(stream, slice_of("\\n\\n"));
}

static void take_tool(struct stream *stream, struct slice event)
{
    stream_tell_tool(stream, event);
}

static void take_item(struct stream *stream, struct slice event)
{
    struct slice item;

    if (field_object(event, "item", &item) && is_call(item))
        stream_tell_tool(stream, event);
}

static void take_model(struct stream *stream, struct slice event)
{
    struct slice response;
    struct slice raw;

    if (field_object(event, "response", &response) &&
        field_text(response, "model", &raw))
        stream_tell_model(stream, raw);
}

static void take_completed(struct stream *stream, struct slice event)
{
    struct slice response;

    take_model(stream, event);
    if (!field_object(event, "response", &response))
        response = slice_of("{}");
    complete(stream, response);
}

static void take_incomplete(struct stream *stream, struct slice event)
{
    struct slice response;

    if (!field_object(event, "response", &response))
        response = slice_of("{\"status\":\"incomplete\"}");
    complete(stream, response);
}

static void take_failed(struct stream *stream, struct slice event)
{
    struct slice response;

    if (!field_object(event, "response", &response))
        response = slice_of("{}");
    fail(stream, response);
}

/* {"type":"error","code","message"}, or with these in a member of its own. */
static void take_error(struct stream *stream, struct slice event)
{
    struct slice error;

    stream_fail_with(stream, field_object(event, "error", &error) ? error : event);
}

static const struct {
    const char *type;
    void (*take)(struct stream *stream, struct slice event);
} events[] = {
    {"response.output_text.delta", take_delta},
    {"response.refusal.delta", take_delta},
    {"response.output_text.done", take_part},
    {"response.refusal.done", take_part},
    {"response.reasoning_summary_text.delta", take_reasoning},
    {"response.reasoning_text.delta", take_reasoning},
    {"response.reasoning_summary_part.added", take_summary_part},
    {"response.function_call_arguments.delta", take_tool},
    {"response.custom_tool_call_input.delta", take_tool},
    {"response.output_item.added", take_item},
    {"response.created", take_model},
    {"response.in_progress", take_model},
    {"response.completed", take_completed},
    {"response.incomplete", take_incomplete},
    {"response.failed", take_failed},
    {"response.cancelled", take_failed},
    {"error", take_error},
};

void stream_responses_event(struct stream *stream, struct slice name,
                            struct slice object)
{
    struct slice type;
    struct slice choices;

    if (!field_text(object, "type", &type)) {
        type = name; /* "message" when there is none: unknown */
        if (stream_fail_if_error(stream, object))
            return;
        if (field_array(object, "choices", &choices)) {
            stream_fail(stream, FAILURE_MALFORMED, "chat chunks instead of responses");
            return;
        }
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
        if (json_raw_is(type, events[i].type)) {
            events[i].take(stream, object);
            return;
        }
    }
}

void stream_responses_answer(struct stream *stream, struct slice object)
{
    struct slice raw;

    if (!field_array(object, "output", &raw)) {
        stream_fail(stream, FAILURE_MALFORMED, "a response without output");
        return;
    }
    if (field_text(object, "model", &raw))
        stream_tell_model(stream, raw);
    if (field_is(object, "status", "failed") || field_is(object, "status", "cancelled"))
        fail(stream, object);
    else
        complete(stream, object);
}
