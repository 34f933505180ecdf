/* keeper.h - Socket.IO sessions kept in the bus' Redis, for the brokers beside this one. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_KEEPER_H
#define THINKWIRE_KEEPER_H

#include "session/session.h"
#include "settings.h"

struct keeper;

/* NULL with the memory bus, and when recovery is off: sessions are kept in this process only. The
 * connection is one of its own, so that nothing of it waits behind the loading of tasks. False in
 * `*is_ok`, with a message in `error`, when the bus' address is malformed. */
struct keeper *keeper_new(struct loop *loop, const struct settings *settings,
                          bool *is_ok, struct buf *error);
/* After the sessions. NULL is allowed. */
void keeper_free(struct keeper *keeper);
/* NULL for NULL. */
const struct session_keeper *keeper_slots(const struct keeper *keeper);

#endif
