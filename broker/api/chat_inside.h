/* chat_inside.h - what the chat endpoints' files share; nobody else includes it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_CHAT_INSIDE_H
#define THINKWIRE_API_CHAT_INSIDE_H

#include "api/internal.h"
#include "api/submit.h"

/*
 *   chat_http.c: body --> struct chat_ask --chat_begin()--> api_submit() --> queued run
 *                                                                |
 *        the stream (session_retell) or one JSON answer <--------'      chat.c
 *
 * The client of a chat endpoint is the only one that wants its answer: when it goes, the run is
 * stopped. Readers of /v1/tasks/{id}/events come and go.
 */
struct chat_ask {
    struct form form; /* submission and stream */
    enum dialect_form dialect;
    unsigned options;
    bool is_plain; /* one JSON answer instead of a stream */
    bool waits;    /* the stream begins with the answer (R16) */
    bool has_openai_errors;
};
/* Takes the exchange; `ask` is read before it returns. */
void chat_begin(struct api *api, struct http_exchange *x, struct chat_ask *ask);

#endif
