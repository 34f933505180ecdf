/* fire_answer.c - what a chat stream has said, and whether that is as it should be. */
/* SPDX-License-Identifier: MIT */
#include "base/quote.h"
#include "codec/json.h"
#include "emitters/cli/fire.h"

#define TROUBLE_BYTES 1024
#define WORDS_BYTES   300
#define CODE_BYTES    64

void fire_answer_init(struct fire_answer *answer)
{
    *answer = (struct fire_answer){0};
    buf_init(&answer->said, FIRE_ANSWER_LIMIT);
    buf_init(&answer->final, FIRE_ANSWER_LIMIT);
    buf_init(&answer->trouble, TROUBLE_BYTES);
}

void fire_answer_release(struct fire_answer *answer)
{
    buf_release(&answer->said);
    buf_release(&answer->final);
    buf_release(&answer->trouble);
}

/* ---- words of others, on our terminal ---- */

static bool get_string(struct slice object, const char *name, struct slice *raw)
{
    struct json_member member;

    if (!json_get(object, name, &member) || member.kind != JSON_STRING)
        return false;
    *raw = json_string_raw(member.value);
    return true;
}

/* Codes are shown as they are, so they must look like codes. */
static bool is_code(struct slice text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789_-.";

    for (size_t i = 0; i < text.len; i++) {
        if (memchr(allowed, text.ptr[i], sizeof(allowed) - 1) == NULL)
            return false;
    }
    return text.len > 0 && text.len <= CODE_BYTES;
}

static void put_words(struct buf *out, struct slice raw)
{
    struct buf words;

    buf_init(&words, raw.len + 1);
    (void)json_unescape(&words, raw);
    if (words.len > WORDS_BYTES)
        words.len = WORDS_BYTES;
    (void)quote_json(out, buf_view(&words));
    buf_release(&words);
}

/* {"code":"..","message":"..","field"?:".."}: `CODE field "message"` */
static void put_error(struct buf *out, struct slice error)
{
    struct slice raw;

    if (get_string(error, "code", &raw) && is_code(raw))
        (void)buf_printf(out, " %.*s", (int)raw.len, raw.ptr);
    if (get_string(error, "field", &raw) && is_code(raw))
        (void)buf_printf(out, " (%.*s)", (int)raw.len, raw.ptr);
    if (get_string(error, "message", &raw)) {
        (void)buf_putc(out, ' ');
        put_words(out, raw);
    }
}

/* ---- the stream ---- */

static void take_choice(struct fire_answer *answer, struct slice choice)
{
    struct json_member delta;
    struct slice raw;

    if (!json_get(choice, "delta", &delta) || delta.kind != JSON_OBJECT ||
        !get_string(delta.value, "content", &raw) || raw.len == 0)
        return;
    answer->tokens++;
    (void)json_unescape(&answer->said, raw);
}

static void take_chunk(struct fire_answer *answer, struct slice chunk)
{
    struct json_member choices;
    struct json_member choice;
    size_t at = 0;

    if (!json_get(chunk, "choices", &choices) || choices.kind != JSON_ARRAY)
        return;
    while (json_next(choices.value, &at, &choice)) {
        if (choice.kind == JSON_OBJECT)
            take_choice(answer, choice.value);
    }
}

static void take_final(struct fire_answer *answer, struct slice frame)
{
    struct slice raw;

    answer->has_final = true;
    buf_reset(&answer->final);
    if (get_string(frame, "text", &raw))
        (void)json_unescape(&answer->final, raw);
}

void fire_answer_take(struct fire_answer *answer, struct slice data)
{
    struct json_member error;
    struct slice type = {0};
    enum json_kind kind;
    struct slice value;

    answer->events++;
    if (slice_is(data, "[DONE]")) {
        answer->is_done = true;
        return;
    }
    if (!json_check(data) || json_scan(data, &kind, &value) < 0 ||
        kind != JSON_OBJECT) {
        if (answer->trouble.len == 0)
            (void)buf_puts(&answer->trouble, "an event is no JSON object");
        return;
    }
    if (json_get(data, "error", &error) && error.kind == JSON_OBJECT &&
        answer->trouble.len == 0) {
        (void)buf_puts(&answer->trouble, "an error instead of an answer:");
        put_error(&answer->trouble, error.value);
    }
    if (get_string(data, "type", &type) && json_raw_is(type, "final_response"))
        take_final(answer, data);
    take_chunk(answer, data);
}

/* ---- the verdict ---- */

static void judge_status(const struct fire_result *result, struct buf *why)
{
    struct json_member error;

    (void)buf_printf(why, "answered %u", result->status);
    if (json_check(result->refusal) && json_get(result->refusal, "error", &error) &&
        error.kind == JSON_OBJECT)
        put_error(why, error.value);
    if (result->status == 401 || result->status == 403)
        (void)buf_puts(why, "; --api-key or --token says who asks");
}

static void judge_end(const struct fire_result *result, struct buf *why)
{
    const char *detail = result->detail;

    if (result->outcome == HTTP_CLIENT_TIMED_OUT)
        (void)buf_printf(why, "no end of the answer after %llu ms (--timeout-ms)",
                         (unsigned long long)result->total_ms);
    else if (result->outcome == HTTP_CLIENT_NO_CONNECT)
        (void)buf_printf(
            why,
            "nothing answers (%s); start thinkwired with a worker, or name "
            "a broker with --url",
            detail);
    else if (result->outcome == HTTP_CLIENT_REFUSED)
        (void)buf_printf(why, "cannot be asked: %s", detail);
    else
        (void)buf_printf(why, "the connection broke: %s", detail);
}

static void judge_answer(const struct fire_answer *answer, struct buf *why)
{
    if (answer->trouble.len > 0)
        (void)buf_slice(why, buf_view(&answer->trouble));
    else if (answer->tokens == 0)
        (void)buf_puts(why, "no tokens");
    else if (!answer->has_final)
        (void)buf_puts(why, "no final_response");
    else if (answer->final.len == 0)
        (void)buf_puts(why, "an empty final_response");
    else if (!slice_equal(buf_view(&answer->said), buf_view(&answer->final)))
        (void)buf_puts(why, "final_response is not what the tokens said");
    else if (!answer->is_done)
        (void)buf_puts(why, "the stream ended without [DONE]");
}

bool fire_answer_is_full(const struct fire_answer *answer)
{
    return answer->said.failed || answer->final.failed;
}

bool fire_judge(const struct fire_result *result, struct buf *why)
{
    /* What came behind [DONE], or did not, is no part of the answer. */
    bool has_ended = result->outcome == HTTP_CLIENT_OK || result->answer->is_done;

    if (result->is_endless)
        (void)buf_puts(why, "an endless answer, or an event that is too large");
    else if (result->status != 0 && result->status != 200)
        judge_status(result, why);
    else if (result->status == 200 && !result->is_stream)
        (void)buf_puts(why, "answered 200, but no event stream");
    else if (!has_ended && result->answer->trouble.len == 0)
        judge_end(result, why);
    else
        judge_answer(result->answer, why);
    return why->len == 0;
}

bool fire_is_hopeless(const struct fire_result *result)
{
    return result->outcome == HTTP_CLIENT_NO_CONNECT ||
           result->outcome == HTTP_CLIENT_REFUSED || result->status == 401 ||
           result->status == 403;
}
