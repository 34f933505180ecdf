/* prompt.c - the body of a request to a provider. */
/* SPDX-License-Identifier: MIT */
#include "prompt.h"

#include "base/mem.h"
#include "cut.h"
#include "field.h"

#include <stdlib.h>

#define ANTHROPIC_MAX_TOKENS 4096

void prompt_release(struct prompt *prompt)
{
    free(prompt->messages);
    *prompt = (struct prompt){0};
}

static void add(struct prompt *prompt, struct prompt_message message)
{
    size_t size = (prompt->count + 1) * sizeof(message);

    prompt->messages = mem_resize(prompt->messages, size);
    prompt->messages[prompt->count++] = message;
}

void prompt_add(struct prompt *prompt, const char *role, struct slice text)
{
    add(prompt, (struct prompt_message){.role = role, .text = text});
}

bool prompt_continue(struct prompt *prompt, struct slice partial, size_t limit)
{
    struct slice tail = limit == 0 ? partial : cut_tail(partial, limit);

    prompt_add(prompt, "assistant", tail);
    prompt_add(prompt, "system", slice_of(cut_instruction(cut_point_of(partial))));
    return tail.len < partial.len;
}

/* ---- a client's messages ---- */

static const char *role_of(struct slice message)
{
    static const char *const roles[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};
    struct slice raw;

    if (!field_text(message, "role", &raw))
        return NULL;
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        if (json_raw_is(raw, roles[i]))
            return roles[i];
    }
    return NULL;
}

/* NULL, or the member that is wrong. An assistant that calls tools need not say anything. */
static const char *fault_of(const struct json_member *item)
{
    struct json_member content;

    if (item->kind != JSON_OBJECT)
        return "";
    if (role_of(item->value) == NULL)
        return ".role";
    if (json_get(item->value, "content", &content) &&
        (content.kind == JSON_STRING || content.kind == JSON_ARRAY))
        return NULL;
    if (json_get(item->value, "tool_calls", &content) ||
        json_get(item->value, "function_call", &content))
        return NULL;
    return ".content";
}

static bool read_messages(struct prompt *prompt, struct slice messages,
                          struct buf *error)
{
    struct json_member item;
    size_t at = 0;
    size_t count = 0;

    while (json_next(messages, &at, &item)) {
        const char *fault = fault_of(&item);
        if (fault != NULL || prompt->count == PROMPT_MAX_MESSAGES) {
            buf_printf(error, "messages[%zu]%s", count, fault == NULL ? "" : fault);
            return false;
        }
        add(prompt,
            (struct prompt_message){.role = role_of(item.value), .json = item.value});
        count++;
    }
    if (count == 0)
        buf_puts(error, "messages");
    return count > 0;
}

bool prompt_read(struct prompt *prompt, struct slice messages, struct buf *error)
{
    size_t before = prompt->count;

    if (messages.len == 0 || messages.ptr[0] != '[') {
        buf_puts(error, "messages");
        return false;
    }
    if (read_messages(prompt, messages, error))
        return true;
    prompt->count = before;
    return false;
}

/* ---- one message ---- */

static bool is_system(const struct prompt_message *message)
{
    return strcmp(message->role, "system") == 0 ||
           strcmp(message->role, "developer") == 0;
}

/* A role the other two APIs know. */
static const char *plain_role(const struct prompt_message *message,
                              enum provider_api api)
{
    if (strcmp(message->role, "assistant") == 0)
        return "assistant";
    if (is_system(message) && api == API_RESPONSES)
        return message->role;
    return "user";
}

/* {"type":"text","text":..} with the type Responses has for it; anything else as it is. */
static void put_part(struct buf *out, struct slice part, bool is_answer)
{
    struct slice raw;

    if (!field_is(part, "type", "text")) {
        buf_slice(out, part);
        return;
    }
    buf_puts(out, is_answer ? "{\"type\":\"output_text\",\"text\":\""
                            : "{\"type\":\"input_text\",\"text\":\"");
    if (field_text(part, "text", &raw))
        buf_slice(out, raw);
    buf_puts(out, "\"}");
}

static void put_content(struct buf *out, const struct prompt_message *message,
                        enum provider_api api)
{
    struct json_member content;
    struct json_member part;
    const char *comma = "";
    size_t at = 0;

    if (message->json.len == 0) {
        json_quote(out, message->text);
        return;
    }
    if (!json_get(message->json, "content", &content) || content.kind == JSON_NULL) {
        buf_puts(out, "\"\"");
        return;
    }
    if (content.kind != JSON_ARRAY || api != API_RESPONSES) {
        buf_slice(out, content.value);
        return;
    }
    buf_putc(out, '[');
    while (json_next(content.value, &at, &part)) {
        buf_puts(out, comma);
        put_part(out, part.value, strcmp(message->role, "assistant") == 0);
        comma = ",";
    }
    buf_putc(out, ']');
}

