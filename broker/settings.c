/* settings.c - the table: names, bounds, defaults and help of every setting. */
/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include "base/mem.h"
#include "redis/confirm.h"
#include "redis/url.h"

#define AT(field) offsetof(struct settings, field)
#define TEXT(row, field, value, alias, head, about)                                    \
    {                                                                                  \
        row, CONFIG_TEXT, AT(field), value, 0, 0, NULL, alias, about, head             \
    }
#define LIST(row, field, value, head, about)                                           \
    {                                                                                  \
        row, CONFIG_LIST, AT(field), value, 0, 0, NULL, NULL, about, head              \
    }
#define FLAG(row, field, value, head, about)                                           \
    {                                                                                  \
        row, CONFIG_FLAG, AT(field), value, 0, 0, NULL, NULL, about, head              \
    }
#define ENUM(row, field, value, words, head, about)                                    \
    {                                                                                  \
        row, CONFIG_ENUM, AT(field), value, 0, 0, words, NULL, about, head             \
    }
#define MILLIS(row, field, value, min, max, alias, head, about)                        \
    {                                                                                  \
        row, CONFIG_U64, AT(field), value, min, max, NULL, alias, about, head          \
    }
#define COUNT(row, field, value, min, max, head, about)                                \
    {                                                                                  \
        row, CONFIG_U64, AT(field), value, min, max, NULL, NULL, about, head           \
    }

#define DAY_MS  UINT64_C(86400000)
#define HOUR_MS UINT64_C(3600000)
#define MIB     UINT64_C(1048576)
#define GIB     (1024 * MIB)

static const char group_where[] = "Where to listen and where events come from";
static const char group_who[] = "Sites, origins and identities";
static const char group_bench[] = "In place of a Frappe bench's Node server";
static const char group_sio[] = "Socket.IO";
static const char group_streams[] = "Streams and joins";
static const char group_memory[] = "What is remembered, and how long";
static const char group_bounds[] = "Bounds";
static const char group_diag[] = "Diagnostics";
/* The same as that of worker_rows, which follow. */
static const char group_worker[] = "Generating";

const char settings_intro[] =
    "The Thinkwire broker: carries what AI backends think and say, task by task, to\n"
    "everyone who watches, over Socket.IO, WebSocket and server-sent events.\n"
    "\n"
    "  thinkwired --worker                           memory bus: needs nothing else\n"
    "  thinkwired --bus redis://127.0.0.1:6379       events through Redis\n"
    "  thinkwired --config /etc/thinkwire.conf       lines of `name value`\n";

