/* sio_inside.h - what the sio_*.c files share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SESSION_SIO_INSIDE_H
#define THINKWIRE_SESSION_SIO_INSIDE_H

#include "auth/auth.h"
#include "codec/json.h"
#include "session/internal.h"

#define SIO_TEXT_LIMIT ((size_t)4096)

/* How far a client was told: how many packets of events, and the highest arrival number
 * among them. */
struct sio_told {
    uint64_t count;
    uint64_t order;
};

/* Frappe's room of a task, before its id. */
#define SIO_TASK_ROOM "task_progress:"

/* Tasks of a session that another broker can go on with; longest offset of a client. */
#define SIO_MAX_PLACES   16
#define SIO_OFFSET_BYTES 1024
#define SIO_PID_SIZE     25

/* What a client names when it comes back. */
struct sio_offset {
    uint32_t mark;
    uint32_t nonce; /* of the broker whose arrival numbers it has; 0 = none is named */
    struct sio_told told;
    unsigned count;
    uint32_t numbers[SIO_MAX_PLACES];
    struct place places[SIO_MAX_PLACES];
};

struct sio_return;

/*
 *   on_connect --site, origin, who?--> accept --rooms--> connected --cut--> saved
 *                                        ^                                    |
 *                                        +---- CONNECT with pid and offset ---+
 */
struct sio_session {
    struct session session;
    struct sio_socket *socket; /* NULL while saved, and once gone */
    char *site;
    struct identity *who; /* NULL until it is known */
    /* connection state recovery (sio_recover.c); pid is "" where it is not offered */
    char pid[SIO_PID_SIZE];
    char id[32];          /* the public socket id, kept over a recovery */
    uint32_t mark;        /* in its offsets: tells them from another session's */
    uint64_t first_order; /* arrival number when it connected */
    struct sio_told told;
    struct list saved; /* in set->saved, by deadline */
    uint64_t saved_until_ms;
    /* kept for other brokers (sio_keep.c) */
    struct list kept; /* in set->kept, by keep_ms */
    uint64_t keep_ms;
    uint64_t
        cut_ms; /* when its transport went, by the clock of the wall; 0 = it is there */
    uint32_t last_number;  /* of its subscriptions */
    unsigned kept_changes; /* session.changes that the record knows */
    bool is_kept;
    bool is_unkept;          /* the record is out of date */
    bool is_stale;           /* so is what Redis holds, for all that is known */
    struct sio_return *back; /* on its way from another broker, not accepted yet */
    uint64_t connected_ms;
};

static inline struct sio_session *sio_session_of(struct session *session)
{
    return LIST_ENTRY(session, struct sio_session, session);
}

/* Then nothing is made for it either: names must not fill the table of all topics. */
static inline bool sio_is_full(const struct sio_session *reader)
{
    return reader->session.sub_count >= reader->session.set->options.max_subscriptions;
}

/* ---- sio.c ---- */
extern const struct session_ops sio_reader_ops;
/* [{"ok":true|false, ...}] as acknowledgement; nothing when `ack` is NULL. */
void sio_acknowledge(struct sio_session *reader, struct slice ack, bool ok,
                     struct slice members);
void sio_acknowledge_error(struct sio_session *reader, struct slice ack,
                           const char *code, const char *message, const char *field);
/* A private event; `data` is JSON or empty. */
void sio_tell(struct sio_session *reader, const char *name, struct slice data);
/* The acknowledgement that an event wants, or NULL. */
struct slice sio_wanted_ack(const struct sio_event *event);
/* The n-th argument after the event's name, from 0. */
bool sio_argument(const struct sio_event *event, unsigned n, struct json_member *arg);
/* As JavaScript joins an argument to a text; "undefined" when it is missing. */
bool sio_coerce(const struct sio_event *event, unsigned n, struct buf *out);
/* A string-form subscription: live from now on. NULL when a bound is reached. */
struct subscription *sio_follow(struct sio_session *reader, struct topic *topic);
/* For diagnostics. */
struct slice sio_shown_id(const struct sio_socket *socket);
/* What the handshake shows of its sender, for the session's site. */
struct credentials sio_credentials(const struct sio_session *reader);

/* ---- sio_connect.c ---- */
void sio_on_connect(void *ctx, struct sio_socket *socket, struct slice auth);
/* A client whose session, if it has one, is here or nowhere. */
void sio_accept_here(struct sio_session *reader, struct slice auth);
void sio_accept_fresh(struct sio_session *reader, struct slice auth);
/* One that was taken over from another broker. */
void sio_accept_returned(struct sio_session *reader);

