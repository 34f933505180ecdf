/* rig.c - a client, a scripted server, and what a test sees of a call. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#define WATCHDOG_MS 10000

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "the test waited in vain\n");
    abort();
}

void on_request(void *ctx, struct scripted_peer *peer, struct slice request)
{
    struct rig *rig = ctx;
    rig->peer = peer;
    buf_reset(&rig->request);
    buf_slice(&rig->request, request);
    if (rig->answer != NULL)
        scripted_send(peer, rig->answer);
    if (rig->closes)
        scripted_close(peer);
}

void rig_start(struct rig *rig, const struct http_client_options *options)
{
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_new();
    rig->client = http_client_new(rig->loop, options);
    rig->server = scripted_new(rig->loop, NULL, on_request, rig);
    snprintf(rig->url, sizeof(rig->url), "http://127.0.0.1:%u/x",
             scripted_port(rig->server));
    buf_init(&rig->request, 64U << 20);
    timer_init(&rig->watchdog, rig->loop, on_watchdog);
    timer_start(&rig->watchdog, WATCHDOG_MS, 0);
}

void rig_end(struct rig *rig)
{
    http_client_free(rig->client);
    scripted_free(rig->server);
    timer_release(&rig->watchdog);
    buf_release(&rig->request);
    loop_free(rig->loop);
}

void on_headers(void *ctx, unsigned status)
{
    struct seen *seen = ctx;
    struct slice kind = http_client_header(seen->call, "content-type");
    seen->headers++;
    seen->status_early = status;
    snprintf(seen->kind, sizeof(seen->kind), "%.*s", (int)kind.len, kind.ptr);
    if (seen->cancels_on_headers)
        http_client_cancel(seen->call);
}

void on_body(void *ctx, struct slice data)
{
    struct seen *seen = ctx;
    seen->bodies++;
    buf_slice(&seen->body, data);
    if (seen->cancels_on_body)
        http_client_cancel(seen->call);
}

static void on_done(void *ctx, const struct http_client_result *result)
{
    struct seen *seen = ctx;
    seen->dones++;
    seen->result = *result;
    snprintf(seen->detail, sizeof(seen->detail), "%s", result->detail);
    buf_reset(&seen->collected);
    buf_slice(&seen->collected, result->body);
    if (seen->frees_client) {
        http_client_free(seen->rig->client);
        seen->rig->client = NULL;
    }
    if (seen->rig->waiting > 0 && --seen->rig->waiting == 0)
        loop_stop(seen->rig->loop);
}

void watch(struct rig *rig, struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    seen->rig = rig;
    buf_init(&seen->body, 64U << 20);
    buf_init(&seen->collected, 64U << 20);
}

void forget(struct seen *seen)
{
    buf_release(&seen->body);
    buf_release(&seen->collected);
}

void start(struct rig *rig, struct seen *seen, struct http_client_request request)
{
    if (request.url == NULL)
        request.url = rig->url;
    request.on_done = on_done;
    request.ctx = seen;
    seen->call = http_client_start(rig->client, &request);
    rig->waiting++;
    assert_int_equal(seen->dones, 0);
}

void fetch(struct rig *rig, struct seen *seen, struct http_client_request request)
{
    watch(rig, seen);
    start(rig, seen, request);
    loop_run(rig->loop);
    assert_int_equal(seen->dones, 1);
    assert_int_equal(http_client_active(rig->client), 0);
}

void assert_text(struct buf *buf, const char *wanted)
{
    assert_string_equal(buf_text(buf), wanted);
}
