/* tests.h - the groups of this test program. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_SCHEMA_H
#define THINKWIRE_TESTS_SCHEMA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Each answers how many of its tests failed. */
int test_event(void);
int test_run(void);

#endif
