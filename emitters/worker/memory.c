/* memory.c - what a memory service knows about a question, in time or not at all. */
/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "field.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHARS_PER_TOKEN 4
#define HEADERS         3

static const char heading[] =
    "What is known from earlier conversations and may be of use, most relevant first:\n";

struct memory_call {
    const struct memory_settings *settings;
    struct http_client_call *http;
    void (*done)(void *ctx, const struct memory_found *found);
    void *ctx;
    bool is_cancelled;
};

/* ---- the question ---- */

static void put_parts(struct slice parts, struct buf *out)
{
    struct json_member part;
    struct slice raw;
    size_t at = 0;

    while (json_next(parts, &at, &part)) {
        if (part.kind == JSON_OBJECT && field_text(part.value, "text", &raw))
            (void)json_unescape(out, raw);
    }
}

void memory_query(struct slice messages, struct buf *out)
{
    struct json_member item;
    struct json_member content;
    struct slice last = {0};
    struct buf whole;
    size_t at = 0;

    while (json_next(messages, &at, &item)) {
        if (item.kind == JSON_OBJECT && field_is(item.value, "role", "user"))
            last = item.value;
    }
    if (last.len == 0 || !json_get(last, "content", &content))
        return;
    buf_init(&whole, last.len + 1);
    if (content.kind == JSON_STRING)
        (void)json_unescape(&whole, json_string_raw(content.value));
    else if (content.kind == JSON_ARRAY)
        put_parts(content.value, &whole);
    size_t len = whole.len < MEMORY_QUERY_BYTES ? whole.len : MEMORY_QUERY_BYTES;
    while (len > 0 && len < whole.len &&
           ((unsigned char)whole.data[len] & 0xc0) == 0x80)
        len--;
    (void)buf_slice(out, slice_make(whole.data, len));
    buf_release(&whole);
}

static void write_question(const struct memory_settings *settings,
                           const struct memory_question *question, struct buf *out)
{
    (void)buf_puts(out, "{\"query\":");
    (void)json_quote(out, question->query);
    (void)buf_puts(out, ",\"user\":");
    (void)json_quote(out, slice_of(question->user));
    (void)buf_puts(out, ",\"conversation_id\":");
    (void)json_quote(out, slice_of(question->conversation_id));
    (void)buf_printf(out,
                     ",\"top_k\":%" PRIu64 ",\"memory_token_budget\":%" PRIu64
                     ",\"clip_sentences\":%" PRIu64 ",\"min_relevance_score\":%" PRIu64
                     ".%02" PRIu64 "}",
                     settings->top_k, settings->token_budget, settings->clip_sentences,
                     settings->min_score_percent / 100,
                     settings->min_score_percent % 100);
}

/* ---- the answer ---- */

static bool is_sentence_end(struct slice text, size_t at)
{
    bool is_mark = text.ptr[at] == '.' || text.ptr[at] == '!' || text.ptr[at] == '?';

    return text.ptr[at] == '\n' ||
           (is_mark && (at + 1 == text.len || text.ptr[at + 1] == ' '));
}

/* Its first sentences, on one line. */
static void put_clipped(struct buf *out, struct slice text, uint64_t sentences)
{
    uint64_t left = sentences;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if ((unsigned char)c < 0x20)
            c = ' ';
        (void)buf_putc(out, c);
        if (is_sentence_end(text, i) && sentences > 0 && --left == 0)
            return;
    }
}

/* A score that is not told is good enough: the service was asked for the bound too. */
static bool is_relevant(struct slice result, uint64_t min_percent)
{
    static const char *const names[] = {"score", "relevance_score"};
    struct json_member member;
    char text[32];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!json_get(result, names[i], &member) || member.kind != JSON_NUMBER ||
            member.value.len >= sizeof(text))
            continue;
        memcpy(text, member.value.ptr, member.value.len);
        text[member.value.len] = '\0';
        return strtod(text, NULL) * 100.0 >= (double)min_percent - 1e-6;
    }
    return true;
}

static bool text_of(struct slice result, struct slice *raw)
{
    return field_text(result, "text", raw) || field_text(result, "content", raw) ||
           field_text(result, "memory", raw);
}

/* False when the budget has no room for it. */
static bool take_result(const struct memory_settings *settings, struct slice result,
                        struct buf *out, struct memory_found *found)
{
    struct slice raw;
    struct buf utf8;
    struct buf clipped;

