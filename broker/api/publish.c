/* publish.c - POST /v1/tasks/{task_id}/events: one event, or JSON lines. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "codec/json.h"

#include <stdlib.h>

/*
 * Each line is checked before any is published: a bad line refuses the whole request and
 * names the line and the field.
 */
struct batch {
    struct pending *pending;
    struct buf site;
    struct buf task_id;
    struct buf producer;
    struct buf *lines; /* minified, with task_id */
    struct event *events;
    size_t count;
    size_t cap;
    uint64_t epoch;
    uint64_t counter;
};

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        buf_release(&batch->lines[i]);
    free(batch->lines);
    free(batch->events);
    buf_release(&batch->site);
    buf_release(&batch->task_id);
    buf_release(&batch->producer);
    free(batch);
}

static struct batch *batch_new(const struct task_key *task)
{
    struct batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL)
        abort();
    buf_init(&batch->site, task->site.len + 1);
    buf_slice(&batch->site, task->site);
    buf_init(&batch->task_id, task->task_id.len + 1);
    buf_slice(&batch->task_id, task->task_id);
    buf_init(&batch->producer, 256);
    return batch;
}

static struct buf *add_line(struct batch *batch)
{
    if (batch->count == batch->cap) {
        batch->cap = batch->cap == 0 ? 4 : batch->cap * 2;
        batch->lines = realloc(batch->lines, batch->cap * sizeof(*batch->lines));
        batch->events = realloc(batch->events, batch->cap * sizeof(*batch->events));
        if (batch->lines == NULL || batch->events == NULL)
            abort();
    }
    buf_init(&batch->lines[batch->count], EVENT_MAX_BYTES + 512);
    return &batch->lines[batch->count++];
}

/* An event names its task: the address does where the body does not. */
static void put_task_id(struct buf *line, struct slice task_id)
{
    struct json_member member;
    struct buf named;

    if (json_get(buf_view(line), "task_id", &member))
        return;
    buf_init(&named, EVENT_MAX_BYTES + 512);
    buf_puts(&named, "{\"task_id\":");
    json_quote(&named, task_id);
    buf_puts(&named, line->len > 2 ? "," : "");
    buf_append(&named, line->data + 1, line->len - 1);
    buf_reset(line);
    buf_slice(line, buf_view(&named));
    line->failed = line->failed || named.failed;
    buf_release(&named);
}

/* Where a line went wrong. */
struct blame {
    enum event_fault fault;
    const char *field;
    size_t line; /* of the body, blank ones counted */
    bool is_too_many;
};

static bool take_line(struct batch *batch, struct slice text, struct blame *blame)
{
    struct buf *line = add_line(batch);
    struct event *event = &batch->events[batch->count - 1];

    blame->field = NULL;
    blame->fault = EVENT_NOT_JSON;
    if (!json_check(text))
        return false;
    blame->fault = EVENT_TOO_LARGE;
    if (!json_minify(line, text))
        return false;
    blame->fault = event_check(buf_view(line), event, &blame->field);
    if (blame->fault != EVENT_OK)
        return false;
    blame->fault = EVENT_BAD_VALUE;
    blame->field = "id";
    if (event->has_id)
        return false;
    blame->field = "task_id";
    if (event->task_id.ptr != NULL &&
        !slice_equal(event->task_id, buf_view(&batch->task_id)))
        return false;
    put_task_id(line, buf_view(&batch->task_id));
    blame->fault = EVENT_TOO_LARGE;
    blame->field = NULL;
    if (line->failed)
        return false;
    blame->fault = event_check(buf_view(line), event, &blame->field);
    return blame->fault == EVENT_OK;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
            return false;
    return true;
}

/* A body that is one JSON value is one event, however it is laid out; else it is lines. */
static bool take_body(struct batch *batch, struct slice body, size_t limit,
                      struct blame *blame)
{
    size_t at = 0;

    *blame = (struct blame){.line = 1};
    if (json_check(body))
        return take_line(batch, body, blame);
    for (; at < body.len; blame->line++) {
        const char *end = memchr(body.ptr + at, '\n', body.len - at);
        size_t len = end == NULL ? body.len - at : (size_t)(end - body.ptr) - at;
        struct slice line = {body.ptr + at, len};
        at += len + 1;
        if (is_blank(line))
            continue;
        if (batch->count == limit) {
            blame->is_too_many = true;
            return false;
        }
        if (!take_line(batch, line, blame))
            return false;
    }
    *blame = (struct blame){EVENT_NOT_JSON, NULL, 1, false};
    return batch->count > 0;
}

static unsigned http_status_of_blame(const struct blame *blame)
{
    if (blame->is_too_many || blame->fault == EVENT_TOO_LARGE)
        return 413;
    return blame->fault == EVENT_NOT_JSON ? 400 : 422;
}

static void refuse_line(struct http_exchange *x, const struct blame *blame)
{
    struct buf text;

    buf_init(&text, 256);
    buf_printf(&text, "line %zu: %s", blame->line,
               blame->is_too_many ? "more events than one request may hold"
                                  : event_fault_text(blame->fault));
    http_respond_error(x, http_status_of_blame(blame), "INVALID_EVENT", buf_text(&text),
                       blame->field);
    buf_release(&text);
}

/* ---- the answer ---- */

