/* tests.h - the groups of this test program. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_BUS_H
#define THINKWIRE_TESTS_BUS_H

#include "bus/lift.h"
#include "stage.h"

/* Each answers how many of its tests failed. */
int test_event(void);
int test_redis(void);
int test_heal(void);
int test_failover(void);
int test_history(void);
int test_endings(void);
int test_server(void);
int test_frappe(void);
int test_heard(void);
int test_lift(void);
int test_races(void);
int test_same(void);

#endif
