/* known.c - what a task has said so far, read once from Redis or a broker. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "emitters/cli/emit.h"
#include "emitters/lib/kept.h"
#include "http/client.h"
#include "redis/store.h"

#include <stdio.h>

struct question {
    struct loop *loop;
    struct timer deadline;
    const struct emit *emit;
    struct buf *text;
    struct buf *reasoning;
    bool is_answered;
};

static void finish(struct question *question, bool is_answered)
{
    question->is_answered = is_answered;
    loop_stop(question->loop);
}

static void on_deadline(struct timer *timer)
{
    finish(LIST_ENTRY(timer, struct question, deadline), false);
}

static struct task_key task_of(const struct emit *emit)
{
    return (struct task_key){slice_of(emit->options.site),
                             slice_of(emit->options.task)};
}

/* ---- Redis ---- */

struct redis_question {
    struct question base;
    struct link *link;
    struct store *store;
};

static void on_loaded(void *ctx, const struct store_task *task)
{
    struct question *question = ctx;
    if (task != NULL) {
        buf_slice(question->text, task->text.utf8);
        buf_slice(question->reasoning, task->reasoning.utf8);
    }
    finish(question, task != NULL);
}

static void on_up(void *ctx)
{
    struct redis_question *question = ctx;
    struct task_key task = task_of(question->base.emit);
    store_load(question->store, &task, 0, on_loaded, &question->base);
}

static bool ask_redis(struct redis_question *question)
{
    const struct store_limits limits = KEPT_BY_DEFAULT;
    const struct link_options options = {
        .name = "thinkwire-cli", .on_up = on_up, .ctx = question};
    const struct emit *emit = question->base.emit;
    struct buf error;
    buf_init(&error, 256);
    question->link = link_new(question->base.loop, emit->url, &options, &error);
    buf_release(&error);
    if (question->link == NULL)
        return false;
    question->store = store_new(question->link, emit->options.prefix, &limits);
    loop_run(question->base.loop);
    bool is_answered = question->base.is_answered;
    store_free(question->store);
    link_free(question->link);
    return is_answered;
}

/* ---- a broker ---- */

static void take_string(struct slice object, const char *name, struct buf *out)
{
    struct json_member m;
    if (json_get(object, name, &m) && m.kind == JSON_STRING)
        json_unescape(out, json_string_raw(m.value));
}

struct http_question {
    struct question base;
    unsigned status;
    char *words;
    size_t size;
};

static void on_got(void *ctx, const struct http_client_result *result)
{
    struct http_question *question = ctx;
    struct question *base = &question->base;
    if (result->outcome == HTTP_CLIENT_CANCELLED)
        return;
    question->status = result->status;
    if (question->words != NULL)
        snprintf(question->words, question->size, "%s", result->detail);
    if (base->text != NULL && result->status == 200 && json_check(result->body)) {
        take_string(result->body, "text", base->text);
        take_string(result->body, "reasoning", base->reasoning);
    }
    finish(base, result->outcome == HTTP_CLIENT_OK);
}

static bool ask_http(struct http_question *question, const char *path)
{
    const struct emit *emit = question->base.emit;
    struct buf url;
    struct buf bearer;
    buf_init(&url, 4096);
    buf_init(&bearer, 65536);
    buf_printf(&url, "%s%s", emit->url, path);
    buf_printf(&bearer, "Authorization: Bearer %s", emit->options.token);
    const char *headers[] = {buf_text(&bearer)};
    struct http_client_request request = {
        .url = buf_text(&url),
        .headers = headers,
        .header_count = emit->options.token[0] != 0 ? 1 : 0,
        .response_limit_bytes = 64U << 20,
        .on_done = on_got,
        .ctx = question,
    };
    struct http_client *client = http_client_new(question->base.loop, NULL);
    http_client_start(client, &request);
    loop_run(question->base.loop);
    bool is_answered = question->base.is_answered;
    http_client_free(client);
    buf_release(&url);
    buf_release(&bearer);
    return is_answered;
}

static void begin(struct question *question, uint64_t timeout_ms)
{
    question->loop = loop_new();
    timer_init(&question->deadline, question->loop, on_deadline);
    timer_start(&question->deadline, timeout_ms, 0);
}

static void end(struct question *question)
{
    timer_release(&question->deadline);
    loop_free(question->loop);
}

static bool known_by_http(const struct emit *emit, struct buf *text,
                          struct buf *reasoning)
{
    struct http_question question = {
        .base = {.emit = emit, .text = text, .reasoning = reasoning}};
    char path[300];
    snprintf(path, sizeof(path), "/v1/tasks/%s?site=%s", emit->options.task,
             emit->options.site);
    begin(&question.base, emit->options.timeout_ms);
    bool is_answered = ask_http(&question, path);
    end(&question.base);
    unsigned status = question.status;
    return is_answered && (status == 200 || status == 404 || status == 410);
}

static bool known_by_redis(const struct emit *emit, struct buf *text,
                           struct buf *reasoning)
{
    struct redis_question question = {
        .base = {.emit = emit, .text = text, .reasoning = reasoning}};
    begin(&question.base, emit->options.timeout_ms);
    bool is_answered = ask_redis(&question);
    end(&question.base);
    return is_answered;
}

bool known_text(const struct emit *emit, struct buf *text, struct buf *reasoning)
{
    bool good = tool_is_http(emit->url) ? known_by_http(emit, text, reasoning)
                                        : known_by_redis(emit, text, reasoning);
    if (!good)
        tool_fail("emit", 0, "%s: cannot read what task %s has said; give the text",
                  emit->shown.data, emit->options.task);
    return good;
}

bool broker_answers(const struct emit *emit, char *words, size_t size)
{
    struct http_question question = {
        .base = {.emit = emit}, .words = words, .size = size};
    snprintf(words, size, "no answer");
    begin(&question.base, emit->options.connect_timeout_ms);
    bool is_answered = ask_http(&question, "/healthz");
    end(&question.base);
    return is_answered;
}
