/* watch.h - sockets that are waited for together. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_WATCH_H
#define THINKWIRE_TORTURE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* One epoll set. Not the house's loop: what is tortured there must not decide here when a
 * reader is read. A watch lives in a slot that stays as long as the set, since a turn may
 * still hold an event for a socket that was just closed; a spurious call is harmless. */
struct watch {
    int fd; /* -1: none */
    uint32_t wants;
    void (*on_ready)(struct watch *watch, bool is_readable, bool is_writable);
};
struct watch_set {
    int epoll;
};

void watch_set_init(struct watch_set *set);
void watch_set_release(struct watch_set *set);
/* Waits for at most `timeout_ms` and calls who is ready. */
void watch_set_turn(struct watch_set *set, int timeout_ms);

/* Takes `fd` over. */
void watch_open(struct watch_set *set, struct watch *watch, int fd);
void watch_want(struct watch_set *set, struct watch *watch, bool to_read,
                bool to_write);
/* Closes the socket. Harmless when there is none. */
void watch_close(struct watch *watch);

#endif
