/* dialect.c - one run, told to a reader in the words of another protocol, over SSE. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect.h"

#include "codec/dialect_inside.h"

/* FNV-1a, 64 bits: finds out that a text is another one, not who forged it. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static const struct {
    const char *name;
    const struct dialect_ops *ops;
} forms[DIALECT_FORMS] = {
    [FORM_OPENAI] = {"openai", &dialect_openai},
    [FORM_CHAT] = {"chat", &dialect_chat},
    [FORM_AI_SDK] = {"ai-sdk", &dialect_ai_sdk},
    [FORM_AG_UI] = {"ag-ui", &dialect_ag_ui},
};

bool dialect_form_of(struct slice name, enum dialect_form *form)
{
    for (unsigned i = 0; i < DIALECT_FORMS; i++) {
        if (slice_is(name, forms[i].name)) {
            *form = (enum dialect_form)i;
            return true;
        }
    }
    return false;
}

static const struct dialect_ops *ops_of(const struct dialect_state *state)
{
    return forms[state->form].ops;
}

void dialect_init(struct dialect_state *state, enum dialect_form form, unsigned options)
{
    *state = (struct dialect_state){.form = (uint8_t)form, .options = (uint8_t)options};
    state->told[PART_REASONING].hash = HASH_START;
    state->told[PART_TEXT].hash = HASH_START;
}

bool dialect_is_over(const struct dialect_state *state)
{
    return state->is_over;
}

/* ---- members of events ---- */

struct slice dialect_text_of(struct slice event, const char *key, const char *otherwise)
{
    struct json_member member;

    if (!json_get(event, key, &member) || member.kind != JSON_STRING)
        return slice_of(otherwise);
    return json_string_raw(member.value);
}

struct slice dialect_number_of(struct slice event, const char *key)
{
    struct json_member member;

    if (!json_get(event, key, &member) || member.kind != JSON_NUMBER)
        return slice_of("0");
    return member.value;
}

void dialect_put(struct buf *out, const char *key, struct slice raw)
{
    buf_puts(out, ",\"");
    buf_puts(out, key);
    buf_puts(out, "\":\"");
    buf_slice(out, raw);
    buf_putc(out, '"');
}

/* ---- telling ---- */

static void start(const struct teller *t)
{
    if (t->state->is_started)
        return;
    t->state->is_started = true;
    ops_of(t->state)->start(t);
}

static void open_part(const struct teller *t, enum dialect_part part)
{
    const struct dialect_ops *ops = ops_of(t->state);

    if (t->state->open == part)
        return;
    if (t->state->open != PART_NONE && ops->close != NULL)
        ops->close(t);
    t->state->open = (uint8_t)part;
    if (part == PART_NONE)
        return;
    t->state->parts++;
    if (ops->open != NULL)
        ops->open(t);
}

static bool tells(const struct dialect_state *state, enum dialect_part part)
{
    return part == PART_TEXT || ops_of(state)->tells_reasoning ||
           (state->form == FORM_OPENAI && (state->options & DIALECT_REASONING) != 0);
}

static uint64_t hash_on(uint64_t hash, struct slice utf8)
{
    for (size_t i = 0; i < utf8.len; i++)
        hash = (hash ^ (unsigned char)utf8.ptr[i]) * HASH_PRIME;
    return hash;
}

static void note_told(struct dialect_told *told, struct slice utf8)
{
    told->hash = hash_on(told->hash, utf8);
    told->len += utf8.len;
}

static void tell_delta(const struct teller *t, enum dialect_part part, struct slice raw)
{
    struct buf utf8;

    if (raw.len == 0 || !tells(t->state, part))
        return;
    start(t);
    open_part(t, part);
    if (memchr(raw.ptr, '\\', raw.len) == NULL) {
        note_told(&t->state->told[part], raw);
    } else {
        buf_init(&utf8, raw.len * 3);
        json_unescape(&utf8, raw);
        note_told(&t->state->told[part], buf_view(&utf8));
        buf_release(&utf8);
    }
    ops_of(t->state)->delta(t, part, raw);
}

/* The rest of `whole` behind what was told. False: what was told is not its beginning. */
static bool tell_rest(const struct teller *t, enum dialect_part part,
                      struct slice whole)
{
    const struct dialect_told *told = &t->state->told[part];
    struct buf raw;

    if (!tells(t->state, part))
        return true;
    if (whole.len < told->len ||
        hash_on(HASH_START, slice_make(whole.ptr, told->len)) != told->hash)
        return false;
    if (whole.len == told->len)
        return true;
    buf_init(&raw, (whole.len - told->len) * 6);
    json_escape(&raw, slice_make(whole.ptr + told->len, whole.len - told->len));
    tell_delta(t, part, buf_view(&raw));
    buf_release(&raw);
    return true;
}

/* ---- ends ---- */

