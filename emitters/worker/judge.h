/* judge.h - what follows when a call to a provider ends. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_JUDGE_H
#define THINKWIRE_WORKER_JUDGE_H

#include "breaker.h"
#include "failure.h"
#include "stream.h"

/*
 *      judge_start() --> CALL --> [breaker_admit(), the call, judge_token()*]
 *                         ^                      |
 *                         |        judge_done() or judge_failed()
 *                         |                      |
 *                         +----------------------+--> END
 *
 * The request has a chain of candidates, first choice first. After a failure the first of
 * these that the row of its class allows, and that is still possible, is done:
 *
 *   class               counts  chat  next  plain  retry
 *   CONNECT              yes     -    yes    -     yes     counts: against the breaker
 *   TIMEOUT_CONNECT      yes     -    yes   yes     -      chat:   the same provider, Chat
 *   TIMEOUT_FIRST_TOKEN  yes     -    yes   yes     -              Completions
 *   TIMEOUT_IDLE         yes     -    yes   yes     -      next:   the next of the chain
 *   TIMEOUT_TOTAL        yes     -    yes   yes     -      plain:  the same provider once
 *   RATE_LIMITED          -      -    yes    -     yes             more, not streaming
 *   SERVER               yes     -    yes   yes    yes     retry:  the same call again,
 *   KEY                   -      -    yes    -      -              after a wait
 *   CREDIT                -      -    yes    -      -
 *   BAD_REQUEST           -      -     -     -      -
 *   NO_MODEL              -      -    yes    -      -
 *   UNSUPPORTED           -     yes   yes    -      -
 *   OPTION                -      (the same call again, without the option; once)
 *   TRUNCATED            yes     -    yes   yes    yes
 *   MALFORMED            yes    yes   yes   yes     -
 *   TOO_LARGE             -      -     -     -      -
 *   EMPTY                yes     -    yes   yes     -
 *   FILTERED              -      -     -     -      -
 *   BREAKER               -      -    (1)    -      -
 *   CANCELLED             -      -     -     -      -
 *
 *   (1) From the first choice only with `routes_around_open` (requirement R5); from a later
 *       candidate always.
 *
 * Possible means:
 *   - With has_fallback off nothing is: the first failure is the end (R4).
 *   - chat: the call was to the Responses API, and nothing has been told to readers.
 *   - next: there is one, and no plain call was made as a fallback. Once something has been
 *     told the next is asked plainly, for the rest.
 *   - plain: the call was streaming and no fallback was taken before: so primary and
 *     fallback are each called once (R17), and never is there a second fallback (R3).
 *   - retry: nothing was told, no fallback was taken, retries and the time for waiting are
 *     left (C8). Retry-After is never undercut; beyond the time left it is the end (R11).
 *
 * So nothing is told twice: after the first token the only call is plain, and it `continues`
 * when answer text was told (the request is built as for a continue, its repeated beginning
 * trimmed) and `drops_reasoning`. Pure: no I/O, no clock.
 */
#define JUDGE_MAX_CANDIDATES 8

struct judge_settings {
    bool has_fallback;       /* AGENT_FALLBACK_ENABLED */
    bool routes_around_open; /* to the chain while the first choice's breaker is open */
    unsigned max_retries;
    uint64_t backoff_ms;     /* before the first retry; doubles; up to a quarter less */
    uint64_t retry_total_ms; /* all waits together */
};

enum judge_act { JUDGE_CALL, JUDGE_END };

enum judge_end {
    JUDGE_ANSWER,   /* a whole answer was told */
    JUDGE_ERROR,    /* nothing was told: `failure` */
    JUDGE_PARTIAL,  /* something was told, and the rest will not come: `failure` (R6) */
    JUDGE_CANCELLED /* by us */
};

struct judge_step {
    enum judge_act act;
    /* JUDGE_CALL */
    unsigned provider; /* index of the candidate */
    enum provider_api api;
    bool is_plain; /* not streaming */
    bool continues;
    bool drops_reasoning;
    bool without_options; /* without stream_options */
    uint64_t wait_ms;     /* before it */
    /* JUDGE_END */
    enum judge_end end;
    enum failure_class failure; /* FAILURE_NONE for an answer */
    /* Of the candidate that was called last, for its breaker: not NONE when it is left. */
    enum breaker_verdict verdict;
    /* The last call's provider speaks Chat Completions for this model and not Responses:
     * remember that by (base URL, model). */
    bool remembers_chat;
};

struct judge {
    struct judge_settings settings;
    enum provider_api apis[JUDGE_MAX_CANDIDATES];
    unsigned count;
    struct judge_step call; /* the one that is on its way */
    bool has_text;          /* told to readers */
    bool has_told;          /* text, reasoning or a tool call */
    bool has_fallen_back;   /* to another provider or to a plain call */
    bool has_plain_fallback;
    bool is_counted;          /* this provider failed in a way that counts */
    bool has_switched;        /* this provider was asked for Chat Completions instead */
    enum failure_class cause; /* the last failure of a call that was made */
    uint64_t waited_ms;
    /* For telemetry. */
    unsigned retries;
    unsigned fallbacks;
    unsigned api_switches;
};

/* `apis`: what each candidate is to be asked with (already API_CHAT where that was
 * remembered); 1..JUDGE_MAX_CANDIDATES. Answers the first call. */
struct judge_step judge_start(struct judge *judge,
                              const struct judge_settings *settings,
                              const enum provider_api *apis, unsigned count,
                              bool wants_stream);
/* Something was told to readers. */
void judge_token(struct judge *judge, bool is_text);
/* Why an answer that ended regularly without a word is a failure. */
enum failure_class judge_empty(enum stream_finish finish);
/* The answer has ended regularly (STREAM_DONE). */
struct judge_step judge_done(struct judge *judge, bool has_answer,
                             enum stream_finish finish);
/* The call has failed, or was not made (FAILURE_BREAKER). `jitter`: any number. */
struct judge_step judge_failed(struct judge *judge, const struct failure *failure,
                               uint32_t jitter);

#endif
