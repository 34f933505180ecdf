/* listener.c - listening sockets: addresses, bounds at the door. */
/* SPDX-License-Identifier: MIT */
#include "transport/transport.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define ACCEPTS_PER_TURN 64 /* then others get their turn */
#define BACKLOG          1024
#define ADDRESS_BYTES    128

struct listener {
    uv_poll_t poll;
    struct server *server;
    int fd;
    char text[ADDRESS_BYTES]; /* "127.0.0.1:43567", "unix:/path" */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* to remove, or "" */
};

/* ---- accepting ---- */

static void name_peer(const struct sockaddr_storage *from, char *out, size_t size)
{
    const void *address = NULL;

    if (from->ss_family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)from)->sin_addr;
    else if (from->ss_family == AF_INET6)
        address = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    if (address == NULL ||
        inet_ntop(from->ss_family, address, out, (socklen_t)size) == NULL)
        (void)snprintf(out, size, "unix");
}

/* Best effort: a client that is turned away at the door hears why. */
static void turn_away(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Retry-After: 5\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";

    (void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

/* Out of descriptors: the one kept in reserve lets us take the connection off the
 * queue, or the loop would spin on it. */
static void shed_one(struct server *server, int listen_fd)
{
    counter_add(server->count.refused_files, 1);
    if (server->spare_fd < 0)
        return;
    (void)close(server->spare_fd);
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        turn_away(fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False when there is nobody left, or no way to take one. */
static bool accept_one(struct listener *listener)
{
    struct server *server = listener->server;
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    char peer[INET6_ADDRSTRLEN];

    memset(&from, 0, sizeof(from));
    int fd = accept4(listener->fd, (struct sockaddr *)&from, &len,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            shed_one(server, listener->fd);
        return errno == EINTR || errno == ECONNABORTED;
    }
    name_peer(&from, peer, sizeof(peer));
    if (conn_is_welcome(server, peer))
        conn_accept(server, fd, peer);
    else
        turn_away(fd);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;

    (void)events;
    for (int i = 0; status == 0 && i < ACCEPTS_PER_TURN; i++) {
        if (!accept_one(listener))
            return;
    }
}

/* ---- opening ---- */

static bool fail(struct buf *error, const char *address, int problem)
{
    const char *remedy = "see --listen";

    if (problem == EADDRINUSE)
        remedy =
            "another program listens there (`ss -ltnp` names it); stop it or choose "
            "another --listen";
    else if (problem == EACCES)
        remedy =
            "this user may not; ports below 1024 need CAP_NET_BIND_SERVICE, a socket "
            "file a directory that may be written";
    else if (problem == EADDRNOTAVAIL)
        remedy = "no interface of this machine has this address";
    buf_printf(error, "cannot listen on %s: %s; %s", address, strerror(problem),
               remedy);
    return false;
}

static bool watch(struct server *server, struct listener *listener)
{
    size_t size = (server->listener_count + 1) * sizeof(struct listener *);

    if (uv_poll_init(loop_uv(server->loop), &listener->poll, listener->fd) != 0)
        return false;
    listener->poll.data = listener;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
    void *grown = mem_resize((void *)server->listeners, size);
    server->listeners = grown;
    server->listeners[server->listener_count++] = listener;
    return true;
}

static void name_listener(struct listener *listener)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    char host[INET6_ADDRSTRLEN];

    memset(&bound, 0, sizeof(bound));
    if (getsockname(listener->fd, (struct sockaddr *)&bound, &len) != 0)
        return;
    name_peer(&bound, host, sizeof(host));
    bool is_v6 = bound.ss_family == AF_INET6;
    const void *any = &bound;
    unsigned port = is_v6 ? ntohs(((const struct sockaddr_in6 *)any)->sin6_port)
                          : ntohs(((const struct sockaddr_in *)any)->sin_port);
    (void)snprintf(listener->text, sizeof(listener->text), is_v6 ? "[%s]:%u" : "%s:%u",
                   host, port);
}

/* Answers 0 or an errno. */
static int open_address(struct server *server, const struct addrinfo *info)
{
    int yes = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int problem = errno;
        (void)close(fd);
        return problem;
    }
    struct listener *listener = mem_new(sizeof(*listener));
    listener->server = server;
    listener->fd = fd;
    name_listener(listener);
    if (watch(server, listener))
        return 0;
    (void)close(fd);
    free(listener);
    return EINVAL;
}

/* "host:port", "[v6]:port", ":port" and "*:port" (all interfaces). */
static bool split_address(const char *address, char *host, size_t size,
                          const char **port)
{
    const char *colon = strrchr(address, ':');

    if (colon == NULL || colon[1] == '\0')
        return false;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    if (len >= size)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    if (strcmp(host, "*") == 0)
        host[0] = '\0';
    *port = colon + 1;
    return true;
}

static bool open_inet(struct server *server, const char *address, struct buf *error)
{
    char host[256];
    const char *port = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int problem = 0;
    size_t opened = 0;

    if (!split_address(address, host, sizeof(host), &port)) {
        buf_printf(error,
                   "cannot listen on %s: write HOST:PORT, [IPV6]:PORT or unix:/path",
                   address);
        return false;
    }
    int answer = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
    if (answer != 0) {
        buf_printf(error, "cannot listen on %s: %s", address, gai_strerror(answer));
        return false;
    }
    for (const struct addrinfo *it = found; it != NULL && problem == 0;
         it = it->ai_next) {
        problem = open_address(server, it);
        if (problem == EAFNOSUPPORT && it->ai_next != NULL)
            problem = 0; /* no IPv6 on this machine; the next may do */
        else
            opened++;
    }
    freeaddrinfo(found);
    return problem == 0 && opened > 0 ? true : fail(error, address, problem);
}

/* A socket file nobody listens on is what a crash leaves behind. */
static void remove_stale(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) != 0 &&
        errno == ECONNREFUSED)
        (void)unlink(name->sun_path);
    (void)close(fd);
}

