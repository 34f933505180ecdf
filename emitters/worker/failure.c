/* failure.c - what providers say when they fail, sorted into classes. */
/* SPDX-License-Identifier: MIT */
#include "failure.h"

#include "base/utf8.h"
#include "field.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

/* A body is looked at only this far for words it is known by. */
#define SEARCHED_BYTES 4096

static const char *const api_names[] = {"responses", "chat", "anthropic"};

const char *provider_api_name(enum provider_api api)
{
    return api_names[api];
}

bool provider_api_of(struct slice name, enum provider_api *api)
{
    for (unsigned i = 0; i < sizeof(api_names) / sizeof(*api_names); i++) {
        if (slice_is(name, api_names[i])) {
            *api = (enum provider_api)i;
            return true;
        }
    }
    return false;
}

/* ---- texts ---- */

static const char timed_out[] =
    "Request timed out. Please try again with a shorter message.";
static const char unreachable[] =
    "The model provider cannot be reached. Please try again later.";
static const char incomplete[] =
    "The model provider broke off its answer. Please try again.";

static const struct {
    const char *code;
    const char *text;
} spoken[FAILURE_CLASSES] = {
    [FAILURE_NONE] = {"OK", ""},
    [FAILURE_CONNECT] = {"PROVIDER_UNREACHABLE", unreachable},
    [FAILURE_TIMEOUT_CONNECT] = {"OPENAI_TIMEOUT", timed_out},
    [FAILURE_TIMEOUT_FIRST_TOKEN] = {"OPENAI_TIMEOUT", timed_out},
    [FAILURE_TIMEOUT_IDLE] = {"OPENAI_TIMEOUT", timed_out},
    [FAILURE_TIMEOUT_TOTAL] = {"OPENAI_TIMEOUT", timed_out},
    [FAILURE_RATE_LIMITED] = {"RATE_LIMIT", "Overloaded, please try again soon."},
    [FAILURE_SERVER] = {"SERVER_ERROR", "Server error, please try again later."},
    [FAILURE_KEY] = {"PROVIDER_AUTH", "The model provider rejected the service's key."},
    [FAILURE_CREDIT] = {"PROVIDER_CREDIT",
                        "The service's account at the model provider has no credit."},
    [FAILURE_BAD_REQUEST] = {"PROVIDER_REFUSED",
                             "The model provider does not accept this request."},
    [FAILURE_NO_MODEL] = {"MODEL_NOT_FOUND",
                          "The model provider does not have this model."},
    [FAILURE_UNSUPPORTED] = {"PROVIDER_UNSUPPORTED",
                             "The model provider does not support this request."},
    [FAILURE_OPTION] = {"PROVIDER_UNSUPPORTED",
                        "The model provider does not support this request."},
    [FAILURE_TRUNCATED] = {"PROVIDER_TRUNCATED", incomplete},
    [FAILURE_MALFORMED] = {"PROVIDER_MALFORMED", incomplete},
    [FAILURE_TOO_LARGE] = {"PROVIDER_TOO_LARGE", "The answer is too large."},
    [FAILURE_EMPTY] = {"EMPTY_RESPONSE", "The model gave no answer. Please try again."},
    [FAILURE_FILTERED] = {"CONTENT_FILTER",
                          "The model provider's filter withheld the answer."},
    [FAILURE_BREAKER] = {"BREAKER_OPEN", unreachable},
    [FAILURE_CANCELLED] = {"CANCELLED", "Cancelled."},
};

const char *failure_code(enum failure_class class)
{
    return spoken[class].code;
}

const char *failure_text(enum failure_class class)
{
    return spoken[class].text;
}

/* ---- the provider's own words ---- */

static void keep_code(struct failure *failure, struct slice raw)
{
    size_t len = 0;

    for (size_t i = 0; i < raw.len && len + 1 < sizeof(failure->code); i++) {
        char c = raw.ptr[i];
        bool is_plain = isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
        failure->code[len++] = (char)(is_plain ? c : '_');
    }
    failure->code[len] = '\0';
}

/* A provider that refuses a key likes to repeat it. */
static bool begins_key(const char *at, size_t left)
{
    return left >= 3 && (memcmp(at, "sk-", 3) == 0 || memcmp(at, "pk-", 3) == 0);
}

