/* raw_echo.c - Engine.IO: every message comes back as it is. */
/* SPDX-License-Identifier: MIT */
#include "echo.h"

static void on_open(void *ctx, struct eio_session *session)
{
    (void)ctx;
    (void)session;
}

static void on_message(void *ctx, struct eio_session *session, struct slice data,
                       bool is_binary)
{
    (void)ctx;
    eio_session_send(session, data, is_binary);
}

static void on_drain(void *ctx, struct eio_session *session)
{
    (void)ctx;
    (void)session; /* all is sent privately: nothing to pull */
}

static void on_close(void *ctx, struct eio_session *session, const char *reason)
{
    (void)ctx;
    (void)session;
    (void)reason;
}

const struct eio_app raw_echo = {
    .on_open = on_open,
    .on_message = on_message,
    .on_drain = on_drain,
    .on_close = on_close,
};
