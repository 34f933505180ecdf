/* event.c - the canonical event: strict and tolerant reading. */
/* SPDX-License-Identifier: MIT */
#include "schema/event.h"

#include "codec/json.h"
#include "schema/event_time.h"
#include "schema/run.h"

/* ---- types ---- */

static const char *const TYPE_NAMES[] = {
    [EVENT_OTHER] = NULL,
    [EVENT_REASONING] = "reasoning",
    [EVENT_TEXT] = "text",
    [EVENT_COMPLETION] = "completion",
    [EVENT_QUEUED] = "queued",
    [EVENT_STATUS] = "status",
    [EVENT_TOOL_CALL] = "tool_call",
    [EVENT_TOOL_RESULT] = "tool_result",
    [EVENT_USAGE] = "usage",
    [EVENT_CONTINUE_STARTED] = "continue_started",
    [EVENT_STOPPED] = "stopped",
    [EVENT_ERROR] = "error",
};
#define TYPE_COUNT (sizeof(TYPE_NAMES) / sizeof(TYPE_NAMES[0]))

enum event_type event_type_of(struct slice name)
{
    for (size_t i = EVENT_OTHER + 1; i < TYPE_COUNT; i++)
        if (slice_is(name, TYPE_NAMES[i]))
            return (enum event_type)i;
    return EVENT_OTHER;
}

const char *event_type_name(enum event_type type)
{
    return (size_t)type < TYPE_COUNT ? TYPE_NAMES[type] : NULL;
}

bool event_type_is_terminal(enum event_type type)
{
    return type == EVENT_COMPLETION || type == EVENT_STOPPED || type == EVENT_ERROR;
}

/* ---- values ----
 * Names (types, ids, codes, times) are compared and routed as raw bytes all over the house,
 * so they must be written plainly: an escape in them is refused, although it would name the
 * same string. JSON Schema cannot say this; tests/schema/events.json marks such rows. */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

static bool is_word(struct slice s, const char *more, size_t max)
{
    if (s.len == 0 || s.len > max)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_word_char(s.ptr[i]) && (s.ptr[i] == 0 || !strchr(more, s.ptr[i])))
            return false;
    return true;
}

static enum event_fault check_string(const struct json_member *m)
{
    return m->kind == JSON_STRING ? EVENT_OK : EVENT_BAD_TYPE;
}

/* Half a surrogate pair cannot be written as UTF-8: accumulated text would differ from what
 * live readers got. */
static bool has_half_pair(struct slice raw)
{
    bool wants_low = false;

    for (size_t i = 0; i < raw.len; i++) {
        bool is_escape = raw.ptr[i] == '\\' && i + 1 < raw.len;
        bool is_unit = is_escape && raw.ptr[i + 1] == 'u' && i + 3 < raw.len &&
                       (raw.ptr[i + 2] == 'd' || raw.ptr[i + 2] == 'D');
        bool is_low = is_unit && strchr("cdefCDEF", raw.ptr[i + 3]) != NULL;
        bool is_high = is_unit && strchr("89abAB", raw.ptr[i + 3]) != NULL;
        if (wants_low != is_low)
            return true;
        wants_low = is_high;
        if (is_escape)
            i += raw.ptr[i + 1] == 'u' ? 5 : 1;
    }
    return wants_low;
}

static enum event_fault check_text(const struct json_member *m)
{
    if (m->kind != JSON_STRING)
        return EVENT_BAD_TYPE;
    return has_half_pair(json_string_raw(m->value)) ? EVENT_BAD_VALUE : EVENT_OK;
}

static enum event_fault check_name(const struct json_member *m, bool good)
{
    if (m->kind != JSON_STRING)
        return EVENT_BAD_TYPE;
    return good ? EVENT_OK : EVENT_BAD_VALUE;
}

static struct slice inside(const struct json_member *m)
{
    return m->kind == JSON_STRING ? json_string_raw(m->value) : (struct slice){NULL, 0};
}

static enum event_fault check_type(const struct json_member *m)
{
    return check_name(m, is_word(inside(m), ":/", 64));
}

static enum event_fault check_task_id(const struct json_member *m)
{
    return check_name(m, task_id_is_native(inside(m)));
}

static enum event_fault check_code(const struct json_member *m)
{
    return check_name(m, is_word(inside(m), "", 64));
}

static enum event_fault check_timestamp(const struct json_member *m)
{
    return check_name(m, event_time_is_iso(inside(m)));
}

