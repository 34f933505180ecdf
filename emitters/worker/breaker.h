/* breaker.h - one provider's circuit breaker. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_BREAKER_H
#define THINKWIRE_WORKER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/*
 *              threshold failures in a row
 *      CLOSED ------------------------------> OPEN
 *        ^                                    |  ^
 *        | the probe succeeds     cooldown_ms |  | the probe fails
 *        |                                    v  |
 *        +------------------------------- HALF_OPEN   admits one call, the probe
 *
 * A verdict is about one request at this provider, however many calls it took. Neutral ones
 * (bad requests, refused keys, limits of rate, cancelled) change nothing; a neutral probe
 * lets another one go. Verdicts of calls admitted before the last change of state are too
 * old to count. Pure: time is passed in, any monotonic milliseconds.
 */
struct breaker_settings {
    unsigned threshold;   /* 0 = never opens */
    uint64_t cooldown_ms; /* between opening and the probe */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    unsigned failures; /* in a row, while closed */
    uint32_t generation;
    bool has_probe; /* one is on its way */
    uint64_t opened_ms;
};

/* Zeroed is closed; so is a ticket that nobody admitted, and its verdicts count nowhere. */
struct breaker_ticket {
    uint32_t generation;
    bool is_admitted;
};

enum breaker_verdict {
    VERDICT_NONE, /* not yet, or the provider was not called */
    VERDICT_SUCCESS,
    VERDICT_FAILURE,
    VERDICT_NEUTRAL
};

/* May the provider be called now? Every admitted ticket must be reported once with a verdict
 * other than VERDICT_NONE (which is ignored). */
bool breaker_admit(struct breaker *breaker, const struct breaker_settings *settings,
                   uint64_t now_ms, struct breaker_ticket *ticket);
void breaker_report(struct breaker *breaker, const struct breaker_settings *settings,
                    uint64_t now_ms, struct breaker_ticket *ticket,
                    enum breaker_verdict verdict);
/* "closed", "open", "half-open": as a call now would find it. */
const char *breaker_state_name(const struct breaker *breaker,
                               const struct breaker_settings *settings,
                               uint64_t now_ms);

#endif
