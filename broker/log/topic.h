/* topic.h - the ordered memory of one task or room, and its readers. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LOG_TOPIC_H
#define THINKWIRE_LOG_TOPIC_H

#include "base/list.h"
#include "schema/run.h"

/*
 *            base_pos                       next_pos
 *               v                              v
 *   forgotten | e e e e e e e e e e e e e e e |     one head, a window, and any number of
 *                   ^     ^           ^             readers that are nothing but a cursor
 *               reader  reader     reader
 *
 * Positions count upwards for ever and are never reused; ids (epoch-seq) are what the
 * outside sees. A reader whose cursor is below base_pos has lost events: it is told so
 * (reader_lag), never silently moved. Accumulated reasoning and text of the current run
 * are kept beside the window, so a reader that lost events or came late is brought level
 * with one snapshot event per kind.
 */
struct hub;
struct topic;

enum topic_kind {
    TOPIC_TASK,     /* (site, native task id) */
    TOPIC_ROOM,     /* (site, any room name): opaque events only */
    TOPIC_USER_TASK /* (site, user, native task id): named in events to the user's room */
};

enum topic_phase {
    TOPIC_COLD, /* a feed exists, but nobody watches: the first reader makes it load */
    TOPIC_LOADING, /* the feed was asked and has not told yet what is known */
    TOPIC_READY
};

/* One event. Born once; one allocation with its name and body. Lives until the window
 * moves past it: never kept across turns by a reader, only its position is. */
struct entry {
    uint64_t order; /* hub-wide arrival number: the order across topics; 0 = fetched
                     * later than what follows it: before all */
    uint64_t bytes_before; /* bytes appended to the topic before this one */
    struct event_id id;
    enum event_type type;
    bool is_delta;     /* may be merged with its neighbours */
    bool is_opaque;    /* from Frappe's channel: never merged, never rewritten */
    bool lacks_id;     /* opaque, and known to be an object without "id" */
    struct slice name; /* event name, UTF-8: "ai_progress" */
    struct slice body; /* one line of JSON without "id" (an object unless opaque) */
    struct slice text; /* is_delta: the raw text inside body */
    struct slice timestamp; /* raw, inside body; may be empty */
};

/* Accumulated text of one kind in the current run. */
struct accumulated {
    struct buf utf8;
    uint64_t merged; /* deltas inside */
    uint64_t
        first_seq; /* of this run; 0 = nothing yet, or it began in an earlier run */
    uint64_t last_seq;
    char timestamp[40]; /* the first one's, raw; "" when it had none */
};

struct run {
    uint64_t epoch;
    uint64_t text_epoch; /* of the run in which the text began: a continue keeps it */
    bool is_local;       /* ids of this broker only */
    bool is_opaque;      /* has events of Frappe's channel: no text is accumulated */
    enum run_state state;
    uint64_t last_seq;
    uint64_t started_ms;      /* wall clock */
    uint64_t text_started_ms; /* 0 = no answer text yet: still thinking */
    uint64_t finished_ms;
    uint64_t first_pos;  /* of its first event, retained or not */
    uint64_t origin_pos; /* an event's position is origin_pos + its seq */
    struct accumulated reasoning;
    struct accumulated text;
};

struct reader {
    struct list node;
    struct topic *topic; /* NULL while detached */
    uint64_t pos;        /* of the next entry to read */
    /* There may be something to do: entries, a new phase. Only marks; does not send. */
    void (*wake)(struct reader *reader);
};

/* The name under which the hub finds a TOPIC_USER_TASK; topic_name() is the task id. */
void topic_user_task_name(struct buf *out, struct slice user, struct slice task_id);

/* ---- what the bus does ---- */

struct topic_event {
    struct event_id id; /* epoch 0: an opaque event, the topic gives it a local id */
    uint64_t order; /* 0 = the next; one hub_next_order() for a publication to several
                     * topics, so that a reader of both sees one */
    enum event_type type;
    bool is_delta;
    bool is_opaque;
    bool lacks_id;          /* opaque: false when it was not looked for */
    struct slice name;      /* "" = "ai_progress" */
    struct slice body;      /* copied; one line of checked JSON without "id" */
    struct slice text;      /* raw inside of `body`; only for deltas */
    struct slice timestamp; /* raw inside of `body`; may be empty */
};
/* Appends. A first event of another epoch begins a new run (accumulated text starts anew).
 * False when the id is not the next one of the run (a repeat, or a gap: the bus heals and
 * appends again) or when memory bounds refuse it. */
bool topic_append(struct topic *topic, const struct topic_event *event);
/* True: so many events, with bodies of so many bytes in all, will not be refused for want of
 * memory in this turn. */
bool topic_reserve(struct topic *topic, size_t count, size_t bytes);
/* A run was opened before its first event: state queued or running. `keeps_text` keeps the
 * accumulated text (a continue). */
void topic_open_run(struct topic *topic, uint64_t epoch, enum run_state state,
                    uint64_t started_ms, bool keeps_text);
/* The run that was just opened, keeping text, begins with these words instead: who read the
 * earlier ones is told. UTF-8, copied. */
void topic_rewrite(struct topic *topic, struct slice text, struct slice reasoning);
/* What the bus keeps beside this topic, counted among its bytes. */
void topic_charge(struct topic *topic, size_t bytes);
/* The run that was just opened will have events of Frappe's channel (lifted ones). */
void topic_mark_opaque(struct topic *topic);
/* What the bus knows of a task it has just loaded: everything but the entries, which are
 * then given with topic_restore_entry() in order; `run` is read, its buffers are copied. It
 * replaces what the topic held: every reader that was live has lost its place. RUN_UNKNOWN
 * changes nothing. */
