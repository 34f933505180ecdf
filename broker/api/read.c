/* read.c - GET /v1/tasks/{task_id} and GET /v1/tasks. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "base/clock.h"
#include "codec/json.h"

#include <stdlib.h>

#define LIST_LIMIT 1000

/* ---- one task: it may have to be loaded first ---- */

struct wait {
    struct reader reader;
    struct timer timer;
    struct list node; /* in api->waits */
    struct pending *pending;
};

static void put_ms(struct buf *out, const char *name, uint64_t ms)
{
    buf_printf(out, ",\"%s\":", name);
    if (ms == 0)
        buf_puts(out, "null");
    else
        buf_u64(out, ms);
}

/* What was accumulated; of a run that never streamed, what its completion says. */
static void put_text(struct buf *out, const char *name, const struct accumulated *acc,
                     const struct entry *last)
{
    struct json_member member;

    buf_printf(out, ",\"%s\":", name);
    if (acc->merged == 0 && last != NULL && last->type == EVENT_COMPLETION &&
        json_get(last->body, name, &member) && member.kind == JSON_STRING)
        buf_slice(out, member.value);
    else
        json_quote(out, buf_view(&acc->utf8));
}

static void put_task(struct buf *out, const struct topic *topic)
{
    const struct run *run = topic_run(topic);
    const struct entry *last = topic_entry(topic, topic_next(topic) - 1);

    if (topic_next(topic) <= run->first_pos)
        last = NULL; /* of an earlier run */
    buf_puts(out, "{\"site\":");
    json_quote(out, topic_site(topic));
    buf_putc(out, ',');
    session_write_state(out, topic, 0);
    put_ms(out, "finished_at", run->finished_ms);
    buf_printf(out, ",\"events\":%llu",
               (unsigned long long)(topic_next(topic) - run->first_pos));
    put_text(out, "reasoning", &run->reasoning, last);
    put_text(out, "text", &run->text, last);
    buf_putc(out, '}');
}

static void wait_free(struct wait *wait)
{
    reader_detach(&wait->reader);
    timer_release(&wait->timer);
    list_remove(&wait->node);
    free(wait);
}

static void wait_answer(struct wait *wait)
{
    struct pending *pending = wait->pending;
    const struct topic *topic = wait->reader.topic;
    struct bus *bus = pending->api->bus;
    const char *trouble = bus->ops->trouble(bus);

    if (topic_phase(topic) != TOPIC_READY)
        pending_error(pending, 503, "UNAVAILABLE",
                      trouble != NULL ? trouble : "the event store cannot be reached",
                      NULL);
    else if (topic_was_erased(topic))
        pending_error(pending, 410, "GONE", "the task has expired or was erased", NULL);
    else if (topic_run(topic)->state == RUN_UNKNOWN)
        pending_error(pending, 404, "UNKNOWN_TASK",
                      "nobody has published for this task", NULL);
    else {
        put_task(&pending->body, topic);
        pending_respond(pending, 200);
    }
    wait_free(wait);
}

static void wait_wake(struct reader *reader)
{
    struct wait *wait = LIST_ENTRY(reader, struct wait, reader);

    if (topic_phase(reader->topic) == TOPIC_READY)
        wait_answer(wait);
}

static void wait_timeout(struct timer *timer)
{
    wait_answer(LIST_ENTRY(timer, struct wait, timer));
}

void api_read_task(struct api *api, struct http_exchange *x,
                   const struct task_key *task)
{
    struct topic *topic = hub_task(api->hub, task);
    struct wait *wait;

    if (topic == NULL) {
        http_respond_error(x, 503, "TOO_MANY", "too many tasks", NULL);
        return;
    }
    wait = calloc(1, sizeof(*wait));
    if (wait == NULL)
        abort();
    wait->pending = pending_new(api, x);
    list_push_back(&api->waits, &wait->node);
    timer_init(&wait->timer, api->loop, wait_timeout);
    timer_start(&wait->timer, api->options.load_timeout_ms, 0);
    reader_init(&wait->reader, wait_wake);
    reader_attach(&wait->reader, topic, topic_next(topic));
}

void api_free_waits(struct api *api)
{
    LIST_FOR_EACH(node, next, &api->waits)
    {
        struct wait *wait = LIST_ENTRY(node, struct wait, node);
        pending_error(wait->pending, 503, "SHUTTING_DOWN", "the broker is stopping",
                      NULL);
        wait_free(wait);
    }
}

/* ---- many tasks ---- */

static void list_each(void *ctx, const struct bus_task *task)
{
    struct pending *pending = ctx;
    struct buf *body = &pending->body;
    char id[EVENT_ID_SIZE];

    event_id_format(task->last, id);
    if (body->len > 0)
        buf_putc(body, ',');
    buf_puts(body, "{\"site\":");
    json_quote(body, task->task.site);
    buf_puts(body, ",\"task_id\":");
    json_quote(body, task->task.task_id);
    buf_printf(body, ",\"state\":\"%s\",\"id\":\"%s\"", run_state_name(task->state),
               id);
    put_ms(body, "started_at", task->started_ms);
    put_ms(body, "finished_at", task->finished_ms);
    buf_putc(body, '}');
}

static void list_done(void *ctx, bool ok)
{
    struct pending *pending = ctx;
    struct buf items = pending->body;

    if (!ok) {
        pending_error(pending, 503, "UNAVAILABLE", "the event store cannot be reached",
                      NULL);
        return;
    }
    buf_init(&pending->body, SIZE_MAX);
    buf_puts(&pending->body, "{\"tasks\":[");
    buf_slice(&pending->body, buf_view(&items));
    buf_printf(&pending->body, "],\"now\":%llu}", (unsigned long long)clock_wall_ms());
    buf_release(&items);
    pending_respond(pending, 200);
}

void api_list_tasks(struct api *api, struct http_exchange *x)
{
    uint64_t limit = 100;
    struct buf site;
    struct buf text;
    bool is_ok = true;

    buf_init(&site, 512);
    buf_init(&text, 32);
    if (http_query_get(x->request->query, "limit", &text))
        is_ok = json_u64(buf_view(&text), &limit) && limit > 0 && limit <= LIST_LIMIT;
    if (!is_ok)
        http_respond_error(x, 422, "INVALID_VALUE", "a limit is 1 to 1000", "limit");
    else if (api_site(api, x, &site))
        api->bus->ops->list(api->bus, buf_view(&site), limit, list_each, list_done,
                            pending_new(api, x));
    buf_release(&text);
    buf_release(&site);
}
