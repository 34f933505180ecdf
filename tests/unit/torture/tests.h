/* tests.h - the tests of the room torture, a table per file. */
/* SPDX-License-Identifier: MIT */
#ifndef TEST_TORTURE_TESTS_H
#define TEST_TORTURE_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int run_fold_tests(void);
int run_frames_tests(void);
int run_oracle_tests(void);
int run_schedule_tests(void);
int run_truth_tests(void);

#endif
