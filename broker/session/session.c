/* session.c - sessions and their set: the ready list, graves, counters. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "session/internal.h"

#include <stdlib.h>

/* ---- the ready list ---- */

void session_mark(struct session *session)
{
    if (session->is_dead || list_is_linked(&session->ready))
        return;
    list_push_back(&session->set->ready, &session->ready);
    turn_defer(session->set->loop, &session->set->flush);
}

static void free_graves(struct session_set *set)
{
    while (!list_is_empty(&set->graves)) {
        struct session *session = LIST_ENTRY(set->graves.next, struct session, ready);
        list_remove(&session->ready);
        session->ops->free(session);
    }
}

static void flush_ready(struct session_set *set)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, &set->ready);
    while (!list_is_empty(&batch)) {
        struct session *session = LIST_ENTRY(batch.next, struct session, ready);
        list_remove(&session->ready);
        session_pump(session);
    }
    free_graves(set);
    turn_cancel(&set->flush);
    if (!list_is_empty(&set->ready))
        turn_defer(set->loop, &set->flush);
}

static void after_visit(void *ctx)
{
    flush_ready(ctx);
}

static void flush_run(struct turn_task *task)
{
    flush_ready(LIST_ENTRY(task, struct session_set, flush));
}

static void heartbeat_fire(struct timer *timer)
{
    struct session_set *set = LIST_ENTRY(timer, struct session_set, heartbeat);
    uint64_t now = loop_now_ms(set->loop);

    stream_heartbeat(set, now);
    socket_heartbeat(set, now);
    snapshot_claim(set, now);
    sio_forget_saved(set, now);
    sio_keep_on(set, now);
}

/* ---- life ---- */

void session_init(struct session *session, struct session_set *set,
                  const struct session_ops *ops, enum dialect dialect)
{
    session->ops = ops;
    session->set = set;
    session->dialect = (uint8_t)dialect;
    list_init(&session->ready);
    list_init(&session->subs);
    list_init(&session->starved);
    list_init(&session->holding);
    list_init(&session->errands);
    set->sessions[dialect]->value++;
}

void session_bury(struct session *session)
{
    session->is_dead = true;
    while (!list_is_empty(&session->subs))
        subscription_remove(LIST_ENTRY(session->subs.next, struct subscription, node));
    LIST_FOR_EACH(errand_node, errand_next, &session->errands)
    {
        list_remove(errand_node);
        LIST_ENTRY(errand_node, struct errand, node)->session = NULL;
    }
    list_remove(&session->starved);
    snapshot_let_go(session);
    session->set->sessions[session->dialect]->value--;
    list_remove(&session->ready);
    list_push_back(&session->set->graves, &session->ready);
    turn_defer(session->set->loop, &session->set->flush);
}

static void register_bounds(struct session_set *set, struct counters *counters)
{
    static const char silent[] = "Readers closed because they gave no sign of life";

    set->cut_holders = counters_add(
        counters, COUNTER_TOTAL, "snapshot_holders_closed_total", NULL,
        "Readers closed because others waited for the memory of their snapshot");
    set->silent_ws = counters_add(counters, COUNTER_TOTAL,
                                  "silent_readers_closed_total", "kind=\"ws\"", silent);
    set->silent_sse = counters_add(
        counters, COUNTER_TOTAL, "silent_readers_closed_total", "kind=\"sse\"", silent);
    set->refused_subs =
        counters_add(counters, COUNTER_TOTAL, "subscriptions_refused_total", NULL,
                     "Subscriptions past the bound of one connection");
    set->unread_answers = counters_add(
        counters, COUNTER_TOTAL, "unread_answers_closed_total", NULL,
        "WebSocket readers closed because they did not read what they had asked");
}

