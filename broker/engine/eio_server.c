/* eio_server.c - the table of sessions, their ids, and the end of a turn. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/eio.h"

#include <stdlib.h>

#define ID_RANDOM_BYTES  12
#define ID_COUNTER_BYTES 3
#define ID_BYTES         (ID_RANDOM_BYTES + ID_COUNTER_BYTES)

/* Closed sessions last: on_close may close others, which join the list behind. */
static void on_turn(struct turn_task *task)
{
    struct eio_server *server = LIST_ENTRY(task, struct eio_server, turn);
    struct list owed;

    list_init(&owed);
    list_splice(&owed, &server->dirty);
    while (!list_is_empty(&owed)) {
        struct eio_session *session = LIST_ENTRY(owed.next, struct eio_session, dirty);
        list_remove(&session->dirty);
        eio_session_turn(session);
    }
    while (!list_is_empty(&server->ended)) {
        struct eio_session *session =
            LIST_ENTRY(server->ended.next, struct eio_session, link);
        list_remove(&session->link);
        server->app->on_close(server->app_ctx, session, session->reason);
        eio_session_free(session);
    }
}

static void register_counters(struct eio_counters *own, struct counters *counters)
{
    static const char *const codes[] = {"code=\"0\"", "code=\"1\"", "code=\"2\"",
                                        "code=\"3\"", "code=\"4\"", "code=\"5\""};
    const char *opened = "Engine.IO sessions opened, by their first transport.";

    own->sessions = counters_add(counters, COUNTER_GAUGE, "engine_sessions", NULL,
                                 "Engine.IO sessions open now.");
    own->opened_polling = counters_add(counters, COUNTER_TOTAL, "engine_opened_total",
                                       "transport=\"polling\"", opened);
    own->opened_websocket = counters_add(counters, COUNTER_TOTAL, "engine_opened_total",
                                         "transport=\"websocket\"", opened);
    own->upgraded = counters_add(counters, COUNTER_TOTAL, "engine_upgraded_total", NULL,
                                 "Sessions that went from polling to WebSocket.");
    own->ping_timeouts =
        counters_add(counters, COUNTER_TOTAL, "engine_ping_timeouts_total", NULL,
                     "Sessions closed because the heartbeat stopped.");
    own->upgrade_timeouts =
        counters_add(counters, COUNTER_TOTAL, "engine_upgrade_timeouts_total", NULL,
                     "Upgrades given up because they took too long.");
    own->alarms =
        counters_add(counters, COUNTER_TOTAL, "engine_connect_timeouts_total", NULL,
                     "Sessions closed because they joined no namespace in time.");
    own->overflows =
        counters_add(counters, COUNTER_TOTAL, "engine_overflows_total", NULL,
                     "Sessions closed because their private queue was full.");
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        own->refused[i] =
            counters_add(counters, COUNTER_TOTAL, "engine_refused_total", codes[i],
                         "Requests refused, by Engine.IO error code.");
}

struct eio_server *eio_server_new(struct loop *loop, const struct eio_options *options,
                                  const struct eio_app *app, void *app_ctx,
                                  struct counters *counters)
{
    struct eio_server *server = mem_new(sizeof(*server));

    server->loop = loop;
    server->options = *options;
    server->app = app;
    server->app_ctx = app_ctx;
    server->sessions = map_new();
    server->farewells = map_new();
    list_init(&server->open);
    list_init(&server->dirty);
    list_init(&server->ended);
    list_init(&server->farewell_order);
    buf_init(&server->scratch, options->max_payload_bytes);
    turn_task_init(&server->turn, on_turn);
    random_bytes(&server->id_counter, sizeof(server->id_counter));
    register_counters(&server->counters, counters);
    return server;
}

void eio_server_free(struct eio_server *server)
{
    while (!list_is_empty(&server->open))
        eio_session_end(LIST_ENTRY(server->open.next, struct eio_session, link),
                        "server shutting down", EIO_GOODBYE_CLOSE);
    on_turn(&server->turn);
    turn_cancel(&server->turn);
    eio_farewell_forget_all(server);
    map_free(server->farewells);
    map_free(server->sessions);
    buf_release(&server->scratch);
    free(server);
}

void eio_server_routes(struct eio_server *server, const char *path,
                       struct http_route *http, struct ws_route *ws)
{
    size_t len = strlen(path);
    bool is_prefix = len > 1 && path[len - 1] == '/';

    *http = (struct http_route){
        .path = path,
        .is_prefix = is_prefix,
        .body_limit_bytes = server->options.max_payload_bytes,
        .handler = eio_request_http,
        .on_body = eio_request_body,
        .ctx = server,
    };
    *ws = (struct ws_route){
        .path = path,
        .is_prefix = is_prefix,
        .message_limit_bytes = server->options.max_payload_bytes,
        .accept = eio_request_accept,
        .on_open = eio_request_open,
        .ctx = server,
    };
}

size_t eio_server_sessions(const struct eio_server *server)
{
    return map_size(server->sessions);
}

/* The counter makes ids of one process differ even if the random source did not. */
void eio_make_id(struct eio_server *server, char out[EIO_ID_SIZE])
{
    unsigned char raw[ID_BYTES];
    struct buf text;
    uint32_t count = server->id_counter++;

    random_bytes(raw, ID_RANDOM_BYTES);
    raw[ID_RANDOM_BYTES] = (unsigned char)(count >> 16);
    raw[ID_RANDOM_BYTES + 1] = (unsigned char)(count >> 8);
    raw[ID_RANDOM_BYTES + 2] = (unsigned char)count;
    buf_init(&text, EIO_ID_SIZE);
    base64_encode(&text, slice_make((const char *)raw, sizeof(raw)));
    memcpy(out, text.data, EIO_ID_SIZE - 1);
    out[EIO_ID_SIZE - 1] = '\0';
    buf_release(&text);
    for (char *c = out; *c != '\0'; c++) { /* base64url: 15 bytes need no padding */
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
    }
}
