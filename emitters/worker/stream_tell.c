/* stream_tell.c - values, as the three protocols of the stream parser tell them. */
/* SPDX-License-Identifier: MIT */
#include "stream_inside.h"

/* The escape that ends `raw` and is the first half of a surrogate pair, or nothing. */
static size_t half_at_end(struct slice raw)
{
    if (raw.len < HALF_LENGTH)
        return 0;
    const char *escape = raw.ptr + raw.len - HALF_LENGTH;
    size_t before = 0; /* backslashes: an odd number takes ours for itself */
    if (escape[0] != '\\' || escape[1] != 'u' || (escape[2] | 0x20) != 'd' ||
        strchr("89abAB", escape[3]) == NULL)
        return 0;
    while (escape > raw.ptr + before && escape[-(ptrdiff_t)before - 1] == '\\')
        before++;
    return before % 2 == 0 ? HALF_LENGTH : 0;
}

/* A delta as text in stream->text; a half character waits for its other half. */
static struct slice unescape(struct stream *stream, struct stream_half *half,
                             struct slice raw)
{
    struct buf *text = &stream->text;
    struct buf joined;
    size_t kept = half_at_end(raw);

    buf_reset(text);
    if (half->is_set && raw.len > 0) {
        size_t first = raw.len < HALF_LENGTH ? 0 : HALF_LENGTH;
        buf_init(&joined, 2 * (size_t)HALF_LENGTH);
        buf_append(&joined, half->raw, HALF_LENGTH);
        half->is_set = false;
        /* Only an escape can be the other half; anything else stands for itself. */
        if (first > 0 && raw.ptr[0] == '\\' && raw.ptr[1] == 'u' &&
            kept + first <= raw.len) {
            buf_append(&joined, raw.ptr, first);
            raw = slice_make(raw.ptr + first, raw.len - first);
        }
        json_unescape(text, buf_view(&joined));
        buf_release(&joined);
    }
    if (kept > 0) {
        raw.len -= kept;
        memcpy(half->raw, raw.ptr + raw.len, HALF_LENGTH);
        half->is_set = true;
    }
    json_unescape(text, raw);
    return buf_view(text);
}

static void tell_reasoning(struct stream *stream, struct slice text)
{
    struct stream_value value = {.kind = STREAM_REASONING, .text = text};

    if (text.len == 0)
        return;
    stream->has_token = true;
    stream->on_value(stream->ctx, &value);
}

void stream_tell_reasoning(struct stream *stream, struct slice raw)
{
    stream->came_reasoning = stream->came_reasoning || raw.len > 0;
    tell_reasoning(stream, unescape(stream, &stream->halves[0], raw));
}

void stream_tell_text(struct stream *stream, struct slice raw)
{
    stream->came_text = stream->came_text || raw.len > 0;
    think_feed(&stream->think, unescape(stream, &stream->halves[1], raw));
}

void stream_tell_tool(struct stream *stream, struct slice json)
{
    struct stream_value value = {.kind = STREAM_TOOL, .text = json};

    stream->has_tool = true;
    stream->has_token = true;
    stream->on_value(stream->ctx, &value);
}

void stream_tell_model(struct stream *stream, struct slice raw)
{
    struct stream_value value = {.kind = STREAM_MODEL};

    if (stream->has_model)
        return;
    stream->has_model = true;
    buf_reset(&stream->text);
    json_unescape(&stream->text, raw);
    value.text = buf_view(&stream->text);
    stream->on_value(stream->ctx, &value);
}

/* What was held back until it was clear what it is. */
static void tell_held(struct stream *stream)
{
    static const char replacement[] = "\xef\xbf\xbd";
    struct slice lost = slice_of(replacement);

    if (stream->halves[0].is_set)
        tell_reasoning(stream, lost);
    if (stream->halves[1].is_set)
        think_feed(&stream->think, lost);
    think_end(&stream->think);
}

static void tell_usage(struct stream *stream)
{
    struct stream_value value = {.kind = STREAM_USAGE, .usage = stream->usage};

    if (stream->has_usage)
        stream->on_value(stream->ctx, &value);
}

void stream_tell_done(struct stream *stream)
{
    struct stream_value value = {.kind = STREAM_DONE, .finish = stream->finish};

    tell_held(stream);
    tell_usage(stream);
    stream->is_over = true;
    stream->on_value(stream->ctx, &value);
}

/* Ends the stream with stream->failure. */
static void tell_failure(struct stream *stream)
{
    struct stream_value value = {.kind = STREAM_FAILED, .failure = &stream->failure};

    if (stream->is_over)
        return;
    tell_held(stream);
    tell_usage(stream);
    stream->is_over = true;
    stream->on_value(stream->ctx, &value);
}

void stream_fail(struct stream *stream, enum failure_class class, const char *message)
{
    if (stream->is_over)
        return;
    failure_set(&stream->failure, class, message);
    tell_failure(stream);
}

void stream_fail_with(struct stream *stream, struct slice error)
{
    if (stream->is_over)
        return;
    failure_of_error(&stream->failure, stream->api, 0, error);
    tell_failure(stream);
}

bool stream_fail_if_error(struct stream *stream, struct slice object)
{
    struct json_member member;

    if (field_is(object, "object", "error")) {
        stream_fail_with(stream, object);
        return true;
    }
    if (!json_get(object, "error", &member))
        return false;
    if (member.kind == JSON_NULL || member.kind == JSON_FALSE ||
        slice_is(member.value, "\"\"") || slice_is(member.value, "{}"))
        return false;
    stream_fail_with(stream, member.value);
    return true;
}

/* ---- content in parts ---- */

/* {"type":"thinking","thinking":[{"type":"text","text":..}]}, or with a string. */
static void tell_thinking(struct stream *stream, struct slice part)
{
    struct json_member item;
    struct slice list;
    struct slice raw;
    size_t at = 0;

    if (field_text(part, "thinking", &raw)) {
        stream_tell_reasoning(stream, raw);
        return;
    }
    if (!field_array(part, "thinking", &list))
        return;
    while (json_next(list, &at, &item)) {
        if (item.kind == JSON_OBJECT && field_text(item.value, "text", &raw))
            stream_tell_reasoning(stream, raw);
    }
}

static void tell_part(struct stream *stream, struct slice part)
{
    struct slice raw;

    if (field_is(part, "type", "thinking"))
        tell_thinking(stream, part);
    else if (field_is(part, "type", "tool_use"))
        stream_tell_tool(stream, part);
    else if (field_is(part, "type", "reasoning_text")) {
        if (field_text(part, "text", &raw))
            stream_tell_reasoning(stream, raw);
    } else if (field_text(part, "text", &raw) || field_text(part, "refusal", &raw))
        stream_tell_text(stream, raw);
}

void stream_tell_parts(struct stream *stream, struct slice parts)
{
    struct json_member item;
    size_t at = 0;

    while (json_next(parts, &at, &item)) {
        if (item.kind == JSON_OBJECT)
            tell_part(stream, item.value);
    }
}

void stream_tell_content(struct stream *stream, const struct json_member *content)
{
    if (content->kind == JSON_STRING)
        stream_tell_text(stream, json_string_raw(content->value));
    else if (content->kind == JSON_ARRAY)
        stream_tell_parts(stream, content->value);
}
