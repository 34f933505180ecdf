/* shop.c - a store over a private Redis, asked one thing at a time. */
/* SPDX-License-Identifier: MIT */
#include "shop.h"

#include <stdio.h>
#include <string.h>

static void on_up(void *ctx)
{
    ((struct shop *)ctx)->ups++;
}

void shop_open(struct shop *shop, void **state)
{
    struct link_options options = {.is_quiet = true,
                                   .name = "shop",
                                   .backoff_min_ms = 5,
                                   .backoff_max_ms = 20,
                                   .on_up = on_up,
                                   .ctx = shop};
    struct buf *all[] = {&shop->text, &shop->reasoning, &shop->producer, &shop->request,
                         &shop->ids,  &shop->bodies,    &shop->listed};

    *shop = (struct shop){.scene = *state};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_init(all[i], 64 << 20);
    shop->limits = (struct store_limits){.retain_events = 1000,
                                         .retain_bytes = 10 << 20,
                                         .retain_text_bytes = 1 << 20,
                                         .retain_finished_ms = 60000,
                                         .retain_running_ms = 3600000};
    shop->link =
        link_new(shop->scene->loop, shop->scene->redis.url, &options, &shop->text);
    assert_non_null(shop->link);
    shop->store = store_new(shop->link, "tw", &shop->limits);
    scene_until_count(shop->scene, &shop->ups, 1);
}

void shop_limits(struct shop *shop, const struct store_limits *limits)
{
    store_free(shop->store);
    shop->store = store_new(shop->link, "tw", limits);
}

void shop_close(struct shop *shop)
{
    struct buf *all[] = {&shop->text, &shop->reasoning, &shop->producer, &shop->request,
                         &shop->ids,  &shop->bodies,    &shop->listed};

    store_free(shop->store);
    link_free(shop->link);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        buf_release(all[i]);
}

struct task_key task_of(const char *site, const char *task_id)
{
    return (struct task_key){slice_of(site), slice_of(task_id)};
}

struct task_key the_task(void)
{
    return task_of("s", "t1");
}

static void await_told(struct shop *shop, unsigned before)
{
    scene_until_count(shop->scene, &shop->told, before + 1);
    assert_int_equal(shop->told, before + 1);
}

/* ---- producers ---- */

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->status = status;
    shop->epoch = epoch;
}

void shop_open_run(struct shop *shop, const struct run_open_request *request,
                   uint64_t claim)
{
    unsigned before = shop->told;

    if (claim == 0)
        store_open(shop->store, request, on_opened, shop);
    else
        store_claim(shop->store, request, claim, on_opened, shop);
    assert_int_equal(shop->told, before);
    await_told(shop, before);
}

uint64_t shop_run(struct shop *shop, const char *producer, uint64_t lease_ms)
{
    struct run_open_request request = {.task = the_task(),
                                       .producer = slice_of(producer),
                                       .lease_ms = lease_ms,
                                       .state = RUN_RUNNING};

    shop_open_run(shop, &request, 0);
    assert_int_equal(shop->status, PUBLISH_OK);
    assert_true(shop->epoch > 0);
    return shop->epoch;
}

static void write_event(struct buf *out, char kind, struct slice text)
{
    static const char *const brief[][2] = {
        {"c", "{\"type\":\"completion\",\"text\":\"all\",\"partial\":false"},
        {"e", "{\"type\":\"error\",\"code\":\"X\",\"message\":\"m\""},
        {"x", "{\"type\":\"stopped\",\"length\":0"},
        {"q", "{\"type\":\"queued\""},
        {"s", "{\"type\":\"status\",\"message\":\"m\""},
    };

    buf_reset(out);
    for (size_t i = 0; i < sizeof(brief) / sizeof(brief[0]); i++)
        if (brief[i][0][0] == kind)
            buf_puts(out, brief[i][1]);
    if (kind == 'r' || kind == 't')
        buf_printf(out, "{\"type\":\"%s\",\"text\":\"%.*s\",\"partial\":true",
                   kind == 'r' ? "reasoning" : "text", (int)text.len, text.ptr);
    buf_puts(out, ",\"task_id\":\"t1\",\"timestamp\":\"2026-11-20T23:00:00.123Z\"}");
}

#define MAX_LINES 64

static size_t write_events(const char *lines, struct buf texts[MAX_LINES],
                           struct event events[MAX_LINES])
{
    struct slice rest = slice_of(lines);
    struct slice word;
    size_t n = 0;

    for (; n < MAX_LINES && next_part(&rest, ' ', &word); n++) {
        const char *field = NULL;
        size_t head = word.len > 2 ? 2 : word.len;
        buf_init(&texts[n], 1 << 16);
        write_event(&texts[n], word.ptr[0],
                    slice_make(word.ptr + head, word.len - head));
        assert_int_equal(event_check(buf_view(&texts[n]), &events[n], &field),
                         EVENT_OK);
    }
    return n;
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->result = *result;
    shop->status = result->status;
}

void shop_send(struct shop *shop, const struct publish_request *request)
{
    store_publish(shop->store, request, on_published, shop);
}

void shop_publish(struct shop *shop, const char *producer, uint64_t epoch,
                  uint64_t counter, const char *lines)
{
    struct buf texts[MAX_LINES];
    struct event events[MAX_LINES];
    size_t count = write_events(lines, texts, events);
    struct publish_request request = {.task = the_task(),
                                      .producer = slice_of(producer),
                                      .epoch = epoch,
                                      .counter = counter,
                                      .events = events,
                                      .count = count};
    unsigned before = shop->told;

    shop_send(shop, &request);
    await_told(shop, before);
    for (size_t i = 0; i < count; i++)
        buf_release(&texts[i]);
}

