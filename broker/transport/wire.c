/* wire.c - the one file that calls libwebsockets. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* Read from the socket at a time before a connection is a WebSocket. */
#define READ_BYTES 4096
/* Read at a time from a WebSocket: libwebsockets keeps a buffer of this size per
 * connection, so idle ones stay small; messages are put together by ws.c. */
#define WS_READ_BYTES 128
/* Without it a write would be cut to WS_READ_BYTES and the rest copied. */
#define WRITE_BYTES 65536
/* Descriptors besides the connections: Redis, provider connections, files; and those
 * that are open twice for a moment while they become WebSockets. */
#define SPARE_FILES 1024
/* Rounds of the loop that closing may take; each handle needs one or two. */
#define CLOSE_ROUNDS 1000

/* ---- callbacks: one case, one call ---- */

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static int on_adopted(struct lws *wsi)
{
    struct conn *conn = server_of(wsi)->adopting;

    if (conn == NULL)
        return -1;
    conn->wsi = wsi;
    lws_set_wsi_user(wsi, conn);
    return 0;
}

static int on_raw_input(struct conn *conn, const void *data, size_t len)
{
    return conn != NULL && request_input(conn, data, len) ? 0 : -1;
}

static int on_writable(struct conn *conn)
{
    if (conn != NULL)
        pipe_writable(conn);
    return 0;
}

static int on_closed(struct lws *wsi, struct conn *conn)
{
    if (conn == NULL || conn == server_of(wsi)->adopting)
        return 0;
    conn->wsi = NULL;
    conn_lost(conn);
    return 0;
}

/* What may come here is a request of our own making, or nothing. The rest of the guard
 * is for CVE-2025-11677: after a refused Upgrade libwebsockets 4.1.6 calls this with a
 * pointer into a freed header table, so only the length is looked at. */
static int on_confirm_upgrade(struct lws *wsi)
{
    struct server *server = server_of(wsi);

    if (server->adopting == NULL || lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0)
        return -1;
    return 0;
}

static int on_add_headers(struct conn *conn, struct lws_process_html_args *args)
{
    if (conn == NULL || args->max_len < 0)
        return -1;
    return ws_add_lines(conn, &args->p, (size_t)args->max_len) ? 0 : -1;
}

static int on_message_part(struct conn *conn, const void *data, size_t len)
{
    if (conn != NULL)
        ws_receive(conn, data, len);
    return 0;
}

static int on_pong(struct conn *conn)
{
    if (conn != NULL)
        conn->heard++;
    return 0;
}

/* libwebsockets begins to close by itself: on a protocol error it has a close frame to
 * send and waits for the answer. Nothing of ours may follow, and our bound in time
 * counts. */
static int on_closing(struct conn *conn)
{
    if (conn == NULL || conn->state != CONN_WEBSOCKET)
        return 0;
    conn->pipe.is_closing = true;
    pipe_release(conn);
    if (!list_is_linked(&conn->wait))
        deadline_set(conn, WAIT_CLOSE);
    return 0;
}

/* The peer closes. When our close frame has left, its own is the answer to it and one
 * more from us would be one too many: -1 just ends the connection. */
static int on_peer_close(struct conn *conn)
{
    if (conn == NULL || conn->has_said_bye)
        return -1;
    return on_closing(conn);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                    void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        return on_adopted(wsi);
    case LWS_CALLBACK_RAW_RX:
        return on_raw_input(user, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(user);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_confirm_upgrade(wsi);
    case LWS_CALLBACK_ADD_HEADERS:
        return on_add_headers(user, in);
    case LWS_CALLBACK_RECEIVE:
        return on_message_part(user, in, len);
    case LWS_CALLBACK_RECEIVE_PONG:
        return on_pong(user);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(user);
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        return on_closing(user);
    case LWS_CALLBACK_RAW_CLOSE:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLOSED_HTTP:
        return on_closed(wsi, user);
    case LWS_CALLBACK_HTTP:
        return -1; /* only upgrades are adopted in this role */
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "thinkwire",
     .callback = on_event,
     .rx_buffer_size = WS_READ_BYTES,
     .tx_packet_size = WRITE_BYTES},
    {.name = NULL},
};

/* No pings of its own: heartbeats belong to the protocols above. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_hangup = 0};

/* ---- the context ---- */

/* Its lines carry no fields and may be caused by a peer, hence debug; an error is a
 * warning, except the one it prints at every adoption with bytes already read. */
static void on_log(int level, const char *line)
{
    size_t len = strlen(line);
    bool is_news = level == LLL_ERR && strstr(line, "calling service") == NULL;

    while (len > 0 && line[len - 1] == '\n')
        len--;
    diag(is_news ? DIAG_WARN : DIAG_DEBUG, "libwebsockets",
         DIAG_SLICE("line", slice_make(line, len)));
}

/* libwebsockets sizes tables by RLIMIT_NOFILE (16 bytes a descriptor); a smaller
 * fd_limit_per_thread would make its lookups linear. So the soft limit is what we
 * need, and never above the hard one. */