static bool open_unix(struct server *server, const char *address, const char *path,
                      struct buf *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (path[0] == '\0' || strlen(path) >= sizeof(name.sun_path))
        return fail(error, address, ENAMETOOLONG);
    memcpy(name.sun_path, path, strlen(path) + 1);
    remove_stale(&name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(error, address, errno);
    if (bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0 ||
        listen(fd, BACKLOG) != 0) {
        int problem = errno;
        (void)close(fd);
        return fail(error, address, problem);
    }
    struct listener *listener = mem_new(sizeof(*listener));
    listener->server = server;
    listener->fd = fd;
    (void)snprintf(listener->text, sizeof(listener->text), "%s", address);
    memcpy(listener->path, name.sun_path, sizeof(listener->path));
    if (watch(server, listener))
        return true;
    (void)close(fd);
    free(listener);
    return fail(error, address, EINVAL);
}

bool listener_open(struct server *server, const char *address, struct buf *error)
{
    if (strncmp(address, "unix:", 5) == 0)
        return open_unix(server, address, address + 5, error);
    return open_inet(server, address, error);
}

const char *server_address(const struct server *server, size_t n)
{
    return n < server->listener_count ? server->listeners[n]->text : NULL;
}

/* ---- closing ---- */

void listeners_stop(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct listener *listener = server->listeners[i];
        if (listener->fd < 0)
            continue;
        (void)uv_poll_stop(&listener->poll);
        /* Who stands in the queue has come already: closing would reset them. */
        for (int n = 0; n < BACKLOG && accept_one(listener); n++) {
        }
        (void)close(listener->fd);
        listener->fd = -1;
        if (listener->path[0] != '\0')
            (void)unlink(listener->path);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void listeners_free(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        void *handle = &server->listeners[i]->poll;
        uv_close(handle, on_poll_closed);
    }
    free((void *)server->listeners);
}
