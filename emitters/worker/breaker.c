/* breaker.c - one provider's circuit breaker. */
/* SPDX-License-Identifier: MIT */
#include "breaker.h"

#include <stddef.h>

static void change(struct breaker *breaker, enum breaker_state state)
{
    breaker->state = state;
    breaker->failures = 0;
    breaker->has_probe = false;
    breaker->generation++;
}

static bool is_cool(const struct breaker *breaker,
                    const struct breaker_settings *settings, uint64_t now_ms)
{
    return now_ms - breaker->opened_ms >= settings->cooldown_ms;
}

bool breaker_admit(struct breaker *breaker, const struct breaker_settings *settings,
                   uint64_t now_ms, struct breaker_ticket *ticket)
{
    *ticket = (struct breaker_ticket){0};
    if (breaker->state == BREAKER_OPEN && is_cool(breaker, settings, now_ms))
        change(breaker, BREAKER_HALF_OPEN);
    if (breaker->state == BREAKER_OPEN ||
        (breaker->state == BREAKER_HALF_OPEN && breaker->has_probe))
        return false;
    breaker->has_probe = breaker->state == BREAKER_HALF_OPEN;
    *ticket = (struct breaker_ticket){breaker->generation, true};
    return true;
}

static void open_now(struct breaker *breaker, uint64_t now_ms)
{
    change(breaker, BREAKER_OPEN);
    breaker->opened_ms = now_ms;
}

static void count_failure(struct breaker *breaker,
                          const struct breaker_settings *settings, uint64_t now_ms)
{
    if (breaker->state == BREAKER_HALF_OPEN) {
        open_now(breaker, now_ms);
        return;
    }
    breaker->failures++;
    if (settings->threshold > 0 && breaker->failures >= settings->threshold)
        open_now(breaker, now_ms);
}

void breaker_report(struct breaker *breaker, const struct breaker_settings *settings,
                    uint64_t now_ms, struct breaker_ticket *ticket,
                    enum breaker_verdict verdict)
{
    bool counts = ticket->is_admitted && ticket->generation == breaker->generation;

    if (verdict == VERDICT_NONE)
        return;
    ticket->is_admitted = false;
    if (!counts)
        return;
    if (verdict == VERDICT_FAILURE)
        count_failure(breaker, settings, now_ms);
    else if (verdict == VERDICT_NEUTRAL)
        breaker->has_probe = false;
    else if (breaker->state == BREAKER_HALF_OPEN)
        change(breaker, BREAKER_CLOSED);
    else
        breaker->failures = 0;
}

const char *breaker_state_name(const struct breaker *breaker,
                               const struct breaker_settings *settings, uint64_t now_ms)
{
    static const char *const names[] = {"closed", "open", "half-open"};

    if (breaker->state == BREAKER_OPEN && is_cool(breaker, settings, now_ms))
        return names[BREAKER_HALF_OPEN];
    return names[breaker->state];
}
