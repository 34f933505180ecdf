/* conn.c - one socket to Redis on libuv, bytes in and parsed replies out. */
/* SPDX-License-Identifier: MIT */
#include "redis/conn.h"

#include "base/mem.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

/* One read; hiredis moves its buffer's rest for each reply, so larger ones cost more. */
#define READ_BYTES 16384
/* Taken in per poll, so that a firehose cannot starve the rest of the loop. */
#define READ_TURN_BYTES (1U << 20)
/* What is unsent has its bound in the link; here it only must not fail before that. */
#define OUT_LIMIT_BYTES SIZE_MAX
/* A hundred long answers that end in one turn need 8 MB: so much is not kept for the next. */
#define OUT_KEPT_BYTES (256U << 10)

struct conn {
    uv_poll_t poll;
    uv_getaddrinfo_t lookup;
    struct turn_task open_socket; /* unix sockets */
    struct sockaddr_un socket_address;
    struct loop *loop;
    const struct conn_owner *owner;
    void *ctx;
    redisReader *reader;
    struct addrinfo *addresses;
    const struct addrinfo *next;
    struct buf out;
    int fd;
    bool is_looking_up; /* libuv holds `lookup` */
    bool is_polling;    /* libuv holds `poll` */
    bool is_connected;
    bool is_sending; /* `out` waits for room in the socket */
    bool is_closed;
};

static void conn_free(struct conn *conn)
{
    if (conn->is_looking_up || conn->is_polling)
        return;
    if (conn->addresses != NULL)
        uv_freeaddrinfo(conn->addresses);
    redisReaderFree(conn->reader);
    buf_release(&conn->out);
    free(conn);
}

static void broken(struct conn *conn, const char *reason)
{
    if (!conn->is_closed)
        conn->owner->on_broken(conn->ctx, reason);
}

/* ---- in ---- */

static void dispatch_replies(struct conn *conn)
{
    void *reply = NULL;

    while (!conn->is_closed) {
        if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK) {
            broken(conn, "not the Redis protocol");
            return;
        }
        if (reply == NULL)
            return;
        conn->owner->on_reply(conn->ctx, reply);
        freeReplyObject(reply);
    }
}

/* One read; false when nothing more can be read now. */
static bool read_once(struct conn *conn, size_t *taken)
{
    char bytes[READ_BYTES];
    ssize_t got = recv(conn->fd, bytes, sizeof(bytes), 0);

    if (got > 0) {
        *taken += (size_t)got;
        if (redisReaderFeed(conn->reader, bytes, (size_t)got) != REDIS_OK)
            abort(); /* out of memory */
        dispatch_replies(conn);
        return !conn->is_closed && (size_t)got == sizeof(bytes);
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    broken(conn, got == 0 ? "closed by the server" : strerror(errno));
    return false;
}

void conn_read(struct conn *conn)
{
    size_t taken = 0;

    if (!conn->is_connected || conn->is_closed)
        return;
    while (taken < READ_TURN_BYTES && read_once(conn, &taken))
        continue;
}

/* ---- out ---- */

struct buf *conn_out(struct conn *conn)
{
    return &conn->out;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct conn *conn, int events)
{
    if (uv_poll_start(&conn->poll, events, on_poll) != 0)
        abort(); /* only for a bad descriptor, which would be our bug */
}

void conn_flush(struct conn *conn)
{
    if (!conn->is_connected || conn->is_closed)
        return;
    while (conn->out.len > 0) {
        ssize_t sent = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            conn->is_sending = true;
            watch(conn, UV_READABLE | UV_WRITABLE);
            return;
        }
        if (sent < 0) {
            broken(conn, strerror(errno));
            return;
        }
        buf_consume(&conn->out, (size_t)sent);
    }
    if (conn->out.cap > OUT_KEPT_BYTES)
        buf_release(&conn->out);
    /* Only when it changes: libuv makes two system calls of it. */
    if (conn->is_sending)
        watch(conn, UV_READABLE);
    conn->is_sending = false;
}

/* ---- connecting ---- */

static void try_next(struct conn *conn, const char *reason);

/* TCP lets a socket that connects to an unused port of the ephemeral range meet itself, and
 * it would answer our PING with our PING: nobody is there. */
static bool is_self(int fd)
{
    struct sockaddr_storage here = {.ss_family = AF_UNSPEC};
    struct sockaddr_storage there = {.ss_family = AF_UNSPEC};
    socklen_t here_size = sizeof(here);
    socklen_t there_size = sizeof(there);

    if (getsockname(fd, (struct sockaddr *)(void *)&here, &here_size) != 0 ||
        getpeername(fd, (struct sockaddr *)(void *)&there, &there_size) != 0)
        return false;
    return here.ss_family != AF_UNIX && here_size == there_size &&
           memcmp(&here, &there, here_size) == 0;
}

