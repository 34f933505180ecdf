/* shop.h - a store over a private Redis, asked one thing at a time. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_REDIS_SHOP_H
#define THINKWIRE_TESTS_REDIS_SHOP_H

#include "scene.h"

struct shop {
    struct scene *scene;
    struct link *link;
    struct store *store;
    struct store_limits limits;
    unsigned ups;
    unsigned told; /* answers of any kind */

    struct publish_result result;
    enum publish_status status;
    uint64_t epoch;
    enum store_end_status ended;
    enum stop_status stopped;
    bool is_good;

    /* Of the last load or range, copied. */
    bool is_loaded;
    struct store_task task;
    struct buf text;
    struct buf reasoning;
    struct buf producer;
    struct buf request;
    struct buf ids;    /* "1-1 1-2" with the epoch left out: "1 2" */
    struct buf bodies; /* joined by '\n' */
    struct buf listed; /* "site/task:state " */
};

/* Keys "tw:{s/t1}:..." unless the call names another task. */
void shop_open(struct shop *shop, void **state);
/* Sets limits before the first use. */
void shop_limits(struct shop *shop, const struct store_limits *limits);
void shop_close(struct shop *shop);

struct task_key task_of(const char *site, const char *task_id);
/* t1 of site s */
struct task_key the_task(void);

/* Opens t1; asserts that it went well and answers the epoch. */
uint64_t shop_run(struct shop *shop, const char *producer, uint64_t lease_ms);
void shop_open_run(struct shop *shop, const struct run_open_request *request,
                   uint64_t claim);

/* `lines` writes a batch shortly, one event a word: "r:Hmm" and "t:Hi" are deltas, "c" a
 * completion, "e" an error, "x" stopped, "q" queued, "s" a status. "" is no event. */
/* Publishes on t1; the answer is in shop->result. */
void shop_publish(struct shop *shop, const char *producer, uint64_t epoch,
                  uint64_t counter, const char *lines);
/* The same without waiting. */
void shop_send(struct shop *shop, const struct publish_request *request);

void shop_end(struct shop *shop, const struct store_ending *ending);
void shop_stop(struct shop *shop, uint64_t epoch);
void shop_renew(struct shop *shop, const char *producer, uint64_t epoch,
                uint64_t lease_ms);
void shop_erase(struct shop *shop);
void shop_load(struct shop *shop, size_t newest);
void shop_look(struct shop *shop);
void shop_range(struct shop *shop, struct event_id after, size_t count);
void shop_range_back(struct shop *shop, struct event_id end, size_t count);
void shop_entry_at(struct shop *shop, struct event_id id);
void shop_list(struct shop *shop, const struct store_listing *listing);

/* Asserts status and, unless 0, first and last seq. */
void shop_expect(const struct shop *shop, enum publish_status status, uint64_t first,
                 uint64_t last);
/* A field of the run hash of t1. */
const char *shop_field(struct shop *shop, const char *name);

#endif
