/* internal.h - what the files of this room share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_INTERNAL_H
#define THINKWIRE_SESSION_INTERNAL_H

#include "base/map.h"
#include "session/session.h"

struct session;
struct guard_asker;
struct stop_call;
struct subscription;
struct snapshot;

/* ---- how a session's kind writes (encode.c) ---- */

enum dialect {
    DIALECT_WS,         /* {"op":"event",..} */
    DIALECT_SSE,        /* event: / id: / data: */
    DIALECT_SSE_MULTI,  /* likewise; the id line is a cursor over all tasks */
    DIALECT_SIO_STRING, /* exactly as published */
    DIALECT_SIO_OBJECT, /* with id */
    DIALECT_POLL,       /* elements of a JSON array */
    DIALECT_LINES       /* one line of JSON each, to be retold (sse_format.c) */
};

/* Everything that decides the bytes of an event, packed into the key of a shared burst. */
struct format {
    enum dialect dialect;
    enum framing framing;
    bool is_site_nsp; /* Socket.IO: namespace "/<site>" instead of "/" */
};
uint32_t format_key(struct format format);
/* `mark` is the place that goes with it (session_ops.cursor), empty elsewhere. */
void encode_event(struct buf *out, const struct topic *topic, const struct entry *entry,
                  struct format format, struct slice mark);
/* The same as an entry_encoder, for shared bursts. */
void encode_entry(struct buf *out, const struct topic *topic, const struct entry *entry,
                  uint32_t key);
/* A named piece of data in the session's dialect: an event that is no entry (merged, a
 * snapshot), or a note such as `resync`. `id` may be empty. */
struct piece {
    struct slice name;
    struct slice data;     /* JSON */
    struct slice first_id; /* the data's first member "id"; empty: it is as it stands */
    struct slice id;       /* SSE id line; Socket.IO: offset, the last argument */
    bool is_note;          /* /ws: {"op":name,...data} */
};
void encode_piece(struct buf *out, struct slice site, struct format format,
                  const struct piece *piece);
/* {"id","task_id","type","text":<raw parts>,"partial":true,"timestamp","merged"} */
struct merged {
    const struct topic *topic;
    enum event_type type;
    struct slice raw_text;   /* escaped */
    struct slice plain_text; /* the same, not yet escaped: follows raw_text */
    struct event_id id;      /* epoch 0: no id is told */
    struct slice timestamp;
    uint64_t count;
};
void encode_merged(struct buf *out, const struct merged *merged, struct slice mark,
                   struct format format);

/* ---- snapshots (snapshot.c) ---- */

/* Accumulated reasoning and text of a run, encoded once and shared while its head stays.
 * Counted against snapshot_total_bytes until its last user lets go. NULL: the bound is
 * reached, try again when another is released. An empty snapshot has len 0. */
struct snapshot {
    struct bytes *bytes;
    unsigned users;
    unsigned pieces; /* Engine.IO packets inside */
    bool is_current;
    const struct topic *topic;
    uint32_t generation;
    struct event_id id;
    uint32_t key;
};
/* Kept for the next late joiner although nobody is being sent them. */
#define KEPT_SNAPSHOTS 8
struct snapshot *snapshot_take(struct session_set *set, struct topic *topic,
                               struct format format);
/* The session is being sent it, until snapshot_let_go(). */
void snapshot_hold(struct session *session, struct snapshot *snapshot);
/* Harmless when it holds none. */
void snapshot_let_go(struct session *session);
/* While somebody waits for snapshot bytes, readers that have held theirs longer than
 * snapshot_hold_ms are cut, longest first and no more than it takes: what they were being sent
 * cannot be taken back from the middle of a frame. They come again and queue up. */
void snapshot_claim(struct session_set *set, uint64_t now_ms);
void snapshot_retire_all(struct session_set *set);

/* ---- sessions (session.c) ---- */

enum stage {
    STAGE_JOINING,  /* the topic, or the part of it that is wanted, is not loaded yet */
    STAGE_SNAPSHOT, /* `subscribed` or `resync` was sent, a snapshot is owed */
    STAGE_LIVE
};
enum join_from { FROM_SNAPSHOT, FROM_START, FROM_NOW };