static bool ends_word(char c)
{
    return c == ' ' || c == '"' || c == '\'' || c == ',' || c == ';';
}

static void put_safely(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (begins_key(text.ptr + i, text.len - i)) {
            buf_puts(out, "***");
            while (i + 1 < text.len && !ends_word(text.ptr[i + 1]))
                i++;
            continue;
        }
        char c = text.ptr[i];
        if ((unsigned char)c < 0x20 || c == 0x7f)
            c = ' ';
        buf_putc(out, c);
    }
}

static void keep_message(struct failure *failure, struct slice utf8)
{
    struct buf out;
    size_t len = 0;

    buf_init(&out, utf8.len * 3 + 1);
    put_safely(&out, utf8);
    while (len < out.len) {
        uint32_t code_point;
        size_t step = utf8_next(out.data + len, out.len - len, &code_point);
        if (code_point == UTF8_INVALID || len + step >= sizeof(failure->message))
            break;
        len += step;
    }
    if (len > 0)
        memcpy(failure->message, out.data, len);
    failure->message[len] = '\0';
    buf_release(&out);
}

void failure_set(struct failure *failure, enum failure_class class, const char *message)
{
    *failure = (struct failure){.class = class};
    keep_message(failure, slice_of(message));
}

/* ---- classes ---- */

struct word {
    const char *word;
    enum failure_class class;
    unsigned status;
};

/* What `type` or `code` of an error may say, first match counts. The status stands in where
 * there is none: an error inside a 200. */
static const struct word words[] = {
    {"insufficient_quota", FAILURE_CREDIT, 429},
    {"billing_error", FAILURE_CREDIT, 402},
    {"billing_hard_limit_reached", FAILURE_CREDIT, 400},
    {"credit_balance_too_low", FAILURE_CREDIT, 400},
    {"invalid_api_key", FAILURE_KEY, 401},
    {"authentication_error", FAILURE_KEY, 401},
    {"permission_error", FAILURE_KEY, 403},
    {"rate_limit_exceeded", FAILURE_RATE_LIMITED, 429},
    {"rate_limit_error", FAILURE_RATE_LIMITED, 429},
    {"overloaded_error", FAILURE_SERVER, 529},
    {"timeout_error", FAILURE_SERVER, 504},
    {"api_error", FAILURE_SERVER, 500},
    {"server_error", FAILURE_SERVER, 500},
    {"internal_error", FAILURE_SERVER, 500},
    {"internal_server_error", FAILURE_SERVER, 500},
    {"model_not_found", FAILURE_NO_MODEL, 404},
    {"not_found_error", FAILURE_NO_MODEL, 404},
    {"context_length_exceeded", FAILURE_BAD_REQUEST, 400},
    {"string_above_max_length", FAILURE_BAD_REQUEST, 400},
    {"invalid_prompt", FAILURE_BAD_REQUEST, 400},
    {"content_policy_violation", FAILURE_BAD_REQUEST, 400},
    {"content_filter", FAILURE_BAD_REQUEST, 400},
    {"request_too_large", FAILURE_BAD_REQUEST, 413},
};

static const struct word *known_word(struct slice raw)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (json_raw_is(raw, words[i].word))
            return &words[i];
    }
    return NULL;
}

static bool says(struct slice body, const char *word)
{
    size_t len = body.len < SEARCHED_BYTES ? body.len : SEARCHED_BYTES;

    return len > 0 && memmem(body.ptr, len, word, strlen(word)) != NULL;
}

/* Requirement R1 lets any 400 mean that the Responses API is refused; the words above have
 * caught those that would be refused anywhere (pains N15). */
static enum failure_class class_of_refusal(enum provider_api api, unsigned status,
                                           struct slice body)
{
    if (api == API_CHAT && says(body, "stream_options"))
        return FAILURE_OPTION;
    if (api == API_RESPONSES && status != 413)
        return FAILURE_UNSUPPORTED;
    return status == 404 ? FAILURE_NO_MODEL : FAILURE_BAD_REQUEST;
}

