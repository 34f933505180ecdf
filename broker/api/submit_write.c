/* submit_write.c - the request that is kept with a run, as the worker reads it. */
/* SPDX-License-Identifier: MIT */
#include "api/submit_inside.h"
#include "codec/json.h"

/* Members of an object, one after the other. */
static void put_name(struct buf *out, const char *name)
{
    (void)buf_printf(out, "%s\"%s\":", out->len == 0 ? "{" : ",", name);
}

static void put_text(struct buf *out, const char *name, struct slice utf8)
{
    if (utf8.len == 0)
        return;
    put_name(out, name);
    (void)json_quote(out, utf8);
}

static void put_raw(struct buf *out, const char *name, struct slice json)
{
    if (json.len == 0)
        return;
    put_name(out, name);
    (void)buf_slice(out, json);
}

static void put_settings(const struct submission *s, struct buf *out)
{
    put_text(out, "model", s->model);
    put_text(out, "mode", s->mode);
    put_raw(out, "max_tokens", s->max_tokens);
    put_raw(out, "temperature", s->temperature);
    put_raw(out, "options", s->options);
    put_text(out, "conversation_id", s->conversation_id);
    put_text(out, "request_id", s->request_id);
    put_text(out, "user", s->user);
    put_text(out, "scenario", s->scenario);
    put_raw(out, "memory", slice_of(s->uses_memory ? "true" : ""));
    put_raw(out, "live", slice_of(s->is_live ? "true" : ""));
}

void submission_write(const struct submission *s, struct buf *out)
{
    if (s->messages.len > 0) {
        put_raw(out, "messages", s->messages);
    } else {
        put_name(out, "messages");
        (void)buf_puts(out, "[{\"role\":\"user\",\"content\":");
        (void)json_quote(out, s->message);
        (void)buf_puts(out, "}]");
    }
    put_text(out, "partial", s->partial);
    put_settings(s, out);
    (void)buf_putc(out, '}');
}

/* What belongs to one request, not to the conversation. */
static bool is_of_one_request(struct slice key)
{
    return slice_is(key, "request_id") || slice_is(key, "live") ||
           slice_is(key, "memory") || slice_is(key, "scenario");
}

void submission_write_changes(const struct submission *s, struct buf *out)
{
    put_settings(s, out);
    if (out->len > 0)
        (void)buf_putc(out, '}');
}

static void put_member(struct buf *out, const struct json_member *member)
{
    (void)buf_puts(out, out->len == 0 ? "{\"" : ",\"");
    (void)buf_slice(out, member->key);
    (void)buf_puts(out, "\":");
    (void)buf_slice(out, member->value);
}

void submission_write_continue(const struct bus_kept *kept, struct slice changes,
                               struct buf *out)
{
    struct json_member member;
    size_t at = 0;

    while (json_next(kept->request, &at, &member)) {
        if (!is_of_one_request(member.key) && !json_has_raw(changes, member.key))
            put_member(out, &member);
    }
    at = 0;
    while (json_next(changes, &at, &member))
        put_member(out, &member);
    (void)buf_puts(out, out->len == 0 ? "{}" : "}");
}
