/* main.c - the tests of the redis room, against a real redis-server. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    int failures = test_url();
    failures += test_link();
    failures += test_sentinel();
    failures += test_fitness();
    failures += test_confirm();
    failures += test_subscribe();
    failures += test_publish();
    failures += test_runs();
    failures += test_reading();
    failures += test_sessions();
    failures += test_jobs();
    return failures;
}
