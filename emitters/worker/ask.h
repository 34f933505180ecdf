/* ask.h - what is to be generated: the request that is kept with a run. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_ASK_H
#define THINKWIRE_WORKER_ASK_H

#include "base/buf.h"

#include <stdint.h>

/*
 * One JSON object, written by the broker after it has checked what a client sent, and kept in
 * the run hash for a later continue:
 *
 *   messages        OpenAI's messages; needed
 *   model           a name; absent: the worker's default
 *   mode            "chat" (default), "agent", "autonomous"
 *   partial         what a client had of the answer, when that was begun elsewhere; the
 *                   accumulated text goes on behind it
 *   max_tokens      1..; absent: the provider's choice
 *   temperature     a number
 *   options         an object of further members for the provider
 *   memory          true: ask the memory service first
 *   live            true: every delta leaves at once, no window (requirement R10)
 *   request_id, conversation_id, user   for log and telemetry
 *   scenario        a fault to play, in test modes only (C15)
 *
 * Unknown members are passed over. Pure.
 */
enum ask_mode { ASK_CHAT, ASK_AGENT, ASK_AUTONOMOUS };
const char *ask_mode_name(enum ask_mode mode);

struct ask {
    struct buf json;          /* a copy; the slices below point into it */
    struct slice messages;    /* JSON array */
    struct slice temperature; /* JSON number; may be empty */
    struct slice options;     /* JSON object; may be empty */
    char *model;              /* "" = the default */
    char *partial;            /* UTF-8; "" = none */
    char *request_id;
    char *conversation_id;
    char *user;
    char *scenario;
    uint64_t max_tokens; /* 0 = not said */
    enum ask_mode mode;
    bool uses_memory;
    bool is_live;
};

/* `ask` is zeroed by the caller. False with words in `error`; nothing is kept then. */
bool ask_read(struct ask *ask, struct slice json, struct buf *error);
void ask_release(struct ask *ask);

#endif