static void fit_file_limit(struct server *server)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)server->options.max_connections + SPARE_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max < need) {
        diag(DIAG_WARN, "file limit is below max-connections",
             DIAG_N("hard_limit", limit.rlim_max), DIAG_N("needed", need));
        need = limit.rlim_max;
    }
    limit.rlim_cur = need;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool wire_open(struct server *server, struct buf *error)
{
    void *loops[1] = {loop_uv(server->loop)};
    struct lws_context_creation_info info;

    fit_file_limit(server);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_LIBUV;
    info.foreign_loops = loops;
    info.user = server;
    info.pcontext = &server->context;
    info.pt_serv_buf_size = READ_BYTES;
    info.alpn = "http/1.1";
    info.retry_and_idle_policy = &no_pings;
    server->context = lws_create_context(&info);
    if (server->context == NULL) {
        buf_puts(error, "libwebsockets could not start; is the package "
                        "libwebsockets-evlib-uv installed?");
        return false;
    }
    server->vhost = lws_get_vhost_by_name(server->context, "default");
    return true;
}

/* The context goes when its last handle is closed, which takes turns of the loop. */
void wire_close(struct server *server)
{
    if (server->context == NULL)
        return;
    lws_context_destroy(server->context);
    for (int i = 0; i < CLOSE_ROUNDS && server->context != NULL; i++)
        (void)uv_run(loop_uv(server->loop), UV_RUN_NOWAIT);
    if (server->context != NULL)
        lws_context_destroy(server->context);
}

/* ---- one connection ---- */

bool wire_adopt_raw(struct conn *conn, int fd)
{
    lws_sock_file_fd_type socket = {.sockfd = fd};

    conn->server->adopting = conn;
    struct lws *wsi = lws_adopt_descriptor_vhost(conn->server->vhost, LWS_ADOPT_SOCKET,
                                                 socket, NULL, NULL);
    conn->server->adopting = NULL;
    if (wsi == NULL)
        conn->wsi = NULL;
    return wsi != NULL;
}

/* The path, headers and subprotocols of the real request were judged by ws.c; what
 * follows here is all that libwebsockets needs, so its parser reads our bytes only.
 * Frames that came with the request ride along. */
static struct bytes *canonical_request(struct conn *conn)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    buf_puts(&text, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: ");
    buf_puts(&text, conn->upgrade->key);
    buf_puts(&text, "\r\n\r\n");
    buf_slice(&text, buf_view(&conn->in));
    struct bytes *bytes = buf_share(&text);
    buf_release(&text);
    return bytes;
}

int wire_duplicate(const struct conn *conn)
{
    return fcntl(wire_fd(conn), F_DUPFD_CLOEXEC, 0);
}

bool wire_adopt_ws(struct conn *conn, int fd)
{
    struct server *server = conn->server;

    wire_kill(conn);
    struct bytes *request = canonical_request(conn);
    buf_release(&conn->in);
    server->adopting = conn;
    struct lws *wsi =
        lws_adopt_socket_vhost_readbuf(server->vhost, fd, request->data, request->len);
    server->adopting = NULL;
    bytes_unref(request);
    if (wsi == NULL)
        conn->wsi = NULL;
    return wsi != NULL;
}

int wire_fd(const struct conn *conn)
{
    return lws_get_socket_fd(conn->wsi);
}

void wire_want_writable(struct conn *conn)
{
    if (conn->wsi != NULL)
        (void)lws_callback_on_writable(conn->wsi);
}

void wire_set_reading(struct conn *conn, bool is_reading)
{
    if (conn->wsi != NULL)
        (void)lws_rx_flow_control(conn->wsi, is_reading ? 1 : 0);
}

bool wire_is_buffering(const struct conn *conn)
{
    return lws_partial_buffered(conn->wsi) != 0;
}

bool wire_finish_frame(struct conn *conn, const char *data, size_t len)
{
    /* LWS_WRITE_RAW leaves the bytes alone, whatever its signature says. */
    union {
        const char *ours;
        unsigned char *theirs;
    } bytes = {.ours = data};

    return lws_write(conn->wsi, bytes.theirs, len, LWS_WRITE_RAW) >= 0;
}

bool wire_message_is_first(const struct conn *conn)
{
    return lws_is_first_fragment(conn->wsi) != 0;
}

bool wire_message_is_final(const struct conn *conn)
{
    return lws_is_final_fragment(conn->wsi) != 0;
}

size_t wire_frame_left(const struct conn *conn)
{
    return lws_remaining_packet_payload(conn->wsi);
}

bool wire_message_is_binary(const struct conn *conn)
{
    return lws_frame_is_binary(conn->wsi) != 0;
}

void wire_kill(struct conn *conn)
{
    struct lws *wsi = conn->wsi;

    if (wsi == NULL)
        return;
    conn->wsi = NULL;
    lws_set_wsi_user(wsi, NULL);
    /* With bytes of its own unsent it would go on for five seconds: let them fail. */
    if (lws_partial_buffered(wsi) != 0)
        (void)shutdown(lws_get_socket_fd(wsi), SHUT_RDWR);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}