static const struct config_row own_rows[] = {
    LIST("listen", listen, "127.0.0.1:9000", group_where,
         "Address to listen on: HOST:PORT, [IPV6]:PORT or unix:/path; repeatable."),
    TEXT("bus", bus, "memory", NULL, group_where,
         "Where tasks live: memory, or a Redis: " REDIS_URL_FORMS "."),
    TEXT("redis-prefix", redis_prefix, "tw", NULL, group_where,
         "First part of every key and channel in Redis."),
    MILLIS("redis-wait-ms", redis_wait_ms, "1000", 0, CONFIRM_WAIT_MAX_MS, NULL,
           group_where,
           "How long the end of a run waits for a replica to have it, where there are "
           "replicas; 0 = not at all."),
    TEXT("events-redis", events_redis, "", NULL, group_where,
         "Redis that carries Frappe's channel; empty means the bus, if that is Redis; "
         "`none` means not to listen."),
    TEXT("events-channel", events_channel, "events", NULL, group_where,
         "Name of Frappe's publish channel."),
    FLAG(
        "lift", lift, "off", group_where,
        "Write `ai_progress` of Frappe's channel into the log in Redis, through one "
        "elected broker, so that readers may resume on any. Set it on all brokers of a "
        "Redis or on none. When that broker dies, what comes within about 5 s is lost; "
        "readers are told by a new run. Nothing is merged or accumulated; progress sent "
        "to a user's room is not lifted."),

    TEXT("default-site", default_site, "", NULL, group_who,
         "Site of native requests that name none."),
    LIST("sites", sites, "", group_who,
         "Socket.IO namespaces that exist besides /; empty means any well-formed one."),
    LIST("origins", origins, "", group_who,
         "Browser origins allowed besides the broker's own: a list, or *."),
    LIST("auth", auth, "auto", group_who,
         "Who is asked who somebody is: none, or a list of api-key (X-API-Key), jwt "
         "(Authorization: Bearer) and frappe (the site's backend); auto is frappe with "
         "--frappe, else none."),
    TEXT("api-keys-file", api_keys_file, "", NULL, group_who,
         "A line for each key: KEY USER [SITE]; read again on SIGHUP."),
    TEXT("jwt-secret-file", jwt_secret_file, "", NULL, group_who,
         "The secret that tokens are signed with (HS256), 32 characters at least."),
    TEXT("jwt-audience", jwt_audience, "authenticated", NULL, group_who,
         "The audience (`aud`) that a token must name."),
    FLAG("insecure", insecure, "off", group_who,
         "Allow --auth none on addresses that are not loopback."),
    ENUM(
        "native-writes", native_writes, "auto", "auto|local|on", group_who,
        "Who may publish, ask, stop and erase over /v1: on, whoever can connect; local, "
        "whoever is on this machine and came through no proxy, and a stop over /ws or "
        "Socket.IO is taken from whoever is signed in; auto is local with --auth frappe, "
        "which cannot tell who a program is, and else on."),

    FLAG(
        "frappe", frappe, "off", group_bench,
        "Stand in for a bench's Node server: its site, origin, session and room rules."),
    TEXT("frappe-bench", frappe_bench, "", "FRAPPE_BENCH_ROOT", group_bench,
         "Directory of a bench: reads its configuration and turns --frappe on."),
    TEXT(
        "frappe-web-base", frappe_web_base, "", NULL, group_bench,
        "URL of the bench's web server, asked who somebody is; empty means the client's "
        "own Origin, as the original does: set it wherever strangers reach this port."),
    COUNT("frappe-version", frappe_version, "15", 13, 17, group_bench,
          "Frappe's major version: error texts and how its backend is asked."),
    FLAG("frappe-needs-origin", frappe_needs_origin, "off", group_bench,
         "Refuse clients that send no Origin (editors and scripts send none)."),
    FLAG(
        "developer-mode", developer_mode, "off", group_bench,
        "Pass open_in_editor on; ask the backend at --webserver-port (v16 and later)."),
    COUNT("webserver-port", webserver_port, "0", 0, 65535, group_bench,
          "Port of the development web server; 0 = unknown."),
    ENUM("task-guard", task_guard, "off", "off|backend|own", group_bench,
         "Who may watch a task: off, whoever knows its id; backend, whom the backend "
         "allows it (--task-guard-method); own, whose own room was sent events of it."),
    TEXT("task-guard-method", task_guard_method, "", NULL, group_bench,
         "Method that is asked: GET /api/method/NAME?task_id=..., true allows."),
    MILLIS("auth-timeout-ms", auth_timeout_ms, "10000", 50, DAY_MS, NULL, group_bench,
           "The backend must answer a question within it."),
    MILLIS("auth-cache-ms", auth_cache_ms, "5000", 0, DAY_MS, NULL, group_bench,
           "How long an answer of the backend is good for."),
    COUNT(
        "auth-max-questions", auth_max_questions, "100000", 1, 1000000, group_bench,
        "Different questions to the backend waiting for an answer; more are refused."),

    ENUM(
        "recovery", recovery, "auto", "auto|on|off", group_sio,
        "Connection state recovery of stock clients: auto offers it to browsers and to "
        "clients that ask (auth: {recovery: true} or ?recovery=1)."),
    MILLIS("recovery-ms", recovery_ms, "120000", 100, DAY_MS, NULL, group_sio,
           "How long a cut session is kept for its client."),
    COUNT("max-saved-sessions", max_saved_sessions, "10000", 0, 1000000, group_sio,
          "Cut sessions kept at once; the oldest goes."),
    MILLIS("ping-interval-ms", ping_interval_ms, "25000", 50, DAY_MS, NULL, group_sio,
           "Engine.IO: time between pings."),
    MILLIS("ping-timeout-ms", ping_timeout_ms, "20000", 50, DAY_MS, NULL, group_sio,
           "Engine.IO: a session that does not answer for so long is closed."),
    MILLIS("upgrade-timeout-ms", upgrade_timeout_ms, "10000", 50, DAY_MS, NULL,
           group_sio,
           "Engine.IO: an upgrade that takes longer is given up, polling goes on."),
    MILLIS("connect-timeout-ms", connect_timeout_ms, "45000", 50, DAY_MS, NULL,
           group_sio,
           "Socket.IO: a session that joins no namespace for so long is closed."),
    COUNT("max-payload-bytes", max_payload_bytes, "1000000", 1024, 64 * MIB, group_sio,
          "Longest message or request body a client may send."),
    FLAG("eio3", eio3, "on", group_sio,
         "Serve Engine.IO 3 (Socket.IO 1 and 2 clients) too."),
    FLAG("missing-eio-is-3", eio_default_3, "off", group_sio,
         "Take a request without EIO for Engine.IO 3 (old Swift clients)."),

    MILLIS("heartbeat-ms", heartbeat_ms, "10000", 100, DAY_MS,
           "OPENAI_SSE_HEARTBEAT_MS", group_streams,
           "Time between heartbeat comments on streams and pings on /ws."),
    MILLIS("retry-ms", retry_ms, "3000", 1, DAY_MS, NULL, group_streams,
           "Told to EventSource clients: how long to wait before reconnecting."),
    COUNT("retry-jitter-percent", retry_jitter, "50", 0, 100, group_streams,
          "Each is told up to so much more or less, so that not all come at once."),
    MILLIS("silence-ms", silence_ms, "45000", 1000, DAY_MS, NULL, group_streams,
           "A /ws or event stream reader without a sign of life for so long after a "
           "heartbeat is closed."),
    MILLIS("wait-unknown-ms", wait_unknown_ms, "30000", 10, DAY_MS, NULL, group_streams,
           "How long a subscription waits for a task nobody knows yet."),
    MILLIS("poll-wait-ms", poll_wait_ms, "25000", 10, DAY_MS, NULL, group_streams,
           "How long a long poll is held."),

    COUNT("retain-events", retain_events, "10000", 1, 10000000, group_memory,
          "Events kept of a task."),
    COUNT("retain-bytes", retain_bytes, "4m", 1024, GIB, group_memory,
          "Bytes of events kept of a task."),
    COUNT("retain-text-bytes", retain_text_bytes, "4m", 1024, 256 * MIB, group_memory,
          "Accumulated text, and reasoning, of a run; past it the run ends with "
          "RUN_TOO_LARGE."),
    COUNT("retain-total-bytes", retain_total_bytes, "512m", MIB, 64 * GIB, group_memory,
          "All events and texts in this process."),
    MILLIS("retain-finished-ms", retain_finished_ms, "600000", 100, 30 * DAY_MS, NULL,
           group_memory, "How long a finished task is kept."),
    MILLIS("retain-room-ms", retain_room_ms, "120000", 100, DAY_MS, NULL, group_memory,
           "How long events of a room that is no task are kept."),
    MILLIS("linger-ms", linger_ms, "10000", 100, DAY_MS, NULL, group_memory,
           "With Redis: how long a task stays loaded after its last reader left."),
    MILLIS("queue-timeout-ms", queue_timeout_ms, "300000", 100, 30 * DAY_MS, NULL,
           group_memory, "A queued run that no worker takes up within it is ended."),
    MILLIS("abandon-ms", abandon_ms, "600000", 100, 30 * DAY_MS, NULL, group_memory,
           "An unleased run that nobody publishes to for so long is ended."),
    MILLIS("stop-grace-ms", stop_grace_ms, "2000", 10, DAY_MS, NULL, group_memory,
           "A producer that does not end a stopped run within it is fenced."),

    COUNT("max-connections", max_connections, "10000", 1, 1000000, group_bounds,
          "Connections at once."),
    COUNT("max-connections-per-ip", max_connections_per_ip, "0", 0, 1000000,
          group_bounds, "Connections at once from one address; 0 = no bound."),
    COUNT("max-subscriptions", max_subscriptions, "1000", 1, 100000, group_bounds,
          "Subscriptions of one connection."),
    COUNT("max-tasks", max_tasks, "100000", 1, 10000000, group_bounds,
          "Tasks and rooms in memory at once."),
    COUNT("publish-max-bytes", publish_bytes, "4m", 1024, GIB, group_bounds,
          "Longest body of POST /v1/tasks/{id}/events."),
    COUNT("publish-max-events", publish_events, "1000", 1, 100000, group_bounds,
          "Most lines in one such body."),
    COUNT("submit-max-bytes", submit_bytes, "1m", 1024, 64 * MIB, group_bounds,
          "Longest body of a request for a generation."),
    MILLIS("max-message-chars", max_message_chars, "16000", 1, 16 * MIB,
           "MAX_MESSAGE_LENGTH", group_bounds,
           "Characters (code points) of one message to a model; more are refused."),
    COUNT("telemetry-event-bytes", telemetry_event_bytes, "4k", 256, MIB, group_bounds,
          "Longest body of POST /v1/telemetry."),
    COUNT("telemetry-per-minute", telemetry_per_minute, "600", 1, 1000000, group_bounds,
          "Events that clients may leave there in a minute, all together."),
    COUNT("opaque-lag-bytes", opaque_lag_bytes, "4m", 1024, GIB, group_bounds,
          "A string-form Socket.IO reader further behind is closed; it reconnects."),
    COUNT("snapshot-total-bytes", snapshot_total_bytes, "128m", 65536, 64 * GIB,
          group_bounds,
          "Encoded snapshots on their way to slow readers, all together."),
    MILLIS("snapshot-hold-ms", snapshot_hold_ms, "30000", 100, DAY_MS, NULL,
           group_bounds,
           "While others wait for that memory, a reader that takes longer over its "
           "snapshot is closed; it reconnects."),
    COUNT("control-bytes", control_bytes, "65536", 1024, 64 * MIB, group_bounds,
          "Answers waiting for one Socket.IO or /ws client that does not read."),
    COUNT("max-message-bytes", message_bytes, "65536", 1024, 64 * MIB, group_bounds,
          "Longest message a client may send on /ws."),
    COUNT("max-namespaces", max_namespaces, "64", 1, 10000, group_bounds,
          "Namespaces one Socket.IO client may join."),
    COUNT("redis-max-waiting", redis_max_waiting, "131072", 64, 10000000, group_bounds,
          "Commands to Redis without an answer yet; more fail at once."),
    COUNT("socket-unsent-bytes", socket_unsent_bytes, "16k", 1024, 64 * MIB,
          group_bounds,
          "Bytes the kernel holds unsent for one socket (TCP_NOTSENT_LOWAT)."),
    MILLIS("header-timeout-ms", header_timeout_ms, "10000", 50, DAY_MS, NULL,
           group_bounds, "A request's headers must be here within it."),
    MILLIS("body-timeout-ms", body_timeout_ms, "20000", 50, DAY_MS, NULL, group_bounds,
           "A request's body must be here within it."),
    MILLIS("keepalive-ms", keepalive_ms, "65000", 50, DAY_MS, NULL, group_bounds,
           "An idle HTTP connection is closed after it."),
    COUNT("keepalive-requests", keepalive_requests, "100000", 1, 100000000,
          group_bounds, "Requests on one connection."),
    MILLIS("close-timeout-ms", close_timeout_ms, "5000", 50, DAY_MS, NULL, group_bounds,
           "A closing peer that does not take its last bytes within it is cut."),
    MILLIS(
        "drain-ms", drain_ms, "5000", 0, HOUR_MS, NULL, group_bounds,
        "After SIGTERM: clients are sent elsewhere spread over it; 0 = all at once."),

    ENUM("log-level", log_level, "info", "error|warn|info|debug", group_diag,
         "Which diagnostics are written to standard error."),
    ENUM("log-format", log_format, "text", "text|json", group_diag,
         "How they are written."),

    FLAG(
        "test-scenarios", test_scenarios, "off", group_worker,
        "Hand the fault that a chat request's X-Test-Scenario names to the worker: for "
        "tests, never where others can ask."),
    FLAG("worker", hires, "off", group_worker,
         "Host a generation worker in this process; with the memory bus there is no "
         "other way."),
};
#define OWN_ROWS (sizeof(own_rows) / sizeof(own_rows[0]))

