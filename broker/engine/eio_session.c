/* eio_session.c - the life of a session: messages in, messages out, the end. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

#include "base/mem.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

/* One shared packet of an application is never larger; a bound against our own bugs. */
#define MAX_SHARED_PACKET_BYTES (64u << 20)

struct eio_session *eio_session_new(struct eio_server *server, const char *sid,
                                    int revision, struct sio_handshake *handshake)
{
    struct eio_session *session = mem_new(sizeof(*session));
    size_t control_bytes = server->options.control_bytes;

    session->server = server;
    session->revision = (unsigned char)revision;
    session->handshake = handshake;
    session->is_open = true;
    memcpy(session->sid, sid, EIO_ID_SIZE);
    list_init(&session->link);
    list_init(&session->dirty);
    eio_queue_init(&session->queue, control_bytes);
    /* Base64 and length prefixes make packets longer, at most twice with the short ones. */
    eio_answer_init(&session->answer, revision,
                    control_bytes * 2 + EIO_WINDOW_BYTES + MAX_SHARED_PACKET_BYTES);
    list_push_back(&server->open, &session->link);
    map_set(server->sessions, slice_of(session->sid), session);
    server->counters.sessions->value++;
    eio_beat_init(session);
    return session;
}

void eio_session_free(struct eio_session *session)
{
    assert(!session->is_open && session->poll == NULL && session->pipe == NULL);
    list_remove(&session->link);
    list_remove(&session->dirty);
    free(session->handshake);
    free(session->reason);
    free(session);
}

void eio_session_mark(struct eio_session *session)
{
    if (!session->is_open)
        return;
    if (!list_is_linked(&session->dirty))
        list_push_back(&session->server->dirty, &session->dirty);
    turn_defer(session->server->loop, &session->server->turn);
}

/* ---- the end ---- */

static void say_goodbye(struct eio_session *session, enum eio_goodbye goodbye)
{
    if (session->probe != NULL)
        eio_probe_drop(session);
    if (session->pipe != NULL) {
        eio_socket_flush(session);
        eio_socket_drop(session->pipe);
        session->pipe = NULL;
        return;
    }
    if (session->poll == NULL) {
        if (goodbye == EIO_GOODBYE_ORDERLY)
            eio_farewell_add(session->server, session);
        return;
    }
    if (goodbye == EIO_GOODBYE_ORDERLY)
        eio_poll_fill(session);
    eio_poll_end(session, goodbye == EIO_GOODBYE_NOOP ? EIO_NOOP : EIO_CLOSE);
}

void eio_session_end(struct eio_session *session, const char *reason,
                     enum eio_goodbye goodbye)
{
    struct eio_server *server = session->server;

    if (!session->is_open)
        return;
    session->is_open = false;
    session->reason = mem_text(slice_of(reason));
    say_goodbye(session, goodbye);
    map_remove(server->sessions, slice_of(session->sid));
    server->counters.sessions->value--;
    timer_release(&session->timer);
    eio_queue_release(&session->queue);
    eio_answer_release(&session->answer);
    list_remove(&session->dirty);
    list_remove(&session->link);
    list_push_back(&server->ended, &session->link);
    turn_defer(server->loop, &server->turn);
}

void eio_session_close(struct eio_session *session, const char *reason)
{
    eio_session_end(session, reason, EIO_GOODBYE_ORDERLY);
}

/* ---- in ---- */

void eio_session_packet(struct eio_session *session, const struct eio_packet *packet)
{
    const struct eio_server *server = session->server;

    if (!session->is_open)
        return;
    eio_beat_extend(session);
    switch (packet->type) {
    case EIO_MESSAGE:
        server->app->on_message(server->app_ctx, session, packet->data,
                                packet->is_binary);
        break;
    case EIO_PING:
        eio_beat_ping(session);
        break;
    case EIO_PONG:
        eio_beat_pong(session);
        break;
    case EIO_CLOSE:
        eio_session_end(session, "transport close", EIO_GOODBYE_NOOP);
        break;
    case EIO_OPEN:
    case EIO_UPGRADE:
    case EIO_NOOP:
        break; /* nothing a client has to say here; the reference ignores them too */
    }
}

/* ---- out ---- */

