/* demo.h - the provider that is built in: paced words, no network, clearly labelled. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_DEMO_H
#define THINKWIRE_WORKER_DEMO_H

#include "attempt.h"

/* Speaks like an attempt: on_value as time goes by, then on_done with a whole answer, or with
 * the fault of a scenario (C15): "timeout" (after the time for a first token, 2 s at most),
 * "rate_limit", "server_error", "midstream_drop" (a plain call is whole), "slow". Any other
 * word, or "", is none. */
struct demo;
struct demo *demo_start(struct loop *loop, const struct attempt_request *request,
                        const char *scenario);
/* on_done is not called. */
void demo_cancel(struct demo *demo);

#endif
