/* resp.c - short questions to a Redis, asked and waited for. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/resp.h"

#include "base/clock.h"
#include "emitters/torture/process.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536

void resp_command(struct buf *out, const char *const *words, size_t count)
{
    buf_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

bool resp_next(struct slice answer, size_t *at, struct resp_item *item)
{
    size_t left = answer.len - *at;
    const char *from = answer.ptr + *at;
    const char *end = left == 0 ? NULL : memmem(from, left, "\r\n", 2);

    if (end == NULL)
        return false;
    *item = (struct resp_item){.kind = *from,
                               .text = slice_make(from + 1, (size_t)(end - from) - 1)};
    item->number = strtoll(from + 1, NULL, 10);
    size_t used = (size_t)(end - from) + 2;
    if (item->kind == '$') {
        size_t len = item->number < 0 ? 0 : (size_t)item->number;
        if (item->number >= 0 && left < used + len + 2)
            return false;
        item->text = slice_make(from + used, len);
        if (item->number >= 0)
            used += len + 2;
    }
    *at += used;
    return true;
}

static bool has_all(struct slice answer, unsigned replies)
{
    struct resp_item item;
    long long owed = replies;
    size_t at = 0;

    while (owed > 0) {
        if (!resp_next(answer, &at, &item))
            return false;
        owed--;
        if (item.kind == '*' && item.number > 0)
            owed += item.number;
    }
    return true;
}

static bool wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd pollfd = {.fd = fd, .events = events};
    uint64_t now = clock_mono_ms();

    return now < deadline && poll(&pollfd, 1, (int)(deadline - now)) == 1;
}

static bool send_all(int fd, struct slice data, uint64_t deadline)
{
    size_t sent = 0;

    while (sent < data.len) {
        ssize_t n;
        if (!wait_for(fd, POLLOUT, deadline))
            return false;
        n = send(fd, data.ptr + sent, data.len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool read_all(int fd, unsigned replies, uint64_t deadline, struct buf *answer)
{
    size_t start = answer->len;

    while (!has_all(slice_make(answer->data + start, answer->len - start), replies)) {
        char *room = buf_reserve(answer, READ_BYTES);
        ssize_t n;
        if (room == NULL || !wait_for(fd, POLLIN, deadline))
            return false;
        n = recv(fd, room, READ_BYTES, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        answer->len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool resp_ask(uint16_t port, struct slice commands, unsigned replies,
              unsigned timeout_ms, struct buf *answer)
{
    uint64_t deadline = clock_mono_ms() + timeout_ms;
    int fd = port_connect(port);
    bool is_good;

    if (fd < 0)
        return false;
    is_good =
        send_all(fd, commands, deadline) && read_all(fd, replies, deadline, answer);
    close(fd);
    return is_good;
}
