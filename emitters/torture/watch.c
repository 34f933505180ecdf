/* watch.c - sockets that are waited for together. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/watch.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

void watch_set_init(struct watch_set *set)
{
    set->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (set->epoll < 0)
        abort();
}

void watch_set_release(struct watch_set *set)
{
    close(set->epoll);
}

void watch_open(struct watch_set *set, struct watch *watch, int fd)
{
    struct epoll_event event = {.data.ptr = watch};

    watch->fd = fd;
    watch->wants = 0;
    if (epoll_ctl(set->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        abort();
}

void watch_want(struct watch_set *set, struct watch *watch, bool to_read, bool to_write)
{
    struct epoll_event event = {.data.ptr = watch};

    event.events =
        (to_read ? (uint32_t)EPOLLIN : 0) | (to_write ? (uint32_t)EPOLLOUT : 0);
    if (watch->fd < 0 || event.events == watch->wants)
        return;
    watch->wants = event.events;
    if (epoll_ctl(set->epoll, EPOLL_CTL_MOD, watch->fd, &event) != 0)
        abort();
}

void watch_close(struct watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

void watch_set_turn(struct watch_set *set, int timeout_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(set->epoll, events, EVENTS_AT_ONCE, timeout_ms);

    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        uint32_t what = events[i].events;
        bool is_over = (what & (EPOLLHUP | EPOLLERR)) != 0;
        /* A stalled one (that wants nothing) is told of hang-ups all the same: it does not
         * look. */
        if (watch->fd >= 0 && watch->wants != 0)
            watch->on_ready(watch, (what & EPOLLIN) != 0 || is_over,
                            (what & EPOLLOUT) != 0);
        else if (watch->fd >= 0 && is_over)
            usleep(500);
    }
}