static void put_message(struct buf *out, const struct prompt_message *message,
                        enum provider_api api)
{
    if (api == API_CHAT && message->json.len > 0) {
        buf_slice(out, message->json);
        return;
    }
    buf_puts(out, "{\"role\":\"");
    buf_puts(out, api == API_CHAT ? message->role : plain_role(message, api));
    buf_puts(out, "\",\"content\":");
    put_content(out, message, api);
    buf_putc(out, '}');
}

static void put_messages(struct buf *out, const struct prompt *prompt, size_t from,
                         enum provider_api api)
{
    buf_puts(out, api == API_RESPONSES ? ",\"input\":[" : ",\"messages\":[");
    for (size_t i = from; i < prompt->count; i++) {
        if (i > from)
            buf_putc(out, ',');
        put_message(out, &prompt->messages[i], api);
    }
    buf_putc(out, ']');
}

/* ---- Anthropic's system ---- */

/* Its text as the inside of a string: of a list of parts, their texts. */
static void put_raw_text(struct buf *out, const struct prompt_message *message)
{
    struct json_member content;
    struct json_member part;
    struct slice raw;
    size_t at = 0;

    if (message->json.len == 0) {
        json_escape(out, message->text);
    } else if (!json_get(message->json, "content", &content)) {
        return;
    } else if (content.kind == JSON_STRING) {
        buf_slice(out, json_string_raw(content.value));
    } else if (content.kind == JSON_ARRAY) {
        while (json_next(content.value, &at, &part)) {
            if (part.kind == JSON_OBJECT && field_text(part.value, "text", &raw))
                buf_slice(out, raw);
        }
    }
}

/* The system messages at the beginning: how many. A prompt of nothing else keeps its last. */
static size_t put_system(struct buf *out, const struct prompt *prompt)
{
    size_t count = 0;

    while (count + 1 < prompt->count && is_system(&prompt->messages[count]))
        count++;
    if (count == 0)
        return 0;
    buf_puts(out, ",\"system\":\"");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_puts(out, "\\n\\n");
        put_raw_text(out, &prompt->messages[i]);
    }
    buf_putc(out, '"');
    return count;
}

/* ---- the body ---- */

static bool is_ours(struct slice key)
{
    static const char *const ours[] = {"model",
                                       "stream",
                                       "stream_options",
                                       "messages",
                                       "input",
                                       "system",
                                       "max_tokens",
                                       "max_output_tokens",
                                       "max_completion_tokens",
                                       "temperature"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
        if (json_raw_is(key, ours[i]))
            return true;
    }
    return false;
}

static void put_extra(struct buf *out, struct slice extra, struct slice said)
{
    struct json_member member;
    size_t at = 0;

    while (json_next(extra, &at, &member)) {
        if (is_ours(member.key) || json_has_raw(said, member.key))
            continue;
        buf_puts(out, ",\"");
        buf_slice(out, member.key);
        buf_puts(out, "\":");
        buf_slice(out, member.value);
    }
}

static const char *max_tokens_name(const struct prompt_options *options)
{
    if (options->api == API_RESPONSES)
        return "max_output_tokens";
    if (options->api == API_CHAT &&
        options->max_tokens_name == PROMPT_MAX_COMPLETION_TOKENS)
        return "max_completion_tokens";
    return "max_tokens";
}

static void put_limits(struct buf *out, const struct prompt_options *options)
{
    uint64_t max_tokens = options->max_tokens;

    if (max_tokens == 0 && options->api == API_ANTHROPIC)
        max_tokens = ANTHROPIC_MAX_TOKENS;
    if (max_tokens > 0) {
        buf_printf(out, ",\"%s\":", max_tokens_name(options));
        buf_u64(out, max_tokens);
    }
    if (options->temperature.len > 0) {
        buf_puts(out, ",\"temperature\":");
        buf_slice(out, options->temperature);
    }
}

static void put_stream(struct buf *out, const struct prompt_options *options)
{
    buf_puts(out, options->is_stream ? ",\"stream\":true" : ",\"stream\":false");
    if (options->is_stream && options->wants_usage && options->api == API_CHAT)
        buf_puts(out, ",\"stream_options\":{\"include_usage\":true}");
}

bool prompt_body(struct buf *out, const struct prompt *prompt,
                 const struct prompt_options *options)
{
    size_t from = 0;

    buf_puts(out, "{\"model\":");
    json_quote(out, options->model);
    put_stream(out, options);
    put_limits(out, options);
    if (options->api == API_ANTHROPIC)
        from = put_system(out, prompt);
    put_messages(out, prompt, from, options->api);
    put_extra(out, options->extra, (struct slice){0});
    put_extra(out, options->client_extra, options->extra);
    return buf_putc(out, '}');
}

const char *prompt_path(enum provider_api api)
{
    static const char *const paths[] = {"/responses", "/chat/completions", "/messages"};

    return paths[api];
}