static unsigned http_status_of(enum publish_status status)
{
    switch (status) {
    case PUBLISH_OK:
        return 200;
    case PUBLISH_FENCED:
    case PUBLISH_ENDED:
    case PUBLISH_GAP:
    case PUBLISH_UNKNOWN_RUN:
        return 409;
    case PUBLISH_TOO_LARGE:
    case PUBLISH_REJECTED:
        return 413;
    case PUBLISH_UNAVAILABLE:
        return 503;
    }
    return 500;
}

static void put_id(struct buf *body, const char *name, struct event_id id)
{
    char text[EVENT_ID_SIZE];

    if (id.epoch == 0)
        return;
    event_id_format(id, text);
    buf_printf(body, ",\"%s\":\"%s\"", name, text);
}

/* The ids of what was published, one for each line: within a run they have no gaps. */
static void put_ids(struct buf *body, const struct publish_result *result)
{
    struct event_id id = result->first;
    char text[EVENT_ID_SIZE];

    if (id.epoch == 0 || id.epoch != result->last.epoch)
        return;
    buf_puts(body, ",\"ids\":[");
    for (; id.seq <= result->last.seq; id.seq++) {
        event_id_format(id, text);
        buf_printf(body, "%s\"%s\"", id.seq == result->first.seq ? "" : ",", text);
    }
    buf_putc(body, ']');
}

static const char *message_of(const struct batch *batch,
                              const struct publish_result *result)
{
    struct bus *bus = batch->pending->api->bus;
    const char *trouble =
        result->status == PUBLISH_UNAVAILABLE ? bus->ops->trouble(bus) : NULL;

    if (result->detail != NULL)
        return result->detail;
    return trouble != NULL ? trouble : "the events were refused";
}

static void published(void *ctx, const struct publish_result *result)
{
    struct batch *batch = ctx;
    struct pending *pending = batch->pending;
    struct buf *body = &pending->body;

    if (result->status == PUBLISH_OK) {
        buf_puts(body, "{\"ok\":true");
    } else {
        buf_printf(body, "{\"error\":{\"code\":\"%s\",\"message\":",
                   publish_status_name(result->status));
        json_quote(body, slice_of(message_of(batch, result)));
        buf_putc(body, '}');
    }
    put_id(body, "first", result->first);
    put_id(body, "last", result->last);
    put_ids(body, result);
    if (result->status == PUBLISH_GAP)
        buf_printf(body, ",\"expected_counter\":%llu",
                   (unsigned long long)result->expected_counter);
    if (result->last.epoch != 0 || batch->epoch != 0)
        buf_printf(body, ",\"epoch\":%llu",
                   (unsigned long long)(batch->epoch != 0 ? batch->epoch
                                                          : result->last.epoch));
    if (result->stop_requested)
        buf_puts(body, ",\"stop_requested\":true");
    buf_putc(body, '}');
    if (result->status == PUBLISH_TOO_LARGE)
        counter_add(pending->api->too_large, 1);
    pending_respond(pending, http_status_of(result->status));
    batch_free(batch);
}

static void publish(struct batch *batch)
{
    struct bus *bus = batch->pending->api->bus;
    struct publish_request request = {
        .task = {buf_view(&batch->site), buf_view(&batch->task_id)},
        .producer = buf_view(&batch->producer),
        .epoch = batch->epoch,
        .counter = batch->counter,
        .events = batch->events,
        .count = batch->count,
    };

    bus->ops->publish(bus, &request, published, batch);
}

/* ---- the headers ---- */

static bool read_number(const struct http_request *request, const char *name,
                        uint64_t *number, bool *is_given)
{
    struct slice value = http_header(request, name);

    *is_given = value.ptr != NULL;
    return value.ptr == NULL || (json_u64(value, number) && *number > 0);
}

/* NULL, or the header at fault. */
static const char *read_producer(const struct http_request *request,
                                 struct batch *batch)
{
    struct slice producer = http_header(request, "thinkwire-producer");
    bool has_epoch;
    bool has_counter;

    if (producer.ptr != NULL && (!task_id_is_native(producer)))
        return "Thinkwire-Producer";
    buf_slice(&batch->producer, producer);
    if (!read_number(request, "thinkwire-epoch", &batch->epoch, &has_epoch) ||
        (has_epoch && producer.ptr == NULL))
        return "Thinkwire-Epoch";
    if (!read_number(request, "thinkwire-counter", &batch->counter, &has_counter) ||
        (has_counter && producer.ptr == NULL) || (has_epoch && !has_counter) ||
        (!has_epoch && has_counter && batch->counter != 1))
        return "Thinkwire-Counter";
    if (producer.ptr != NULL && !has_counter)
        batch->counter = 1;
    return NULL;
}

void api_publish(struct api *api, struct http_exchange *x, const struct task_key *task)
{
    struct batch *batch = batch_new(task);
    const char *header = read_producer(x->request, batch);
    struct blame blame;

    if (header != NULL) {
        http_respond_error(x, 422, "INVALID_VALUE", "missing or malformed header",
                           header);
        batch_free(batch);
        return;
    }
    if (!take_body(batch, x->request->body, api->options.publish_limit_events,
                   &blame)) {
        counter_add(api->too_many_lines, blame.is_too_many ? 1 : 0);
        refuse_line(x, &blame);
        batch_free(batch);
        return;
    }
    batch->pending = pending_new(api, x);
    publish(batch);
}
