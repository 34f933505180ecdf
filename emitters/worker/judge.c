/* judge.c - what follows when a call to a provider ends. */
/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <assert.h>

enum { COUNTS = 1, CHAT = 2, NEXT = 4, PLAIN = 8, RETRY = 16 };

/* The table of judge.h. */
static const unsigned char rows[FAILURE_CLASSES] = {
    [FAILURE_CONNECT] = COUNTS | NEXT | RETRY,
    [FAILURE_TIMEOUT_CONNECT] = COUNTS | NEXT | PLAIN,
    [FAILURE_TIMEOUT_FIRST_TOKEN] = COUNTS | NEXT | PLAIN,
    [FAILURE_TIMEOUT_IDLE] = COUNTS | NEXT | PLAIN,
    [FAILURE_TIMEOUT_TOTAL] = COUNTS | NEXT | PLAIN,
    [FAILURE_RATE_LIMITED] = NEXT | RETRY,
    [FAILURE_SERVER] = COUNTS | NEXT | PLAIN | RETRY,
    [FAILURE_KEY] = NEXT,
    [FAILURE_CREDIT] = NEXT,
    [FAILURE_NO_MODEL] = NEXT,
    [FAILURE_UNSUPPORTED] = CHAT | NEXT,
    [FAILURE_TRUNCATED] = COUNTS | NEXT | PLAIN | RETRY,
    [FAILURE_MALFORMED] = COUNTS | CHAT | NEXT | PLAIN,
    [FAILURE_EMPTY] = COUNTS | NEXT | PLAIN,
};

struct judge_step judge_start(struct judge *judge,
                              const struct judge_settings *settings,
                              const enum provider_api *apis, unsigned count,
                              bool wants_stream)
{
    assert(count >= 1 && count <= JUDGE_MAX_CANDIDATES);
    *judge = (struct judge){.settings = *settings, .count = count};
    for (unsigned i = 0; i < count; i++)
        judge->apis[i] = apis[i];
    judge->call.api = apis[0];
    judge->call.is_plain = !wants_stream;
    return judge->call;
}

void judge_token(struct judge *judge, bool is_text)
{
    judge->has_told = true;
    judge->has_text = judge->has_text || is_text;
}

/* ---- steps ---- */

static enum breaker_verdict verdict_now(const struct judge *judge,
                                        enum failure_class class)
{
    if (class == FAILURE_BREAKER)
        return VERDICT_NONE;
    return judge->is_counted ? VERDICT_FAILURE : VERDICT_NEUTRAL;
}

static struct judge_step end_with(const struct judge *judge, enum judge_end end,
                                  enum failure_class class)
{
    struct judge_step step = {.act = JUDGE_END, .end = end, .failure = class};

    step.provider = judge->call.provider;
    step.api = judge->call.api;
    return step;
}

static struct judge_step end_failed(const struct judge *judge, enum failure_class class)
{
    enum judge_end end = judge->has_told ? JUDGE_PARTIAL : JUDGE_ERROR;
    /* A later candidate that was not even called is not why the request failed. */
    bool is_other = class == FAILURE_BREAKER && judge->cause != FAILURE_NONE;

    if (class == FAILURE_CANCELLED)
        end = JUDGE_CANCELLED;
    struct judge_step step = end_with(judge, end, is_other ? judge->cause : class);
    step.verdict = verdict_now(judge, class);
    return step;
}

static struct judge_step call_again(struct judge *judge, uint64_t wait_ms)
{
    judge->call.wait_ms = wait_ms;
    return judge->call;
}

static void make_plain(struct judge *judge)
{
    judge->call.is_plain = true;
    judge->has_plain_fallback = true;
    judge->call.continues = judge->has_text;
    judge->call.drops_reasoning = judge->has_told;
}

static struct judge_step call_plain(struct judge *judge)
{
    judge->has_fallen_back = true;
    judge->fallbacks++;
    make_plain(judge);
    return call_again(judge, 0);
}

static struct judge_step call_chat(struct judge *judge)
{
    judge->call.api = API_CHAT;
    judge->has_switched = true;
    judge->api_switches++;
    return call_again(judge, 0);
}

