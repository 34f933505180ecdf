/* main.c - the tests of the room torture: what is pure in it. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    return run_fold_tests() + run_frames_tests() + run_oracle_tests() +
           run_schedule_tests() + run_truth_tests();
}
