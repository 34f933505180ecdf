/* sock.h - loopback sockets and the clock. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SOCK_H
#define BENCH_SOCK_H

#include "text.h"

#include <stdint.h>

/* CLOCK_MONOTONIC: the same for every process of this machine, so a publisher's stamp can
 * be subtracted from a reader's. */
uint64_t now_ns(void);

/* Non-blocking, TCP_NODELAY. The connection may still be in progress. `receive_bytes` 0
 * leaves the receive buffer to the system. */
int sock_connect_local(uint16_t port, int receive_bytes);
/* Port 0 chooses one; `*port` is what it became. */
int sock_listen_local(uint16_t *port);
/* Sends all of `out` unless the socket fills; false when the peer is gone. */
bool sock_flush(int fd, struct text *out);
/* As many descriptors as the system lets us have. */
void sock_raise_limit(void);

/* The value of `--name VALUE`, `fallback` without it. `--name` without a value dies. */
const char *arg_text(int argc, char **argv, const char *name, const char *fallback);
uint64_t arg_number(int argc, char **argv, const char *name, uint64_t fallback);

#endif
