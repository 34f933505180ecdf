/* form.c - the body of a request for a generation, read member by member. */
/* SPDX-License-Identifier: MIT */
#include "api/submit.h"
#include "codec/json.h"

#include <assert.h>
#include <stdio.h>

/* Every member that any endpoint reads: a body of many megabytes is walked once. The first
 * ones are what OpenAI's API has besides, and providers understand. */
static const char *const names[FORM_MEMBERS] = {
    "frequency_penalty",
    "logit_bias",
    "metadata",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "verbosity",
    /* Ours. */
    "conversation_id",
    "from_point",
    "max_completion_tokens",
    "max_tokens",
    "message",
    "messages",
    "mode",
    "model",
    "options",
    "original_message",
    "partial_response",
    "sessionId",
    "stream",
    "stream_options",
    "task_id",
    "temperature",
    "useMemory",
    "use_memory",
};
#define FURTHER 15 /* those before "Ours" */

void api_fault_set(struct api_fault *fault, unsigned status, const char *code,
                   const char *field, const char *message)
{
    fault->status = status;
    fault->code = code;
    fault->field = field;
    (void)snprintf(fault->message, sizeof(fault->message), "%s", message);
}

void api_fault_respond(const struct api_fault *fault, struct http_exchange *x)
{
    http_respond_error(x, fault->status, fault->code, fault->message, fault->field);
}

static bool refuse(struct api_fault *fault, const char *field, const char *message)
{
    api_fault_set(fault, 422, "INVALID_VALUE", field, message);
    return false;
}

bool form_get(const struct form *form, const char *name, struct json_member *member)
{
    for (size_t i = 0; i < FORM_MEMBERS; i++) {
        const struct json_pick *pick = &form->members[i];
        if (strcmp(names[i], name) != 0)
            continue;
        *member = pick->member;
        return pick->is_there && member->kind != JSON_NULL;
    }
    assert(0 && "a member that stands in no table");
    return false;
}

bool form_text(struct form *form, const char *name, struct slice *text,
               struct api_fault *fault)
{
    struct json_member member;
    size_t at = form->bytes.len;

    if (!form_get(form, name, &member))
        return true;
    if (member.kind != JSON_STRING)
        return refuse(fault, name, "this is a string");
    /* Decoded it is never longer, and there is room for the whole body: nothing moves. */
    (void)json_unescape(&form->bytes, json_string_raw(member.value));
    *text = slice_make(form->bytes.data + at, form->bytes.len - at);
    return true;
}

static bool read_flag(const struct form *form, const char *name, bool *flag,
                      struct api_fault *fault)
{
    struct json_member member;

    if (!form_get(form, name, &member))
        return true;
    if (member.kind != JSON_TRUE && member.kind != JSON_FALSE)
        return refuse(fault, name, "this is true or false");
    *flag = member.kind == JSON_TRUE;
    return true;
}

static bool read_value(const struct form *form, const char *name, enum json_kind kind,
                       struct slice *value, struct api_fault *fault)
{
    struct json_member member;

    if (!form_get(form, name, &member))
        return true;
    if (member.kind != kind)
        return refuse(fault, name,
                      kind == JSON_NUMBER  ? "this is a number"
                      : kind == JSON_ARRAY ? "this is an array"
                                           : "this is an object");
    *value = member.value;
    return true;
}

static bool read_texts(struct form *form, struct api_fault *fault)
{
    struct submission *s = &form->submission;
    const struct {
        const char *name;
        struct slice *text;
    } texts[] = {
        {"message", &s->message},
        {"model", &s->model},
        {"mode", &s->mode},
        {"task_id", &s->task_id},
        {"conversation_id", &s->conversation_id},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!form_text(form, texts[i].name, texts[i].text, fault))
            return false;
    }
    /* Given and empty is a mistake, not a wish for the default. */
    if (s->message.ptr != NULL && s->message.len == 0)
        return refuse(fault, "message", "the message is empty");
    return true;
}

static bool read_numbers(struct form *form, struct api_fault *fault)
{
    struct submission *s = &form->submission;

    return read_value(form, "from_point", JSON_NUMBER, &s->from_point, fault) &&
           read_value(form, "max_completion_tokens", JSON_NUMBER, &s->max_tokens,
                      fault) &&
           read_value(form, "max_tokens", JSON_NUMBER, &s->max_tokens, fault) &&
           read_value(form, "temperature", JSON_NUMBER, &s->temperature, fault) &&
           read_value(form, "messages", JSON_ARRAY, &s->messages, fault);
}

/* `options` and the further members, as one object. */
static bool read_options(struct form *form, struct api_fault *fault)
{
    struct json_member member;
    struct slice given = {0};
    size_t at = 0;

    if (!read_value(form, "options", JSON_OBJECT, &given, fault))
        return false;
    while (json_next(given, &at, &member)) {
        (void)buf_puts(&form->options, form->options.len == 0 ? "{\"" : ",\"");
        (void)buf_slice(&form->options, member.key);
        (void)buf_puts(&form->options, "\":");
        (void)buf_slice(&form->options, member.value);
    }
    for (size_t i = 0; i < FURTHER; i++) {
        if (!form_get(form, names[i], &member))
            continue;
        if (strcmp(names[i], "n") == 0) {
            if (!slice_is(member.value, "1"))
                return refuse(fault, "n", "a run has one answer");
            continue;
        }
        (void)buf_puts(&form->options, form->options.len == 0 ? "{\"" : ",\"");
        (void)buf_puts(&form->options, names[i]);
        (void)buf_puts(&form->options, "\":");
        (void)buf_slice(&form->options, member.value);
    }
    if (form->options.len > 0)
        (void)buf_putc(&form->options, '}');
    form->submission.options = buf_view(&form->options);
    return true;
}

bool form_read(struct form *form, struct slice body, struct api_fault *fault)
{
    struct submission *s = &form->submission;
    enum json_kind kind = JSON_NULL;
    struct json_member member;

    *form = (struct form){0};
    *fault = (struct api_fault){0};
    buf_init(&form->bytes, body.len + 1);
    buf_init(&form->options, 2 * body.len + 512);
    for (size_t i = 0; i < FORM_MEMBERS; i++)
        form->members[i].name = names[i];
    if (!json_pick(body, &kind, form->members, FORM_MEMBERS) || kind != JSON_OBJECT) {
        api_fault_set(fault, 400, "MALFORMED_JSON", "body",
                      "the body is not a JSON object");
        return false;
    }
    (void)buf_reserve(&form->bytes, body.len + 1);
    form->has_stream = form_get(form, "stream", &member);
    return read_texts(form, fault) && read_numbers(form, fault) &&
           read_flag(form, "stream", &form->is_stream, fault) &&
           read_flag(form, "use_memory", &s->uses_memory, fault) &&
           read_flag(form, "useMemory", &s->uses_memory, fault) &&
           read_options(form, fault);
}

void form_release(struct form *form)
{
    buf_release(&form->bytes);
    buf_release(&form->options);
}