/* Where a reader of a task stands, in words that every broker understands (sio_place.c). */
struct place {
    enum {
        PLACE_LOST,  /* there is none to go on from */
        PLACE_START, /* nobody knew the task yet */
        PLACE_ID,    /* behind the event `id` */
        PLACE_LOCAL  /* behind an event of this broker alone */
    } kind;
    struct event_id id;
};

struct subscription {
    struct reader reader;
    struct list node; /* in session->subs */
    struct list wait; /* in set->waiting, until deadline_ms */
    struct session *session;
    uint64_t deadline_ms;
    struct event_id since; /* epoch 0 = none */
    uint64_t text_epoch;   /* which text the reader has (struct run); 0 = none */
    uint64_t floor;        /* arrival numbers up to it are not told one by one */
    uint32_t generation;
    uint8_t stage;
    uint8_t from;
    bool has_since;
    bool is_native;  /* false: string form, opaque and from now on */
    bool owes_reply; /* `subscribed` was not told yet */
    bool is_waiting_unknown;
    bool is_held; /* nothing of it is told until the backend has allowed it again */
    bool is_waiting_history; /* the topic is fetching what it wants */
    uint64_t
        newer_number;  /* of the question for what it knows of and is not here; or 0 */
    bool knows_absent; /* it was told before that nobody knows the task */
    uint16_t slot;     /* which of a stream's tasks it is */
    bool is_twin; /* follows in silence what another topic tells of the same task */
    bool seeks_public; /* guarded: the public topic is added once this one is known */
    /* Native, of a task that nobody knew at the join: what is sent to the user's own room.
     * String form, of a task with a run: what else is said in its room. Or NULL. */
    struct subscription *twin;
    bool replays; /* string form: what it missed elsewhere is told although not live */
    uint32_t number; /* of a session that is kept for others; 0 = not known there yet */
    struct place joined; /* at the join; only with a number */
    char *ack; /* Socket.IO acknowledgement id, owned; NULL when none is wanted */
};

struct session_ops {
    /* As sio_window() / sio_send_shared(). */
    bool (*window)(struct session *session, struct sio_window *window);
    bool (*send)(struct session *session, struct bytes *bytes, unsigned packets);
    void (*subscribed)(struct subscription *sub, struct slice state);
    void (*resync)(struct subscription *sub, struct slice data);
    /* A snapshot is about to be sent: what must follow it may be noted. May be NULL. */
    void (*after_snapshot)(struct subscription *sub);
    /* The subscription is removed right after. */
    void (*failed)(struct subscription *sub, const char *code, const char *message);
    /* The place that goes with an event: the id line of a multi-task stream, the offset of a
     * Socket.IO client with recovery; empty or NULL elsewhere. */
    void (*cursor)(struct session *session, struct buf *out);
    /* How a stop that this session asked for went. */
    void (*stopped)(struct session *session, const struct stop_call *call,
                    enum stop_status status);
    /* Nothing is owed now; streams look whether they are done. */
    void (*level)(struct session *session);
    /* The reader is past its bound and must go. */
    void (*cut)(struct session *session, const char *reason);
    /* Frees a buried session. */
    void (*free)(struct session *session);
};

/* Something that was asked for and is not answered yet; the asker may go meanwhile. */
struct errand {
    struct session *session; /* NULL when the asker has gone */
    struct list node;        /* in session->errands */
};
void errand_begin(struct errand *errand, struct session *session);
/* Ends it: who asked, or NULL. */
struct session *errand_done(struct errand *errand);

struct stop_call {
    struct errand errand;
    struct session_set *set;
    struct task_key task; /* a copy */
    char *ack;
    uint64_t epoch;
};

struct session {
    const struct session_ops *ops;
    struct session_set *set;
    struct list ready; /* in set->ready */
    struct list subs;
    unsigned sub_count;
    struct snapshot *held; /* being sent; let go when the sink drains */
    struct list holding;   /* in set->holders while it is */
    uint64_t held_ms;      /* since when */
    struct list starved;   /* in set->starved: waits for snapshot bytes */
    struct list errands;
    uint64_t last_order; /* arrival number of the last entry sent from several topics */
    unsigned changes;    /* subscriptions added and removed so far */
    uint8_t dialect;
    bool is_site_nsp;
    bool is_private;  /* its frames carry an offset of its own: nothing is shared */
    bool was_blocked; /* the sink was full since the session was last level */
    bool is_dead;     /* cut or ended: sends nothing more */
};

