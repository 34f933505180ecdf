/* submit_check.c - what a request for a generation may say. */
/* SPDX-License-Identifier: MIT */
#include "api/submit_inside.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_TOKENS      32768
#define MAX_TEMPERATURE 2.0
/* Shorter than what the worker holds of a model's name. */
#define MODEL_BYTES 120
#define NAME_BYTES  128
/* As prompt.h of the worker has it. */
#define MAX_MESSAGES 1000

static bool refuse(struct api_fault *fault, const char *field, const char *message)
{
    api_fault_set(fault, 422, "INVALID_VALUE", field, message);
    return false;
}

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n", text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static bool is_name(struct slice text, size_t limit)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    }
    return text.len <= limit;
}

static bool fits(struct slice text, size_t max_chars, const char *field,
                 struct api_fault *fault)
{
    size_t length = utf8_length(text.ptr, text.len);

    if (length <= max_chars)
        return true;
    api_fault_set(fault, 422, "MESSAGE_TOO_LONG", field, "");
    (void)snprintf(fault->message, sizeof(fault->message),
                   "a message of %zu characters; at most %zu are taken", length,
                   max_chars);
    return false;
}

/* ---- messages ---- */

static bool is_role(struct slice value)
{
    static const char *const roles[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (json_raw_is(json_string_raw(value), roles[i]))
            return true;
    }
    return false;
}

/* A string, decoded, within the bound; what `is_needed` must not be blank. */
static bool check_text(struct slice raw, bool is_needed, size_t max_chars,
                       struct api_fault *fault)
{
    struct buf text;

    buf_init(&text, raw.len + 1);
    (void)json_unescape(&text, raw);
    bool is_good = fits(buf_view(&text), max_chars, "messages", fault);
    if (is_good && is_needed && is_blank(buf_view(&text)))
        is_good = refuse(fault, "messages", "a user's message is empty");
    buf_release(&text);
    return is_good;
}

/* The content of a user's message: text, or parts of which some are text. */
static bool check_content(const struct json_member *content, size_t max_chars,
                          struct api_fault *fault)
{
    struct json_member part;
    struct json_member text;
    size_t at = 0;
    bool is_empty = true;

    if (content->kind == JSON_STRING)
        return check_text(json_string_raw(content->value), true, max_chars, fault);
    while (json_next(content->value, &at, &part)) {
        is_empty = false;
        if (part.kind != JSON_OBJECT)
            return refuse(fault, "messages", "parts of a message are objects");
        if (json_get(part.value, "text", &text) && text.kind == JSON_STRING &&
            !check_text(json_string_raw(text.value), false, max_chars, fault))
            return false;
    }
    return !is_empty || refuse(fault, "messages", "a user's message is empty");
}

static bool check_message(const struct json_member *item, size_t max_chars,
                          struct api_fault *fault)
{
    struct json_member role;
    struct json_member content;

    if (item->kind != JSON_OBJECT)
        return refuse(fault, "messages", "messages are objects with role and content");
    if (!json_get(item->value, "role", &role) || role.kind != JSON_STRING ||
        !is_role(role.value))
        return refuse(fault, "messages",
                      "a role is system, developer, user, assistant or tool");
    bool has_content = json_get(item->value, "content", &content) &&
                       (content.kind == JSON_STRING || content.kind == JSON_ARRAY);
    if (json_raw_is(json_string_raw(role.value), "user"))
        return has_content ? check_content(&content, max_chars, fault)
                           : refuse(fault, "messages", "a user's message is empty");
    /* An assistant that called tools need not have said anything. */
    return has_content || json_get(item->value, "tool_calls", &content) ||
           json_get(item->value, "function_call", &content) ||
           refuse(fault, "messages", "a message has no content");
}

static bool check_messages(struct slice messages, size_t max_chars,
                           struct api_fault *fault)
{
    struct json_member item;
    size_t at = 0;
    size_t count = 0;

    while (json_next(messages, &at, &item)) {
        if (++count > MAX_MESSAGES)
            return refuse(fault, "messages", "more messages than are taken");
        if (!check_message(&item, max_chars, fault))
            return false;
    }
    return count > 0 || refuse(fault, "messages", "there is no message");
}

/* ---- all of it ---- */

static bool check_said(const struct submission *s, size_t max_chars,
                       struct api_fault *fault)
{
    bool has_message = s->message.ptr != NULL;
    bool has_messages = s->messages.ptr != NULL;

    if (s->is_continue)
        return (!has_message && !has_messages) ||
               refuse(fault, has_message ? "message" : "messages",
                      "a continue goes on with the conversation it has");
    if (has_message && has_messages)
        return refuse(fault, "message", "either message or messages");
    if (has_messages)
        return check_messages(s->messages, max_chars, fault);
    if (!has_message)
        return refuse(fault, "message", "message or messages is needed");
    const char *field = s->message_field != NULL ? s->message_field : "message";
    if (is_blank(s->message))
        return refuse(fault, field, "the message is empty");
    return fits(s->message, max_chars, field, fault);
}

static bool check_numbers(const struct submission *s, struct api_fault *fault)
{
    uint64_t tokens = 0;
    uint64_t point = 0;
    char digits[40];

    if (s->from_point.len > 0 &&
        (!s->is_continue || !json_u64(s->from_point, &point) || point == 0))
        return refuse(fault, "from_point",
                      s->is_continue
                          ? "a point is a number from 1 on"
                          : "only a continue of a task goes on from a point");

    if (s->max_tokens.len > 0 &&
        (!json_u64(s->max_tokens, &tokens) || tokens < 1 || tokens > MAX_TOKENS))
        return refuse(fault, "max_tokens", "max_tokens is 1 to 32768");
    if (s->temperature.len == 0)
        return true;
    size_t len = s->temperature.len < sizeof(digits) ? s->temperature.len : 0;
    memcpy(digits, s->temperature.ptr, len);
    digits[len] = '\0';
    double value = len == 0 ? -1 : strtod(digits, NULL);
    return (value >= 0 && value <= MAX_TEMPERATURE) ||
           refuse(fault, "temperature", "temperature is 0 to 2");
}

static bool check_names(const struct submission *s, struct api_fault *fault)
{
    if (s->task_id.ptr != NULL && !task_id_is_native(s->task_id))
        return refuse(fault, "task_id", "a task id is 1 to 128 of A-Z a-z 0-9 . _ : -");
    if (!is_name(s->model, MODEL_BYTES))
        return refuse(fault, "model", "a model's name has at most 120 bytes");
    if (!is_name(s->conversation_id, NAME_BYTES))
        return refuse(fault, "conversation_id",
                      "a conversation's name has at most 128 bytes");
    return s->mode.len == 0 || slice_is(s->mode, "chat") ||
           slice_is(s->mode, "agent") || slice_is(s->mode, "autonomous") ||
           refuse(fault, "mode", "a mode is chat, agent or autonomous");
}

bool submission_check(const struct submission *s, size_t max_message_chars,
                      struct api_fault *fault)
{
    return check_said(s, max_message_chars, fault) && check_numbers(s, fault) &&
           check_names(s, fault);
}
