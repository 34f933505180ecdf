/* submit_http.c - POST /v1/tasks and POST /v1/tasks/{task_id}/continue. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "api/submit.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

/* One request until it is answered. */
struct asking {
    struct api *api;
    struct http_exchange *x; /* NULL when the client has gone */
    struct api_await *await; /* stream:false, once it is queued */
    bool waits;
    char *task_id;
    uint64_t epoch;
};

static void asking_free(struct asking *asking)
{
    free(asking->task_id);
    free(asking);
}

/* Who waited and went: the run goes on, since others may watch it. */
static void on_closed(struct http_exchange *x)
{
    struct asking *asking = x->owner_data;

    asking->x = NULL;
    if (asking->await == NULL)
        return; /* the bus still has to answer */
    api_await_cancel(asking->await);
    asking_free(asking);
}

/* The task id is of the native form: no header or JSON needs it escaped. */
static void respond(struct asking *asking, unsigned status, struct slice body)
{
    struct buf headers;

    buf_init(&headers, 512);
    (void)buf_printf(&headers, "%sx-task-id: %s\r\n", JSON_HEADERS, asking->task_id);
    if (asking->x != NULL)
        http_respond(asking->x, status, buf_text(&headers), body);
    buf_release(&headers);
    asking_free(asking);
}

/* ---- stream: false ---- */

static void put_member(struct buf *body, struct slice end, const char *from,
                       const char *to)
{
    struct json_member member;

    if (!json_get(end, from, &member))
        return;
    (void)buf_printf(body, ",\"%s\":", to);
    (void)buf_slice(body, member.value);
}

static void put_usage(struct buf *body, struct slice end)
{
    static const char *const names[] = {"tokens_in", "tokens_out", "reasoning_tokens",
                                        "cost_usd"};
    struct json_member member;
    bool is_first = true;

    (void)buf_puts(body, ",\"usage\":");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!json_get(end, names[i], &member))
            continue;
        (void)buf_printf(body, "%s\"%s\":", is_first ? "{" : ",", names[i]);
        (void)buf_slice(body, member.value);
        is_first = false;
    }
    (void)buf_puts(body, is_first ? "null" : "}");
}

static unsigned status_of(const struct api_outcome *outcome)
{
    struct json_member code;

    if (outcome->state == RUN_UNKNOWN)
        return outcome->was_erased ? 410 : 503;
    if (outcome->state != RUN_FAILED)
        return 200;
    return json_get(outcome->end, "code", &code) && code.kind == JSON_STRING
               ? api_status_of_code(json_string_raw(code.value))
               : 500;
}

static void put_error(struct buf *body, const struct api_outcome *outcome)
{
    struct json_member code;
    struct json_member message;

    if (outcome->state == RUN_UNKNOWN) {
        (void)buf_puts(
            body,
            outcome->was_erased
                ? "\"error\":{\"code\":\"GONE\",\"message\":\"the task was erased\"},"
                : "\"error\":{\"code\":\"SHUTTING_DOWN\",\"message\":\"the broker is "
                  "stopping; the run may go on\"},");
        return;
    }
    if (outcome->state != RUN_FAILED)
        return;
    (void)buf_puts(body, "\"error\":{\"code\":");
    (void)buf_slice(body, json_get(outcome->end, "code", &code)
                              ? code.value
                              : slice_of("\"ERROR\""));
    (void)buf_puts(body, ",\"message\":");
    (void)buf_slice(body, json_get(outcome->end, "message", &message)
                              ? message.value
                              : slice_of("\"the run ended with an error\""));
    (void)buf_puts(body, "},");
}

static void on_over(void *ctx, const struct api_outcome *outcome)
{
    struct asking *asking = ctx;
    struct buf body;

    asking->await = NULL;
    buf_init(&body, SIZE_MAX);
    (void)buf_putc(&body, '{');
    put_error(&body, outcome);
    (void)buf_printf(&body, "\"task_id\":\"%s\",\"epoch\":%llu,\"state\":\"%s\"",
                     asking->task_id, (unsigned long long)asking->epoch,
                     run_state_name(outcome->state));
    (void)buf_puts(&body, ",\"text\":");
    (void)json_quote(&body, outcome->text);
    (void)buf_puts(&body, ",\"reasoning\":");
    (void)json_quote(&body, outcome->reasoning);
    put_usage(&body, outcome->end);
    put_member(&body, outcome->end, "finish_reason", "finish_reason");
    put_member(&body, outcome->end, "model", "model");
    put_member(&body, outcome->end, "incomplete", "incomplete");
    put_member(&body, outcome->end, "cut", "cut");
    (void)buf_putc(&body, '}');
    respond(asking, status_of(outcome), buf_view(&body));
    buf_release(&body);
}

/* ---- submitting ---- */

static void on_queued(struct asking *asking)
{
    struct buf body;

    buf_init(&body, 512);
    (void)buf_printf(&body, "{\"task_id\":\"%s\",\"epoch\":%llu,\"state\":\"queued\"}",
                     asking->task_id, (unsigned long long)asking->epoch);
    respond(asking, 202, buf_view(&body));
    buf_release(&body);
}

static void on_submitted(void *ctx, const struct submitted *submitted)
{
    struct asking *asking = ctx;

    if (asking->x == NULL) {
        asking_free(asking);
        return;
    }
    if (submitted->fault.status != 0) {
        api_fault_respond(&submitted->fault, asking->x);
        asking_free(asking);
        return;
    }
    asking->task_id = mem_text(submitted->task.task_id);
    asking->epoch = submitted->epoch;
    if (asking->waits)
        asking->await =
            api_await(asking->api, &submitted->task, submitted->epoch, on_over, asking);
    /* With no memory for a reader the task is worth more than the wish to wait. */
    if (asking->await == NULL)
        on_queued(asking);
}

static void submit(struct api *api, struct http_exchange *x, struct form *form)
{
    struct asking *asking = mem_new(sizeof(*asking));

    asking->api = api;
    asking->x = x;
    asking->waits = form->has_stream && !form->is_stream;
    x->owner_data = asking;
    x->on_closed = on_closed;
    form->submission.request_id = x->request->id;
    form->submission.user = api_user(api);
    api_submit(api, &form->submission, on_submitted, asking);
}

void api_submit_task(struct api *api, struct http_exchange *x)
{
    struct api_fault fault;
    struct form form;
    struct buf site;

    buf_init(&site, 512);
    if (api_site(api, x, &site)) {
        if (form_read(&form, x->request->body, &fault)) {
            form.submission.site = buf_view(&site);
            submit(api, x, &form);
        } else {
            api_fault_respond(&fault, x);
        }
        form_release(&form);
    }
    buf_release(&site);
}

void api_continue_task(struct api *api, struct http_exchange *x,
                       const struct task_key *task)
{
    struct slice body = x->request->body;
    struct api_fault fault;
    struct form form;

    /* All is known already: nothing need be said. */
    if (form_read(&form, body.len == 0 ? slice_of("{}") : body, &fault)) {
        form.submission.site = task->site;
        form.submission.task_id = task->task_id;
        form.submission.is_continue = true;
        submit(api, x, &form);
    } else {
        api_fault_respond(&fault, x);
    }
    form_release(&form);
}
