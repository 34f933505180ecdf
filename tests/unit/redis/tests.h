/* tests.h - the groups of this test program. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_REDIS_H
#define THINKWIRE_TESTS_REDIS_H

#include "scene.h"

/* Each answers how many of its tests failed. */
int test_url(void);
int test_link(void);
int test_sentinel(void);
int test_fitness(void);
int test_confirm(void);
int test_subscribe(void);
int test_publish(void);
int test_runs(void);
int test_reading(void);
int test_sessions(void);
int test_jobs(void);

#endif
