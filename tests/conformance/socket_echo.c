/* socket_echo.c - Socket.IO: what the public suite wants to hear back. */
/* SPDX-License-Identifier: MIT */
#include "echo.h"

#include "codec/json.h"

/* Appends the arguments behind the event's name, each with a comma before it. */
static void put_arguments(struct buf *out, struct slice args)
{
    struct json_member member;
    size_t at = 0;

    json_next(args, &at, &member);
    while (json_next(args, &at, &member)) {
        buf_putc(out, ',');
        buf_slice(out, member.value);
    }
}

static void on_connect(void *ctx, struct sio_socket *socket, struct slice auth)
{
    struct slice nsp = sio_nsp(socket);
    struct buf args;

    (void)ctx;
    if (!slice_is(nsp, "/") && !slice_is(nsp, "/custom")) {
        sio_refuse(socket, "Invalid namespace", slice_make(NULL, 0));
        return;
    }
    sio_accept(socket);
    buf_init(&args, auth.len + 32);
    buf_puts(&args, "[\"auth\",");
    buf_slice(&args, auth.len == 0 ? slice_of("{}") : auth);
    buf_putc(&args, ']');
    sio_emit(socket, buf_view(&args));
    buf_release(&args);
}

static void answer(struct sio_socket *socket, const struct sio_event *event)
{
    struct buf args;

    buf_init(&args, event->args.len + 32);
    if (slice_is(event->name, "message")) {
        buf_puts(&args, "[\"message-back\"");
        put_arguments(&args, event->args);
        buf_putc(&args, ']');
        if (event->attachment_count > 0)
            sio_emit_binary(socket, buf_view(&args), event->attachments,
                            event->attachment_count);
        else
            sio_emit(socket, buf_view(&args));
    } else if (slice_is(event->name, "message-with-ack") && event->wants_ack) {
        put_arguments(&args, event->args);
        if (args.len == 0)
            buf_putc(&args, '[');
        args.data[0] = '['; /* the first comma */
        buf_putc(&args, ']');
        if (event->attachment_count > 0)
            sio_ack_binary(socket, event->ack, buf_view(&args), event->attachments,
                           event->attachment_count);
        else
            sio_ack(socket, event->ack, buf_view(&args));
    }
    buf_release(&args);
}

static void on_event(void *ctx, struct sio_socket *socket,
                     const struct sio_event *event)
{
    (void)ctx;
    if (slice_is(sio_nsp(socket), "/"))
        answer(socket, event);
}

static void on_drain(void *ctx, struct sio_socket *socket)
{
    (void)ctx;
    (void)socket; /* all is sent privately: nothing to pull */
}

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
    (void)ctx;
    (void)socket;
    (void)reason;
}

const struct sio_app socket_echo = {
    .on_connect = on_connect,
    .on_event = on_event,
    .on_drain = on_drain,
    .on_disconnect = on_disconnect,
};
