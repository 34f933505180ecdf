/* session.h - a reader: which topics, which cursors, and what may be sent now. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_SESSION_H
#define THINKWIRE_SESSION_SESSION_H

#include "auth/auth.h"
#include "base/config.h"
#include "base/http.h"
#include "codec/dialect.h"
#include "engine/sio.h"
#include "log/hub.h"

/*
 * One session is one output: a /ws connection, an SSE stream, a held long poll, a Socket.IO
 * socket. It owns subscriptions, each a cursor into a topic, and no queue:
 *
 *   topic --wake--> session on the ready list --(end of turn)--> pump:
 *       while the sink has room: the next step of a subscription, encoded or shared
 *
 * The four kinds differ only in how they are asked (ws.c, sse.c, sio.c) and in how their
 * notes and events are written (encode.c).
 */
struct session_set;

enum recovery { RECOVERY_AUTO, RECOVERY_ON, RECOVERY_OFF };

/* Who may watch a task: whoever knows its id; whom the backend allows it (auth.h,
 * auth_question); the user to whose own room its events are sent. */
enum task_guard { TASK_GUARD_OFF, TASK_GUARD_BACKEND, TASK_GUARD_OWN };

/* The rules of a Frappe bench (frappe-realtime contract); off: none of them. */
struct frappe_rules {
    bool on;
    unsigned version;    /* 13..17 */
    bool developer_mode; /* open_in_editor is passed on */
    bool needs_origin;   /* refuse clients that send none */
    enum task_guard guard;
};

/* Where Socket.IO sessions are kept so that another broker can go on with them. `pid` is a
 * client's secret. Nothing is waited for but the answer to a claim. */
enum keeper_answer {
    KEEPER_NONE,   /* there is no such record */
    KEEPER_MINE,   /* it was this broker's all along */
    KEEPER_OTHERS, /* it was another's and is this one's now */
    KEEPER_TAKEN,  /* another has just taken it over */
    KEEPER_AWAY    /* nothing is known */
};
struct session_record {
    struct slice pid;
    struct slice text;
    uint64_t ttl_ms; /* it expires */
};
struct session_keeper {
    bool (*is_up)(void *ctx);
    /* Writes the record, unless another has taken the session over. False: it cannot now, and
     * nothing was sent; else `done`, which may be NULL, is told once whether it was taken,
     * never from inside the call. */
    bool (*keep)(void *ctx, const struct session_record *record,
                 void (*done)(void *done_ctx, bool is_taken), void *done_ctx);
    void (*drop)(void *ctx, struct slice pid);
    /* Of several that claim one session one gets it. `done` is called exactly once, never
     * from inside the call; `record` is valid during it. */
    void (*claim)(void *ctx, struct slice pid, uint64_t ttl_ms,
                  void (*done)(void *done_ctx, enum keeper_answer answer,
                               struct slice record),
                  void *done_ctx);
    void *ctx;
};

struct session_options {
    uint64_t heartbeat_ms;       /* SSE comments and /ws pings */
    uint64_t wait_unknown_ms;    /* a task nobody knows yet is waited for */
    uint64_t poll_wait_ms;       /* longest hold of a long poll */
    uint64_t retry_ms;           /* told to EventSource clients */
    unsigned retry_jitter;       /* percent: each is told up to so much more or less */
    uint64_t silence_ms;         /* /ws and SSE: no sign of life after a heartbeat */
    size_t max_subscriptions;    /* per connection */
    size_t opaque_lag_bytes;     /* a string-form reader further behind is cut */
    size_t snapshot_total_bytes; /* encoded snapshots alive at once, all readers */
    uint64_t snapshot_hold_ms;   /* one reader's, while others wait for the memory */
    size_t answer_bytes;         /* answers waiting for one /ws client */
    size_t ws_message_bytes;     /* longest client message on /ws */
    const char *default_site;
    const struct config_list *sites; /* namespaces that exist; empty = any */
    struct auth *auth;               /* who somebody is; borrowed */
    bool needs_identity;             /* /ws: who shows nothing valid is refused */
    bool stops_need_a_user;          /* who is not known, or a guest, stops no run */
    struct frappe_rules frappe;
    enum recovery recovery;    /* connection state recovery of Socket.IO clients */
    uint64_t recovery_ms;      /* how long a cut session is kept */
    size_t max_saved_sessions; /* of them at once; the oldest goes */
    uint64_t doubt_ms; /* a client that vanished was well at most so long before */
    const struct session_keeper
        *keeper; /* borrowed; NULL: sessions are kept here only */
};

/* What sockets ask that is not reading; filled by who wires the rooms. */
struct session_services {
    void (*stop)(void *ctx, const struct task_key *task, uint64_t epoch,
                 void (*done)(void *done_ctx, enum stop_status status), void *done_ctx);
    /* Developer mode: a raw JSON object for the developer's editor. May be NULL. */
    void (*open_in_editor)(void *ctx, struct slice json);
    /* Everything that was said in the room for so long would have been heard, and nothing
     * was. May be NULL: never. */
    bool (*was_quiet)(void *ctx, struct slice site, struct slice room, uint64_t for_ms);
    void *ctx;
};

struct session_set *session_set_new(struct loop *loop, struct hub *hub,
                                    const struct session_options *options,
                                    const struct session_services *services,
                                    struct counters *counters);
/* Every pipe and exchange must be gone before. */
void session_set_free(struct session_set *set);

/* The application of the Socket.IO engine; its context is the set. */
extern const struct sio_app session_sio_app;
/* The /ws endpoint. */
void session_ws_route(struct session_set *set, struct ws_route *route);
/* GET /v1/tasks/{id}/events and /v1/events, streams and long polls. Takes the exchange. */
void session_stream(struct session_set *set, struct http_exchange *x,
                    const struct task_key *tasks, size_t count);

/* One run, from its first event, as the answer to the request that made it. Takes the
 * exchange; everything else is read before this returns. */
enum retell_end {
    RETELL_TOLD,    /* to its end */
    RETELL_LEFT,    /* the reader went away before */
    RETELL_UNBEGUN, /* `waits`: the run ended without a word; `x` is whose asked, again */
};
struct retell_told {
    enum retell_end how;
    struct http_exchange *x; /* RETELL_UNBEGUN only */
    uint64_t first_ms;       /* loop_now_ms() of the first text; 0 = none was told */
    const char *failure;     /* code of the error it ended with; "" = none */
};
struct session_retell {
    struct task_key task;
    uint64_t epoch;
    enum dialect_form form;
    unsigned options;    /* enum dialect_option */
    struct slice model;  /* UTF-8 */
    const char *headers; /* further lines */
    bool waits;          /* nothing is answered before the answer's first word (R16) */
    /* Called exactly once; may be before session_retell() returns. */
    void (*over)(void *ctx, const struct retell_told *told);
    void *ctx;
};
void session_retell(struct session_set *set, struct http_exchange *x,
                    const struct session_retell *asked);

/* May who sends this request watch the task, or stop it? Told once, perhaps before this
 * returns; `request` and `task` are read before it returns. Always true without a guard. */
void session_guard(struct session_set *set, const struct http_request *request,
                   const struct task_key *task, void (*done)(void *ctx, bool allowed),
                   void *ctx);

/* Appends {"task_id",..,"replayed"} as `subscribed` tells it, without braces. `replayed`
 * says how many retained events follow. */
void session_write_state(struct buf *out, const struct topic *topic, uint64_t replayed);

#endif
