/* broker.c - wires the rooms. */
/* SPDX-License-Identifier: MIT */
#include "broker.h"

#include "api/api.h"
#include "base/diag.h"
#include "base/spare.h"
#include "bus/bus.h"
#include "engine/sio.h"
#include "hired.h"
#include "identity.h"
#include "keeper.h"
#include "models.h"
#include "session/session.h"
#include "transport/server.h"

#include <signal.h>
#include <stdlib.h>

/* Python clients refuse polling answers with more packets. */
#define MAX_POLL_PACKETS 16
#define LOAD_TIMEOUT_MS  5000

struct broker {
    const struct settings *settings;
    struct loop *loop;
    struct counters *counters;
    struct hub *hub;
    struct bus *bus;
    struct bus_lift *lift;     /* the bus's; NULL unless asked for */
    struct bus_frappe *frappe; /* NULL: no such channel */
    struct identity_desk *desk;
    struct keeper *keeper;
    struct telemetry *telemetry; /* NULL: it is off */
    struct hired *hired;         /* NULL: --worker is off */
    struct session_set *sessions;
    struct sio_server *sio;
    struct api *api;
    struct buf models; /* GET /v1/models */
    struct server *server;
    struct spare *spare;
    struct timer drain_bound;
    unsigned undrained; /* the server, and the worker whose runs others can read */
    bool is_draining;
};

/* ---- rooms, from the ground up ---- */

static void make_log(struct broker *broker)
{
    const struct settings *set = broker->settings;
    struct hub_limits limits = {
        .retain_events = set->retain_events,
        .retain_bytes = set->retain_bytes,
        .retain_text_bytes = set->retain_text_bytes,
        .retain_total_bytes = set->retain_total_bytes,
        .retain_finished_ms = set->retain_finished_ms,
        .retain_room_ms = set->retain_room_ms,
        .abandon_ms = set->abandon_ms,
        .linger_ms = set->linger_ms,
        .max_topics = set->max_tasks,
    };

    broker->hub = hub_new(broker->loop, &limits, broker->counters);
}

static bool make_bus(struct broker *broker, struct buf *error)
{
    const struct settings *set = broker->settings;
    struct bus_limits limits = {
        .retain_events = set->retain_events,
        .retain_text_bytes = set->retain_text_bytes,
        .retain_finished_ms = set->retain_finished_ms,
        .queue_timeout_ms = set->queue_timeout_ms,
        .abandon_ms = set->abandon_ms,
        .stop_grace_ms = set->stop_grace_ms,
        .max_waiting = set->redis_max_waiting,
        .redis_wait_ms = set->redis_wait_ms,
    };

    if (strcmp(set->bus, "memory") == 0)
        broker->bus =
            bus_memory_new(broker->loop, broker->hub, &limits, broker->counters);
    else
        broker->bus =
            bus_redis_new(broker->loop, broker->hub, set->bus, set->redis_prefix,
                          &limits, broker->counters, error);
    return broker->bus != NULL;
}

/* Refusing to start is kinder than losing somebody's task later. */
static bool is_bus_fit(struct broker *broker, struct buf *error)
{
    struct bus *bus = broker->bus;

    return bus->ops->judge == NULL || bus->ops->judge(bus, error);
}

static const char *frappe_trouble(void *ctx)
{
    return bus_frappe_trouble(ctx);
}

static const char *events_url(const struct settings *set)
{
    if (set->events_redis[0] != '\0')
        return set->events_redis;
    return strcmp(set->bus, "memory") == 0 ? "none" : set->bus;
}

static bool make_frappe(struct broker *broker, struct buf *error)
{
    const struct settings *set = broker->settings;
    const char *url = events_url(set);

    broker->desk = identity_desk_new(broker->loop, set, url, broker->counters, error);
    if (broker->desk == NULL)
        return false;
    if (strcmp(url, "none") == 0)
        return true;
    if (set->lift)
        broker->lift = bus_redis_lift(broker->bus, broker->counters);
    broker->frappe =
        bus_frappe_new(broker->loop, broker->hub,
                       &(struct frappe_channel){url, set->events_channel, broker->lift},
                       broker->counters, error);
    return broker->frappe != NULL;
}

