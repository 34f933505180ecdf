/* scripted.h - a server that says exactly what a test wants, on the test's loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_SCRIPTED_H
#define THINKWIRE_TESTS_SCRIPTED_H

#include "base/buf.h"
#include "base/loop.h"

/*
 * Accepts connections on a free loopback port or a unix socket, collects what comes and,
 * once a whole request (head and Content-Length body) is there, calls `on_request`. The
 * test answers with scripted_send() and scripted_close() then or later.
 */
struct scripted;
struct scripted_peer;

struct scripted *scripted_new(struct loop *loop, const char *unix_path,
                              void (*on_request)(void *ctx, struct scripted_peer *peer,
                                                 struct slice request),
                              void *ctx);
void scripted_free(struct scripted *server);
unsigned scripted_port(const struct scripted *server);
/* Connections accepted, requests taken, and connections the client closed. */
unsigned scripted_accepted(const struct scripted *server);
unsigned scripted_requests(const struct scripted *server);
unsigned scripted_gone(const struct scripted *server);
/* Called whenever a client closes its connection. */
void scripted_on_gone(struct scripted *server, void (*on_gone)(void *ctx));

void scripted_send(struct scripted_peer *peer, const char *bytes);
void scripted_close(struct scripted_peer *peer);

#endif
