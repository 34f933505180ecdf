/* main.c - an echo server on transport and engine, for the public protocol suites. */
/* SPDX-License-Identifier: MIT */
#include "echo.h"

#include "transport/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/*
 *   conformance_server --mode engine --path /engine.io/     eio-v4 (eio-v3: with --eio3)
 *   conformance_server --mode socket --path /socket.io/     sio-v5
 *
 * Prints `ready HOST:PORT` and runs until SIGTERM or SIGINT.
 */
enum mode { MODE_ENGINE, MODE_SOCKET };

struct settings {
    char *host;
    struct config_list origins;
    uint64_t port;
    char *path;
    unsigned mode;
    bool eio3;
    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    uint64_t upgrade_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t max_payload_bytes;
};

#define FIELD(name) offsetof(struct settings, name)
#define MS_MAX      3600000

static const struct config_row rows[] = {
    {"host", CONFIG_TEXT, FIELD(host), "127.0.0.1", 0, 0, NULL, NULL,
     "Address to listen on.", "Server"},
    {"origins", CONFIG_LIST, FIELD(origins), "*", 0, 0, NULL, NULL,
     "Browser origins that may connect.", "Server"},
    {"port", CONFIG_U64, FIELD(port), "3000", 0, 65535, NULL, NULL,
     "Port; 0 takes a free one.", "Server"},
    {"path", CONFIG_TEXT, FIELD(path), "/engine.io/", 0, 0, NULL, NULL,
     "Path of all requests, with a slash at its end.", "Server"},
    {"mode", CONFIG_ENUM, FIELD(mode), "engine", 0, 0, "engine|socket", NULL,
     "Raw Engine.IO echo, or the Socket.IO application of the suite.", "Server"},
    {"eio3", CONFIG_FLAG, FIELD(eio3), "off", 0, 0, NULL, NULL,
     "Speak Engine.IO 3 as well.", "Protocol"},
    {"ping-interval-ms", CONFIG_U64, FIELD(ping_interval_ms), "300", 1, MS_MAX, NULL,
     NULL, "Time between pings.", "Protocol"},
    {"ping-timeout-ms", CONFIG_U64, FIELD(ping_timeout_ms), "200", 1, MS_MAX, NULL,
     NULL, "Time to wait for a pong.", "Protocol"},
    {"upgrade-timeout-ms", CONFIG_U64, FIELD(upgrade_timeout_ms), "10000", 1, MS_MAX,
     NULL, NULL, "Time for an upgrade to complete.", "Protocol"},
    {"connect-timeout-ms", CONFIG_U64, FIELD(connect_timeout_ms), "1000", 1, MS_MAX,
     NULL, NULL, "Time to join a first namespace.", "Protocol"},
    {"max-payload-bytes", CONFIG_U64, FIELD(max_payload_bytes), "1000000", 1024,
     16777216, NULL, NULL, "Largest message or request body.", "Protocol"},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

struct program {
    struct settings settings;
    struct loop *loop;
    struct counters *counters;
    struct server *server;
    struct eio_server *eio;
    struct sio_server *sio;
    char *bare_path; /* without the slash at its end */
};

static void make_engine(struct program *program)
{
    const struct settings *s = &program->settings;
    const struct eio_options options = {
        .ping_interval_ms = s->ping_interval_ms,
        .ping_timeout_ms = s->ping_timeout_ms,
        .upgrade_timeout_ms = s->upgrade_timeout_ms,
        .max_payload_bytes = s->max_payload_bytes,
        .control_bytes = 16 * s->max_payload_bytes, /* it echoes whatever comes */
        .max_sessions = 10000,
        .allow_eio3 = s->eio3,
        .max_poll_packets = 16,
    };

    program->eio =
        eio_server_new(program->loop, &options, &raw_echo, program, program->counters);
}

static void make_socket(struct program *program)
{
    const struct settings *s = &program->settings;
    const struct sio_options options = {
        .ping_interval_ms = s->ping_interval_ms,
        .ping_timeout_ms = s->ping_timeout_ms,
        .upgrade_timeout_ms = s->upgrade_timeout_ms,
        .connect_timeout_ms = s->connect_timeout_ms,
        .max_payload_bytes = s->max_payload_bytes,
        .control_bytes = 16 * s->max_payload_bytes,
        .max_sessions = 10000,
        .allow_eio3 = s->eio3,
        .max_namespaces = 100,
        .max_poll_packets = 16,
    };

    program->sio = sio_server_new(program->loop, &options, &socket_echo, program,
                                  program->counters);
}

static void add_routes(struct program *program, const char *path)
{
    struct http_route http;
    struct ws_route ws;

    if (program->eio != NULL)
        eio_server_routes(program->eio, path, &http, &ws);
    else
        sio_server_routes(program->sio, path, &http, &ws);
    server_route(program->server, &http);
    server_ws_route(program->server, &ws);
}

static bool make_server(struct program *program, struct buf *error)
{
    char address[512];
    char *item = address;
    const struct config_list listen_on = {.items = &item, .count = 1};
    const struct server_options options = {
        .listen = &listen_on,
        .origins = &program->settings.origins,
        .max_connections = 10000,
        .socket_unsent_bytes = 16384,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 10000,
        .keepalive_timeout_ms = 65000,
        .close_timeout_ms = 5000,
        .keepalive_requests = 100000,
    };

    snprintf(address, sizeof(address), "%s:%u", program->settings.host,
             (unsigned)program->settings.port);
    program->server = server_new(program->loop, &options, program->counters, error);
    if (program->server == NULL)
        return false;
    add_routes(program, program->settings.path);
    add_routes(program, program->bare_path);
    return server_listen(program->server, error);
}

static char *without_slash(const char *path)
{
    char *copy = strdup(path);
    size_t len = copy == NULL ? 0 : strlen(copy);

    if (copy == NULL)
        abort();
    if (len > 1 && copy[len - 1] == '/')
        copy[len - 1] = '\0';
    return copy;
}

static void on_signal(void *ctx, int signum)
{
    struct program *program = ctx;

    (void)signum;
    loop_stop(program->loop);
}

static int run(struct program *program)
{
    struct buf error;
    int status = 1;

    buf_init(&error, 1024);
    program->loop = loop_new();
    program->counters = counters_new();
    program->bare_path = without_slash(program->settings.path);
    if (program->settings.mode == MODE_ENGINE)
        make_engine(program);
    else
        make_socket(program);
    if (make_server(program, &error)) {
        loop_on_signal(program->loop, SIGTERM, on_signal, program);
        loop_on_signal(program->loop, SIGINT, on_signal, program);
        printf("ready %s\n", server_address(program->server, 0));
        fflush(stdout);
        loop_run(program->loop);
        status = 0;
    } else {
        fprintf(stderr, "conformance_server: %s\n", buf_text(&error));
    }
    if (program->eio != NULL)
        eio_server_free(program->eio);
    if (program->sio != NULL)
        sio_server_free(program->sio);
    if (program->server != NULL)
        server_free(program->server);
    counters_free(program->counters);
    loop_free(program->loop);
    free(program->bare_path);
    buf_release(&error);
    return status;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    struct buf error;
    const struct config_request request = {
        .program = "conformance_server",
        .version = THINKWIRE_VERSION,
        .intro = "An echo server for the public Engine.IO and Socket.IO test suites.",
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc - 1,
        .argv = argv + 1,
    };
    int status = 0;

    buf_init(&error, 4096);
    switch (config_load(&request, &program.settings, &error)) {
    case CONFIG_RUN:
        status = run(&program);
        break;
    case CONFIG_DONE:
        break;
    case CONFIG_FAILED:
        fprintf(stderr, "%s\n", buf_text(&error));
        status = 2;
        break;
    }
    config_release(rows, ROW_COUNT, &program.settings);
    buf_release(&error);
    return status;
}