struct session_set {
    struct loop *loop;
    struct hub *hub;
    struct session_options options;
    struct session_services services;
    struct list ready;
    struct list waiting; /* subscriptions by deadline */
    struct timer wait_timer;
    struct list starved;
    struct list holders; /* sessions with a snapshot on its way, the longest first */
    struct snapshot *snapshots[KEPT_SNAPSHOTS]; /* current ones, or NULL */
    size_t next_snapshot;
    size_t snapshot_bytes;
    struct list streams; /* sse.c: by next heartbeat */
    struct list sockets; /* ws.c: by next heartbeat */
    struct timer heartbeat;
    struct turn_task flush;
    struct list saved;  /* sio_recover.c: by deadline */
    struct map *by_pid; /* sessions that were offered recovery, live or saved */
    struct list kept;   /* sio_keep.c: by when they are written again */
    uint32_t nonce;     /* of this broker, in offsets */
    size_t saved_count;
    struct list graves;          /* buried sessions, linked by `ready` */
    struct counter *sessions[7]; /* by dialect */
    struct counter *delivered;
    struct counter *merged;
    struct counter *resyncs;
    struct counter *snapshots_sent;
    struct counter *cut_opaque;
    struct counter *starved_total;
    struct counter *cut_holders;
    struct counter *silent_ws;
    struct counter *silent_sse;
    struct counter *refused_subs;
    struct counter *unread_answers;
    struct counter *bad_requests;
    struct counter *recovered;
    struct counter *unrecovered;
    struct counter *taken_over;
    struct counter *displaced;
    struct counter *unkept;
};

void session_init(struct session *session, struct session_set *set,
                  const struct session_ops *ops, enum dialect dialect);
/* Drops all subscriptions and sends nothing more; freed by ops->free at the end of a turn,
 * so it may be called from inside any slot. */
void session_bury(struct session *session);
/* The pump will visit it at the end of this turn. */
void session_mark(struct session *session);
/* The sink has room again. */
void session_drained(struct session *session);
void session_pump(struct session *session);
struct format subscription_format(const struct subscription *sub, enum framing framing);
/* Asks the bus to stop a run, if `asker` may watch it; answered through ops->stopped unless
 * the session goes first. `ack` may be NULL. */
struct stop_request {
    struct task_key task;
    uint64_t epoch;
    struct slice ack;
};
void session_stop(struct session *session, const struct guard_asker *asker,
                  const struct stop_request *request);

/* Adds a subscription that begins to join; NULL when the topic bound is reached. */
struct subscription *subscription_add(struct session *session, struct topic *topic);
struct subscription *subscription_find(const struct session *session,
                                       const struct topic *topic);
/* A task as `user` (may be empty) sees it: what was sent to everybody, or what was sent to the
 * user's own room; where neither is known yet, whichever comes. Joins anew when it is
 * subscribed already. NULL when a bound is reached. */
struct subscription *subscription_add_task(struct session *session,
                                           const struct task_key *task,
                                           struct slice user);
/* The topic of what was sent to the user's own room about a task; NULL when there is none,
 * when it may not be made, or nobody has such a room. */
struct topic *subscription_own_topic(struct hub *hub, const struct task_key *task,
                                     struct slice user, bool create);
/* Guarded by `own`: the task is known to be the reader's, so what everybody hears of it is
 * added. False when there was nothing to do. */
bool subscription_add_public(struct subscription *sub);
/* The subscription to a task of the session's site, by its id. */
struct subscription *subscription_find_task(const struct session *session,
                                            struct slice task_id);
/* A string-form reader of a task hears what is said in its room beside the run, too. */
void subscription_follow(struct subscription *sub, struct topic *aside);
/* All of them: hub_set_follow(). */
void subscription_follow_all(struct topic *task, struct topic *aside);
/* The subscription itself, or its twin where that is the one that has a run; where both
 * have one, the one that everybody hears. */
