/* telemetry.c - POST /v1/telemetry: what clients saw their users do. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "api/submit.h"
#include "codec/json.h"

/*
 * {"event":"gen.continue_clicked","data":{"continuation_length":120},
 *  "metadata":{"ux_schema":"v1","conversation_id":"c1"}}
 *
 * Everything that is kept is named here, so that nothing a user said can come in: members the
 * schema does not have are refused. The answer does not wait for the disk, and is the same
 * when nothing is kept.
 */
#define MINUTE_MS  UINT64_C(60000)
#define NAME_BYTES 128
#define ROW_BYTES  8192

enum member_kind { MEMBER_COUNT, MEMBER_NAME, MEMBER_TASK, MEMBER_SCHEMA };

struct member_rule {
    const char *name;
    const char *path; /* as an error names it */
    enum member_kind kind;
};

static const struct member_rule data_rules[] = {
    {"continuation_length", "data.continuation_length", MEMBER_COUNT},
    {"partial_length", "data.partial_length", MEMBER_COUNT},
};
static const struct member_rule metadata_rules[] = {
    {"ux_schema", "metadata.ux_schema", MEMBER_SCHEMA},
    {"conversation_id", "metadata.conversation_id", MEMBER_NAME},
    {"task_id", "metadata.task_id", MEMBER_TASK},
};
#define RULES(table) (table), sizeof(table) / sizeof((table)[0])

/* `needs` is the member of data without which the event says nothing. */
static const struct client_event {
    const char *name;
    const char *label;
    const char *needs;
    const char *needs_path;
} client_events[API_CLIENT_EVENTS] = {
    {"gen.stop_clicked", "event=\"gen.stop_clicked\"", NULL, NULL},
    {"gen.continue_clicked", "event=\"gen.continue_clicked\"", "continuation_length",
     "data.continuation_length"},
};

static bool wrong(struct api_fault *fault, const char *field, const char *message)
{
    api_fault_set(fault, 422, "INVALID_VALUE", field, message);
    return false;
}

/* ---- members ---- */

static bool is_short_name(struct slice raw)
{
    struct buf text;
    bool is_good;

    buf_init(&text, NAME_BYTES);
    is_good = json_unescape(&text, raw);
    for (size_t i = 0; i < text.len; i++)
        is_good = is_good && (unsigned char)text.data[i] >= 0x20;
    buf_release(&text);
    return is_good;
}

static bool judge_member(const struct member_rule *rule,
                         const struct json_member *member, struct api_fault *fault)
{
    bool is_text = member->kind == JSON_STRING;
    struct slice raw = is_text ? json_string_raw(member->value) : slice_make(NULL, 0);
    uint64_t number;

    switch (rule->kind) {
    case MEMBER_COUNT:
        return (member->kind == JSON_NUMBER && json_u64(member->value, &number)) ||
               wrong(fault, rule->path, "this is a whole number from 0 on");
    case MEMBER_NAME:
        return (is_text && is_short_name(raw)) ||
               wrong(fault, rule->path, "this is a string of at most 128 bytes");
    case MEMBER_TASK:
        return (is_text && task_id_is_native(raw)) ||
               wrong(fault, rule->path, "a task id is 1 to 128 of A-Z a-z 0-9 . _ : -");
    case MEMBER_SCHEMA:
        return (is_text && json_raw_is(raw, "v1")) ||
               wrong(fault, rule->path, "the schema is v1");
    }
    return false;
}

static const struct member_rule *rule_of(const struct member_rule *rules, size_t count,
                                         struct slice key)
{
    for (size_t i = 0; i < count; i++) {
        if (json_raw_is(key, rules[i].name))
            return &rules[i];
    }
    return NULL;
}

/* The object `name` of the body, checked, is appended to `out` as it will be kept. */
struct part {
    const char *name;
    const struct member_rule *rules;
    size_t count;
};

static bool take_part(struct slice body, const struct part *part, struct buf *out,
                      struct api_fault *fault)
{
    struct json_member object;
    struct json_member member;
    bool is_first = true;
    size_t at = 0;

    if (!json_get(body, part->name, &object) || object.kind != JSON_OBJECT)
        return wrong(fault, part->name, "this is an object");
    (void)buf_printf(out, ",\"%s\":{", part->name);
    while (json_next(object.value, &at, &member)) {
        const struct member_rule *rule = rule_of(part->rules, part->count, member.key);
        if (rule == NULL)
            return wrong(fault, part->name, "the schema v1 has no such member in it");
        if (member.kind == JSON_NULL)
            continue; /* as absent */
        if (!judge_member(rule, &member, fault))
            return false;
        (void)buf_printf(out, "%s\"%s\":", is_first ? "" : ",", rule->name);
        (void)buf_slice(out, member.value);
        is_first = false;
    }
    (void)buf_putc(out, '}');
    return true;
}

/* ---- the event ---- */

static const struct client_event *event_of(struct slice body, struct api_fault *fault)
{
    struct json_member member;

    if (json_get(body, "event", &member) && member.kind == JSON_STRING) {
        for (size_t i = 0; i < API_CLIENT_EVENTS; i++) {
            if (json_raw_is(json_string_raw(member.value), client_events[i].name))
                return &client_events[i];
        }
    }
    (void)wrong(fault, "event", "an event is gen.stop_clicked or gen.continue_clicked");
    return NULL;
}

