/* redis_event.c - what stands in a stream or on a live channel, read with care. */
/* SPDX-License-Identifier: MIT */
#include "bus/redis_inside.h"
#include "codec/json.h"

/* "~" and what Frappe's channel brought: any JSON, never looked into but for its type. */
static bool read_opaque(struct slice json, struct buf *scratch,
                        struct topic_event *event)
{
    struct event view = {0};

    if (!json_check(json))
        return false;
    if (memchr(json.ptr, '\n', json.len) != NULL) {
        buf_reset(scratch);
        json_minify(scratch, json);
        json = buf_view(scratch);
    }
    event->lacks_id = event_view(json, &view) && !view.has_id;
    event->type = view.type;
    event->is_opaque = true;
    event->body = json;
    return !scratch->failed;
}

bool bus_event_read(struct event_id id, struct slice json, struct buf *scratch,
                    struct topic_event *event)
{
    struct event checked;
    const char *field;

    *event = (struct topic_event){.id = id};
    if (json.len > 1 && json.ptr[0] == '~')
        return read_opaque(slice_make(json.ptr + 1, json.len - 1), scratch, event);
    if (json.len == 0 || event_check(json, &checked, &field) != EVENT_OK ||
        checked.has_id)
        return false;
    if (memchr(json.ptr, '\n', json.len) != NULL) {
        /* Somebody wrote it by hand: on one line it may go anywhere. */
        buf_reset(scratch);
        json_minify(scratch, json);
        if (event_check(buf_view(scratch), &checked, &field) != EVENT_OK)
            return false;
    }
    *event = (struct topic_event){
        .id = id,
        .type = checked.type,
        .is_delta = checked.is_delta,
        .body = checked.json,
        .text = checked.is_delta ? checked.text : slice_make(NULL, 0),
        .timestamp = checked.timestamp,
    };
    return true;
}

void bus_event_unreadable(const struct topic *topic, struct event_id id,
                          struct buf *scratch, struct topic_event *event)
{
    buf_reset(scratch);
    buf_puts(scratch, "{\"task_id\":\"");
    buf_slice(scratch, topic_name(topic));
    buf_puts(scratch, "\",\"type\":\"unreadable\"}");
    *event = (struct topic_event){.id = id, .body = buf_view(scratch)};
}

bool bus_payload_split(struct slice payload, struct event_id *id, struct slice *json)
{
    const char *blank = payload.len == 0 ? NULL : memchr(payload.ptr, ' ', payload.len);

    if (blank == NULL)
        return false;
    size_t len = (size_t)(blank - payload.ptr);
    *json = slice_make(blank + 1, payload.len - len - 1);
    return event_id_parse(slice_make(payload.ptr, len), id) && !id->is_local &&
           id->epoch != 0;
}

bool bus_note_read(struct slice json, struct bus_note *note)
{
    enum json_kind kind;
    struct slice object;
    struct json_member member;

    *note = (struct bus_note){.state = RUN_RUNNING};
    if (!json_check(json) || json_scan(json, &kind, &object) < 0 ||
        kind != JSON_OBJECT || !json_get(object, "type", &member) ||
        member.kind != JSON_STRING)
        return false;
    note->is_opened = slice_is(json_string_raw(member.value), "opened");
    note->is_erased = slice_is(json_string_raw(member.value), "erased");
    if (json_get(object, "state", &member) && member.kind == JSON_STRING &&
        slice_is(json_string_raw(member.value), "queued"))
        note->state = RUN_QUEUED;
    if (json_get(object, "started_at", &member))
        (void)json_u64(member.value, &note->started_ms);
    if (json_get(object, "keeps_text", &member))
        note->keeps_text = member.kind == JSON_TRUE;
    if (json_get(object, "rewritten", &member))
        note->is_rewritten = member.kind == JSON_TRUE;
    if (json_get(object, "opaque", &member))
        note->is_opaque = member.kind == JSON_TRUE;
    return note->is_opened || note->is_erased;
}
