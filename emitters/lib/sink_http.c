/* sink_http.c - publishing through a broker's HTTP interface, as owner or as guest of a run. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "codec/json.h"
#include "emitters/lib/http_far.h"
#include "emitters/lib/joining.h"

#include <stdlib.h>

/* ---- as owner: producer, epoch and counter make a repeat harmless ---- */

struct sink_http {
    struct emitter_sink sink;
    struct http_far far;
    struct loop *loop;
    struct turn_task opening;
    uint64_t epoch; /* 0 = the next publish opens the run */
    store_opened *opened;
    store_published *published;
    void *opened_ctx;
    void *published_ctx;
};

static struct sink_http *http_of(struct emitter_sink *sink)
{
    return LIST_ENTRY(sink, struct sink_http, sink);
}

/* HTTP has no request for it: the first publish opens the run and tells its epoch. */
static void http_open(struct emitter_sink *sink, const struct run_open_request *request,
                      uint64_t claim_epoch, store_opened *done, void *ctx)
{
    struct sink_http *http = http_of(sink);
    (void)request;
    (void)claim_epoch;
    http->epoch = 0;
    http->opened = done;
    http->opened_ctx = ctx;
    turn_defer(http->loop, &http->opening);
}

static void tell_opened(struct turn_task *task)
{
    struct sink_http *http = LIST_ENTRY(task, struct sink_http, opening);
    store_opened *opened = http->opened;
    http->opened = NULL;
    opened(http->opened_ctx, PUBLISH_OK, 0);
}

static void on_published(void *ctx, const struct http_client_result *answer)
{
    struct sink_http *http = ctx;
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    store_published *published = http->published;
    http_far_note(&http->far, answer);
    http->published = NULL;
    if (http_far_judge(answer, &result) != POST_ANSWERED)
        result.status = PUBLISH_UNAVAILABLE;
    if (result.status == PUBLISH_OK)
        http->epoch = result.last.epoch;
    published(http->published_ctx, &result);
}

static void http_publish(struct emitter_sink *sink,
                         const struct publish_request *request, store_published *done,
                         void *ctx)
{
    struct sink_http *http = http_of(sink);
    struct publish_request own = *request;
    own.epoch = http->epoch;
    http->published = done;
    http->published_ctx = ctx;
    http_far_post(&http->far, &own, on_published, http);
}

static void http_free(struct emitter_sink *sink)
{
    struct sink_http *http = http_of(sink);
    turn_cancel(&http->opening);
    if (http->opened != NULL)
        http->opened(http->opened_ctx, PUBLISH_UNAVAILABLE, 0);
    http_far_release(&http->far); /* tells a publish that waits */
    free(http);
}

struct emitter_sink *sink_http_new(struct loop *loop, struct http_client *client,
                                   const struct sink_http_options *options)
{
    static const struct emitter_sink_ops ops = {
        .open = http_open,
        .publish = http_publish,
        .free = http_free,
        .max_in_flight = 1,
        .max_batch_bytes = SINK_HTTP_BATCH_BYTES,
    };
    struct sink_http *http = mem_new(sizeof(*http));
    http->sink.ops = &ops;
    http->loop = loop;
    turn_task_init(&http->opening, tell_opened);
    http_far_init(&http->far, client, options);
    return &http->sink;
}

/* ---- as guest of an unleased run ---- */

struct sink_http_joining {
    struct joining joining;
    struct http_far far;
};

static struct sink_http_joining *joining_of(struct joining *joining)
{
    return LIST_ENTRY(joining, struct sink_http_joining, joining);
}

static void on_posted(void *ctx, const struct http_client_result *http)
{
    struct sink_http_joining *sink = ctx;
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    http_far_note(&sink->far, http);
    enum post_outcome outcome = http_far_judge(http, &result);
    joining_posted(&sink->joining, outcome, &result);
}

static void post(struct joining *joining, const struct publish_request *request)
{
    struct sink_http_joining *sink = joining_of(joining);
    http_far_post(&sink->far, request, on_posted, sink);
}

/* {"task_id":..,"state":"running","id":"17-2",...} */
static void take_look(struct joining *joining, struct slice body)
{
    struct json_member state;
    struct event_id last = {0, 0, false};
    if (!json_check(body) || !json_get(body, "state", &state) ||
        state.kind != JSON_STRING) {
        joining_blind(joining);
        return;
    }
    bool is_known = run_state_of(json_string_raw(state.value)) != RUN_UNKNOWN;
    (void)http_far_read_id(body, "id", &last);
    joining_looked(joining, is_known, last);
}

static void on_looked(void *ctx, const struct http_client_result *http)
{
    struct sink_http_joining *sink = ctx;
    struct joining *joining = &sink->joining;
    bool is_answer = http->outcome == HTTP_CLIENT_OK;
    http_far_note(&sink->far, http);
    if (is_answer && http->status == 200)
        take_look(joining, http->body);
    else if (is_answer && (http->status == 404 || http->status == 410))
        joining_looked(joining, false, (struct event_id){0, 0, false});
    else if (http->outcome == HTTP_CLIENT_TOO_LARGE ||
             (is_answer && http->status < 500 && http->status != 429))
        joining_blind(joining);
    else
        joining_not_looked(joining);
}

static void look(struct joining *joining, const struct task_key *task)
{
    struct sink_http_joining *sink = joining_of(joining);
    http_far_get(&sink->far, task, on_looked, sink);
}

static void free_joining(struct joining *joining)
{
    struct sink_http_joining *sink = joining_of(joining);
    joining_release(joining);
    http_far_release(&sink->far); /* nobody listens any more */
    free(sink);
}

struct emitter_sink *sink_http_joining_new(struct loop *loop,
                                           struct http_client *client,
                                           const struct sink_http_options *options)
{
    static const struct joining_far far = {post, look, free_joining};
    struct sink_http_joining *sink = mem_new(sizeof(*sink));
    joining_init(&sink->joining, loop, &far);
    http_far_init(&sink->far, client, options);
    return &sink->joining.sink;
}
