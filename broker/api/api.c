/* api.c - routes of the HTTP resources and what is common to them. */
/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include "api/bundle.h"
#include "api/internal.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_STREAM_TASKS 256
#define SMALL_BODY       ((size_t)4096)

/* ---- answers that come later ---- */

static void pending_closed(struct http_exchange *x)
{
    struct pending *pending = x->owner_data;

    pending->x = NULL;
}

struct pending *pending_new(struct api *api, struct http_exchange *x)
{
    struct pending *pending = calloc(1, sizeof(*pending));

    if (pending == NULL)
        abort();
    pending->api = api;
    pending->x = x;
    buf_init(&pending->body, SIZE_MAX);
    x->owner_data = pending;
    x->on_closed = pending_closed;
    return pending;
}

static void pending_free(struct pending *pending)
{
    buf_release(&pending->body);
    free(pending);
}

void pending_respond(struct pending *pending, unsigned status)
{
    if (pending->x != NULL)
        http_respond(pending->x, status, pending->body.len > 0 ? JSON_HEADERS : "",
                     buf_view(&pending->body));
    pending_free(pending);
}

void pending_error(struct pending *pending, unsigned status, const char *code,
                   const char *message, const char *field)
{
    if (pending->x != NULL)
        http_respond_error(pending->x, status, code, message, field);
    pending_free(pending);
}

bool api_site(struct api *api, struct http_exchange *x, struct buf *site)
{
    if (!http_query_get(x->request->query, "site", site) || site->len == 0) {
        buf_reset(site);
        buf_puts(site, api->options.default_site);
    }
    if (api->caller != NULL && api->caller->site != NULL) {
        buf_reset(site);
        buf_puts(site, api->caller->site);
    }
    if (!site->failed && site_is_native(buf_view(site)))
        return true;
    http_respond_error(x, 422, "INVALID_VALUE", "malformed site", "site");
    return false;
}

bool api_has_only(struct http_exchange *x, enum http_method method)
{
    if (x->request->method == method ||
        (method == HTTP_GET && x->request->method == HTTP_HEAD))
        return true;
    http_respond_error(x, 405, "METHOD_NOT_ALLOWED", "this resource has no such method",
                       NULL);
    return false;
}

/* ---- one task ---- */

static void erased(void *ctx, bool ok)
{
    struct pending *pending = ctx;

    if (!ok) {
        pending_error(pending, 503, "UNAVAILABLE", "the event store cannot be reached",
                      NULL);
        return;
    }
    pending_respond(pending, 204);
}

static void erase_task(struct api *api, struct http_exchange *x,
                       const struct task_key *task)
{
    if (api_may_write(api, x))
        api->bus->ops->erase(api->bus, task, erased, pending_new(api, x));
}

static void stopped(void *ctx, enum stop_status status)
{
    struct pending *pending = ctx;
    unsigned code = status == STOP_UNKNOWN_TASK  ? 404
                    : status == STOP_DENIED      ? 403
                    : status == STOP_STALE_EPOCH ? 409
                    : status == STOP_UNAVAILABLE ? 503
                                                 : 200;

    buf_printf(&pending->body, "{\"status\":\"%s\"}", stop_status_name(status));
    pending_respond(pending, code);
}

static void stop_task(struct api *api, struct http_exchange *x,
                      const struct task_key *task)
{
    uint64_t epoch = 0;
    struct buf text;
    bool is_ok = true;

    buf_init(&text, 32);
    if (http_query_get(x->request->query, "epoch", &text))
        is_ok = json_u64(buf_view(&text), &epoch);
    buf_release(&text);
    if (!is_ok) {
        http_respond_error(x, 422, "INVALID_VALUE", "an epoch is a number", "epoch");
        return;
    }
    api->bus->ops->stop(api->bus, task, epoch, stopped, pending_new(api, x));
}

/* ---- guarded tasks ---- */

struct guarded {
    struct pending *pending;
    struct task_key task; /* a copy */
    void (*serve)(struct api *api, struct http_exchange *x,
                  const struct task_key *task);
};

static void guard_answered(void *ctx, bool allowed)
{
    struct guarded *guarded = ctx;
    struct pending *pending = guarded->pending;
    struct http_exchange *x = pending->x;

    if (!allowed) {
        pending_error(pending, 403, "DENIED", "the task is not yours to watch",
                      "task_id");
    } else {
        struct api *api = pending->api;
        if (x != NULL) {
            x->owner_data = NULL;
            x->on_closed = NULL;
        }
        pending_free(pending);
        if (x != NULL)
            guarded->serve(api, x, &guarded->task);
    }
    task_key_release(&guarded->task);
    free(guarded);
}

