/* sock.c - loopback sockets and the clock. */
/* SPDX-License-Identifier: MIT */
#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int sock_new(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

int sock_connect_local(uint16_t port, int receive_bytes)
{
    int fd = sock_new();
    if (receive_bytes > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    struct sockaddr_in address = loopback(port);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno != EINPROGRESS)
        die("connect to port %u: %s", port, strerror(errno));
    return fd;
}

int sock_listen_local(uint16_t *port)
{
    int fd = sock_new();
    struct sockaddr_in address = loopback(*port);
    socklen_t size = sizeof(address);
    if (bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0)
        die("listen on port %u: %s", *port, strerror(errno));
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

bool sock_flush(int fd, struct text *out)
{
    size_t sent = 0;
    bool is_alive = true;
    while (sent < out->length) {
        ssize_t n = send(fd, out->bytes + sent, out->length - sent, MSG_NOSIGNAL);
        if (n < 0) {
            is_alive = errno == EAGAIN || errno == EINTR;
            break;
        }
        sent += (size_t)n;
    }
    text_consume(out, sent);
    return is_alive;
}

void sock_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

const char *arg_text(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) != 0)
            continue;
        if (i + 1 == argc)
            die("%s needs a value", name);
        return argv[i + 1];
    }
    return fallback;
}

uint64_t arg_number(int argc, char **argv, const char *name, uint64_t fallback)
{
    const char *text = arg_text(argc, argv, name, NULL);
    if (!text)
        return fallback;
    char *end = NULL;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0')
        die("%s: \"%s\" is not a number", name, text);
    return value;
}
