/* support.c - the HTTP resources on a memory bus, or on a bus that does not answer. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/mem.h"
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_LIMIT (64 << 20)

/* ---- a bus that does not answer ---- */

static struct held_bus *of(struct bus *bus)
{
    return LIST_ENTRY(bus, struct held_bus, bus);
}

static void held_publish(struct bus *bus, const struct publish_request *request,
                         void (*done)(void *ctx, const struct publish_result *result),
                         void *ctx)
{
    (void)request;
    of(bus)->asked++;
    of(bus)->published = done;
    of(bus)->ctx = ctx;
}

static void held_open(struct bus *bus, const struct run_open_request *request,
                      void (*done)(void *ctx, enum publish_status status,
                                   uint64_t epoch),
                      void *ctx)
{
    (void)request;
    of(bus)->asked++;
    of(bus)->opened = done;
    of(bus)->ctx = ctx;
}

static void held_submit(struct bus *bus, const struct run_open_request *request,
                        void (*done)(void *ctx, enum publish_status status,
                                     uint64_t epoch),
                        void *ctx)
{
    (void)snprintf(of(bus)->request, sizeof(of(bus)->request), "%.*s",
                   (int)request->request.len, request->request.ptr);
    held_open(bus, request, done, ctx);
}

static void held_recall(struct bus *bus, const struct task_key *task_key,
                        void (*done)(void *ctx, const struct bus_kept *kept), void *ctx)
{
    (void)task_key;
    of(bus)->asked++;
    of(bus)->recalled = done;
    of(bus)->ctx = ctx;
}

static void held_points(struct bus *bus, const struct task_key *task_key,
                        task_pointed *done, void *ctx)
{
    (void)task_key;
    of(bus)->asked++;
    of(bus)->pointed = done;
    of(bus)->ctx = ctx;
}

static void held_stop(struct bus *bus, const struct task_key *task_key, uint64_t epoch,
                      void (*done)(void *ctx, enum stop_status status), void *ctx)
{
    (void)task_key;
    (void)epoch;
    of(bus)->asked++;
    of(bus)->stopped = done;
    of(bus)->ctx = ctx;
}

static void held_erase(struct bus *bus, const struct task_key *task_key,
                       void (*done)(void *ctx, bool ok), void *ctx)
{
    (void)task_key;
    of(bus)->asked++;
    of(bus)->erased = done;
    of(bus)->ctx = ctx;
}

/* As the interface has it. NOLINTNEXTLINE(readability-function-size) */
static void held_list(struct bus *bus, struct slice site, size_t limit,
                      void (*each)(void *ctx, const struct bus_task *task_line),
                      void (*done)(void *ctx, bool ok), void *ctx)
{
    (void)site;
    (void)limit;
    (void)each;
    of(bus)->asked++;
    of(bus)->listed = done;
    of(bus)->ctx = ctx;
}

static const char *held_trouble(struct bus *bus)
{
    return of(bus)->trouble;
}

static void held_free(struct bus *bus)
{
    (void)bus;
}

static const struct bus_ops held_ops = {
    .publish = held_publish,
    .open = held_open,
    .submit = held_submit,
    .recall = held_recall,
    .points = held_points,
    .stop = held_stop,
    .erase = held_erase,
    .list = held_list,
    .trouble = held_trouble,
    .free = held_free,
};

/* ---- the bench ---- */

struct hub_limits roomy(void)
{
    return (struct hub_limits){
        .retain_events = 10000,
        .retain_bytes = 16 << 20,
        .retain_text_bytes = 1 << 20,
        .retain_total_bytes = 256 << 20,
        .retain_finished_ms = 3600000,
        .retain_room_ms = 3600000,
        .abandon_ms = 3600000,
        .linger_ms = 3600000,
        .max_topics = 50,
    };
}

