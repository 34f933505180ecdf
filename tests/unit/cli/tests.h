/* tests.h - the groups of the tests of the room cli. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_CLI_TESTS_H
#define THINKWIRE_TESTS_CLI_TESTS_H

/* Each answers how many of its tests failed. */
int run_fire_answer_tests(void);
int run_fire_case_tests(void);
int run_fire_row_tests(void);

#endif
