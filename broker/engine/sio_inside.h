/* sio_inside.h - the inside of Socket.IO sockets, shared by the sio_*.c files only. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_SIO_INSIDE_H
#define THINKWIRE_ENGINE_SIO_INSIDE_H

#include "engine/eio.h"
#include "engine/sio.h"

/*
 *  eio_session --data--> sio_session --sockets--> sio_socket (one per namespace)
 *                            `- partial: a binary packet whose attachments still come
 *
 * A socket that is gone stands in server->graves until the end of the turn: callers further
 * up the stack may still look at it.
 */
struct sio_server {
    struct loop *loop;
    struct sio_options options;
    const struct sio_app *app;
    void *app_ctx;
    struct eio_server *eio;
    struct turn_task burial;
    struct list graves;
    struct buf encoding; /* one outgoing packet */
    struct counter *refused_namespaces;
    struct buf name; /* the decoded name of the event at hand */
};

struct sio_partial {
    char *text; /* the packet as it came */
    size_t text_len;
    struct buf attachments; /* one behind the other */
    size_t ends[SIO_MAX_ATTACHMENTS];
    unsigned wanted;
    unsigned present;
};

struct sio_session {
    struct sio_server *server;
    struct eio_session *eio;
    struct list sockets; /* its head is the next to be told of room */
    unsigned socket_count;
    struct sio_partial *partial;
};

enum sio_state { SIO_STATE_CONNECTING, SIO_STATE_CONNECTED, SIO_STATE_GONE };

struct sio_socket {
    struct list link;
    struct sio_session *session; /* NULL once gone */
    void *data;
    uint64_t asked_mask; /* bit i: question asked_next - 1 - i awaits its answer */
    uint64_t asked_next;
    enum sio_state state;
    unsigned nsp_len;
    unsigned id_len;
    char text[]; /* namespace, then id */
};

/* Longer names are taken for a malformed packet. */
#define SIO_MAX_NSP_BYTES 512

/* ---- sio_socket.c ---- */
/* Makes the socket and asks the application. */
void sio_socket_join(struct sio_session *session, struct slice nsp, struct slice auth);
struct sio_socket *sio_socket_find(const struct sio_session *session, struct slice nsp);
/* Leaves the session; tells the application when `reason` is not NULL. */
void sio_socket_leave(struct sio_socket *socket, const char *reason);
/* True once for a question that was asked and not answered. */
bool sio_socket_was_asked(struct sio_socket *socket, struct slice ack, uint64_t *id);

/* ---- sio_receive.c ---- */
void sio_receive(void *ctx, struct eio_session *eio, struct slice data, bool is_binary);
void sio_partial_free(struct sio_partial *partial);

/* ---- sio_emit.c ---- */
/* Queues one packet; closes the session when it cannot be. */
void sio_put(struct sio_session *session, const struct sio_packet *packet);
/* CONNECT_ERROR. */
void sio_put_refusal(struct sio_session *session, struct slice nsp, const char *message,
                     struct slice data_json);

#endif