struct bus_limits bus_roomy(void)
{
    return (struct bus_limits){
        .retain_events = 10000,
        .retain_text_bytes = 1 << 20,
        .retain_finished_ms = 3600000,
        .queue_timeout_ms = 3600000,
        .abandon_ms = 3600000,
        .stop_grace_ms = 1000,
    };
}

static void stop_nothing(void *ctx, const struct task_key *task_key, uint64_t epoch,
                         void (*done)(void *done_ctx, enum stop_status status),
                         void *done_ctx)
{
    (void)ctx;
    (void)task_key;
    (void)epoch;
    done(done_ctx, STOP_UNAVAILABLE);
}

static void make_api(struct bench *b, bool writes_are_local)
{
    struct api_options options = {
        .default_site = "",
        .publish_limit_bytes = 4 << 20,
        .publish_limit_events = 5,
        .submit_limit_bytes = 1 << 20,
        .max_message_chars = 20,
        .load_timeout_ms = 30,
        .writes_are_local = writes_are_local,
        .telemetry_limit_bytes = 4096,
        .telemetry_per_minute = 3,
    };
    struct api_rooms rooms = {b->loop, b->hub, b->bus, b->sessions, b->counters};

    b->api = api_new(&rooms, &options);
    b->route_count = api_routes(b->api, b->routes);
}

struct bench *bench_new(const struct hub_limits *limits,
                        const struct bus_limits *bus_limits, bool is_held)
{
    struct bench *b = mem_new(sizeof(*b));
    struct session_options sessions = {
        .heartbeat_ms = 3600000,
        .silence_ms = 3600000,
        .wait_unknown_ms = 3600000,
        .poll_wait_ms = 3600000,
        .max_subscriptions = 8,
        .snapshot_total_bytes = 1 << 20,
        .snapshot_hold_ms = 3600000,
        .answer_bytes = 32768,
        .default_site = "",
    };
    struct session_services services = {.stop = stop_nothing};

    b->loop = loop_new();
    b->counters = counters_new();
    b->hub = hub_new(b->loop, limits, b->counters);
    b->held.bus = (struct bus){&held_ops, "held"};
    b->bus = is_held ? &b->held.bus
                     : bus_memory_new(b->loop, b->hub, bus_limits, b->counters);
    b->sessions = session_set_new(b->loop, b->hub, &sessions, &services, b->counters);
    make_api(b, false);
    return b;
}

void bench_free(struct bench *b)
{
    api_free(b->api);
    while (b->exchanges != NULL) {
        struct fake_exchange *x = b->exchanges;
        b->exchanges = x->next;
        if (!x->is_answered && !x->is_gone)
            abort_exchange(x);
        buf_release(&x->body);
        free(x);
    }
    settle(b);
    session_set_free(b->sessions);
    b->bus->ops->free(b->bus);
    hub_free(b->hub);
    counters_free(b->counters);
    loop_free(b->loop);
    free(b);
}

static int with_bench(void **state, bool is_held)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();

    *state = bench_new(&limits, &bus_limits, is_held);
    return 0;
}

int with_memory(void **state)
{
    return with_bench(state, false);
}

int with_held(void **state)
{
    return with_bench(state, true);
}

int with_local_writes(void **state)
{
    struct bench *b;

    (void)with_bench(state, false);
    b = *state;
    api_free(b->api);
    make_api(b, true);
    return 0;
}

int without(void **state)
{
    bench_free(*state);
    return 0;
}

/* ---- time ---- */

void settle(struct bench *b)
{
    kit_settle(b->loop);
}

void pass_ms(struct bench *b, uint64_t ms)
{
    kit_pass_ms(b->loop, ms);
}

uint64_t counted(struct bench *b, const char *line_start)
{
    return kit_counted(b->counters, line_start);
}

/* ---- requests ---- */

static void on_respond(struct http_exchange *base, unsigned status, const char *headers,
                       struct slice body)
{
    struct fake_exchange *x = LIST_ENTRY(base, struct fake_exchange, base);