static enum event_fault check_id(const struct json_member *m)
{
    struct event_id id;
    return check_name(m, event_id_parse(inside(m), &id));
}

static enum event_fault check_bool(const struct json_member *m)
{
    bool good = m->kind == JSON_TRUE || m->kind == JSON_FALSE;
    return good ? EVENT_OK : EVENT_BAD_TYPE;
}

static enum event_fault check_false(const struct json_member *m)
{
    enum event_fault fault = check_bool(m);
    if (fault != EVENT_OK)
        return fault;
    return m->kind == JSON_FALSE ? EVENT_OK : EVENT_BAD_VALUE;
}

static enum event_fault check_count(const struct json_member *m)
{
    uint64_t number;
    if (m->kind != JSON_NUMBER)
        return EVENT_BAD_TYPE;
    return json_u64(m->value, &number) ? EVENT_OK : EVENT_BAD_VALUE;
}

static enum event_fault check_amount(const struct json_member *m)
{
    if (m->kind != JSON_NUMBER)
        return EVENT_BAD_TYPE;
    return m->value.ptr[0] == '-' ? EVENT_BAD_VALUE : EVENT_OK;
}

/* ---- the contract, one row per member ---- */

#define BIT(type) (1U << (type))
#define ALL       (~0U)
#define SPOKEN    (BIT(EVENT_REASONING) | BIT(EVENT_TEXT) | BIT(EVENT_COMPLETION))

/* The rows whose value event_check() hands out; they come first, in this order. */
enum member_index {
    MEMBER_TYPE,
    MEMBER_TASK_ID,
    MEMBER_TEXT,
    MEMBER_TIMESTAMP,
    MEMBER_ID,
    MEMBER_PARTIAL
};

struct member_rule {
    const char *name;
    enum event_fault (*check)(const struct json_member *);
    unsigned checked_in; /* for events of these types; elsewhere the member is free */
    unsigned needed_in;
};

static const struct member_rule RULES[] = {
    [MEMBER_TYPE] = {"type", check_type, ALL, ALL},
    [MEMBER_TASK_ID] = {"task_id", check_task_id, ALL, 0},
    [MEMBER_TEXT] = {"text", check_text, ALL, SPOKEN},
    [MEMBER_TIMESTAMP] = {"timestamp", check_timestamp, ALL, 0},
    [MEMBER_ID] = {"id", check_id, ALL, 0},
    [MEMBER_PARTIAL] = {"partial", check_bool, ALL, 0},
    {"partial", check_false, BIT(EVENT_COMPLETION), 0},
    {"merged", check_count, SPOKEN, 0},
    {"reasoning", check_text, BIT(EVENT_COMPLETION), 0},
    {"run_text", check_text, BIT(EVENT_COMPLETION), 0},
    {"code", check_code, BIT(EVENT_ERROR), BIT(EVENT_ERROR)},
    {"message", check_string, BIT(EVENT_ERROR) | BIT(EVENT_STATUS), BIT(EVENT_ERROR)},
    {"length", check_count, BIT(EVENT_STOPPED), 0},
    {"continuation_from_length", check_count, BIT(EVENT_CONTINUE_STARTED),
     BIT(EVENT_CONTINUE_STARTED)},
    {"tokens_in", check_count, BIT(EVENT_USAGE), 0},
    {"tokens_out", check_count, BIT(EVENT_USAGE), 0},
    {"cost_usd", check_amount, BIT(EVENT_USAGE), 0},
    {"model", check_string, BIT(EVENT_USAGE), 0},
};
#define RULE_COUNT (sizeof(RULES) / sizeof(RULES[0]))

/* A key may be written with escapes; those that decode to a name of ours count as it. */
static struct slice plain_key(struct slice raw, struct buf *scratch)
{
    if (raw.len == 0 || memchr(raw.ptr, '\\', raw.len) == NULL)
        return raw;
    buf_reset(scratch);
    if (!json_unescape(scratch, raw))
        return raw;
    return buf_view(scratch);
}

struct reading {
    struct json_member found[RULE_COUNT];
    unsigned seen; /* a bit per rule */
};

static enum event_fault read_member(struct reading *r, const struct json_member *m,
                                    struct slice key, const char **field)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (!slice_is(key, RULES[i].name))
            continue;
        *field = RULES[i].name;
        /* Readers differ on which of two equal members counts. */
        if (r->seen & (1U << i))
            return EVENT_BAD_VALUE;
        r->seen |= 1U << i;
        r->found[i] = *m;
    }
    return EVENT_OK;
}