static void stop_task(void *ctx, const struct task_key *task, uint64_t epoch,
                      void (*done)(void *done_ctx, enum stop_status status),
                      void *done_ctx)
{
    struct broker *broker = ctx;

    broker->bus->ops->stop(broker->bus, task, epoch, done, done_ctx);
}

static void open_in_editor(void *ctx, struct slice json)
{
    struct broker *broker = ctx;

    identity_desk_open_in_editor(broker->desk, json);
}

static bool was_quiet(void *ctx, struct slice site, struct slice room, uint64_t for_ms)
{
    const struct broker *broker = ctx;

    return broker->frappe == NULL ||
           bus_frappe_was_quiet(broker->frappe, site, room, for_ms);
}

static bool make_keeper(struct broker *broker, struct buf *error)
{
    bool is_ok;

    broker->keeper = keeper_new(broker->loop, broker->settings, &is_ok, error);
    return is_ok;
}

static bool make_worker(struct broker *broker, struct buf *error)
{
    struct hired_rooms rooms = {broker->bus, broker->telemetry, broker->counters};

    if (!broker->settings->hires)
        return true;
    broker->hired = hired_new(broker->loop, broker->settings, &rooms, error);
    return broker->hired != NULL;
}

static void make_sessions(struct broker *broker)
{
    const struct settings *set = broker->settings;
    struct session_services services = {stop_task, open_in_editor, was_quiet, broker};
    struct session_options options = {
        .heartbeat_ms = set->heartbeat_ms,
        .wait_unknown_ms = set->wait_unknown_ms,
        .poll_wait_ms = set->poll_wait_ms,
        .retry_ms = set->retry_ms,
        .retry_jitter = (unsigned)set->retry_jitter,
        .silence_ms = set->silence_ms,
        .max_subscriptions = set->max_subscriptions,
        .opaque_lag_bytes = set->opaque_lag_bytes,
        .snapshot_total_bytes = set->snapshot_total_bytes,
        .snapshot_hold_ms = set->snapshot_hold_ms,
        .answer_bytes = set->control_bytes,
        .ws_message_bytes = set->message_bytes,
        .default_site = set->default_site,
        .sites = &set->sites,
        .auth = identity_desk_auth(broker->desk),
        .needs_identity = (settings_auth(set) & (AUTH_KEYS | AUTH_JWT)) != 0,
        .stops_need_a_user = settings_writes_are_local(set),
        .frappe = {.on = set->frappe,
                   .version = (unsigned)set->frappe_version,
                   .developer_mode = set->developer_mode,
                   .needs_origin = set->frappe_needs_origin,
                   .guard = (enum task_guard)set->task_guard},
        .recovery = (enum recovery)set->recovery,
        .recovery_ms = set->recovery_ms,
        .max_saved_sessions = set->max_saved_sessions,
        .doubt_ms = set->recovery_ms + set->ping_interval_ms + 2 * set->ping_timeout_ms,
        .keeper = keeper_slots(broker->keeper),
    };

    broker->sessions = session_set_new(broker->loop, broker->hub, &options, &services,
                                       broker->counters);
}

static void make_engine(struct broker *broker)
{
    const struct settings *set = broker->settings;
    struct sio_options options = {
        .ping_interval_ms = set->ping_interval_ms,
        .ping_timeout_ms = set->ping_timeout_ms,
        .upgrade_timeout_ms = set->upgrade_timeout_ms,
        .connect_timeout_ms = set->connect_timeout_ms,
        .max_payload_bytes = set->max_payload_bytes,
        .control_bytes = set->control_bytes,
        .max_sessions = set->max_connections,
        .allow_eio3 = set->eio3,
        .missing_eio_is_3 = set->eio_default_3,
        .max_namespaces = (unsigned)set->max_namespaces,
        .max_poll_packets = MAX_POLL_PACKETS,
    };

    broker->sio = sio_server_new(broker->loop, &options, &session_sio_app,
                                 broker->sessions, broker->counters);
}

static const char *drain_trouble(void *ctx)
{
    const struct broker *broker = ctx;

    return broker->is_draining ? "draining" : NULL;
}