static void finish_connect(struct conn *conn)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0 && is_self(conn->fd))
        error = ECONNREFUSED;
    if (error != 0) {
        try_next(conn, strerror(error));
        return;
    }
    conn->is_connected = true;
    watch(conn, UV_READABLE);
    conn->owner->on_connected(conn->ctx);
}

/* libuv reports a refused connection here, with a status, and as nothing else: an adapter
 * that looks at `events` alone never learns of it. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = poll->data;

    if (conn->is_closed)
        return;
    if (!conn->is_connected) {
        finish_connect(conn);
        return;
    }
    if (status < 0 || (events & UV_READABLE))
        conn_read(conn);
    if (!conn->is_closed && (events & UV_WRITABLE))
        conn_flush(conn);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    close(conn->fd);
    conn->fd = -1;
    conn->is_polling = false;
    if (conn->is_closed)
        conn_free(conn);
    else
        try_next(conn, NULL);
}

static int start_connect(struct conn *conn, const struct sockaddr *address,
                         socklen_t size)
{
    int one = 1;

    conn->fd =
        socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return errno;
    if (address->sa_family != AF_UNIX) {
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    if (connect(conn->fd, address, size) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(conn->fd);
        conn->fd = -1;
        return error;
    }
    if (uv_poll_init(loop_uv(conn->loop), &conn->poll, conn->fd) != 0)
        abort(); /* a fresh socket is always pollable */
    conn->poll.data = conn;
    conn->is_polling = true;
    watch(conn, UV_READABLE | UV_WRITABLE);
    return 0;
}

/* Goes on with the next address; `reason` is why the one before failed. */
static void try_next(struct conn *conn, const char *reason)
{
    if (conn->is_polling && conn->next != NULL) {
        /* on_poll_closed() comes back here. */
        uv_close((uv_handle_t *)(void *)&conn->poll, on_poll_closed);
        return;
    }
    while (conn->next != NULL) {
        const struct addrinfo *address = conn->next;
        conn->next = address->ai_next;
        int error = start_connect(conn, address->ai_addr, address->ai_addrlen);
        if (error == 0)
            return;
        reason = strerror(error);
    }
    broken(conn, reason == NULL ? "no usable address" : reason);
}

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct conn *conn = lookup->data;

    conn->is_looking_up = false;
    conn->addresses = addresses;
    conn->next = addresses;
    if (conn->is_closed)
        conn_free(conn);
    else if (status != 0)
        broken(conn, uv_strerror(status));
    else
        try_next(conn, NULL);
}

/* A name look-up answers on a later turn even for a numeric address; a unix socket is put
 * off likewise, so that nothing is called from inside conn_open(). */
static void on_open_socket(struct turn_task *task)
{
    struct conn *conn = LIST_ENTRY(task, struct conn, open_socket);
    const struct sockaddr_un *address = &conn->socket_address;
    int error = start_connect(conn, (const struct sockaddr *)(const void *)address,
                              sizeof(*address));

    if (error != 0)
        broken(conn, strerror(error));
}

struct conn *conn_open(struct loop *loop, const struct redis_place *place,
                       const struct conn_owner *owner, void *ctx)
{
    struct conn *conn = mem_new(sizeof(*conn));
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[16];

    conn->loop = loop;
    conn->owner = owner;
    conn->ctx = ctx;
    conn->fd = -1;
    conn->reader = redisReaderCreate();
    if (conn->reader == NULL)
        abort();
    buf_init(&conn->out, OUT_LIMIT_BYTES);
    turn_task_init(&conn->open_socket, on_open_socket);
    if (place->path != NULL) {
        conn->socket_address.sun_family = AF_UNIX;
        memcpy(conn->socket_address.sun_path, place->path, strlen(place->path));
        turn_defer(loop, &conn->open_socket);
        return conn;
    }
    (void)snprintf(port, sizeof(port), "%u", place->port);
    conn->lookup.data = conn;
    conn->is_looking_up = true;
    if (uv_getaddrinfo(loop_uv(loop), &conn->lookup, on_lookup, place->host, port,
                       &hints) != 0)
        abort(); /* only for arguments that are ours */
    return conn;
}

void conn_close(struct conn *conn)
{
    if (conn == NULL || conn->is_closed)
        return;
    conn->is_closed = true;
    turn_cancel(&conn->open_socket);
    if (conn->is_looking_up)
        (void)uv_cancel((uv_req_t *)(void *)&conn->lookup);
    if (conn->is_polling && !uv_is_closing((uv_handle_t *)(void *)&conn->poll))
        uv_close((uv_handle_t *)(void *)&conn->poll, on_poll_closed);
    conn_free(conn);
}