static enum event_fault read_members(struct slice object, struct reading *r,
                                     const char **field)
{
    enum event_fault fault = EVENT_OK;
    struct json_member m;
    struct buf scratch;
    buf_init(&scratch, 64);
    for (size_t at = 0; fault == EVENT_OK && json_next(object, &at, &m);)
        fault = read_member(r, &m, plain_key(m.key, &scratch), field);
    buf_release(&scratch);
    return fault;
}

static enum event_fault apply_rules(const struct reading *r, unsigned type,
                                    const char **field)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        *field = RULES[i].name;
        if (!(r->seen & (1U << i))) {
            if (RULES[i].needed_in & type)
                return EVENT_MISSING;
            continue;
        }
        if (!(RULES[i].checked_in & type))
            continue;
        enum event_fault fault = RULES[i].check(&r->found[i]);
        if (fault != EVENT_OK)
            return fault;
    }
    *field = NULL;
    return EVENT_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* `json` was checked: without the blanks around it, it is one value. */
static bool as_object(struct slice json, struct slice *object)
{
    while (is_blank(json.ptr[0]))
        json = slice_make(json.ptr + 1, json.len - 1);
    while (is_blank(json.ptr[json.len - 1]))
        json.len--;
    *object = json;
    return json.ptr[0] == '{';
}

static void fill(struct event *event, const struct reading *r)
{
    event->type_name = inside(&r->found[MEMBER_TYPE]);
    event->type = event_type_of(event->type_name);
    event->task_id = inside(&r->found[MEMBER_TASK_ID]);
    event->text = inside(&r->found[MEMBER_TEXT]);
    event->timestamp = inside(&r->found[MEMBER_TIMESTAMP]);
    event->has_id = (r->seen & (1U << MEMBER_ID)) != 0;
}

enum event_fault event_check(struct slice json, struct event *event, const char **field)
{
    struct reading r = {.seen = 0};
    *event = (struct event){.type = EVENT_OTHER};
    *field = NULL;
    if (json.len > EVENT_MAX_BYTES)
        return EVENT_TOO_LARGE;
    if (!json_check(json))
        return EVENT_NOT_JSON;
    if (!as_object(json, &event->json))
        return EVENT_NOT_OBJECT;
    enum event_fault fault = read_members(event->json, &r, field);
    if (fault != EVENT_OK)
        return fault;
    fill(event, &r);
    fault = apply_rules(&r, BIT(event->type), field);
    bool speaks = event->type == EVENT_REASONING || event->type == EVENT_TEXT;
    event->is_delta = fault == EVENT_OK && speaks &&
                      r.found[MEMBER_PARTIAL].kind == JSON_TRUE &&
                      (r.seen & (1U << MEMBER_PARTIAL)) != 0;
    return fault;
}

static struct slice picked_text(const struct json_pick *pick)
{
    return pick->is_there ? inside(&pick->member) : (struct slice){NULL, 0};
}

bool event_view(struct slice json, struct event *event)
{
    enum { TYPE, TASK_ID, TEXT, TIMESTAMP, ID, COUNT };
    struct json_pick picks[COUNT] = {[TYPE].name = "type",
                                     [TASK_ID].name = "task_id",
                                     [TEXT].name = "text",
                                     [TIMESTAMP].name = "timestamp",
                                     [ID].name = "id"};
    enum json_kind kind;
    *event = (struct event){.type = EVENT_OTHER};
    if (!json_pick(json, &kind, picks, COUNT) || kind != JSON_OBJECT)
        return false;
    (void)as_object(json, &event->json);
    event->type_name = picked_text(&picks[TYPE]);
    event->type = event_type_of(event->type_name);
    event->task_id = picked_text(&picks[TASK_ID]);
    event->text = picked_text(&picks[TEXT]);
    event->timestamp = picked_text(&picks[TIMESTAMP]);
    event->has_id = picks[ID].is_there;
    return true;
}

const char *event_fault_text(enum event_fault fault)
{
    switch (fault) {
    case EVENT_OK:
        return "good";
    case EVENT_NOT_JSON:
        return "not valid JSON in UTF-8";
    case EVENT_NOT_OBJECT:
        return "not a JSON object";
    case EVENT_MISSING:
        return "a required member is missing";
    case EVENT_BAD_TYPE:
        return "a member has the wrong JSON type";
    case EVENT_BAD_VALUE:
        return "a member has a value that is not allowed, or stands twice";
    case EVENT_TOO_LARGE:
        return "larger than an event may be";
    }
    return "unknown fault";
}
