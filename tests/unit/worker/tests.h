/* tests.h - the parts of the worker's test program. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_WORKER_H
#define THINKWIRE_TESTS_WORKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Each answers how many of its tests failed. */
int test_failure(void);
int test_judge(void);
int test_judge_property(void);
int test_memory(void);
int test_prompt(void);
int test_providers(void);
int test_stream(void);
int test_stream_ends(void);
int test_think(void);
int test_together(void);
int test_trim(void);

#endif