static void serve_guarded(struct api *api, struct http_exchange *x,
                          const struct task_key *task,
                          void (*serve)(struct api *api, struct http_exchange *x,
                                        const struct task_key *task))
{
    struct guarded *guarded;

    if (!api->options.guards_tasks) {
        if (x->request->method != HTTP_POST || api_may_write(api, x))
            serve(api, x, task);
        return;
    }
    guarded = mem_new(sizeof(*guarded));
    *guarded = (struct guarded){
        .pending = pending_new(api, x),
        .task = task_key_copy(task),
        .serve = serve,
    };
    session_guard(api->sessions, x->request, task, guard_answered, guarded);
}

static void task_itself(struct api *api, struct http_exchange *x,
                        const struct task_key *task)
{
    if (x->request->method == HTTP_DELETE)
        erase_task(api, x, task);
    else if (api_has_only(x, HTTP_GET))
        serve_guarded(api, x, task, api_read_task);
}

static void task_events(struct api *api, struct http_exchange *x,
                        const struct task_key *task)
{
    if (x->request->method == HTTP_POST) {
        if (api_may_write(api, x))
            api_publish(api, x, task);
    } else if (api_has_only(x, HTTP_GET)) {
        session_stream(api->sessions, x, task, 1);
    }
}

static void task_stop(struct api *api, struct http_exchange *x,
                      const struct task_key *task)
{
    if (api_has_only(x, HTTP_POST))
        serve_guarded(api, x, task, stop_task);
}

static void task_continue(struct api *api, struct http_exchange *x,
                          const struct task_key *task)
{
    if (api_has_only(x, HTTP_POST))
        serve_guarded(api, x, task, api_continue_task);
}

static void task_points(struct api *api, struct http_exchange *x,
                        const struct task_key *task)
{
    if (api_has_only(x, HTTP_GET))
        serve_guarded(api, x, task, api_read_points);
}

static const struct task_resource {
    const char *name;
    void (*serve)(struct api *api, struct http_exchange *x,
                  const struct task_key *task);
} task_resources[] = {
    {"", task_itself},        {"/events", task_events},
    {"/stop", task_stop},     {"/continue", task_continue},
    {"/points", task_points},
};

/* /v1/tasks/{task_id}[/resource] */
static void serve_task_known(struct api *api, struct http_exchange *x)
{
    struct slice rest = x->request->path;
    struct task_key task = {0};
    struct buf site;
    const char *slash;

    rest.ptr += strlen("/v1/tasks/");
    rest.len -= strlen("/v1/tasks/");
    slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    task.task_id.ptr = rest.ptr;
    task.task_id.len = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
    rest.ptr += task.task_id.len;
    rest.len -= task.task_id.len;
    if (!task_id_is_native(task.task_id)) {
        http_respond_error(x, 422, "INVALID_VALUE",
                           "a task id is 1 to 128 of A-Z a-z 0-9 . _ : -", "task_id");
        return;
    }
    buf_init(&site, SMALL_BODY);
    if (api_site(api, x, &site)) {
        size_t i = 0;
        size_t count = sizeof(task_resources) / sizeof(task_resources[0]);
        task.site = buf_view(&site);
        while (i < count && !slice_is(rest, task_resources[i].name))
            i++;
        if (i < count)
            task_resources[i].serve(api, x, &task);
        else
            http_respond_error(x, 404, "NOT_FOUND", "a task has no such resource",
                               NULL);
    }
    buf_release(&site);
}

static void serve_task(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, serve_task_known);
}

static void serve_tasks_known(struct api *api, struct http_exchange *x)
{
    if (x->request->method == HTTP_POST) {
        if (api_may_write(api, x))
            api_submit_task(api, x);
        return;
    }
    if (!api_has_only(x, HTTP_GET))
        return;
    if (api->options.guards_tasks)
        http_respond_error(x, 403, "DENIED",
                           "tasks are guarded here and are not listed", NULL);
    else
        api_list_tasks(api, x);
}

static void serve_tasks(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, serve_tasks_known);
}

/* ---- several tasks on one stream ---- */

struct named_tasks {
    struct task_key keys[MAX_STREAM_TASKS];
    size_t count;
    struct buf names; /* the ids, one after the other */
};

/* Ids may be repeated parameters or separated by commas (which no id has). False: one is
 * malformed or there are too many. */
static bool take_names(struct named_tasks *named, struct slice value)
{
    size_t start = 0;

    for (size_t i = 0; i <= value.len; i++) {
        struct slice one;
        if (i < value.len && value.ptr[i] != ',')
            continue;
        one = slice_make(value.ptr + start, i - start);
        start = i + 1;
        if (!task_id_is_native(one) || named->count == MAX_STREAM_TASKS)
            return false;
        /* The buffer was sized for the whole query: it never moves. */
        named->keys[named->count].task_id =
            slice_make(named->names.data + named->names.len, one.len);
        buf_slice(&named->names, one);
        named->count++;
    }
    return true;
}

