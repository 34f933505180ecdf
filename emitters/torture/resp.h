/* resp.h - short questions to a Redis, asked and waited for. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_RESP_H
#define THINKWIRE_TORTURE_RESP_H

#include "base/buf.h"

#include <stdint.h>

/* A judge that used the house's own link would share its faults. */

/* Appends a command to `out`. */
void resp_command(struct buf *out, const char *const *words, size_t count);
/* Sends `commands` over a connection of its own and appends `replies` whole answers to
 * `answer`. False when they do not come within `timeout_ms`. */
bool resp_ask(uint16_t port, struct slice commands, unsigned replies,
              unsigned timeout_ms, struct buf *answer);

/* A walk over answers, lists flattened: for a list `kind` is '*' and its items follow. */
struct resp_item {
    char kind; /* + - : $ * */
    struct slice text;
    long long number; /* of ':' and '*'; -1 for nil */
};
/* False at the end, or when the rest is incomplete. */
bool resp_next(struct slice answer, size_t *at, struct resp_item *item);

#endif
