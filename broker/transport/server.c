/* server.c - the server as a whole: options, routes, start and stop. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- counters ---- */

static struct counter *total(struct counters *counters, const char *name,
                             const char *label, const char *help)
{
    return counters_add(counters, COUNTER_TOTAL, name, label, help);
}

static void count_traffic(struct transport_counters *count, struct counters *counters)
{
    static const char *const classes[] = {NULL,
                                          "class=\"1xx\"",
                                          "class=\"2xx\"",
                                          "class=\"3xx\"",
                                          "class=\"4xx\"",
                                          "class=\"5xx\""};

    for (unsigned i = 1; i < 6; i++)
        count->answers[i] = total(counters, "http_answers_total", classes[i],
                                  "HTTP answers by status class");
    count->answers[0] = count->answers[5];
    count->sent_bytes =
        total(counters, "sent_bytes_total", NULL, "Bytes given to sockets");
    count->messages = total(counters, "websocket_messages_total", NULL,
                            "Whole WebSocket messages received");
    count->streams = counters_add(counters, COUNTER_GAUGE, "pipes", "kind=\"stream\"",
                                  "Open pipes by kind");
    count->websockets = counters_add(counters, COUNTER_GAUGE, "pipes",
                                     "kind=\"websocket\"", "Open pipes by kind");
}

static void count_refusals(struct transport_counters *count, struct counters *counters)
{
    static const char refused[] = "Connections refused, by reason";
    static const char oversize[] = "Input refused for its size, by what it was";
    static const char timeouts[] = "Waits that ended by their bound in time";

    count->refused_total = total(counters, "connections_refused_total",
                                 "reason=\"max-connections\"", refused);
    count->refused_ip = total(counters, "connections_refused_total",
                              "reason=\"max-connections-per-ip\"", refused);
    count->refused_files =
        total(counters, "connections_refused_total", "reason=\"files\"", refused);
    count->oversize_head = total(counters, "oversize_total", "what=\"head\"", oversize);
    count->oversize_body = total(counters, "oversize_total", "what=\"body\"", oversize);
    count->oversize_message =
        total(counters, "oversize_total", "what=\"message\"", oversize);
    count->bad_requests = total(counters, "bad_requests_total", NULL,
                                "Requests that are not proper HTTP");
    count->bad_messages =
        total(counters, "bad_messages_total", NULL, "WebSocket text that is not UTF-8");
    count->bad_frames = total(counters, "bad_frames_total", NULL,
                              "WebSocket frames against the protocol");
    count->foreign_origins = total(counters, "foreign_origins_total", NULL,
                                   "Upgrades and preflights of origins not allowed");
    count->retired = total(counters, "connections_retired_total", NULL,
                           "Connections closed because they had had their requests");
    count->timeouts[WAIT_HEAD] =
        total(counters, "timeouts_total", "wait=\"head\"", timeouts);
    count->timeouts[WAIT_BODY] =
        total(counters, "timeouts_total", "wait=\"body\"", timeouts);
    count->timeouts[WAIT_KEEPALIVE] =
        total(counters, "timeouts_total", "wait=\"keepalive\"", timeouts);
    count->timeouts[WAIT_CLOSE] =
        total(counters, "timeouts_total", "wait=\"close\"", timeouts);
}

static void count_all(struct transport_counters *count, struct counters *counters)
{
    count->connections = counters_add(counters, COUNTER_GAUGE, "connections", NULL,
                                      "Open client connections");
    count->accepted = total(counters, "connections_accepted_total", NULL,
                            "Client connections accepted");
    count_traffic(count, counters);
    count_refusals(count, counters);
}

/* ---- life ---- */

struct server *server_new(struct loop *loop, const struct server_options *options,
                          struct counters *counters, struct buf *error)
{
    struct server *server = mem_new(sizeof(*server));

    server->loop = loop;
    server->options = *options;
    server->origins.origins = options->origins;
    server->origins.reflect_credentials = options->reflect_credentials;
    server->peers = map_new();
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    list_init(&server->conns);
    deadline_init(server);
    drain_init(server);
    count_all(&server->count, counters);
    if (!wire_open(server, error)) {
        server_free(server);
        return NULL;
    }
    return server;
}

void server_close(struct server *server)
{
    server_stop_listening(server);
    while (!list_is_empty(&server->conns))
        conn_finish(LIST_ENTRY(server->conns.next, struct conn, node),
                    "transport close");
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    server_close(server);
    wire_close(server);
    listeners_free(server);
    deadline_release(server);
    drain_release(server);
    map_free(server->peers);
    if (server->spare_fd >= 0)
        (void)close(server->spare_fd);
    free(server->routes);
    free(server->ws_routes);
    free(server);
}

bool server_listen(struct server *server, struct buf *error)
{
    for (size_t i = 0; i < server->options.listen->count; i++) {
        if (!listener_open(server, server->options.listen->items[i], error))
            return false;
    }
    return true;
}

void server_stop_listening(struct server *server)
{
    server->is_draining = true;
    listeners_stop(server);
}

size_t server_connections(const struct server *server)
{
    return server->conn_count;
}

/* ---- routes ---- */

void server_route(struct server *server, const struct http_route *route)
{
    size_t size = (server->route_count + 1) * sizeof(*server->routes);

    server->routes = mem_resize(server->routes, size);
    server->routes[server->route_count++] = *route;
}

void server_ws_route(struct server *server, const struct ws_route *route)
{
    size_t size = (server->ws_route_count + 1) * sizeof(*server->ws_routes);

    server->ws_routes = mem_resize(server->ws_routes, size);
    server->ws_routes[server->ws_route_count++] = *route;
}

/* Length of the match, 0 for none. An exact path beats a prefix of the same length. */
static size_t match(const char *pattern, bool is_prefix, struct slice path)
{
    size_t len = strlen(pattern);

    if (path.len < len || memcmp(path.ptr, pattern, len) != 0)
        return 0;
    if (is_prefix)
        return len * 2;
    return path.len == len ? len * 2 + 1 : 0;
}

const struct http_route *server_find_route(const struct server *server,
                                           struct slice path)
{
    const struct http_route *best = NULL;
    size_t best_len = 0;

    for (size_t i = 0; i < server->route_count; i++) {
        const struct http_route *route = &server->routes[i];
        size_t len = match(route->path, route->is_prefix, path);
        if (len > best_len) {
            best = route;
            best_len = len;
        }
    }
    return best;
}

const struct ws_route *server_find_ws_route(const struct server *server,
                                            struct slice path)
{
    const struct ws_route *best = NULL;
    size_t best_len = 0;

    for (size_t i = 0; i < server->ws_route_count; i++) {
        const struct ws_route *route = &server->ws_routes[i];
        size_t len = match(route->path, route->is_prefix, path);
        if (len > best_len) {
            best = route;
            best_len = len;
        }
    }
    return best;
}

const struct origin_rules *server_origins(const struct server *server,
                                          bool judges_itself)
{
    static const struct origin_rules open = {.is_open = true,
                                             .reflect_credentials = true};

    return judges_itself ? &open : &server->origins;
}

/* ---- the date, made once a second ---- */

const char *server_date(struct server *server)
{
    uint64_t second = clock_wall_ms() / 1000;

    if (second != server->date_second || server->date[0] == '\0') {
        time_t now = (time_t)second;
        struct tm parts;
        (void)gmtime_r(&now, &parts);
        (void)strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT",
                       &parts);
        server->date_second = second;
    }
    return server->date;
}