static void make_api(struct broker *broker)
{
    const struct settings *set = broker->settings;
    struct api_options options = {
        .default_site = set->default_site,
        .publish_limit_bytes = set->publish_bytes,
        .publish_limit_events = set->publish_events,
        .submit_limit_bytes = set->submit_bytes,
        .max_message_chars = set->max_message_chars,
        .load_timeout_ms = LOAD_TIMEOUT_MS,
        .guards_tasks = set->task_guard != 0,
        .writes_are_local = settings_writes_are_local(set),
        .models = buf_text(&broker->models),
        .test_scenarios = set->test_scenarios,
        .auth = identity_desk_auth(broker->desk),
        .needs_identity = (settings_auth(set) & (AUTH_KEYS | AUTH_JWT)) != 0,
        .telemetry = broker->telemetry,
        .telemetry_limit_bytes = set->telemetry_event_bytes,
        .telemetry_per_minute = set->telemetry_per_minute,
    };

    broker->api = api_new(&(struct api_rooms){broker->loop, broker->hub, broker->bus,
                                              broker->sessions, broker->counters},
                          &options);
    if (broker->frappe != NULL)
        api_add_check(broker->api, "frappe", frappe_trouble, broker->frappe);
    if (broker->hired != NULL)
        api_add_check(broker->api, "worker", hired_trouble, broker->hired);
    api_add_check(broker->api, "broker", drain_trouble, broker);
}

static void register_routes(struct broker *broker)
{
    struct http_route routes[API_ROUTES];
    size_t count = api_routes(broker->api, routes);
    struct http_route http;
    struct ws_route ws;
    /* The reference serves everything below the path; the bare form costs nothing. */
    static const char *const paths[] = {"/socket.io/", "/socket.io"};

    for (size_t i = 0; i < count; i++)
        server_route(broker->server, &routes[i]);
    session_ws_route(broker->sessions, &ws);
    server_ws_route(broker->server, &ws);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        sio_server_routes(broker->sio, paths[i], &http, &ws);
        /* A bench's page may be on another port, and who may not come is told so by
         * CONNECT_ERROR, as the original does: both need an answer a browser can read. */
        http.judges_origins = broker->settings->frappe;
        ws.judges_origins = broker->settings->frappe;
        server_route(broker->server, &http);
        server_ws_route(broker->server, &ws);
    }
}

static bool make_server(struct broker *broker, struct buf *error)
{
    const struct settings *set = broker->settings;
    struct server_options options = {
        .listen = &set->listen,
        .origins = &set->origins,
        .reflect_credentials = true,
        .max_connections = set->max_connections,
        .max_connections_per_ip = set->max_connections_per_ip,
        .socket_unsent_bytes = set->socket_unsent_bytes,
        .header_timeout_ms = set->header_timeout_ms,
        .body_timeout_ms = set->body_timeout_ms,
        .keepalive_timeout_ms = set->keepalive_ms,
        .close_timeout_ms = set->close_timeout_ms,
        .keepalive_requests = (unsigned)set->keepalive_requests,
    };

    broker->server = server_new(broker->loop, &options, broker->counters, error);
    if (broker->server == NULL)
        return false;
    register_routes(broker);
    return server_listen(broker->server, error);
}

/* ---- life ---- */

static void free_sources(struct broker *broker)
{
    if (broker->desk != NULL)
        identity_desk_free(broker->desk);
    if (broker->frappe != NULL)
        bus_frappe_free(broker->frappe);
    hired_free(broker->hired);
    broker->hired = NULL;
    if (broker->bus != NULL)
        broker->bus->ops->free(broker->bus);
    keeper_free(broker->keeper);
    broker->keeper = NULL;
    broker->desk = NULL;
    broker->frappe = NULL;
    broker->bus = NULL;
}

static void on_drained(void *ctx)
{
    struct broker *broker = ctx;

    if (--broker->undrained > 0)
        return;
    diag(DIAG_INFO, "broker drained");
    loop_stop(broker->loop);
}

static void on_drain_bound(struct timer *timer)
{
    struct broker *broker = LIST_ENTRY(timer, struct broker, drain_bound);

    diag(DIAG_WARN, "broker stops before it is drained",
         DIAG_N("connections", server_connections(broker->server)));
    loop_stop(broker->loop);
}

/* The first SIGTERM drains: nobody new comes in, everybody is sent elsewhere in turn. Who
 * does not go within the time for closing is cut. */