    if (!text_of(result, &raw) || !is_relevant(result, settings->min_score_percent))
        return true;
    buf_init(&utf8, raw.len + 1);
    (void)json_unescape(&utf8, raw);
    buf_init(&clipped, utf8.len + 1);
    put_clipped(&clipped, buf_view(&utf8), settings->clip_sentences);
    size_t chars = utf8_length(clipped.data, clipped.len);
    uint64_t tokens =
        field_u64(result, "tokens", (chars + CHARS_PER_TOKEN - 1) / CHARS_PER_TOKEN);
    bool has_room = tokens <= settings->token_budget - found->tokens;
    if (has_room) {
        (void)buf_puts(out, found->count == 0 ? heading : "");
        (void)buf_puts(out, "- ");
        (void)buf_slice(out, buf_view(&clipped));
        (void)buf_putc(out, '\n');
        found->count++;
        found->tokens += tokens;
    }
    buf_release(&clipped);
    buf_release(&utf8);
    return has_room;
}

bool memory_read(const struct memory_settings *settings, struct slice json,
                 struct buf *out, struct memory_found *found)
{
    struct json_member item;
    enum json_kind kind = JSON_NULL;
    struct slice list;
    size_t at = 0;

    *found = (struct memory_found){.trouble = ""};
    if (!json_check(json) || json_scan(json, &kind, &list) < 0)
        return false;
    if (kind == JSON_OBJECT && !field_array(list, "results", &list))
        return false;
    if (kind != JSON_OBJECT && kind != JSON_ARRAY)
        return false;
    while (found->count < settings->top_k && json_next(list, &at, &item)) {
        if (item.kind == JSON_OBJECT && !take_result(settings, item.value, out, found))
            break;
    }
    found->text = buf_view(out);
    return true;
}

/* ---- the call ---- */

static void on_answer(void *ctx, const struct http_client_result *result)
{
    struct memory_call *call = ctx;
    struct memory_found found = {.trouble = ""};
    struct buf text;

    if (call->is_cancelled) {
        free(call);
        return;
    }
    buf_init(&text, 2 * MEMORY_ANSWER_BYTES);
    if (result->outcome != HTTP_CLIENT_OK)
        found.trouble = http_client_outcome_text(result->outcome);
    else if (result->status < 200 || result->status >= 300)
        found.trouble = "the service refused";
    else if (!memory_read(call->settings, result->body, &text, &found))
        found = (struct memory_found){.trouble = "the answer cannot be read"};
    found.elapsed_ms = result->elapsed_ms;
    call->done(call->ctx, &found);
    buf_release(&text);
    free(call);
}

struct memory_call *
memory_ask(struct http_client *client, const struct memory_settings *settings,
           const struct memory_question *question,
           void (*done)(void *ctx, const struct memory_found *found), void *ctx)
{
    struct memory_call *call = mem_new(sizeof(*call));
    const char *headers[HEADERS] = {"Content-Type: application/json",
                                    "Accept: application/json"};
    size_t count = 2;
    struct buf body;
    struct buf authorization;

    *call = (struct memory_call){.settings = settings, .done = done, .ctx = ctx};
    buf_init(&body, 16 * MEMORY_QUERY_BYTES);
    buf_init(&authorization, MEMORY_QUERY_BYTES);
    write_question(settings, question, &body);
    if (settings->key != NULL && settings->key[0] != '\0') {
        (void)buf_printf(&authorization, "Authorization: Bearer %s", settings->key);
        headers[count++] = buf_text(&authorization);
    }
    call->http =
        http_client_start(client, &(struct http_client_request){
                                      .method = "POST",
                                      .url = settings->url,
                                      .headers = headers,
                                      .header_count = count,
                                      .body = buf_view(&body),
                                      .connect_timeout_ms = settings->timeout_ms,
                                      .total_timeout_ms = settings->timeout_ms,
                                      .response_limit_bytes = MEMORY_ANSWER_BYTES,
                                      .on_done = on_answer,
                                      .ctx = call,
                                  });
    buf_release(&authorization);
    buf_release(&body);
    return call;
}

void memory_cancel(struct memory_call *call)
{
    call->is_cancelled = true;
    http_client_cancel(call->http);
}
