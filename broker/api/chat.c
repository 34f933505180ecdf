/* chat.c - the answer to a chat request: a stream of its run, or one JSON document. */
/* SPDX-License-Identifier: MIT */
#include "api/chat_inside.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

struct chat {
    struct list node;        /* in api->chats */
    struct api *api;         /* NULL: it is gone */
    struct http_exchange *x; /* NULL when the client has gone, or has a stream */
    struct api_await *await;
    struct task_key task; /* a copy; empty until the bus has taken the run */
    char *model;
    char *request_id;
    uint64_t epoch;
    uint64_t created_s;
    uint64_t began_ms; /* loop_now_ms() */
    enum dialect_form dialect;
    unsigned options;
    bool is_plain;
    bool waits;
    bool has_openai_errors;
};

static void chat_free(struct chat *chat)
{
    list_remove(&chat->node);
    task_key_release(&chat->task);
    free(chat->model);
    free(chat->request_id);
    free(chat);
}

/* ---- the log (C16) ---- */

/* The worker's own lines, "Chat completion finished" among them, carry the same request id. */
static void log_request(const struct chat *chat, const struct submission *submission,
                        struct slice path)
{
    diag(DIAG_INFO, "Chat request received", DIAG_S("request_id", chat->request_id),
         DIAG_SLICE("path", path), DIAG_S("stream", chat->is_plain ? "no" : "yes"),
         DIAG_S("memory", submission->uses_memory ? "yes" : "no"));
}

static void log_stream(const struct chat *chat, const struct retell_told *told)
{
    bool has_failed = told->how == RETELL_TOLD && told->failure[0] != '\0';
    uint64_t first_ms = told->first_ms == 0 ? 0 : told->first_ms - chat->began_ms;

    if (chat->api == NULL || (told->how != RETELL_LEFT && !has_failed))
        return;
    diag(has_failed ? DIAG_WARN : DIAG_INFO,
         has_failed ? "SSE stream error" : "Chat client left",
         DIAG_S("request_id", chat->request_id), DIAG_SLICE("site", chat->task.site),
         DIAG_SLICE("task", chat->task.task_id), DIAG_S("code", told->failure),
         DIAG_N("total_ms", loop_now_ms(chat->api->loop) - chat->began_ms),
         DIAG_N("ttft_ms", first_ms));
}

void api_free_chats(struct api *api)
{
    LIST_FOR_EACH(node, next, &api->chats)
    {
        LIST_ENTRY(node, struct chat, node)->api = NULL;
        list_remove(node);
    }
}

static void stop_answered(void *ctx, enum stop_status status)
{
    (void)ctx;
    (void)status;
}

/* Nobody wants the answer any more (C4). */
static void abandon(struct chat *chat)
{
    struct api *api = chat->api;

    if (api != NULL && chat->task.task_id.len > 0)
        api->bus->ops->stop(api->bus, &chat->task, chat->epoch, stop_answered, NULL);
    chat_free(chat);
}

/* ---- one document ---- */

static void put_task_header(const struct chat *chat, struct buf *out)
{
    (void)buf_puts(out, "x-task-id: ");
    (void)buf_slice(out, chat->task.task_id);
    (void)buf_puts(out, "\r\n");
}

static void respond(struct chat *chat, unsigned status, struct slice body)
{
    struct buf headers;

    buf_init(&headers, 512);
    (void)buf_puts(&headers, JSON_HEADERS);
    if (chat->task.task_id.len > 0)
        put_task_header(chat, &headers);
    http_respond(chat->x, status, buf_text(&headers), body);
    buf_release(&headers);
    chat_free(chat);
}

static void respond_error(struct chat *chat, unsigned status, const char *code,
                          struct slice message)
{
    struct buf body;

    buf_init(&body, SIZE_MAX);
    (void)dialect_openai_error(
        &body, status < 500 ? "invalid_request_error" : "server_error", code, message);
    respond(chat, status, buf_view(&body));
    buf_release(&body);
}

static void read_text(struct slice end, const char *name, struct buf *out)
{
    struct json_member member;

    if (json_get(end, name, &member) && member.kind == JSON_STRING)
        (void)json_unescape(out, json_string_raw(member.value));
}

/* What is not the client's doing is a 500 with its reason (R16). */
static void respond_failure(struct chat *chat, const struct api_outcome *outcome)
{
    struct buf code;
    struct buf message;
    unsigned status;

    buf_init(&code, 256);
    buf_init(&message, 65536);
    read_text(outcome->end, "code", &code);
    read_text(outcome->end, "message", &message);
    if (code.len == 0)
        (void)buf_puts(&code, outcome->state == RUN_UNKNOWN ? "GONE" : "ERROR");
    if (message.len == 0)
        (void)buf_puts(&message, "the run ended without an answer");
    status = api_status_of_code(buf_view(&code));
    respond_error(chat, status >= 500 ? 500 : status, buf_text(&code),
                  buf_view(&message));
    buf_release(&message);
    buf_release(&code);
}

static void read_count(struct slice end, const char *name, uint64_t *count)
{
    struct json_member member;

    if (json_get(end, name, &member))
        (void)json_u64(member.value, count);
}

