/* main.c - the tests of the room cli: what is pure in it. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    return run_fire_answer_tests() + run_fire_case_tests() + run_fire_row_tests();
}
