/* eio_beat.c - everything timed in a session: heartbeat, upgrade, alarm. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

/*
 * One timer per session, set to the nearest of three moments.
 *
 * Engine.IO 4: beat_at_ms is when the next ping goes out; while its pong is awaited, it is
 * when the peer is given up. Engine.IO 3: the client pings, beat_at_ms is when it is given
 * up. Deadlines follow from the moment that was meant, not from when the timer got its
 * turn, so that the whole takes exactly interval + time-out; unless we ourselves were late
 * (a suspended machine), for which no peer may pay.
 */
#define LATE_SHARE 4 /* late: by more than a quarter of the ping time-out */

static uint64_t now_of(const struct eio_session *session)
{
    return loop_now_ms(session->server->loop);
}

static void send_ping(struct eio_session *session, uint64_t now)
{
    const struct eio_options *options = &session->server->options;
    const struct eio_packet ping = {.type = EIO_PING};
    bool is_late = now - session->beat_at_ms > options->ping_timeout_ms / LATE_SHARE;

    session->beat_at_ms =
        (is_late ? now : session->beat_at_ms) + options->ping_timeout_ms;
    session->awaits_pong = true;
    session->is_extended = false;
    eio_session_queue(session, &ping);
}

static void give_up(struct eio_session *session)
{
    counter_add(session->server->counters.ping_timeouts, 1);
    eio_session_end(session, "ping timeout", EIO_GOODBYE_CLOSE);
}

static void on_timer(struct timer *timer)
{
    struct eio_session *session = LIST_ENTRY(timer, struct eio_session, timer);
    const struct eio_server *server = session->server;
    uint64_t now = now_of(session);

    if (session->upgrade_at_ms != 0 && now >= session->upgrade_at_ms) {
        counter_add(server->counters.upgrade_timeouts, 1);
        eio_probe_drop(session);
    }
    if (session->alarm_at_ms != 0 && now >= session->alarm_at_ms) {
        session->alarm_at_ms = 0;
        counter_add(server->counters.alarms, 1);
        if (server->app->on_alarm != NULL)
            server->app->on_alarm(server->app_ctx, session);
    }
    if (session->is_open && now >= session->beat_at_ms) {
        if (session->revision == 3 || session->awaits_pong)
            give_up(session);
        else
            send_ping(session, now);
    }
    eio_beat_arm(session);
}

void eio_beat_init(struct eio_session *session)
{
    const struct eio_options *options = &session->server->options;

    session->beat_at_ms = now_of(session) + options->ping_interval_ms;
    if (session->revision == 3)
        session->beat_at_ms += options->ping_timeout_ms;
    timer_init(&session->timer, session->server->loop, on_timer);
    eio_beat_arm(session);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return b != 0 && b < a ? b : a;
}

void eio_beat_arm(struct eio_session *session)
{
    uint64_t now = now_of(session);
    uint64_t at = session->beat_at_ms;

    if (!session->is_open)
        return;
    at = earlier(at, session->alarm_at_ms);
    at = earlier(at, session->upgrade_at_ms);
    timer_start(&session->timer, at > now ? at - now : 0, 0);
}

void eio_beat_ping(struct eio_session *session)
{
    const struct eio_options *options = &session->server->options;
    const struct eio_packet pong = {.type = EIO_PONG};

    if (session->revision != 3) { /* the server pings here */
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
        return;
    }
    session->beat_at_ms =
        now_of(session) + options->ping_interval_ms + options->ping_timeout_ms;
    eio_beat_arm(session);
    eio_session_queue(session, &pong);
}

void eio_beat_pong(struct eio_session *session)
{
    if (session->revision == 3) { /* the client pings here */
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
        return;
    }
    if (!session->awaits_pong)
        return; /* unsolicited: harmless, and it must not put off our own ping */
    session->awaits_pong = false;
    session->beat_at_ms = now_of(session) + session->server->options.ping_interval_ms;
    eio_beat_arm(session);
}

void eio_beat_extend(struct eio_session *session)
{
    if (!session->awaits_pong || session->is_extended)
        return;
    session->is_extended = true;
    session->beat_at_ms = now_of(session) + session->server->options.ping_timeout_ms;
    eio_beat_arm(session);
}

bool eio_beat_is_overdue(const struct eio_session *session)
{
    uint64_t deadline = session->beat_at_ms;

    /* Due, but its timer had no turn yet. */
    if (session->revision != 3 && !session->awaits_pong)
        deadline += session->server->options.ping_timeout_ms;
    return now_of(session) >= deadline;
}