static bool read_names(struct named_tasks *named, struct slice query)
{
    struct buf scratch;
    struct slice name;
    struct slice value;
    size_t at = 0;
    bool is_ok = true;

    buf_init(&named->names, query.len + 1);
    buf_reserve(&named->names, query.len + 1);
    buf_init(&scratch, query.len + 1);
    while (is_ok && http_query_next(query, &at, &scratch, &name, &value))
        if (slice_is(name, "task_id"))
            is_ok = take_names(named, value);
    buf_release(&scratch);
    return is_ok && named->count > 0;
}

static void serve_streams_known(struct api *api, struct http_exchange *x)
{
    struct named_tasks *named;
    struct buf site;

    if (!api_has_only(x, HTTP_GET))
        return;
    named = calloc(1, sizeof(*named));
    if (named == NULL)
        abort();
    buf_init(&site, SMALL_BODY);
    if (!read_names(named, x->request->query)) {
        http_respond_error(x, 422, "INVALID_VALUE",
                           "name 1 to 256 tasks, each 1 to 128 of A-Z a-z 0-9 . _ : -",
                           "task_id");
    } else if (api_site(api, x, &site)) {
        for (size_t i = 0; i < named->count; i++)
            named->keys[i].site = buf_view(&site);
        session_stream(api->sessions, x, named->keys, named->count);
    }
    buf_release(&site);
    buf_release(&named->names);
    free(named);
}

static void serve_streams(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, serve_streams_known);
}

/* ---- operations ---- */

static void serve_health(void *ctx, struct http_exchange *x)
{
    struct api *api = ctx;
    struct buf body;

    if (!api_has_only(x, HTTP_GET))
        return;
    buf_init(&body, SMALL_BODY);
    buf_printf(&body, "{\"status\":\"ok\",\"version\":\"%s\",\"uptime_s\":%llu}",
               THINKWIRE_VERSION,
               (unsigned long long)((clock_mono_ms() - api->started_ms) / 1000));
    http_respond(x, 200, JSON_HEADERS, buf_view(&body));
    buf_release(&body);
}

static void put_check(struct buf *body, const char *what, const char *trouble,
                      bool *is_ready)
{
    buf_printf(body, ",\"%s\":", what);
    json_quote(body, slice_of(trouble == NULL ? "ok" : trouble));
    if (trouble != NULL)
        *is_ready = false;
}

static void serve_ready(void *ctx, struct http_exchange *x)
{
    struct api *api = ctx;
    bool is_ready = true;
    struct buf checks;
    struct buf body;

    if (!api_has_only(x, HTTP_GET))
        return;
    buf_init(&checks, SMALL_BODY);
    put_check(&checks, "bus", api->bus->ops->trouble(api->bus), &is_ready);
    for (size_t i = 0; i < api->check_count; i++)
        put_check(&checks, api->checks[i].what,
                  api->checks[i].trouble(api->checks[i].ctx), &is_ready);
    buf_init(&body, SMALL_BODY + SMALL_BODY);
    buf_printf(&body, "{\"ready\":%s", is_ready ? "true" : "false");
    buf_slice(&body, buf_view(&checks));
    buf_putc(&body, '}');
    http_respond(x, is_ready ? 200 : 503, JSON_HEADERS, buf_view(&body));
    buf_release(&body);
    buf_release(&checks);
}

static void serve_metrics(void *ctx, struct http_exchange *x)
{
    struct api *api = ctx;
    struct buf body;

    if (!api_has_only(x, HTTP_GET))
        return;
    buf_init(&body, 1 << 20);
    counters_write(api->counters, &body);
    http_respond(x, 200, "content-type: text/plain; version=0.0.4; charset=utf-8\r\n",
                 buf_view(&body));
    buf_release(&body);
}

static void serve_ping(void *ctx, struct http_exchange *x)
{
    if (api_has_only(x, HTTP_GET))
        api_ping(ctx, x);
}

static void serve_chat(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_chat);
}

static void serve_chat_stream(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_chat_stream);
}

static void serve_chat_continue(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_chat_continue);
}

static void serve_chat_completions(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_chat_completions);
}

static void serve_models(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_models);
}

static void serve_telemetry(void *ctx, struct http_exchange *x)
{
    api_for_known(ctx, x, api_telemetry);
}

