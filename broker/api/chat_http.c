/* chat_http.c - the chat endpoints: what each takes, and in whose words it answers. */
/* SPDX-License-Identifier: MIT */
#include "api/chat_inside.h"
#include "codec/json.h"

/* ---- what they have in common ---- */

static void refuse(struct http_exchange *x, const struct chat_ask *ask,
                   const struct api_fault *fault)
{
    struct buf body;

    if (!ask->has_openai_errors) {
        api_fault_respond(fault, x);
        return;
    }
    buf_init(&body, 4096);
    (void)dialect_openai_error(&body, "invalid_request_error", fault->code,
                               slice_of(fault->message));
    http_respond(x, fault->status, JSON_HEADERS, buf_view(&body));
    buf_release(&body);
}

/* `judge` completes what was read; NULL: nothing more is asked. */
static void take(struct api *api, struct http_exchange *x, struct chat_ask *ask,
                 bool (*judge)(struct chat_ask *ask, struct api_fault *fault))
{
    struct api_fault fault;
    struct buf site;

    buf_init(&site, 512);
    if (api_has_only(x, HTTP_POST) && api_may_write(api, x) &&
        api_site(api, x, &site)) {
        bool is_good = form_read(&ask->form, x->request->body, &fault);
        ask->form.submission.site = buf_view(&site);
        ask->is_plain = ask->form.has_stream && !ask->form.is_stream;
        if (is_good && (judge == NULL || judge(ask, &fault)))
            chat_begin(api, x, ask);
        else
            refuse(x, ask, &fault);
        form_release(&ask->form);
    }
    buf_release(&site);
}

static bool wrong(struct api_fault *fault, const char *field, const char *message)
{
    api_fault_set(fault, 422, "INVALID_VALUE", field, message);
    return false;
}

static bool needs_message(struct chat_ask *ask, struct api_fault *fault)
{
    return ask->form.submission.message.ptr != NULL ||
           ask->form.submission.messages.ptr != NULL ||
           wrong(fault, "message", "message is needed");
}

/* ---- POST /api/v1/chat ---- */

static bool has_shape(struct slice text, const char *shape)
{
    if (text.len != strlen(shape))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (shape[i] == '9'   ? !is_digit
            : shape[i] == 'x' ? !is_digit && !is_letter
                              : c != shape[i])
            return false;
    }
    return true;
}

static bool judge_chat(struct chat_ask *ask, struct api_fault *fault)
{
    struct slice session = {0};

    if (!form_text(&ask->form, "sessionId", &session, fault))
        return false;
    /* The shape has an `x` of its own only behind the last dash. */
    if (session.ptr != NULL && !has_shape(session, "session-99999999-999999-xxxx"))
        return wrong(fault, "sessionId", "a session is session-YYYYMMDD-HHMMSS-xxxx");
    if (session.ptr != NULL)
        ask->form.submission.conversation_id = session;
    return needs_message(ask, fault);
}

void api_chat(struct api *api, struct http_exchange *x)
{
    struct chat_ask ask = {.dialect = FORM_CHAT};

    take(api, x, &ask, judge_chat);
}

/* ---- POST /api/v2/chat/streaming/stream ---- */

void api_chat_stream(struct api *api, struct http_exchange *x)
{
    struct chat_ask ask = {.dialect = FORM_OPENAI, .options = DIALECT_AGENT};

    take(api, x, &ask, needs_message);
}

/* ---- POST /api/v2/chat/streaming/continue ---- */

/* By the task alone, or by what the client has of it. */
static bool judge_continue(struct chat_ask *ask, struct api_fault *fault)
{
    struct submission *s = &ask->form.submission;
    struct slice original = {0};

    if (!form_text(&ask->form, "partial_response", &s->partial, fault) ||
        !form_text(&ask->form, "original_message", &original, fault))
        return false;
    if (s->max_tokens.len == 0)
        s->max_tokens = slice_of("1024");
    if (s->temperature.len == 0)
        s->temperature = slice_of("0.7");
    s->message = (struct slice){0};
    s->messages = (struct slice){0};
    if (s->task_id.ptr != NULL && s->partial.len == 0) {
        s->is_continue = true;
        return true;
    }
    if (s->partial.len == 0) {
        api_fault_set(fault, 422, "NO_PARTIAL", "partial_response",
                      "No partial response to continue from");
        return false;
    }
    if (original.len == 0)
        return wrong(fault, "original_message", "the original message is empty");
    s->message = original;
    s->message_field = "original_message";
    return true;
}

void api_chat_continue(struct api *api, struct http_exchange *x)
{
    struct chat_ask ask = {.dialect = FORM_OPENAI, .options = DIALECT_CONTINUED};

    take(api, x, &ask, judge_continue);
}

/* ---- POST /v1/chat/completions ---- */

static bool judge_completion(struct chat_ask *ask, struct api_fault *fault)
{
    struct json_member options;
    struct json_member usage;

    ask->is_plain = !ask->form.is_stream;
    if (form_get(&ask->form, "stream_options", &options) &&
        options.kind == JSON_OBJECT &&
        json_get(options.value, "include_usage", &usage) && usage.kind == JSON_TRUE)
        ask->options |= DIALECT_USAGE;
    return ask->form.submission.messages.ptr != NULL ||
           wrong(fault, "messages", "messages is needed");
}

void api_chat_completions(struct api *api, struct http_exchange *x)
{
    struct chat_ask ask = {
        .dialect = FORM_OPENAI,
        .waits = true,
        .has_openai_errors = true,
    };

    take(api, x, &ask, judge_completion);
}

/* ---- GET /v1/models ---- */

void api_models(struct api *api, struct http_exchange *x)
{
    if (api_has_only(x, HTTP_GET))
        http_respond(x, 200, JSON_HEADERS, slice_of(api->options.models));
}