struct config_row *settings_rows(size_t *count)
{
    struct config_row *rows =
        mem_array(OWN_ROWS + worker_row_count, sizeof(struct config_row));

    memcpy(rows, own_rows, sizeof(own_rows));
    memcpy(rows + OWN_ROWS, worker_rows, worker_row_count * sizeof(struct config_row));
    *count = OWN_ROWS + worker_row_count;
    return rows;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_loopback(const char *address)
{
    return has_prefix(address, "127.") || has_prefix(address, "[::1]:") ||
           has_prefix(address, "localhost:") || has_prefix(address, "unix:");
}

static const struct {
    const char *name;
    unsigned way;
} auth_ways[] = {{"frappe", AUTH_FRAPPE}, {"api-key", AUTH_KEYS}, {"jwt", AUTH_JWT}};

static unsigned way_of(const char *name)
{
    for (size_t i = 0; i < sizeof(auth_ways) / sizeof(auth_ways[0]); i++)
        if (strcmp(name, auth_ways[i].name) == 0)
            return auth_ways[i].way;
    return AUTH_NONE;
}

unsigned settings_auth(const struct settings *settings)
{
    unsigned ways = AUTH_NONE;

    for (size_t i = 0; i < settings->auth.count; i++) {
        ways |= way_of(settings->auth.items[i]);
        if (strcmp(settings->auth.items[i], "auto") == 0 && settings->frappe)
            ways |= AUTH_FRAPPE;
    }
    return ways;
}

static bool check_auth(const struct settings *settings, struct buf *error)
{
    unsigned ways = settings_auth(settings);

    for (size_t i = 0; i < settings->auth.count; i++) {
        const char *name = settings->auth.items[i];
        bool is_alone = strcmp(name, "none") == 0 || strcmp(name, "auto") == 0;
        if (is_alone ? settings->auth.count == 1 : way_of(name) != AUTH_NONE)
            continue;
        (void)buf_puts(error,
                       "--auth is none, auto, or a list of api-key, jwt, frappe");
        return false;
    }
    if ((ways & AUTH_KEYS) != 0 && settings->api_keys_file[0] == '\0')
        return buf_puts(error, "--auth api-key needs --api-keys-file") && false;
    if ((ways & AUTH_JWT) != 0 && settings->jwt_secret_file[0] == '\0')
        return buf_puts(error, "--auth jwt needs --jwt-secret-file") && false;
    return true;
}

bool settings_writes_are_local(const struct settings *settings)
{
    if (settings->native_writes != WRITES_AUTO)
        return settings->native_writes == WRITES_LOCAL;
    return settings_auth(settings) == AUTH_FRAPPE;
}

bool settings_check(const struct settings *settings, struct buf *error)
{
    if (!check_auth(settings, error))
        return false;
    for (size_t i = 0; i < settings->listen.count && !settings->insecure &&
                       settings_auth(settings) == AUTH_NONE;
         i++)
        if (!is_loopback(settings->listen.items[i]))
            return buf_printf(
                       error,
                       "--listen %s can be reached by others, and --auth none lets "
                       "everyone in: listen on 127.0.0.1 behind a proxy, or add "
                       "--insecure if the network itself is trusted",
                       settings->listen.items[i]) &&
                   false;
    if (settings->task_guard != 0 &&
        (!settings->frappe || (settings_auth(settings) & AUTH_FRAPPE) == 0))
        return buf_puts(error, "--task-guard has to know who somebody is: it goes with "
                               "--frappe, and not with --auth none") &&
               false;
    if (settings->lift && (strcmp(settings->bus, "memory") == 0 ||
                           strcmp(settings->events_redis, "none") == 0))
        return buf_printf(error, "--lift writes what comes from Frappe's channel into "
                                 "Redis: it needs --bus redis://.. and a channel") &&
               false;
    if (strcmp(settings->bus, "memory") != 0 && !redis_url_is_one(settings->bus))
        return buf_printf(error, "--bus is `memory` or a URL: %s", REDIS_URL_FORMS) &&
               false;
    return true;
}