static void tell_overflow(const struct eio_session *session)
{
    struct eio_server *server = session->server;
    struct diag_gate *gate = &server->diag_gate;

    counter_add(server->counters.overflows, 1);
    if (!diag_gate_pass(gate, EIO_DIAG_BURST, loop_now_ms(server->loop)))
        return;
    diag(DIAG_WARN, "engine.io private queue full, session closed",
         DIAG_SLICE("peer", session->handshake->peer),
         DIAG_S("transport", eio_session_transport(session)),
         DIAG_N("limit_bytes", server->options.control_bytes),
         DIAG_N("suppressed", gate->suppressed));
    gate->suppressed = 0;
}

void eio_session_overflow(struct eio_session *session)
{
    if (!session->is_open)
        return;
    tell_overflow(session);
    eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
}

void eio_session_queue(struct eio_session *session, const struct eio_packet *packet)
{
    if (!session->is_open)
        return;
    if (eio_queue_put(&session->queue, packet))
        eio_session_mark(session);
    else
        eio_session_overflow(session);
}

void eio_session_send(struct eio_session *session, struct slice data, bool is_binary)
{
    const struct eio_packet packet = {
        .type = EIO_MESSAGE, .is_binary = is_binary, .data = data};
    eio_session_queue(session, &packet);
}

static bool socket_has_room(struct eio_session *session)
{
    eio_socket_flush(session);
    return session->queue.count == 0 && pipe_is_ready(session->pipe);
}

static bool poll_has_room(struct eio_session *session)
{
    const struct eio_answer *answer = &session->answer;

    if (session->poll == NULL)
        return false;
    eio_poll_fill(session);
    return session->queue.count == 0 && !answer->is_octets &&
           answer->packets < session->server->options.max_poll_packets &&
           answer->payload.len < EIO_WINDOW_BYTES;
}

/* Flushes what is queued first: private packets go before shared ones that come later. */
static bool has_room(struct eio_session *session)
{
    if (!session->is_open)
        return false;
    return session->pipe != NULL ? socket_has_room(session) : poll_has_room(session);
}

bool eio_session_window(struct eio_session *session, struct eio_window *window)
{
    if (!has_room(session)) {
        session->is_starved = true;
        return false;
    }
    window->revision = session->revision;
    if (session->pipe != NULL) {
        window->framing = FRAMING_WS;
        window->packets = UINT_MAX;
        window->bytes = EIO_WINDOW_BYTES;
        return true;
    }
    window->framing = session->revision == 3 ? FRAMING_EIO3 : FRAMING_EIO4;
    window->packets =
        session->server->options.max_poll_packets - session->answer.packets;
    window->bytes = EIO_WINDOW_BYTES - session->answer.payload.len;
    return true;
}

bool eio_session_send_shared(struct eio_session *session, struct bytes *frames,
                             unsigned packets)
{
    bool has_more_room = false;

    if (!session->is_open)
        return false;
    if (session->pipe != NULL) {
        has_more_room = eio_socket_send(session, frames);
    } else {
        eio_poll_put_shared(session, frames, packets);
        has_more_room = poll_has_room(session);
    }
    if (!has_more_room)
        session->is_starved = true;
    return has_more_room;
}

void eio_session_turn(struct eio_session *session)
{
    const struct eio_server *server = session->server;

    if (!session->is_open)
        return;
    if (has_room(session) && (session->wants_drain || session->is_starved)) {
        session->wants_drain = false;
        session->is_starved = false;
        server->app->on_drain(server->app_ctx, session);
    }
    if (!session->is_open)
        return;
    if (session->pipe != NULL) {
        eio_socket_flush(session);
        return;
    }
    if (session->poll == NULL)
        return;
    eio_poll_fill(session);
    eio_poll_finish(session);
}

/* ---- what it is ---- */

bool eio_session_is_open(const struct eio_session *session)
{
    return session->is_open;
}

void eio_session_alarm(struct eio_session *session, uint64_t delay_ms)
{
    if (!session->is_open)
        return;
    session->alarm_at_ms =
        delay_ms == 0 ? 0 : loop_now_ms(session->server->loop) + delay_ms;
    eio_beat_arm(session);
}

struct slice eio_session_id(const struct eio_session *session)
{
    return slice_make(session->sid, EIO_ID_SIZE - 1);
}

const struct sio_handshake *eio_session_handshake(const struct eio_session *session)
{
    return session->handshake;
}

int eio_session_revision(const struct eio_session *session)
{
    return session->revision;
}

const char *eio_session_transport(const struct eio_session *session)
{
    return session->is_websocket ? "websocket" : "polling";
}

void eio_session_set_data(struct eio_session *session, void *data)
{
    session->data = data;
}

void *eio_session_data(const struct eio_session *session)
{
    return session->data;
}