/* ---- sio_tasks.c, sio_docs.c ---- */
struct sio_handler {
    const char *name;
    void (*run)(struct sio_session *reader, const struct sio_event *event);
    bool is_frappe; /* only where the broker stands in for a bench */
};
extern const struct sio_handler sio_task_handlers[];
extern const struct sio_handler sio_doc_handlers[];
/* The rooms a user is in by being connected. */
void sio_join_rooms(struct sio_session *reader);
/* The topic of "<prefix><a>[/<b>]"; NULL when it is not there, or may not be made. */
struct topic *sio_room(const struct sio_session *reader, const char *prefix,
                       struct slice a, struct slice b, bool create);
/* What is said in the room of a task beside its run, if anything was of late; else NULL. */
struct topic *sio_aside(const struct sio_session *reader, const struct topic *topic);
/* May it (still) read what the room of this name tells? False: the question is not one. */
bool sio_room_question(struct slice room, struct auth_question *question);

/* ---- sio_viewers.c ---- */
#define OPEN_DOC "open_doc:"
#define TYPING   "typing:"
/* "<prefix><doctype>/<name>" */
bool sio_split_document(struct slice room, const char *prefix, struct slice *doctype,
                        struct slice *name);
/* Who has it open, told to all who have. */
void sio_tell_viewers(struct sio_session *reader, struct topic *open_doc);
/* Likewise who types in it (v13, v14). */
void sio_tell_typers(const struct sio_session *reader, struct slice doctype,
                     struct slice name);
/* It lost its socket: the others are told of its documents. */
void sio_tell_documents(struct sio_session *reader);

/* ---- sio_recheck.c ---- */
/* It came back: what it could read because the backend allowed it is asked again, and
 * nothing of it is told before the answer. */
void sio_recheck(struct sio_session *reader);

/* ---- sio_recover.c ---- */
/* Whether a CONNECT is offered recovery; sets pid and places. */
void sio_offer_recovery(struct sio_session *reader, struct slice auth);
/* A session that can go on for this CONNECT: its place is set, `fresh` is to be buried.
 * NULL: it is a new one. */
struct sio_session *sio_recover(struct sio_session *fresh, struct slice auth);
/* It is not among the saved ones any more, and has no socket. */
void sio_forget_saved_one(struct sio_session *reader);
/* Its pid finds nobody any more. */
void sio_forget_pid(struct sio_session *reader);
/* Keeps a session whose transport was cut; false when it is not to be kept. */
bool sio_save(struct sio_session *reader, const char *reason);

/* ---- sio_place.c ---- */
struct place sio_place(const struct subscription *sub);
/* String form: this broker has heard things said in the task's room beside its run. */
bool sio_has_aside(const struct subscription *sub);
void sio_put_place(struct buf *out, const struct place *place);
bool sio_parse_place(struct slice text, struct place *place);
void sio_write_offset(const struct sio_session *reader, struct buf *out);
/* False when it is nothing that any broker has written. */
bool sio_parse_offset(struct slice text, struct sio_offset *offset);
/* The place of the subscription of that number; NULL when the offset does not tell. */
const struct place *sio_offset_place(const struct sio_offset *offset, uint32_t number);
/* False: it was told while the session was not kept, and where subscriptions stood is not in
 * it. What is left out is then not the place of the join. */
bool sio_offset_tells_places(const struct sio_offset *offset);

/* ---- sio_keep.c ---- */
/* A subscription has joined: its place now is what the record tells of it. */
void sio_note_join(struct subscription *sub);
/* Writes the record if its subscriptions have changed. */
void sio_keep_changes(struct sio_session *reader);
/* Its transport has gone: the record expires from now on. */
void sio_keep_cut(struct sio_session *reader);
/* It will not come back. */
void sio_keep_no_more(struct sio_session *reader);

/* ---- sio_return.c ---- */
/* Asks whether another broker has kept the session that `auth` names; the reader is accepted
 * when the answer is there. False: there is nothing to ask. */
bool sio_claim(struct sio_session *reader, struct slice auth);
/* Looks whether all that it needs is loaded; then it is accepted. */
void sio_return_step(struct sio_session *reader);
void sio_return_drop(struct sio_session *reader);

#endif
