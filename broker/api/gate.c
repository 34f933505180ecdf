/* gate.c - whose request it is. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

struct gate_call {
    struct api *api;
    struct http_exchange *x; /* NULL when the peer has gone */
    void (*serve)(struct api *api, struct http_exchange *x);
};

static void on_closed(struct http_exchange *x)
{
    struct gate_call *call = x->owner_data;

    call->x = NULL;
}

static void refuse(struct http_exchange *x)
{
    http_respond(
        x, 401, JSON_HEADERS "www-authenticate: Bearer\r\n",
        slice_of("{\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":\"an API key "
                 "or a token is needed, and it must be valid\"}}"));
}

static void known(void *ctx, struct identity *identity, const char *error)
{
    struct gate_call *call = ctx;
    struct http_exchange *x = call->x;
    struct api *api = call->api;
    bool is_known = identity != NULL && strcmp(identity->user, "Guest") != 0;
    void (*serve)(struct api * api, struct http_exchange * x) = call->serve;

    (void)error;
    free(call);
    if (x == NULL)
        return;
    x->owner_data = NULL;
    x->on_closed = NULL;
    if (!is_known) {
        refuse(x);
        return;
    }
    /* What a handler needs of it, it takes before it returns. */
    api->caller = identity;
    serve(api, x);
    api->caller = NULL;
}

static void ask(struct api *api, struct http_exchange *x,
                void (*serve)(struct api *api, struct http_exchange *x))
{
    struct gate_call *call = mem_new(sizeof(*call));
    struct credentials credentials =
        credentials_of(x->request, slice_of(api->options.default_site));

    *call = (struct gate_call){api, x, serve};
    x->owner_data = call;
    x->on_closed = on_closed;
    auth_identify(api->options.auth, &credentials, known, call);
}

void api_for_known(struct api *api, struct http_exchange *x,
                   void (*serve)(struct api *api, struct http_exchange *x))
{
    if (api->options.needs_identity)
        ask(api, x, serve);
    else
        serve(api, x);
}

struct slice api_user(const struct api *api)
{
    return api->caller == NULL ? (struct slice){0} : slice_of(api->caller->user);
}

static void pong(struct api *api, struct http_exchange *x)
{
    struct buf body;

    buf_init(&body, 8192);
    (void)buf_puts(&body, "{\"ok\":true,\"user\":");
    (void)json_quote(&body, api_user(api));
    (void)buf_putc(&body, '}');
    http_respond(x, 200, JSON_HEADERS, buf_view(&body));
    buf_release(&body);
}

void api_ping(struct api *api, struct http_exchange *x)
{
    if (api->options.auth == NULL)
        pong(api, x);
    else
        ask(api, x, pong);
}
