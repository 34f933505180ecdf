/* points.c - GET /v1/tasks/{task_id}/points: from where one can go on. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"

static void put_point(struct buf *body, const struct task_point *point)
{
    (void)buf_printf(body, "{\"point\":%llu,\"kind\":\"",
                     (unsigned long long)point->number);
    (void)buf_slice(body, point->kind);
    (void)buf_printf(body, "\",\"epoch\":%llu,\"at\":%llu,\"length\":%llu",
                     (unsigned long long)point->epoch, (unsigned long long)point->at_ms,
                     (unsigned long long)point->length);
    if (point->from > 0)
        (void)buf_printf(body, ",\"from_point\":%llu", (unsigned long long)point->from);
    (void)buf_putc(body, '}');
}

static void on_points(void *ctx, const struct task_points *points)
{
    struct pending *pending = ctx;
    struct buf *body = &pending->body;

    if (points == NULL) {
        pending_error(pending, 503, "UNAVAILABLE", "the event store cannot be reached",
                      NULL);
        return;
    }
    if (points->state == RUN_UNKNOWN) {
        pending_error(pending, 404, "UNKNOWN_TASK", "nobody knows this task", NULL);
        return;
    }
    (void)buf_printf(body, "{\"state\":\"%s\",\"points\":[",
                     run_state_name(points->state));
    for (size_t i = 0; i < points->count; i++) {
        (void)buf_puts(body, i == 0 ? "" : ",");
        put_point(body, &points->points[i]);
    }
    (void)buf_puts(body, "]}");
    pending_respond(pending, 200);
}

void api_read_points(struct api *api, struct http_exchange *x,
                     const struct task_key *task)
{
    api->bus->ops->points(api->bus, task, on_points, pending_new(api, x));
}