void shop_expect(const struct shop *shop, enum publish_status status, uint64_t first,
                 uint64_t last)
{
    if (shop->result.status != status)
        print_error("answer detail: %s, link: %s\n",
                    shop->result.detail == NULL ? "none" : shop->result.detail,
                    link_is_up(shop->link) ? "up" : link_trouble(shop->link));
    assert_string_equal(publish_status_name(shop->result.status),
                        publish_status_name(status));
    if (first != 0)
        assert_int_equal(shop->result.first.seq, first);
    if (last != 0)
        assert_int_equal(shop->result.last.seq, last);
}

void shop_renew(struct shop *shop, const char *producer, uint64_t epoch,
                uint64_t lease_ms)
{
    struct store_renewal renewal = {the_task(), slice_of(producer), epoch, lease_ms};
    unsigned before = shop->told;

    store_renew(shop->store, &renewal, on_published, shop);
    await_told(shop, before);
}

/* ---- brokers ---- */

static void on_ended(void *ctx, enum store_end_status status)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->ended = status;
}

void shop_end(struct shop *shop, const struct store_ending *ending)
{
    unsigned before = shop->told;

    store_end(shop->store, ending, on_ended, shop);
    await_told(shop, before);
}

static void on_stopped(void *ctx, enum stop_status status, uint64_t epoch)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->stopped = status;
    shop->epoch = epoch;
}

void shop_stop(struct shop *shop, uint64_t epoch)
{
    struct task_key task = the_task();
    unsigned before = shop->told;

    store_stop(shop->store, &task, epoch, on_stopped, shop);
    await_told(shop, before);
}

static void on_erased(void *ctx, bool ok)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->is_good = ok;
}

void shop_erase(struct shop *shop)
{
    struct task_key task = the_task();
    unsigned before = shop->told;

    store_erase(shop->store, &task, on_erased, shop);
    await_told(shop, before);
}

/* ---- reading ---- */

static void keep(struct buf *out, struct slice text)
{
    buf_reset(out);
    buf_slice(out, text);
}

static void keep_entries(struct shop *shop, const struct store_entry *entries,
                         size_t count)
{
    buf_reset(&shop->ids);
    buf_reset(&shop->bodies);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&shop->ids, i == 0 ? "%llu" : " %llu",
                   (unsigned long long)entries[i].id.seq);
        buf_slice(&shop->bodies, entries[i].json);
        buf_putc(&shop->bodies, '\n');
    }
}

static void on_loaded(void *ctx, const struct store_task *task)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->is_loaded = task != NULL;
    if (task == NULL)
        return;
    shop->task = *task;
    keep(&shop->text, task->text.utf8);
    keep(&shop->reasoning, task->reasoning.utf8);
    keep(&shop->producer, task->producer);
    keep(&shop->request, task->request);
    keep_entries(shop, task->entries, task->count);
}

void shop_load(struct shop *shop, size_t newest)
{
    struct task_key task = the_task();
    unsigned before = shop->told;

    store_load(shop->store, &task, newest, on_loaded, shop);
    await_told(shop, before);
}

void shop_look(struct shop *shop)
{
    struct task_key task = the_task();
    unsigned before = shop->told;

    store_look(shop->store, &task, on_loaded, shop);
    await_told(shop, before);
}

static void on_ranged(void *ctx, bool ok, const struct store_entry *entries,
                      size_t count)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->is_good = ok;
    keep_entries(shop, entries, count);
}

void shop_range(struct shop *shop, struct event_id after, size_t count)
{
    struct store_span span = {the_task(), after, count};
    unsigned before = shop->told;

    store_range(shop->store, &span, on_ranged, shop);
    await_told(shop, before);
}

void shop_range_back(struct shop *shop, struct event_id end, size_t count)
{
    struct store_past past = {the_task(), end, count};
    unsigned before = shop->told;

    store_range_back(shop->store, &past, on_ranged, shop);
    await_told(shop, before);
}

void shop_entry_at(struct shop *shop, struct event_id id)
{
    struct task_key task = the_task();
    unsigned before = shop->told;

    store_entry_at(shop->store, &task, id, on_ranged, shop);
    await_told(shop, before);
}

static void on_item(void *ctx, const struct store_item *item)
{
    struct shop *shop = ctx;

    buf_slice(&shop->listed, item->task.site);
    buf_putc(&shop->listed, '/');
    buf_slice(&shop->listed, item->task.task_id);
    buf_printf(&shop->listed, ":%s ", run_state_name(item->state));
}

static void on_listed(void *ctx, bool ok)
{
    struct shop *shop = ctx;

    shop->told++;
    shop->is_good = ok;
}

void shop_list(struct shop *shop, const struct store_listing *listing)
{
    struct store_listing mine = *listing;
    unsigned before = shop->told;

    mine.each = on_item;
    mine.done = on_listed;
    buf_reset(&shop->listed);
    store_list(shop->store, &mine, shop);
    await_told(shop, before);
}

const char *shop_field(struct shop *shop, const char *name)
{
    return scene_ask(shop->scene, "HGET tw:{s/t1}:run %s", name);
}