static enum failure_class class_of_status(enum provider_api api, unsigned status,
                                          struct slice body)
{
    switch (status) {
    case 401:
    case 403:
        return FAILURE_KEY;
    case 402:
        return FAILURE_CREDIT;
    case 408:
    case 409:
    case 425:
        return FAILURE_SERVER;
    case 429:
        return FAILURE_RATE_LIMITED;
    case 501:
        return api == API_RESPONSES ? FAILURE_UNSUPPORTED : FAILURE_SERVER;
    default:
        break;
    }
    if (status >= 500)
        return FAILURE_SERVER;
    if (status >= 400)
        return class_of_refusal(api, status, body);
    return FAILURE_MALFORMED; /* a redirect, or 1xx */
}

static struct slice error_text(struct slice error, const char *key)
{
    struct slice raw;

    if (error.len == 0 || error.ptr[0] != '{' || !field_text(error, key, &raw))
        return (struct slice){0};
    return raw;
}

static void keep_raw_message(struct failure *failure, struct slice raw)
{
    struct buf text;

    buf_init(&text, raw.len * 3 + 1);
    json_unescape(&text, raw);
    keep_message(failure, buf_view(&text));
    buf_release(&text);
}

void failure_of_error(struct failure *failure, enum provider_api api, unsigned status,
                      struct slice error)
{
    struct slice code = error_text(error, "code");
    struct slice type = error_text(error, "type");
    const struct word *word = known_word(code);

    *failure = (struct failure){.status = status};
    if (word == NULL)
        word = known_word(type);
    if (status == 0 && error.len > 0 && error.ptr[0] == '{') {
        uint64_t number = field_u64(error, "code", 0);
        number = field_u64(error, "status", number);
        failure->status = number >= 400 && number < 600 ? (unsigned)number : 0;
    }
    if (word != NULL) {
        failure->class = word->class;
        if (failure->status == 0)
            failure->status = word->status;
    } else if (failure->status != 0) {
        failure->class = class_of_status(api, failure->status, error);
    } else {
        failure->class = FAILURE_SERVER; /* it began to answer: its own trouble */
    }
    keep_code(failure, code.len > 0 ? code : type);
    if (error.len >= 2 && error.ptr[0] == '"')
        keep_raw_message(failure, json_string_raw(error));
    else
        keep_raw_message(failure, error_text(error, "message"));
}

/* A 404 on Responses whose body does not speak of a model says that the address is
 * unknown; `not_found_error` alone says nothing about which of the two. */
static void settle_not_found(struct failure *failure, enum provider_api api,
                             struct slice body)
{
    if (api == API_RESPONSES && failure->class == FAILURE_NO_MODEL &&
        !says(body, "model"))
        failure->class = FAILURE_UNSUPPORTED;
}

void failure_of_answer(struct failure *failure, enum provider_api api, unsigned status,
                       struct slice body)
{
    struct json_member member;
    struct buf repaired;

    buf_init(&repaired, body.len * 3 + 1);
    utf8_repair(&repaired, body.ptr, body.len);
    struct slice text = buf_view(&repaired);
    bool is_object = json_check(text) && json_get(text, "error", &member) &&
                     (member.kind == JSON_OBJECT || member.kind == JSON_STRING);
    struct slice error = is_object ? member.value : (struct slice){0};

    if (!is_object && json_check(text) && json_get(text, "message", &member))
        error = text; /* {"object":"error","message":..} */
    failure_of_error(failure, api, status, error);
    settle_not_found(failure, api, text);
    buf_release(&repaired);
}

/* ---- Retry-After ---- */

bool failure_retry_after(struct slice value, uint64_t now_ms, uint64_t *ms)
{
    char text[40];
    struct tm parts = {0};
    uint64_t seconds = 0;

    if (value.len == 0 || value.len >= sizeof(text))
        return false;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    if (value.len <= 9 && strspn(text, "0123456789") == value.len) {
        for (size_t i = 0; i < value.len; i++)
            seconds = seconds * 10 + (uint64_t)(text[i] - '0');
        *ms = seconds * 1000;
        return true;
    }
    const char *rest = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (rest == NULL || *rest != '\0')
        return false;
    time_t at = timegm(&parts);
    if (at < 0)
        return false;
    uint64_t at_ms = (uint64_t)at * 1000;
    *ms = at_ms > now_ms ? at_ms - now_ms : 0;
    return true;
}
