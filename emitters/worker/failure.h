/* failure.h - how a call to a provider failed, told by class. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_FAILURE_H
#define THINKWIRE_WORKER_FAILURE_H

#include "base/slice.h"

#include <stdint.h>

/*
 * Providers say the same thing in many ways: by status, by a word in the body, by an error
 * inside a 200, by silence. Everything above asks only for the class; judge.h has the table
 * of what follows from each. Pure: no I/O, no clock.
 */
enum failure_class {
    FAILURE_NONE,
    FAILURE_CONNECT,             /* refused, no such name, TLS: nothing was sent */
    FAILURE_TIMEOUT_CONNECT,     /* no connection in time */
    FAILURE_TIMEOUT_FIRST_TOKEN, /* connected, and then no token in time */
    FAILURE_TIMEOUT_IDLE,        /* tokens, and then none for too long */
    FAILURE_TIMEOUT_TOTAL,       /* also the time-out of a non-streaming request */
    FAILURE_RATE_LIMITED,
    FAILURE_SERVER,      /* 5xx, or what says so inside a 200 */
    FAILURE_KEY,         /* the key is not accepted */
    FAILURE_CREDIT,      /* the account has no credit left */
    FAILURE_BAD_REQUEST, /* wrong at every provider */
    FAILURE_NO_MODEL,    /* this provider does not have the model */
    FAILURE_UNSUPPORTED, /* the Responses API is not spoken here */
    FAILURE_OPTION,      /* `stream_options` is refused: again without */
    FAILURE_TRUNCATED,   /* the stream ended before its protocol's own end */
    FAILURE_MALFORMED,   /* not the protocol at all */
    FAILURE_TOO_LARGE,   /* more than our bounds allow */
    FAILURE_EMPTY,       /* a regular end, and no answer */
    FAILURE_FILTERED,    /* a regular end: the provider's filter left nothing */
    FAILURE_BREAKER,     /* not called at all: the circuit breaker is open */
    FAILURE_CANCELLED    /* by us */
};
#define FAILURE_CLASSES (FAILURE_CANCELLED + 1)

#define FAILURE_CODE_SIZE    64
#define FAILURE_MESSAGE_SIZE 256

struct failure {
    enum failure_class class;
    unsigned status; /* HTTP, or what an error inside a 200 stands for; 0 = none */
    uint64_t retry_after_ms; /* 0 = not told */
    /* The provider's own word, [A-Za-z0-9._-] only, and its own message: UTF-8 without
     * control characters, cut, and with anything that looks like a key left out. For
     * operators, not for users. Both may be "". */
    char code[FAILURE_CODE_SIZE];
    char message[FAILURE_MESSAGE_SIZE];
};

/* Which of the three protocols. */
enum provider_api { API_RESPONSES, API_CHAT, API_ANTHROPIC };
/* "responses", "chat", "anthropic" */
const char *provider_api_name(enum provider_api api);
bool provider_api_of(struct slice name, enum provider_api *api);

/* A failure of our own finding, with our own message. */
void failure_set(struct failure *failure, enum failure_class class,
                 const char *message);
/* From an answer whose status is not 2xx; `body` is whatever came with it. */
void failure_of_answer(struct failure *failure, enum provider_api api, unsigned status,
                       struct slice body);
/* From the value of `error` in a document or event that passed json_check(): an object, or
 * a string. `status` 0 = none known: then type and code decide. */
void failure_of_error(struct failure *failure, enum provider_api api, unsigned status,
                      struct slice error);

/* Retry-After: seconds, or an HTTP date held against `now_ms` (ms since 1970). False when it
 * is neither; a date that has passed is 0. */
bool failure_retry_after(struct slice value, uint64_t now_ms, uint64_t *ms);

/* "RATE_LIMIT", "SERVER_ERROR", "OPENAI_TIMEOUT", ...: the code that events, telemetry and
 * log carry. */
const char *failure_code(enum failure_class class);
/* The sentence for users. */
const char *failure_text(enum failure_class class);

#endif
