/* broker.h - the rooms, wired: the only part that knows them all. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BROKER_H
#define THINKWIRE_BROKER_H

#include "settings.h"

struct broker;

/* NULL with a message in `error`. `settings` is borrowed for the broker's life. */
struct broker *broker_new(const struct settings *settings, struct buf *error);
/* Serves until SIGINT, or SIGTERM and its drain (--drain-ms); a second signal ends it. */
void broker_run(struct broker *broker);
void broker_free(struct broker *broker);

#endif