    (void)headers;
    assert_false(x->is_answered);
    assert_false(x->is_gone);
    x->is_answered = true;
    x->status = status;
    buf_slice(&x->body, body);
}

static const struct http_exchange_ops exchange_ops = {.respond = on_respond};

static void add_header(struct fake_exchange *x, const char *name, const char *value)
{
    if (value == NULL)
        return;
    x->headers[x->request.header_count].name = slice_of(name);
    x->headers[x->request.header_count].value = slice_of(value);
    x->request.header_count++;
}

/* As the transport routes: the longest match wins. */
static const struct http_route *route_of(const struct bench *b, struct slice path)
{
    const struct http_route *best = NULL;

    for (size_t i = 0; i < b->route_count; i++) {
        const struct http_route *route = &b->routes[i];
        size_t len = strlen(route->path);
        bool fits = route->is_prefix
                        ? path.len >= len && memcmp(path.ptr, route->path, len) == 0
                        : slice_is(path, route->path);
        if (fits && (best == NULL || len > strlen(best->path)))
            best = route;
    }
    assert_non_null(best);
    return best;
}

struct fake_exchange *ask(struct bench *b, enum http_method method, const char *target,
                          const char *body)
{
    struct fake_exchange *x = mem_new(sizeof(*x));
    const char *mark;
    size_t len;
    const struct http_route *route;

    snprintf(x->target, sizeof(x->target), "%s", target);
    mark = strchr(x->target, '?');
    len = mark == NULL ? strlen(x->target) : (size_t)(mark - x->target);
    buf_init(&x->body, BODY_LIMIT);
    x->request = (struct http_request){
        .method = method,
        .path = slice_make(x->target, len),
        .query = mark == NULL ? slice_make(NULL, 0) : slice_of(mark + 1),
        .body = slice_of(body),
        .peer = slice_of(b->peer == NULL ? "127.0.0.1" : b->peer),
        .id = slice_of("req_1"),
        .headers = x->headers,
    };
    add_header(x, "thinkwire-producer", b->producer);
    add_header(x, "thinkwire-epoch", b->epoch);
    add_header(x, "thinkwire-counter", b->counter);
    add_header(x, b->proxy, b->proxy == NULL ? NULL : "for=somebody");
    x->base.ops = &exchange_ops;
    x->base.request = &x->request;
    x->next = b->exchanges;
    b->exchanges = x;
    route = route_of(b, x->request.path);
    route->handler(route->ctx, &x->base);
    return x;
}

struct fake_exchange *get(struct bench *b, const char *target)
{
    return ask(b, HTTP_GET, target, "");
}

struct fake_exchange *post(struct bench *b, const char *body)
{
    return ask(b, HTTP_POST, "/v1/tasks/t/events", body);
}

void abort_exchange(struct fake_exchange *x)
{
    assert_false(x->is_answered);
    x->is_gone = true;
    if (x->base.on_closed != NULL)
        x->base.on_closed(&x->base);
}

void answered(struct bench *b, struct fake_exchange *x, unsigned status,
              const char *part)
{
    settle(b);
    assert_true(x->is_answered);
    if (strstr(buf_text(&x->body), part) == NULL || x->status != status)
        print_message("answered %u %s\n", x->status, buf_text(&x->body));
    assert_non_null(strstr(buf_text(&x->body), part));
    assert_int_equal(x->status, status);
}

uint64_t number_in(struct fake_exchange *x, const char *name)
{
    char key[64];
    const char *found;

    snprintf(key, sizeof(key), "\"%s\":", name);
    found = strstr(buf_text(&x->body), key);
    assert_non_null(found);
    return found == NULL ? 0 : strtoull(found + strlen(key), NULL, 10);
}

struct topic *task(struct bench *b, const char *name)
{
    return hub_find(b->hub, TOPIC_TASK, slice_of(""), slice_of(name));
}
