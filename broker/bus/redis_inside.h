/* redis_inside.h - what the files of the Redis bus share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BUS_REDIS_INSIDE_H
#define THINKWIRE_BUS_REDIS_INSIDE_H

#include "base/diag.h"
#include "base/map.h"
#include "bus/bus.h"
#include "bus/lift.h"
#include "redis/fitness.h"
#include "redis/store.h"

/* Entries of a task that is loaded: a late join must stay a matter of a few milliseconds.
 * The older ones are read when `from=start` or an old `since` wants them. */
#define BUS_LOAD_ENTRIES 256
/* Entries read at a time when a gap is healed, or of the past. */
#define BUS_RANGE_CHUNK 500
/* So often a watched, unfinished task is compared with Redis, unless something was heard of
 * it just now: what never came is found within the sum. */
#define BUS_PROBE_MS  5000
#define BUS_SILENT_MS 1000
#define BUS_TICK_MS   100
/* Sweeping open runs: so many each time. */
#define BUS_SWEEP_MS    1000
#define BUS_SWEEP_TASKS 200
/* An answer that took so long is silence: producers could not renew meanwhile, so leases are
 * judged only after a lease time without it. Asked once a second, it sees any silence of
 * 1.5 s; a lease shorter than 3 s may be lost to one it does not see. */
#define BUS_SILENCE_MS 500
/* Stops whose grace is watched by this broker; of more the sweep takes care. */
#define BUS_MAX_STOPS 10000

struct bus_redis {
    struct bus bus;
    struct loop *loop;
    struct hub *hub;
    struct bus_limits limits;
    struct link *commands;
    struct link *messages;
    struct store *store;
    char *prefix;
    struct bus_lift *lift;   /* NULL: Frappe's events are not lifted */
    struct confirm *confirm; /* NULL: --redis-wait-ms 0 */
    struct fitness *fitness;
    bool is_judged;   /* the start is over */
    bool is_refusing; /* Redis answered writes with errors, and nothing better since */
    enum store_refusal refusal; /* the last one */
    uint64_t refused_ms;        /* when it was */
    uint64_t refusal_told_ms;   /* when diagnostics heard of it */
    uint64_t refused_count;     /* since writes were last taken */
    struct timer recovery;

    struct map *by_channel; /* struct watch */
    struct list watches;    /* by the time of their next probe */
    struct timer tick;

    struct list stops;
    size_t stop_count;
    struct timer sweep;
    size_t sweep_offset;
    size_t swept; /* in this round */
    bool is_sweeping;
    uint64_t clock_asked_ms;  /* when Redis was asked for its time; 0 = it is not */
    uint64_t steady_since_ms; /* Redis has answered without a break; 0 = it does not */
    uint64_t clock_ahead_ms;  /* Redis's clock minus ours (wraps) */

    struct diag_gate gate;
    struct counter *live;
    struct counter *duplicates;
    struct counter *gaps;
    struct counter *reloads;
    struct counter *loads;
    struct counter *history;
    struct counter *probes;
    struct counter *bad_payloads;
    struct counter *bad_entries;
    struct counter *ended;
    struct counter *losses;
    struct counter *refusals[STORE_REFUSALS];
    struct counter *unfit[FITNESS_STATES];
    struct counter *refused;
    struct counter *confirms[3]; /* by enum confirm_outcome */
};

/* redis_watch.c: topics that are read here, kept level with Redis */
void bus_watch_start(void *ctx, struct topic *topic);
void bus_watch_stop(void *ctx, struct topic *topic);
void bus_watch_history(void *ctx, struct topic *topic);
void bus_watch_newer(void *ctx, struct topic *topic);
void bus_watch_subscribed(struct bus_redis *bus, struct slice channel);
void bus_watch_message(struct bus_redis *bus, struct slice channel,
                       struct slice payload);
/* Asks again what could not be asked while Redis was away, and compares what was compared
 * over the connection before. */
void bus_watch_resume(struct bus_redis *bus);
void bus_watch_tick(struct timer *timer);
void bus_watch_release(struct bus_redis *bus);

/* redis_restore.c: what was read from Redis -> topics */
/* The event of an entry, readable or not. */
void bus_entry_read(struct bus_redis *bus, const struct topic *topic,
                    const struct store_entry *entry, struct buf *scratch,
                    struct topic_event *event);
void bus_restore(struct bus_redis *bus, struct topic *topic,
                 const struct store_task *task);
/* Puts entries before the window; answers how many of them, from the newest on. */
size_t bus_restore_older(struct bus_redis *bus, struct topic *topic,
                         const struct store_entry *entries, size_t count);

/* redis_event.c: JSON from Redis -> an event of a topic */
/* False when it is not an event we can pass on. `scratch` holds what the event points to
 * when it had to be rewritten. */
bool bus_event_read(struct event_id id, struct slice json, struct buf *scratch,
                    struct topic_event *event);
/* What takes the place of an entry that is none, so that ids stay without gaps. */
void bus_event_unreadable(const struct topic *topic, struct event_id id,
                          struct buf *scratch, struct topic_event *event);
/* `<id> <json>` of the live channel. */
bool bus_payload_split(struct slice payload, struct event_id *id, struct slice *json);
/* The note `<epoch>-0 {"type":"opened",...}`. */
struct bus_note {
    bool is_opened;
    bool is_erased;
    enum run_state state;
    uint64_t started_ms;
    bool keeps_text;
    bool is_rewritten; /* what is kept is not what the last run left */
    bool is_opaque;
};
bool bus_note_read(struct slice json, struct bus_note *note);

/* redis_server.c: what the operator must know of the server */
/* Registers counters; once the links and the store are there. */
void bus_server_watch(struct bus_redis *bus, struct counters *counters);
/* Ends of runs wait for a replica. */
void bus_server_confirm(struct bus_redis *bus, const char *url, const char *prefix);
void bus_server_up(struct bus_redis *bus);
void bus_server_release(struct bus_redis *bus);
const char *bus_server_trouble(const struct bus_redis *bus);
/* bus_ops.judge */
bool bus_server_judge(struct bus *bus, struct buf *error);

/* redis_submit.c: bus_ops.submit, .recall and .points */
void bus_redis_submit(struct bus *bus, const struct run_open_request *request,
                      void (*done)(void *ctx, enum publish_status status,
                                   uint64_t epoch),
                      void *ctx);
void bus_redis_points(struct bus *bus, const struct task_key *task, task_pointed *done,
                      void *ctx);
void bus_redis_recall(struct bus *bus, const struct task_key *task,
                      void (*done)(void *ctx, const struct bus_kept *kept), void *ctx);

/* redis_sweep.c: runs that nobody else ends */
void bus_stop_grace(struct bus_redis *bus, const struct task_key *task, uint64_t epoch);
/* The connection is new: what Redis did before is not known. */
void bus_sweep_reset(struct bus_redis *bus);
void bus_sweep_tick(struct timer *timer);
void bus_sweep_release(struct bus_redis *bus);

#endif
