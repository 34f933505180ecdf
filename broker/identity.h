/* identity.h - who asks the backend: auth, its HTTP client, the shared secret's Redis. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_IDENTITY_H
#define THINKWIRE_IDENTITY_H

#include "auth/auth.h"
#include "settings.h"

/* Everything that answers "who is this"; also publishes open_in_editor, which goes over the
 * same Redis. */
struct identity_desk;

/* `events_url` is where Frappe's channel is, or "none". NULL with a message in `error`. */
struct identity_desk *identity_desk_new(struct loop *loop,
                                        const struct settings *settings,
                                        const char *events_url,
                                        struct counters *counters, struct buf *error);
void identity_desk_free(struct identity_desk *desk);
/* The files of keys may have changed. */
void identity_desk_reload(struct identity_desk *desk);
struct auth *identity_desk_auth(const struct identity_desk *desk);
void identity_desk_open_in_editor(struct identity_desk *desk, struct slice json);

#endif