static void drain(struct broker *broker)
{
    const struct settings *set = broker->settings;
    uint64_t bound_ms = set->drain_ms + set->close_timeout_ms;
    /* In memory a run goes with its readers. */
    bool finishes = broker->hired != NULL && strcmp(set->bus, "memory") != 0;

    broker->is_draining = true;
    broker->undrained = finishes ? 2 : 1;
    bus_lift_resign(broker->lift);
    if (finishes && set->worker.finish_ms > bound_ms)
        bound_ms = set->worker.finish_ms;
    timer_start(&broker->drain_bound, bound_ms, 0);
    if (finishes)
        hired_drain(broker->hired, on_drained, broker);
    server_drain(broker->server, set->drain_ms, on_drained, broker);
}

/* What memory goes with: see base/spare.h. */
static size_t count_alive(void *ctx)
{
    const struct broker *broker = ctx;

    return hub_topic_count(broker->hub) + server_connections(broker->server);
}

struct broker *broker_new(const struct settings *settings, struct buf *error)
{
    struct broker *broker = calloc(1, sizeof(*broker));

    if (broker == NULL)
        abort();
    broker->settings = settings;
    broker->loop = loop_new();
    timer_init(&broker->drain_bound, broker->loop, on_drain_bound);
    broker->counters = counters_new();
    buf_init(&broker->models, 1 << 20);
    broker->telemetry = worker_settings_telemetry(&settings->worker, broker->counters);
    make_log(broker);
    if (!make_bus(broker, error) || !is_bus_fit(broker, error) ||
        !make_frappe(broker, error) || !make_keeper(broker, error) ||
        !make_worker(broker, error))
        goto fail;
    make_sessions(broker);
    make_engine(broker);
    if (!models_write(broker->settings, &broker->models, error))
        goto fail;
    make_api(broker);
    if (!make_server(broker, error))
        goto fail;
    broker->spare = spare_new(broker->loop, count_alive, broker);
    return broker;
fail:
    broker_free(broker);
    return NULL;
}

static void on_signal(void *ctx, int signum)
{
    struct broker *broker = ctx;

    diag(DIAG_INFO, "broker stopping", DIAG_S("signal", strsignal(signum)),
         DIAG_N("connections", server_connections(broker->server)));
    if (signum == SIGTERM && !broker->is_draining) {
        drain(broker);
        return;
    }
    server_stop_listening(broker->server);
    loop_stop(broker->loop);
}

static void on_hangup(void *ctx, int signum)
{
    struct broker *broker = ctx;

    (void)signum;
    if (broker->desk != NULL)
        identity_desk_reload(broker->desk);
}

void broker_run(struct broker *broker)
{
    const char *address;

    loop_on_signal(broker->loop, SIGINT, on_signal, broker);
    loop_on_signal(broker->loop, SIGTERM, on_signal, broker);
    if ((settings_auth(broker->settings) & AUTH_KEYS) != 0)
        loop_on_signal(broker->loop, SIGHUP, on_hangup, broker);
    for (size_t i = 0; (address = server_address(broker->server, i)) != NULL; i++)
        diag(DIAG_INFO, "broker ready", DIAG_S("listen", address),
             DIAG_S("bus", broker->bus->name), DIAG_S("version", THINKWIRE_VERSION));
    loop_run(broker->loop);
}

/* Connections first, so that every pipe and exchange tells its owner before the owner's room
 * goes; the server itself behind all who dial out (see server_free). */
void broker_free(struct broker *broker)
{
    broker->is_draining = true; /* a signal that still comes begins nothing */
    if (broker->api != NULL)
        api_free(broker->api);
    if (broker->sio != NULL)
        sio_server_free(broker->sio);
    if (broker->server != NULL)
        server_close(broker->server);
    /* Who waits for the backend is told no while the sessions are still there. */
    if (broker->desk != NULL)
        identity_desk_free(broker->desk);
    broker->desk = NULL;
    if (broker->sessions != NULL)
        session_set_free(broker->sessions);
    free_sources(broker);
    telemetry_free(broker->telemetry);
    timer_release(&broker->drain_bound);
    spare_free(broker->spare);
    server_free(broker->server);
    hub_free(broker->hub);
    counters_free(broker->counters);
    loop_free(broker->loop);
    buf_release(&broker->models);
    free(broker);
}