static void fail(const struct teller *t, struct slice code, struct slice message)
{
    start(t);
    open_part(t, PART_NONE);
    ops_of(t->state)->failed(t, code, message);
    t->state->is_over = true;
}

static void tell_rest_raw(const struct teller *t, enum dialect_part part,
                          struct slice raw)
{
    struct buf utf8;

    buf_init(&utf8, raw.len * 3 + 1);
    json_unescape(&utf8, raw);
    (void)tell_rest(t, part, buf_view(&utf8)); /* deltas that lead elsewhere stay */
    buf_release(&utf8);
}

static void take_usage(const struct teller *t, struct slice event)
{
    const struct dialect_ops *ops = ops_of(t->state);

    if (t->state->has_usage)
        return;
    start(t);
    t->state->has_usage = true;
    (void)json_u64(dialect_number_of(event, "tokens_in"), &t->state->tokens_in);
    (void)json_u64(dialect_number_of(event, "tokens_out"), &t->state->tokens_out);
    if (ops->usage != NULL)
        ops->usage(t, event);
}

/* An end may carry usage for who joined after the event of its own. */
static void take_late_usage(const struct teller *t, struct slice event)
{
    struct json_member member;

    if (json_get(event, "tokens_in", &member))
        take_usage(t, event);
}

/* A completion also carries the whole: a run without deltas says all of it here. */
static void take_completion(const struct teller *t, struct slice event)
{
    bool is_share = (t->state->options & DIALECT_CONTINUED) != 0;

    start(t);
    if (!is_share)
        tell_rest_raw(t, PART_REASONING, dialect_text_of(event, "reasoning", ""));
    tell_rest_raw(t, PART_TEXT,
                  dialect_text_of(event, is_share ? "run_text" : "text", ""));
    take_late_usage(t, event);
    open_part(t, PART_NONE);
    ops_of(t->state)->done(t, event);
    t->state->is_over = true;
}

static void take_stopped(const struct teller *t, struct slice event)
{
    start(t);
    take_late_usage(t, event);
    open_part(t, PART_NONE);
    ops_of(t->state)->stopped(t, event);
    t->state->is_over = true;
}

static void take_error(const struct teller *t, struct slice event)
{
    fail(t, dialect_text_of(event, "code", "ERROR"),
         dialect_text_of(event, "message", ""));
}

/* ---- what else happens ---- */

static void take_reasoning(const struct teller *t, struct slice event)
{
    tell_delta(t, PART_REASONING, dialect_text_of(event, "text", ""));
}

static void take_text(const struct teller *t, struct slice event)
{
    tell_delta(t, PART_TEXT, dialect_text_of(event, "text", ""));
}

static void take_tool(const struct teller *t, struct slice event)
{
    const struct dialect_ops *ops = ops_of(t->state);
    struct json_member calls;

    if (ops->tool == NULL || !json_get(event, "tool_calls", &calls) ||
        calls.kind != JSON_ARRAY)
        return;
    start(t);
    ops->tool(t, calls.value);
}

static void take_continued(const struct teller *t, struct slice event)
{
    const struct dialect_ops *ops = ops_of(t->state);

    if (ops->continued != NULL)
        ops->continued(t, event);
}

static const struct {
    const char *type;
    void (*take)(const struct teller *t, struct slice event);
} events[] = {
    {"text", take_text},
    {"reasoning", take_reasoning},
    {"completion", take_completion},
    {"error", take_error},
    {"stopped", take_stopped},
    {"usage", take_usage},
    {"tool_call", take_tool},
    {"continue_started", take_continued},
};

/* ---- the interface ---- */

void dialect_start(struct buf *out, struct dialect_state *state,
                   const struct dialect_run *run)
{
    start(&(struct teller){out, state, run});
}

void dialect_snapshot(struct buf *out, struct dialect_state *state,
                      const struct dialect_run *run, struct slice reasoning,
                      struct slice text)
{
    struct teller t = {out, state, run};

    if (state->is_over)
        return;
    start(&t);
    if (!tell_rest(&t, PART_REASONING, reasoning) || !tell_rest(&t, PART_TEXT, text))
        fail(&t, slice_of("SUPERSEDED"), slice_of("The answer has begun anew."));
}

void dialect_event(struct buf *out, struct dialect_state *state,
                   const struct dialect_run *run, struct slice event)
{
    struct teller t = {out, state, run};
    struct slice type = dialect_text_of(event, "type", "");

    if (state->is_over)
        return;
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
        if (json_raw_is(type, events[i].type)) {
            events[i].take(&t, event);
            return;
        }
    }
}

void dialect_fail(struct buf *out, struct dialect_state *state,
                  const struct dialect_run *run, const char *code, const char *message)
{
    struct teller t = {out, state, run};
    struct buf raw;

    if (state->is_over)
        return;
    buf_init(&raw, strlen(message) * 6 + 1);
    json_escape(&raw, slice_of(message));
    fail(&t, slice_of(code), buf_view(&raw));
    buf_release(&raw);
}
