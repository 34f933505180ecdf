/* client.c - curl's multi interface on the loop: sockets, the timer, delivery. */
/* SPDX-License-Identifier: MIT */
#include "http/client.h"

#include "base/mem.h"
#include "http/call.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

/* ---- sockets ---- */

/* One socket of curl's. The libuv handle is freed in its own close callback. */
struct watched_fd {
    struct list node; /* in client->fds */
    uv_poll_t poll;
    curl_socket_t fd;
    struct http_client *client;
};

static void collect_finished(struct http_client *client)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        /* Copied: removing the handle makes the message invalid. */
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        http_call_finish((struct http_client_call *)(void *)private, code);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watched_fd *watched = poll->data;
    struct http_client *client = watched->client;
    int flags = 0;
    int running = 0;
    if (status < 0)
        flags |= CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(client->multi, watched->fd, flags, &running);
    collect_finished(client);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct watched_fd *watched = handle->data;
    free(watched);
}

static void unwatch(struct watched_fd *watched)
{
    list_remove(&watched->node);
    uv_poll_stop(&watched->poll);
    uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
}

static struct watched_fd *watch(struct http_client *client, curl_socket_t fd)
{
    struct watched_fd *watched = mem_new(sizeof(*watched));
    watched->client = client;
    watched->fd = fd;
    if (uv_poll_init_socket(loop_uv(client->loop), &watched->poll, fd) != 0) {
        free(watched);
        return NULL;
    }
    watched->poll.data = watched;
    list_push_back(&client->fds, &watched->node);
    curl_multi_assign(client->multi, fd, watched);
    return watched;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                          void *known)
{
    struct http_client *client = ctx;
    struct watched_fd *watched = known;
    int events = 0;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL)
            unwatch(watched);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (watched == NULL)
        watched = watch(client, fd);
    if (watched == NULL)
        return -1;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= UV_READABLE;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&watched->poll, events, on_poll) == 0 ? 0 : -1;
}

/* ---- curl's timer ---- */

static void on_curl_timer(struct timer *timer)
{
    struct http_client *client = LIST_ENTRY(timer, struct http_client, curl_timer);
    int running = 0;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_finished(client);
}

static int on_curl_wants_timer(CURLM *multi, long delay_ms, void *ctx)
{
    struct http_client *client = ctx;
    (void)multi;
    if (delay_ms < 0)
        timer_stop(&client->curl_timer);
    else
        timer_start(&client->curl_timer, (uint64_t)delay_ms, 0);
    return 0;
}

/* ---- delivery ---- */

void http_call_ready(struct http_client_call *call)
{
    if (!list_is_linked(&call->ready_node))
        list_push_back(&call->client->ready, &call->ready_node);
    turn_defer(call->client->loop, &call->client->deliver);
}

/* With it go its connections; no call may be in it. */
static void multi_close(struct http_client *client)
{
    curl_multi_cleanup(client->multi); /* may still want the timer and the sockets */
    client->multi = NULL;
    timer_stop(&client->curl_timer);
    LIST_FOR_EACH(it, tmp, &client->fds)
    {
        unwatch(LIST_ENTRY(it, struct watched_fd, node));
    }
}

static void client_destroy(struct http_client *client)
{
    multi_close(client);
    timer_release(&client->curl_timer);
    timer_release(&client->keep_alive);
    turn_cancel(&client->deliver);
    free(client);
}

static void deliver(struct turn_task *task)
{
    struct http_client *client = LIST_ENTRY(task, struct http_client, deliver);
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &client->ready);
    client->is_delivering = true;
    /* Owners may cancel any call, which takes it off the batch. */
    while (!list_is_empty(&batch)) {
        struct list *first = batch.next;
        list_remove(first);
        http_call_tell(LIST_ENTRY(first, struct http_client_call, ready_node));
    }
    client->is_delivering = false;
    if (client->is_doomed)
        client_destroy(client);
}

/* ---- idle connections ---- */

static void multi_open(struct http_client *client)
{
    const struct http_client_options *o = &client->options;
    CURLM *multi = curl_multi_init();
    if (multi == NULL)
        abort();
    client->multi = multi;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_wants_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)o->max_connections);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)o->max_connections_per_host);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)o->max_idle_connections);
}

/* curl has no word for "close what is idle": a new multi begins without connections. */
static void on_keep_alive(struct timer *timer)
{
    struct http_client *client = LIST_ENTRY(timer, struct http_client, keep_alive);
    multi_close(client);
    multi_open(client);
}

void http_client_rest(struct http_client *client)
{
    if (client->options.keep_alive_ms > 0 && !client->is_doomed)
        timer_start(&client->keep_alive, client->options.keep_alive_ms, 0);
}

/* ---- the public face ---- */

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

static size_t or_default(size_t value, size_t fallback)
{
    return value != 0 ? value : fallback;
}

struct http_client *http_client_new(struct loop *loop,
                                    const struct http_client_options *options)
{
    /* Several threads may each have a client (libthinkwire): curl wants one set-up. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct http_client_options defaults = {0};
    pthread_once(&once, init_curl);
    struct http_client *client = mem_new(sizeof(*client));
    client->options = options != NULL ? *options : defaults;
    struct http_client_options *o = &client->options;
    o->max_calls = or_default(o->max_calls, 10000);
    o->max_connections = or_default(o->max_connections, 10000);
    o->max_idle_connections = or_default(o->max_idle_connections, 50);
    client->loop = loop;
    list_init(&client->calls);
    list_init(&client->ready);
    list_init(&client->fds);
    timer_init(&client->curl_timer, loop, on_curl_timer);
    timer_init(&client->keep_alive, loop, on_keep_alive);
    turn_task_init_at(&client->deliver, TURN_INPUT, deliver);
    multi_open(client);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    client->is_doomed = true;
    while (!list_is_empty(&client->calls))
        http_call_cancel(LIST_ENTRY(client->calls.next, struct http_client_call, node));
    if (!client->is_delivering)
        client_destroy(client);
}

struct http_client_call *http_client_start(struct http_client *client,
                                           const struct http_client_request *request)
{
    assert(!client->is_doomed);
    struct http_client_call *call = http_call_new(client, request);
    list_push_back(&client->calls, &call->node);
    client->count++;
    timer_stop(&client->keep_alive);
    if (call->is_finished)
        return call;
    if (client->count > client->options.max_calls) {
        http_call_fail(call, HTTP_CLIENT_REFUSED, "too many calls at once");
        return call;
    }
    CURLMcode code = curl_multi_add_handle(client->multi, call->easy);
    call->is_added = code == CURLM_OK;
    if (!call->is_added)
        http_call_fail(call, HTTP_CLIENT_REFUSED, curl_multi_strerror(code));
    return call;
}

void http_client_cancel(struct http_client_call *call)
{
    http_call_cancel(call);
}

uint64_t http_client_sent_ms(const struct http_client_call *call)
{
    return call->sent_ms;
}

size_t http_client_active(const struct http_client *client)
{
    return client->count;
}