static void respond_answer(struct chat *chat, const struct api_outcome *outcome)
{
    struct dialect_answer answer = {.text = outcome->text, .finish_reason = "stop"};
    struct dialect_run run = {
        .task_id = chat->task.task_id,
        .epoch = chat->epoch,
        .created_s = chat->created_s,
        .model = slice_of(chat->model),
    };
    struct buf finish;
    struct buf model;
    struct buf body;

    buf_init(&finish, 64);
    buf_init(&model, 512);
    buf_init(&body, SIZE_MAX);
    read_text(outcome->end, "finish_reason", &finish);
    read_text(outcome->end, "model", &model);
    if (finish.len > 0)
        answer.finish_reason = buf_text(&finish);
    if (model.len > 0)
        run.model = buf_view(&model);
    read_count(outcome->end, "tokens_in", &answer.tokens_in);
    read_count(outcome->end, "tokens_out", &answer.tokens_out);
    (void)dialect_openai_answer(&body, &run, &answer);
    respond(chat, 200, buf_view(&body));
    buf_release(&body);
    buf_release(&model);
    buf_release(&finish);
}

static void on_outcome(void *ctx, const struct api_outcome *outcome)
{
    struct chat *chat = ctx;

    chat->await = NULL;
    if (outcome->state == RUN_COMPLETED || outcome->state == RUN_STOPPED)
        respond_answer(chat, outcome);
    else
        respond_failure(chat, outcome);
}

static void on_closed(struct http_exchange *x)
{
    struct chat *chat = x->owner_data;

    chat->x = NULL;
    if (chat->await == NULL)
        return; /* the bus still has to answer */
    api_await_cancel(chat->await);
    abandon(chat);
}

static void wait_for_end(struct chat *chat)
{
    chat->x->owner_data = chat;
    chat->x->on_closed = on_closed;
    chat->await = api_await(chat->api, &chat->task, chat->epoch, on_outcome, chat);
    if (chat->await == NULL)
        respond_error(chat, 503, "TOO_MANY", slice_of("too many tasks"));
}

/* ---- a stream ---- */

static void on_retold(void *ctx, const struct retell_told *told)
{
    struct chat *chat = ctx;

    log_stream(chat, told);
    if (told->how == RETELL_LEFT) {
        abandon(chat);
    } else if (told->how == RETELL_UNBEGUN && chat->api != NULL) {
        chat->x = told->x;
        wait_for_end(chat);
    } else {
        chat_free(chat);
    }
}

static void tell(struct chat *chat)
{
    struct http_exchange *x = chat->x;
    struct buf headers;
    struct session_retell asked = {
        .task = chat->task,
        .epoch = chat->epoch,
        .form = chat->dialect,
        .options = chat->options,
        .model = slice_of(chat->model),
        .waits = chat->waits,
        .over = on_retold,
        .ctx = chat,
    };

    buf_init(&headers, 512);
    (void)buf_puts(&headers, "proxy-buffering: off\r\n");
    put_task_header(chat, &headers);
    asked.headers = buf_text(&headers);
    chat->x = NULL;
    x->on_closed = NULL;
    session_retell(chat->api->sessions, x, &asked);
    buf_release(&headers);
}

/* ---- beginning ---- */

static void refuse(struct chat *chat, const struct api_fault *fault)
{
    if (chat->has_openai_errors) {
        respond_error(chat, fault->status, fault->code, slice_of(fault->message));
        return;
    }
    api_fault_respond(fault, chat->x);
    chat_free(chat);
}

static void on_submitted(void *ctx, const struct submitted *submitted)
{
    struct chat *chat = ctx;

    if (submitted->fault.status != 0) {
        if (chat->x != NULL)
            refuse(chat, &submitted->fault);
        else
            chat_free(chat);
        return;
    }
    chat->task = task_key_copy(&submitted->task);
    chat->epoch = submitted->epoch;
    if (chat->x == NULL)
        abandon(chat);
    else if (chat->is_plain)
        wait_for_end(chat);
    else
        tell(chat);
}

void chat_begin(struct api *api, struct http_exchange *x, struct chat_ask *ask)
{
    struct chat *chat = mem_new(sizeof(*chat));
    struct submission *submission = &ask->form.submission;

    *chat = (struct chat){
        .api = api,
        .x = x,
        .model = mem_text(submission->model),
        .request_id = mem_text(x->request->id),
        .began_ms = loop_now_ms(api->loop),
        .created_s = clock_wall_ms() / 1000,
        .dialect = ask->dialect,
        .options = ask->options,
        .is_plain = ask->is_plain,
        .waits = ask->waits,
        .has_openai_errors = ask->has_openai_errors,
    };
    list_push_back(&api->chats, &chat->node);
    x->owner_data = chat;
    x->on_closed = on_closed;
    submission->is_live = true;
    submission->request_id = x->request->id;
    submission->user = api_user(api);
    if (api->options.test_scenarios)
        submission->scenario = http_header(x->request, "x-test-scenario");
    log_request(chat, submission, x->request->path);
    api_submit(api, submission, on_submitted, chat);
}