static void register_counters(struct session_set *set, struct counters *counters)
{
    static const char *const labels[] = {
        "kind=\"ws\"",  "kind=\"sse\"",  "kind=\"sse_multi\"", "kind=\"sio_string\"",
        "kind=\"sio\"", "kind=\"poll\"", "kind=\"retold\""};

    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        set->sessions[i] = counters_add(counters, COUNTER_GAUGE, "sessions", labels[i],
                                        "Readers connected now");
    set->delivered = counters_add(counters, COUNTER_TOTAL, "deliveries_total", NULL,
                                  "Events handed to readers' sockets");
    set->merged = counters_add(counters, COUNTER_TOTAL, "merged_total", NULL,
                               "Deltas delivered inside a merged event");
    set->resyncs = counters_add(counters, COUNTER_TOTAL, "resyncs_total", NULL,
                                "Readers that were told to start anew");
    set->snapshots_sent = counters_add(counters, COUNTER_TOTAL, "snapshots_total", NULL,
                                       "Snapshots handed to readers");
    set->cut_opaque =
        counters_add(counters, COUNTER_TOTAL, "slow_readers_closed_total", NULL,
                     "String-form readers closed because they were too slow");
    set->starved_total = counters_add(counters, COUNTER_TOTAL, "snapshot_waits_total",
                                      NULL, "Snapshots that had to wait for memory");
    register_bounds(set, counters);
    set->bad_requests = counters_add(counters, COUNTER_TOTAL, "client_errors_total",
                                     NULL, "Client messages answered with an error");
    set->recovered = counters_add(counters, COUNTER_TOTAL, "recoveries_total",
                                  "outcome=\"recovered\"",
                                  "Socket.IO clients that came back with a pid");
    set->displaced =
        counters_add(counters, COUNTER_TOTAL, "saved_sessions_displaced_total", NULL,
                     "Cut Socket.IO sessions that were forgotten for more recent ones");
    set->unkept =
        counters_add(counters, COUNTER_TOTAL, "session_records_refused_total", NULL,
                     "Records of Socket.IO sessions that Redis did not take");
    set->taken_over =
        counters_add(counters, COUNTER_TOTAL, "sessions_taken_over_total", NULL,
                     "Recovered Socket.IO clients that came from another broker");
    set->unrecovered =
        counters_add(counters, COUNTER_TOTAL, "recoveries_total", "outcome=\"fresh\"",
                     "Socket.IO clients that came back with a pid");
}

struct session_set *session_set_new(struct loop *loop, struct hub *hub,
                                    const struct session_options *options,
                                    const struct session_services *services,
                                    struct counters *counters)
{
    struct session_set *set = calloc(1, sizeof(*set));

    if (set == NULL)
        abort();
    set->loop = loop;
    set->hub = hub;
    set->options = *options;
    set->services = *services;
    list_init(&set->ready);
    list_init(&set->waiting);
    list_init(&set->starved);
    list_init(&set->holders);
    list_init(&set->graves);
    list_init(&set->streams);
    list_init(&set->sockets);
    timer_init(&set->wait_timer, loop, subscription_timeouts);
    timer_init(&set->heartbeat, loop, heartbeat_fire);
    /* Half a second of slack is nothing to a heartbeat and spares a timer per stream. */
    timer_start(&set->heartbeat, 500, 500);
    turn_task_init(&set->flush, flush_run);
    register_counters(set, counters);
    list_init(&set->saved);
    list_init(&set->kept);
    random_bytes(&set->nonce, sizeof(set->nonce));
    set->by_pid = map_new();
    hub_set_after_visit(hub, after_visit, set);
    hub_set_follow(hub, subscription_follow_all);
    return set;
}

void session_set_free(struct session_set *set)
{
    hub_set_after_visit(set->hub, NULL, NULL);
    hub_set_follow(set->hub, NULL);
    /* First: burying them asks for one more flush. */
    sio_forget_saved(set, UINT64_MAX);
    timer_release(&set->wait_timer);
    timer_release(&set->heartbeat);
    turn_cancel(&set->flush);
    free_graves(set);
    map_free(set->by_pid);
    snapshot_retire_all(set);
    free(set);
}