void topic_restore(struct topic *topic, const struct run *run);
void topic_restore_entry(struct topic *topic, const struct topic_event *event);
/* TOPIC_LOADING -> TOPIC_READY; readers are woken. */
void topic_ready(struct topic *topic);
/* Older events of the run, from before the window: what hub_feed.on_history was asked for.
 * They end before the id `topic_history_end` (epoch 0: none are wanted any more). */
struct event_id topic_history_end(const struct topic *topic);
/* Puts it before the window: the newest of them comes first. False when it does not end
 * right before the window, or when a bound is reached. */
bool topic_restore_older(struct topic *topic, const struct topic_event *event);
/* `has_more`: there may be more before them. Readers are woken. */
void topic_history_done(struct topic *topic, bool has_more);
/* What hub_feed.on_newer was asked for: the topic was level with its source at some time since
 * then. Readers are woken. */
void topic_newer_done(struct topic *topic);
/* Ids went back or data was lost: forgets everything, every reader has lost its place. */
void topic_reset(struct topic *topic);
/* The task was erased or has expired. */
void topic_erase(struct topic *topic);

/* ---- what sessions do ---- */

void reader_init(struct reader *reader, void (*wake)(struct reader *));
/* The reader will be woken once at the end of this turn even if nothing happens. */
void reader_attach(struct reader *reader, struct topic *topic, uint64_t pos);
void reader_detach(struct reader *reader);

enum reader_lag {
    READER_LEVEL,  /* nothing to read */
    READER_BEHIND, /* entries from `pos` on are there */
    READER_LOST    /* entries it has not read are gone */
};
enum reader_lag reader_lag(const struct reader *reader);
/* Bytes of bodies between the cursor and the head. */
uint64_t reader_lag_bytes(const struct reader *reader);

/* The entry at a position in [topic_base, topic_next), else NULL. */
const struct entry *topic_entry(const struct topic *topic, uint64_t pos);
uint64_t topic_base(const struct topic *topic);
uint64_t topic_next(const struct topic *topic);
/* What stands before this position is not live: it was restored, or was forgotten. A reader
 * that wants events from now on never reads it. */
uint64_t topic_live(const struct topic *topic);
/* The position after `id`, when everything after it is retained: 0 otherwise (unknown
 * epoch, forgotten, or never issued). The id `<epoch>-0` stands before the first event. */
uint64_t topic_after(const struct topic *topic, struct event_id id);
/* True while what stands between `id` and the window is being fetched: readers are woken
 * when there is more of it, and ask again. False: what the window has is all there is. */
bool topic_fetch_after(struct topic *topic, struct event_id id);

/* True where `id` is behind all that is here: it may have been told by another broker that
 * heard of it sooner. */
bool topic_is_behind(const struct topic *topic, struct event_id id);
/* Has the feed look whether there is more. The answer is there when topic_newer_is_known(),
 * given the number that is returned, says so: readers are woken then. 0: nobody can be asked. */
uint64_t topic_ask_newer(struct topic *topic);
bool topic_newer_is_known(const struct topic *topic, uint64_t number);

/* The position of the first event that arrived after `order`; the head when there is none.
 * 0: an event that came after it has left the window. */
uint64_t topic_after_order(const struct topic *topic, uint64_t order);

struct slice topic_site(const struct topic *topic);
struct slice topic_name(const struct topic *topic);
enum topic_kind topic_kind(const struct topic *topic);
enum topic_phase topic_phase(const struct topic *topic);
const struct run *topic_run(const struct topic *topic);
/* The id of the last event of the current run; epoch 0 when there is none. */
struct event_id topic_last_id(const struct topic *topic);
bool topic_was_erased(const struct topic *topic);
/* Changes with each topic_reset() and topic_erase(): a reader that is lost although it was
 * not slow sees that the data went away, not it. No two topics ever have the same one. */
uint32_t topic_generation(const struct topic *topic);
size_t topic_reader_count(const struct topic *topic);
struct hub *topic_hub(const struct topic *topic);
/* Visits the readers; `visit` answers false to stop, and attaches or detaches nobody. */
void topic_each_reader(struct topic *topic,
                       bool (*visit)(struct reader *reader, void *ctx), void *ctx);
/* A slot for the bus that feeds this topic. */
void topic_set_feed_data(struct topic *topic, void *data);
void *topic_feed_data(const struct topic *topic);

/* ---- encoded once, shared by all ---- */

/* Encodes entries from..to-1 one after the other; `key` tells the encoder the variant
 * (dialect, namespace form, framing). Pure: the same arguments give the same bytes. */
typedef void entry_encoder(struct buf *out, const struct topic *topic,
                           const struct entry *entry, uint32_t key);
struct burst {
    uint64_t from; /* in: first position */
    uint64_t to;   /* out: one past the last position encoded */
    uint32_t key;
    unsigned max_entries;
    size_t about_bytes; /* stops after the entry that passes it */
};
/* Shared bytes of a run of entries, cached for the readers that stand at the same cursor in
 * this turn. The caller owns a reference. `from` must be in [base, next). */
struct bytes *topic_burst(struct topic *topic, struct burst *burst,
                          entry_encoder *encode);

#endif
