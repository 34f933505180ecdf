/* stage.c - a hub with a bus over a private Redis, and readers that write down what comes. */
/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void open_hub(struct stage *stage, void **state)
{
    static const struct hub_limits limits = {.retain_events = 20000,
                                             .retain_bytes = 64 << 20,
                                             .retain_text_bytes = 4 << 20,
                                             .retain_total_bytes = 256 << 20,
                                             .retain_finished_ms = 60000,
                                             .retain_room_ms = 60000,
                                             .abandon_ms = 60000,
                                             .linger_ms = 60000,
                                             .max_topics = 5000};

    memset(stage, 0, sizeof(*stage));
    shop_open(&stage->shop, state);
    stage->shop.limits.retain_events = 20000;
    shop_limits(&stage->shop, &stage->shop.limits);
    stage->scene = stage->shop.scene;
    stage->counters = counters_new();
    stage->hub = hub_new(stage->scene->loop, &limits, stage->counters);
    buf_init(&stage->listed, 1 << 20);
    if (stage->limits.retain_events == 0)
        stage->limits = (struct bus_limits){.retain_events = 20000,
                                            .retain_text_bytes = 4 << 20,
                                            .retain_finished_ms = 60000,
                                            .queue_timeout_ms = 60000,
                                            .abandon_ms = 60000,
                                            .stop_grace_ms = 300};
}

static bool is_bus_well(void *ctx)
{
    struct stage *stage = ctx;
    return stage->bus->ops->trouble(stage->bus) == NULL;
}

void stage_open_without_bus(struct stage *stage, void **state)
{
    open_hub(stage, state);
}

void stage_open_bus(struct stage *stage, const char *url)
{
    stage->bus = bus_redis_new(stage->scene->loop, stage->hub, url, "tw",
                               &stage->limits, stage->counters, &stage->listed);
    assert_non_null(stage->bus);
}

void stage_open(struct stage *stage, void **state)
{
    open_hub(stage, state);
    stage_open_bus(stage, stage->scene->redis.url);
    scene_until(stage->scene, is_bus_well, stage);
}

static bool is_frappe_well(void *ctx)
{
    struct stage *stage = ctx;
    return strcmp(scene_ask(stage->scene, "PUBSUB NUMSUB events"), "events|1") == 0;
}

void stage_open_frappe(struct stage *stage, void **state)
{
    open_hub(stage, state);
    stage->frappe = bus_frappe_new(
        stage->scene->loop, stage->hub,
        &(struct frappe_channel){stage->scene->redis.url, "events", stage->lift},
        stage->counters, &stage->listed);
    assert_non_null(stage->frappe);
    while (!is_frappe_well(stage))
        scene_idle(stage->scene, 1);
}

void stage_close(struct stage *stage)
{
    if (stage->bus != NULL)
        stage->bus->ops->free(stage->bus);
    if (stage->frappe != NULL)
        bus_frappe_free(stage->frappe);
    hub_free(stage->hub);
    counters_free(stage->counters);
    buf_release(&stage->listed);
    shop_close(&stage->shop);
}

uint64_t stage_counter(struct stage *stage, const char *line)
{
    char name[128];

    (void)snprintf(name, sizeof(name), "thinkwire_%s", line);
    return kit_counted(stage->counters, name);
}

/* ---- readers ---- */

static void see(struct eye *eye, const struct entry *entry)
{
    const char *type = event_type_name(entry->type);

    eye->seen++;
    buf_u64(&eye->log, entry->id.seq);
    buf_putc(&eye->log, ':');
    if (entry->is_opaque || type == NULL)
        buf_slice(&eye->log, entry->name);
    else
        buf_puts(&eye->log, type);
    buf_putc(&eye->log, ' ');
    buf_reset(&eye->last);
    buf_slice(&eye->last, entry->body);
}

static void on_wake(struct reader *reader)
{
    struct eye *eye = LIST_ENTRY(reader, struct eye, reader);

    eye->woken++;
    if (topic_phase(eye->topic) != TOPIC_READY)
        return;
    if (reader->pos == 0)
        reader->pos = topic_next(eye->topic);
    if (reader_lag(reader) == READER_LOST) {
        eye->lost++;
        buf_puts(&eye->log, "! ");
        reader->pos = topic_next(eye->topic);
    }
    for (; reader->pos < topic_next(eye->topic); reader->pos++)
        see(eye, topic_entry(eye->topic, reader->pos));
}

bool eye_is_ready(void *ctx)
{
    struct eye *eye = ctx;
    return topic_phase(eye->topic) == TOPIC_READY && eye->reader.pos != 0;
}

void eye_attach(struct eye *eye, struct topic *topic)
{
    memset(eye, 0, sizeof(*eye));
    buf_init(&eye->log, 1 << 20);
    buf_init(&eye->last, 16 << 20);
    assert_non_null(topic);
    eye->topic = topic;
    reader_init(&eye->reader, on_wake);
    reader_attach(&eye->reader, topic, 0);
}

void eye_open(struct eye *eye, struct stage *stage, const char *task_id)
{
    eye_attach(eye,
               hub_topic(stage->hub, TOPIC_TASK, slice_of("s"), slice_of(task_id)));
    scene_until(stage->scene, eye_is_ready, eye);
}

void eye_close(struct eye *eye)
{
    reader_detach(&eye->reader);
    buf_release(&eye->log);
    buf_release(&eye->last);
}

void eye_until_seen(struct eye *eye, struct stage *stage, unsigned count)
{
    scene_until_count(stage->scene, &eye->seen, count);
}

void eye_until_lost(struct eye *eye, struct stage *stage, unsigned count)
{
    scene_until_count(stage->scene, &eye->lost, count);
}

const char *eye_text(struct eye *eye, struct stage *stage)
{
    buf_reset(&stage->listed);
    buf_slice(&stage->listed, buf_view(&topic_run(eye->topic)->text.utf8));
    return buf_text(&stage->listed);
}