const struct subscription *subscription_speaking(const struct subscription *sub);
/* Its twin goes with it. */
void subscription_remove(struct subscription *sub);
/* The deadline passes in `ms` unless subscription_unwait() comes first. */
void subscription_wait(struct subscription *sub, uint64_t ms);
void subscription_unwait(struct subscription *sub);
/* Fires for the set's wait_timer. */
void subscription_timeouts(struct timer *timer);
/* All runs it reads have ended and everything was sent. */
bool session_is_finished(const struct session *session);

/* ---- joining (join.c) ---- */

/* What a stream tells as its id while the reader has no place, and with the error that nobody
 * knows its task. */
#define PLACE_NONE   "-"
#define PLACE_ABSENT "!"

/* One step of a subscription that is not live: true when it did something. */
bool join_step(struct subscription *sub, const struct sio_window *window);
/* True while it is asked whether an event that the joiner was told elsewhere has come. */
bool join_waits_for_newer(struct subscription *sub, struct event_id id);
/* A string-form subscription is live at once; its reply waits for the topic to load. True
 * when it was told. */
bool join_reply_string(struct subscription *sub);
/* A live native subscription lost its place. It may be removed: the data is gone. */
void join_resync(struct subscription *sub, const char *reason);
/* A live native subscription that has no text yet takes the next one for its own. */
void join_adopt_text(struct subscription *sub);
/* The run is not of the text that the live native reader has: it does not go on with it. */
bool join_is_outdated(const struct subscription *sub);
/* Parses `since` and `from` of a join; false with the field at fault. */
bool join_parse(struct subscription *sub, struct slice since, struct slice from,
                const char **field);
void join_timeout(struct subscription *sub);

/* ---- asking (request.c): shared by the kinds ---- */

/* What a client names when it subscribes: a JSON object {task_id, since?, from?, epoch?}.
 * Texts are decoded; `field` names what is wrong. */
struct task_request {
    struct buf task_id;
    struct buf since;
    struct buf from;
    uint64_t epoch;
};
void task_request_init(struct task_request *request);
void task_request_release(struct task_request *request);
bool task_request_parse(struct task_request *request, struct slice object,
                        const char **field);
/* {"ok":false,"error":{..}} parts. */
void write_error(struct buf *out, const char *code, const char *message,
                 const char *field);

/* The site of a request: ?site= if given, else the default. False when it is malformed. */
bool session_site(const struct session_set *set, struct slice query, struct buf *site);

/* Whether anybody can say whose request it is. */
bool request_may_be_known(const struct session_set *set,
                          const struct http_request *request);

/* ---- who may watch a task (guard.c) ---- */

struct guard_asker {
    struct slice user; /* as the backend knows it; may be empty */
    struct credentials credentials;
};
/* A user of the backend, and not whoever has no session. */
bool guard_is_somebody(struct slice user);
/* With `own` only somebody can have tasks. */
bool guard_keeps_out(const struct session_set *set, struct slice user);
/* With `own`, and the task is not known here to be the user's: guard_ask() would say no. */
bool guard_would_deny(const struct session_set *set, const struct task_key *task,
                      struct slice user);
/* `done` is told once, perhaps before this returns. */
void guard_ask(struct session_set *set, const struct guard_asker *asker,
               const struct task_key *task, auth_permitted *done, void *ctx);
/* A copy of what a request showed, wiped when freed. NULL may be freed. */
struct guard_pass;
struct guard_pass *guard_pass_new(const struct credentials *from);
struct guard_asker *guard_pass_asker(struct guard_pass *pass);
void guard_pass_free(struct guard_pass *pass);

/* sse.c, ws.c: called by the set's heartbeat timer. */
void stream_heartbeat(struct session_set *set, uint64_t now);
void socket_heartbeat(struct session_set *set, uint64_t now);
/* sio_recover.c: likewise. */
void sio_forget_saved(struct session_set *set, uint64_t now);
/* sio_keep.c: likewise. */
void sio_keep_on(struct session_set *set, uint64_t now);

#endif
