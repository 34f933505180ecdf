/* wire.c - the one file that calls libwebsockets. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include <libwebsockets.h>
#include <sys/resource.h>
#include <uv.h>

/* Read from a socket at a time. */
#define READ_BYTES 4096
/* Descriptors besides the connections: Redis, provider connections, files. */
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

static int on_input(struct conn *conn, void *data, size_t len)
{
    if (conn == NULL)
        return -1;
    if (conn->state != CONN_WEBSOCKET)
        return request_input(conn, data, len) ? 0 : -1;
    ws_input(conn, (struct ws_bytes){.ptr = data, .len = len});
    return 0;
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

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                    void *in, size_t len)
{
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT:
        return on_adopted(wsi);
    case LWS_CALLBACK_RAW_RX:
        return on_input(user, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
        return on_writable(user);
    case LWS_CALLBACK_RAW_CLOSE:
        return on_closed(wsi, user);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_HTTP:
        return -1; /* no connection is ever in that role */
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "thinkwire", .callback = on_event},
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

void wire_sha1(struct slice data, unsigned char out[SHA1_BYTES])
{
    const void *from = data.ptr;

    (void)lws_SHA1(from, data.len, out);
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

void wire_kill(struct conn *conn)
{
    struct lws *wsi = conn->wsi;

    if (wsi == NULL)
        return;
    conn->wsi = NULL;
    lws_set_wsi_user(wsi, NULL);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}