static bool has_needed(struct slice body, const struct client_event *event,
                       struct api_fault *fault)
{
    struct json_member data;
    struct json_member member;

    return event->needs == NULL ||
           (json_get(body, "data", &data) &&
            json_get(data.value, event->needs, &member) && member.kind != JSON_NULL) ||
           wrong(fault, event->needs_path, "this is needed");
}

static bool has_schema(struct slice body, struct api_fault *fault)
{
    struct json_member metadata;
    struct json_member member;

    return (json_get(body, "metadata", &metadata) &&
            json_get(metadata.value, "ux_schema", &member) &&
            member.kind == JSON_STRING) ||
           wrong(fault, "metadata.ux_schema", "the schema is v1");
}

static bool has_only_known(struct slice body, struct api_fault *fault)
{
    struct json_member member;
    size_t at = 0;

    while (json_next(body, &at, &member)) {
        if (!json_raw_is(member.key, "event") && !json_raw_is(member.key, "data") &&
            !json_raw_is(member.key, "metadata"))
            return wrong(fault, "body", "an event has event, data and metadata");
    }
    return true;
}

static const struct client_event *read_event(struct slice json, struct buf *out,
                                             struct api_fault *fault)
{
    static const struct part data = {"data", RULES(data_rules)};
    static const struct part metadata = {"metadata", RULES(metadata_rules)};
    const struct client_event *event;
    enum json_kind kind = JSON_NULL;
    struct slice body;

    if (!json_check(json) || json_scan(json, &kind, &body) < 0 || kind != JSON_OBJECT) {
        api_fault_set(fault, 400, "MALFORMED_JSON", "body",
                      "the body is not a JSON object");
        return NULL;
    }
    event = event_of(body, fault);
    if (event == NULL || !has_only_known(body, fault) ||
        !take_part(body, &data, out, fault) ||
        !take_part(body, &metadata, out, fault) || !has_needed(body, event, fault) ||
        !has_schema(body, fault))
        return NULL;
    return event;
}

/* ---- how many ---- */

/* One bucket for all: what is bounded is the disk, not a client. */
static bool has_token(struct api *api)
{
    uint64_t now = loop_now_ms(api->loop);
    uint64_t most = api->options.telemetry_per_minute * MINUTE_MS;
    uint64_t since = now - api->client_filled_ms;

    api->client_filled_ms = now;
    if (since >= MINUTE_MS)
        api->client_tokens = most;
    else
        api->client_tokens += since * api->options.telemetry_per_minute;
    if (api->client_tokens > most)
        api->client_tokens = most;
    if (api->client_tokens < MINUTE_MS)
        return false;
    api->client_tokens -= MINUTE_MS;
    return true;
}

static void throttle(struct api *api, struct http_exchange *x)
{
    counter_add(api->client_throttled, 1);
    http_respond(x, 429, JSON_HEADERS "retry-after: 60\r\n",
                 slice_of("{\"error\":{\"code\":\"TOO_MANY\",\"message\":\"more events "
                          "than are taken in a minute\"}}"));
}

static void keep(struct api *api, const struct http_exchange *x,
                 const struct client_event *event, struct slice said)
{
    struct buf payload;

    counter_add(api->client_events[event - client_events], 1);
    if (api->options.telemetry == NULL)
        return;
    buf_init(&payload, ROW_BYTES + said.len);
    (void)buf_puts(&payload, "{\"request_id\":");
    (void)json_quote(&payload, x->request->id);
    (void)buf_slice(&payload, said);
    (void)buf_putc(&payload, '}');
    if (!payload.failed)
        telemetry_row(api->options.telemetry, event->name, buf_view(&payload));
    buf_release(&payload);
}

void api_telemetry(struct api *api, struct http_exchange *x)
{
    const struct client_event *event;
    struct api_fault fault = {0};
    struct buf said;

    if (!api_has_only(x, HTTP_POST) || !api_may_write(api, x))
        return;
    buf_init(&said, x->request->body.len + ROW_BYTES);
    event = read_event(x->request->body, &said, &fault);
    if (event == NULL) {
        counter_add(api->client_refused, 1);
        api_fault_respond(&fault, x);
    } else if (!has_token(api)) {
        throttle(api, x);
    } else {
        keep(api, x, event, buf_view(&said));
        http_respond(x, 204, "", (struct slice){0});
    }
    buf_release(&said);
}

void api_telemetry_init(struct api *api, struct counters *counters)
{
    for (size_t i = 0; i < API_CLIENT_EVENTS; i++)
        api->client_events[i] =
            counters_add(counters, COUNTER_TOTAL, "client_events_total",
                         client_events[i].label, "Events that clients left");
    api->client_refused =
        counters_add(counters, COUNTER_TOTAL, "client_events_refused_total",
                     "reason=\"malformed\"", "Events of clients that were not taken");
    api->client_throttled =
        counters_add(counters, COUNTER_TOTAL, "client_events_refused_total",
                     "reason=\"too many\"", "Events of clients that were not taken");
    api->client_filled_ms = loop_now_ms(api->loop);
    api->client_tokens = api->options.telemetry_per_minute * MINUTE_MS;
}
