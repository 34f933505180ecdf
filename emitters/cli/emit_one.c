/* emit_one.c - thinkwire emit: one event from the arguments. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "emitters/cli/emit.h"

#define MEMBERS_LIMIT_BYTES (4U << 20)

static void put_member(struct buf *out, const char *name, struct slice text)
{
    buf_putc(out, out->len > 1 ? ',' : ' ');
    json_quote(out, slice_of(name));
    buf_putc(out, ':');
    json_quote(out, text);
}

/* A completion carries everything: what was given, or what the task has said so far. */
static bool put_completion(const struct emit *emit, struct buf *out)
{
    struct buf text;
    struct buf reasoning;
    bool good = true;
    buf_init(&text, MEMBERS_LIMIT_BYTES);
    buf_init(&reasoning, MEMBERS_LIMIT_BYTES);
    if (emit->has_words) {
        buf_slice(&text, buf_view(&emit->words));
    } else {
        good = known_text(emit, &text, &reasoning);
        put_member(out, "reasoning", buf_view(&reasoning));
    }
    put_member(out, "text", buf_view(&text));
    buf_puts(out, ",\"partial\":false");
    buf_release(&text);
    buf_release(&reasoning);
    return good;
}

/* What an event of this type carries, from the words of the command line. */
static bool put_words(const struct emit *emit, enum event_type type, struct buf *out)
{
    struct slice words = buf_view(&emit->words);
    switch (type) {
    case EVENT_COMPLETION:
        return put_completion(emit, out);
    case EVENT_REASONING:
    case EVENT_TEXT:
        put_member(out, "text", words);
        buf_puts(out, ",\"partial\":true");
        return true;
    case EVENT_ERROR:
        put_member(out, "code", slice_of(emit->options.code));
        put_member(out, "message", words);
        return true;
    case EVENT_STATUS:
        if (emit->has_words)
            put_member(out, "message", words);
        return true;
    case EVENT_OTHER:
    case EVENT_QUEUED:
    case EVENT_TOOL_CALL:
    case EVENT_TOOL_RESULT:
    case EVENT_USAGE:
    case EVENT_CONTINUE_STARTED:
    case EVENT_STOPPED:
        break;
    }
    if (emit->has_words)
        put_member(out, "text", words);
    return true;
}

static int publish(struct emit *emit, const char *type, struct buf *members)
{
    enum thinkwire_status status = thinkwire_event(emit->run, type, buf_text(members));
    if (status == THINKWIRE_INVALID)
        return tool_fail(
            "emit", TOOL_USAGE,
            "not an event the schema allows (schema/ai_progress.schema.json)");
    if (status != THINKWIRE_OK)
        return emit_status(emit, status);
    return emit_finish(emit);
}

/* The type a whole event names itself is cut out, as the library adds it. */
static void split_json(struct slice json, struct buf *type, struct buf *members)
{
    struct json_member m;
    bool is_given = type->len > 0;
    buf_putc(members, '{');
    for (size_t at = 0; json_next(json, &at, &m);) {
        if (!is_given && slice_is(m.key, "type") && m.kind == JSON_STRING) {
            json_unescape(type, json_string_raw(m.value));
            continue;
        }
        buf_puts(members, members->len > 1 ? ",\"" : "\"");
        buf_slice(members, m.key);
        buf_puts(members, "\":");
        buf_slice(members, m.value);
    }
    buf_putc(members, '}');
    if (type->len == 0)
        buf_puts(type, "text");
}

static int publish_json(struct emit *emit)
{
    struct slice json = slice_of(emit->options.json);
    struct slice object;
    enum json_kind kind;
    struct buf members;
    struct buf type;
    if (!json_check(json) || json_scan(json, &kind, &object) < 0 || kind != JSON_OBJECT)
        return tool_fail("emit", TOOL_USAGE, "--json is not a JSON object");
    buf_init(&members, MEMBERS_LIMIT_BYTES);
    buf_init(&type, EVENT_MAX_BYTES);
    buf_puts(&type, emit->options.type);
    split_json(object, &type, &members);
    int code = publish(emit, buf_text(&type), &members);
    buf_release(&members);
    buf_release(&type);
    return code;
}

int emit_one(struct emit *emit)
{
    const char *type = emit->options.type[0] != 0 ? emit->options.type : "text";
    struct buf members;
    int code = TOOL_UNREACHABLE;
    if (emit->options.json[0] != 0)
        return publish_json(emit);
    buf_init(&members, MEMBERS_LIMIT_BYTES);
    buf_putc(&members, '{');
    if (put_words(emit, event_type_of(slice_of(type)), &members)) {
        buf_putc(&members, '}');
        code = publish(emit, type, &members);
    }
    buf_release(&members);
    return code;
}
