/* kit.h - what the benches of several rooms share: time that passes, counters that are read. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_KIT_H
#define THINKWIRE_TESTS_KIT_H

#include "base/counters.h"
#include "base/loop.h"

/* Runs the loop for as many turns as what was deferred needs to have led to everything it
 * leads to. */
void kit_settle(struct loop *loop);
/* Runs the loop for that long, and settles it. */
void kit_pass_ms(struct loop *loop, uint64_t ms);
/* The number behind `line_start`, "name_total " or "name{label=\"x\"} ", as /metrics tells it;
 * fails the test where no line begins so. */
uint64_t kit_counted(const struct counters *counters, const char *line_start);

#endif
