/* identity.c - who asks the backend: auth, its HTTP client, the shared secret's Redis. */
/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include "base/diag.h"
#include "base/list.h"
#include "base/mem.h"
#include "http/client.h"
#include "redis/link.h"

#include <stdlib.h>

/* Connections to the backend at once: a reconnect storm waits its turn. */
#define BACKEND_CONNECTIONS 16

/* Questions for the secret that wait for Redis; past it the oldest goes without. */
#define SECRETS_WAITING 10000
/* As everything of a bench: a second after Redis is back at the latest. */
#define BACKOFF_MAX_MS 1000

struct identity_desk {
    struct http_client *client; /* NULL with --auth none */
    struct link *link;          /* NULL without Frappe's Redis */
    struct auth *auth;
    struct list waiting; /* secret_call */
    size_t waiting_count;
    bool is_closing;
};

struct secret_call {
    struct list node;
    struct identity_desk *desk;
    void (*done)(void *done_ctx, struct slice secret);
    void *done_ctx;
};

static void call_end(struct secret_call *call, struct slice secret)
{
    call->done(call->done_ctx, secret);
    free(call);
}

static struct secret_call *take_waiting(struct identity_desk *desk)
{
    struct secret_call *call = LIST_ENTRY(desk->waiting.next, struct secret_call, node);

    list_remove(&call->node);
    desk->waiting_count--;
    return call;
}

/* A client that is refused because Redis restarts would not come back by itself: it waits.
 * Who asked has a time limit of its own. */
static void call_wait(struct secret_call *call)
{
    struct identity_desk *desk = call->desk;

    if (desk->is_closing) {
        call_end(call, (struct slice){0});
        return;
    }
    list_push_back(&desk->waiting, &call->node);
    if (++desk->waiting_count > SECRETS_WAITING)
        call_end(take_waiting(desk), (struct slice){0});
}

static void secret_answered(void *ctx, const struct reply *reply)
{
    struct secret_call *call = ctx;

    if (reply == NULL)
        call_wait(call);
    else
        call_end(call, reply_kind(reply) == REPLY_TEXT ? reply_text(reply)
                                                       : (struct slice){0});
}

static void call_send(struct secret_call *call)
{
    struct slice argv[] = {slice_of("GET"), slice_of("socketio_auth_secret")};

    if (link_is_up(call->desk->link))
        link_command(call->desk->link, argv, 2, secret_answered, call);
    else
        call_wait(call);
}

static void on_link_up(void *ctx)
{
    struct identity_desk *desk = ctx;

    struct list waiting;

    /* Taken apart first: whoever has to wait again is put back. */
    list_init(&waiting);
    list_splice(&waiting, &desk->waiting);
    desk->waiting_count = 0;
    LIST_FOR_EACH(node, next, &waiting)
    {
        call_send(LIST_ENTRY(node, struct secret_call, node));
    }
}

/* The web process writes it there when it first needs it. */
static void fetch_secret(void *ctx, void (*done)(void *done_ctx, struct slice secret),
                         void *done_ctx)
{
    struct identity_desk *desk = ctx;
    struct secret_call *call;

    if (desk->link == NULL) {
        done(done_ctx, (struct slice){0});
        return;
    }
    call = mem_new(sizeof(*call));
    call->desk = desk;
    call->done = done;
    call->done_ctx = done_ctx;
    call_send(call);
}

void identity_desk_open_in_editor(struct identity_desk *desk, struct slice json)
{
    struct slice argv[] = {slice_of("PUBLISH"), slice_of("open_in_editor"), json};

    if (desk->link != NULL)
        link_command(desk->link, argv, 3, NULL, NULL);
}

static void ask_frappe(struct identity_desk *desk, struct loop *loop,
                       const struct settings *settings, struct counters *counters)
{
    struct http_client_options client = {.max_connections_per_host =
                                             BACKEND_CONNECTIONS};
    struct auth_frappe_options options = {
        .version = (unsigned)settings->frappe_version,
        .web_base = settings->frappe_web_base,
        .developer_mode = settings->developer_mode,
        .webserver_port = (unsigned)settings->webserver_port,
        .task_method = settings->task_guard_method,
        .timeout_ms = settings->auth_timeout_ms,
        .cache_ms = settings->auth_cache_ms,
        .max_questions = settings->auth_max_questions,
        .secret = fetch_secret,
        .secret_ctx = desk,
    };

    if (settings->frappe_web_base[0] == '\0')
        diag_say(DIAG_WARN, "no --frappe-web-base: the web server that a client's own "
                            "Origin names is asked who it is");
    desk->client = http_client_new(loop, &client);
    desk->auth = auth_frappe_new(loop, desk->client, &options, counters);
}

static bool read_keys(struct identity_desk *desk, const struct settings *settings,
                      struct counters *counters, struct buf *error)
{
    unsigned ways = settings_auth(settings);
    struct auth_native_options options = {
        .keys_file = (ways & AUTH_KEYS) != 0 ? settings->api_keys_file : NULL,
        .secret_file = (ways & AUTH_JWT) != 0 ? settings->jwt_secret_file : NULL,
        .audience = settings->jwt_audience,
    };

    if ((ways & (AUTH_KEYS | AUTH_JWT)) != 0)
        desk->auth = auth_native_new(&options, desk->auth, counters, error);
    return desk->auth != NULL;
}

void identity_desk_reload(struct identity_desk *desk)
{
    struct buf error;

    buf_init(&error, 1024);
    if (auth_native_reload(desk->auth, &error))
        diag(DIAG_INFO, "API keys read again");
    else
        diag(DIAG_WARN, "API keys stay as they were", DIAG_S("why", buf_text(&error)));
    buf_release(&error);
}

struct identity_desk *identity_desk_new(struct loop *loop,
                                        const struct settings *settings,
                                        const char *events_url,
                                        struct counters *counters, struct buf *error)
{
    struct identity_desk *desk = mem_new(sizeof(*desk));
    struct link_options link = {
        .name = "thinkwired-auth",
        .backoff_max_ms = BACKOFF_MAX_MS,
        .on_up = on_link_up,
        .ctx = desk,
    };

    list_init(&desk->waiting);
    if (settings->frappe && strcmp(events_url, "none") != 0) {
        desk->link = link_new(loop, events_url, &link, error);
        if (desk->link == NULL) {
            free(desk);
            return NULL;
        }
    }
    if ((settings_auth(settings) & AUTH_FRAPPE) != 0)
        ask_frappe(desk, loop, settings, counters);
    if (settings_auth(settings) == AUTH_NONE)
        desk->auth = auth_none_new();
    else if (!read_keys(desk, settings, counters, error)) {
        identity_desk_free(desk);
        return NULL;
    }
    return desk;
}

void identity_desk_free(struct identity_desk *desk)
{
    desk->is_closing = true;
    auth_free(desk->auth);
    http_client_free(desk->client);
    link_free(desk->link);
    LIST_FOR_EACH(node, next, &desk->waiting)
    {
        call_end(LIST_ENTRY(node, struct secret_call, node), (struct slice){0});
    }
    free(desk);
}

struct auth *identity_desk_auth(const struct identity_desk *desk)
{
    return desk->auth;
}