static void serve_root(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    if (!api_has_only(x, HTTP_GET))
        return;
    http_respond(x, 200, "content-type: text/plain; charset=utf-8\r\n",
                 slice_of("Thinkwire " THINKWIRE_VERSION
                          ": a realtime progress broker.\n\n"
                          "  GET  /v1/tasks/{task_id}/events   server-sent events\n"
                          "  POST /v1/tasks/{task_id}/events   publish\n"
                          "  POST /v1/tasks                    ask a model\n"
                          "  POST /v1/tasks/{task_id}/stop, /continue\n"
                          "  GET  /v1/tasks/{task_id}/points   where to go on from\n"
                          "  GET  /v1/tasks, /v1/tasks/{task_id}\n"
                          "  /ws                               WebSocket\n"
                          "  /socket.io/                       Socket.IO\n"
                          "  /healthz /readyz /metrics\n"));
}

/* ---- life ---- */

struct api *api_new(const struct api_rooms *rooms, const struct api_options *options)
{
    struct api *api = calloc(1, sizeof(*api));

    if (api == NULL)
        abort();
    api->loop = rooms->loop;
    api->hub = rooms->hub;
    api->bus = rooms->bus;
    api->sessions = rooms->sessions;
    api->options = *options;
    api->counters = rooms->counters;
    api->too_many_lines =
        counters_add(rooms->counters, COUNTER_TOTAL, "publish_lines_refused_total",
                     NULL, "Requests with more events than one may hold");
    api->too_large =
        counters_add(rooms->counters, COUNTER_TOTAL, "publish_too_large_total", NULL,
                     "Publications that ended their run: RUN_TOO_LARGE");
    api->submitted = counters_add(rooms->counters, COUNTER_TOTAL, "submitted_total",
                                  NULL, "Generations asked for and queued");
    api->submit_refused =
        counters_add(rooms->counters, COUNTER_TOTAL, "submit_refused_total", NULL,
                     "Requests for a generation that were malformed or out of bounds");
    api_telemetry_init(api, rooms->counters);
    api->started_ms = clock_mono_ms();
    list_init(&api->waits);
    list_init(&api->awaits);
    list_init(&api->chats);
    return api;
}

void api_free(struct api *api)
{
    api_free_waits(api);
    api_free_awaits(api);
    api_free_chats(api);
    free(api);
}

void api_add_check(struct api *api, const char *what, const char *(*trouble)(void *ctx),
                   void *ctx)
{
    assert(api->check_count < API_CHECKS);
    api->checks[api->check_count].what = what;
    api->checks[api->check_count].trouble = trouble;
    api->checks[api->check_count].ctx = ctx;
    api->check_count++;
}

size_t api_routes(struct api *api, struct http_route routes[API_ROUTES])
{
    size_t submit_limit = api->options.submit_limit_bytes;
    const struct http_route table[] = {
        {"/v1/tasks", false, api->options.submit_limit_bytes, serve_tasks, api, false,
         NULL},
        {"/v1/tasks/", true, api->options.publish_limit_bytes, serve_task, api, false,
         NULL},
        {"/v1/events", false, SMALL_BODY, serve_streams, api, false, NULL},
        {"/api/v1/chat", false, submit_limit, serve_chat, api, false, NULL},
        {"/api/v2/chat/streaming/stream", false, submit_limit, serve_chat_stream, api,
         false, NULL},
        {"/api/v2/chat/streaming/continue", false, submit_limit, serve_chat_continue,
         api, false, NULL},
        {"/v1/chat/completions", false, submit_limit, serve_chat_completions, api,
         false, NULL},
        {"/v1/models", false, submit_limit, serve_models, api, false, NULL},
        {"/v1/telemetry", false, api->options.telemetry_limit_bytes, serve_telemetry,
         api, false, NULL},
        {"/api/streaming/stream", false, submit_limit, serve_chat_stream, api, false,
         NULL},
        {"/api/v1/auth/ping", false, SMALL_BODY, serve_ping, api, false, NULL},
        {"/healthz", false, SMALL_BODY, serve_health, api, false, NULL},
        {"/readyz", false, SMALL_BODY, serve_ready, api, false, NULL},
        {"/metrics", false, SMALL_BODY, serve_metrics, api, false, NULL},
        {"/", false, SMALL_BODY, serve_root, api, false, NULL},
        /* Longer than the engine's own path, so they win. */
        {"/socket.io/socket.io.js", false, SMALL_BODY, bundle_serve, NULL, false, NULL},
        {"/socket.io/socket.io.min.js", false, SMALL_BODY, bundle_serve, NULL, false,
         NULL},
        {"/socket.io/socket.io.esm.min.js", false, SMALL_BODY, bundle_serve, NULL,
         false, NULL},
    };
    size_t count = sizeof(table) / sizeof(table[0]);

    memcpy(routes, table, sizeof(table));
    return count;
}