static struct judge_step call_next(struct judge *judge, enum failure_class class)
{
    enum breaker_verdict verdict = verdict_now(judge, class);
    struct judge_step step;

    judge->call.provider++;
    judge->call.api = judge->apis[judge->call.provider];
    judge->call.without_options = false;
    judge->is_counted = false;
    judge->has_switched = false;
    judge->has_fallen_back = true;
    judge->fallbacks++;
    if (judge->has_told)
        make_plain(judge);
    step = call_again(judge, 0);
    step.verdict = verdict;
    return step;
}

/* ---- what is possible ---- */

static bool can_go_next(const struct judge *judge, enum failure_class class)
{
    bool is_allowed = (rows[class] & NEXT) != 0;

    if (class == FAILURE_BREAKER)
        is_allowed = judge->call.provider > 0 || judge->settings.routes_around_open;
    return is_allowed && judge->call.provider + 1 < judge->count &&
           !judge->has_plain_fallback;
}

static bool can_switch(const struct judge *judge, enum failure_class class)
{
    return (rows[class] & CHAT) != 0 && judge->call.api == API_RESPONSES &&
           !judge->has_told;
}

static bool can_go_plain(const struct judge *judge, enum failure_class class)
{
    return (rows[class] & PLAIN) != 0 && !judge->call.is_plain &&
           !judge->has_fallen_back;
}

static bool can_retry(const struct judge *judge, enum failure_class class)
{
    return (rows[class] & RETRY) != 0 && !judge->has_told && !judge->has_fallen_back &&
           judge->retries < judge->settings.max_retries;
}

/* How long to wait before the next retry; false when that is too long. */
static bool wait_of(const struct judge *judge, const struct failure *failure,
                    uint32_t jitter, uint64_t *wait_ms)
{
    unsigned doublings = judge->retries < 20 ? judge->retries : 20;
    uint64_t wait = judge->settings.backoff_ms << doublings;

    wait -= wait / 4 * (jitter & 255) / 255;
    if (wait < failure->retry_after_ms)
        wait = failure->retry_after_ms;
    *wait_ms = wait;
    return wait <= judge->settings.retry_total_ms &&
           judge->waited_ms <= judge->settings.retry_total_ms - wait;
}

/* ---- the ends of a call ---- */

enum failure_class judge_empty(enum stream_finish finish)
{
    return finish == FINISH_CONTENT_FILTER ? FAILURE_FILTERED : FAILURE_EMPTY;
}

struct judge_step judge_done(struct judge *judge, bool has_answer,
                             enum stream_finish finish)
{
    struct failure empty = {.class = judge_empty(finish)};
    struct judge_step step;

    if (!has_answer)
        return judge_failed(judge, &empty, 0);
    step = end_with(judge, JUDGE_ANSWER, FAILURE_NONE);
    step.verdict = VERDICT_SUCCESS;
    step.remembers_chat = judge->has_switched;
    return step;
}

/* The plain call of a candidate that was not admitted was not made. */
static void take_back_plain(struct judge *judge)
{
    if (judge->call.provider > 0)
        judge->has_plain_fallback = false;
}

struct judge_step judge_failed(struct judge *judge, const struct failure *failure,
                               uint32_t jitter)
{
    enum failure_class class = failure->class;
    uint64_t wait_ms;

    assert(class != FAILURE_NONE);
    judge->is_counted = judge->is_counted || (rows[class] & COUNTS) != 0;
    if (class == FAILURE_BREAKER)
        take_back_plain(judge);
    if (!judge->settings.has_fallback)
        return end_failed(judge, class);
    if (class == FAILURE_OPTION && !judge->call.without_options && !judge->has_told) {
        judge->call.without_options = true;
        return call_again(judge, 0);
    }
    if (can_switch(judge, class))
        return call_chat(judge);
    if (class != FAILURE_BREAKER)
        judge->cause = class;
    if (can_go_next(judge, class))
        return call_next(judge, class);
    if (can_go_plain(judge, class))
        return call_plain(judge);
    if (can_retry(judge, class) && wait_of(judge, failure, jitter, &wait_ms)) {
        judge->retries++;
        judge->waited_ms += wait_ms;
        return call_again(judge, wait_ms);
    }
    return end_failed(judge, class);
}
