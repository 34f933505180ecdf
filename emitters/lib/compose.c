/* compose.c - the JSON of what an emitter publishes. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/emitter_inside.h"

#include "codec/json.h"

static void put_names(struct buf *out, struct slice task_id, const char *at)
{
    buf_puts(out, ",\"task_id\":\"");
    buf_slice(out, task_id);
    buf_puts(out, "\",\"timestamp\":\"");
    buf_puts(out, at);
    buf_puts(out, "\"}");
}

void compose_delta(struct buf *out, const struct item *item, struct slice task_id)
{
    buf_puts(out, "{\"type\":\"");
    buf_puts(out, event_type_name(item->type));
    buf_puts(out, "\",\"text\":\"");
    buf_slice(out, buf_view(&item->body));
    buf_puts(out, "\",\"partial\":true");
    put_names(out, task_id, item->at);
}

void compose_event(struct buf *out, const struct event *event, struct slice task_id,
                   const char *at)
{
    struct json_member m;
    bool is_first = true;
    buf_putc(out, '{');
    for (size_t from = 0; json_next(event->json, &from, &m);) {
        if (slice_is(m.key, "id"))
            continue;
        buf_puts(out, is_first ? "\"" : ",\"");
        is_first = false;
        buf_slice(out, m.key);
        buf_puts(out, "\":");
        json_minify(out, m.value);
    }
    if (event->task_id.ptr == NULL) {
        buf_puts(out, ",\"task_id\":\"");
        buf_slice(out, task_id);
        buf_putc(out, '"');
    }
    if (event->timestamp.ptr == NULL) {
        buf_puts(out, ",\"timestamp\":\"");
        buf_puts(out, at);
        buf_putc(out, '"');
    }
    buf_putc(out, '}');
}

void compose_completion(struct buf *out, const struct emitter *emitter, const char *at,
                        bool without_share)
{
    buf_puts(out, "{\"type\":\"completion\",\"text\":");
    json_quote(out, spoken_all(&emitter->text));
    buf_puts(out, ",\"reasoning\":");
    json_quote(out, spoken_all(&emitter->reasoning));
    if (!without_share) {
        buf_puts(out, ",\"run_text\":");
        json_quote(out, spoken_share(&emitter->text));
    }
    buf_slice(out, buf_view(&emitter->end_members));
    buf_puts(out, ",\"partial\":false");
    put_names(out, emitter->options.task.task_id, at);
}

void compose_error(struct buf *out, const char *code, struct slice message,
                   struct slice task_id, const char *at)
{
    buf_puts(out, "{\"type\":\"error\",\"code\":");
    json_quote(out, slice_of(code));
    buf_puts(out, ",\"message\":");
    json_quote(out, message);
    buf_puts(out, ",\"partial\":false");
    put_names(out, task_id, at);
}

void compose_stopped(struct buf *out, const struct emitter *emitter, size_t length,
                     const char *at)
{
    buf_printf(out, "{\"type\":\"stopped\",\"length\":%zu", length);
    buf_slice(out, buf_view(&emitter->end_members));
    buf_puts(out, ",\"partial\":false");
    put_names(out, emitter->options.task.task_id, at);
}

bool is_plain_delta(const struct event *event)
{
    struct json_member m;
    static const char *const plain[] = {"type",    "text",      "partial",
                                        "task_id", "timestamp", "id"};
    if (!event->is_delta)
        return false;
    for (size_t from = 0; json_next(event->json, &from, &m);) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
            is_known = is_known || slice_is(m.key, plain[i]);
        if (!is_known)
            return false;
    }
    return true;
}
