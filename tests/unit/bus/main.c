/* main.c - the tests of the bus room, against a real redis-server. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

int main(void)
{
    int failures = test_event();
    failures += test_redis();
    failures += test_heal();
    failures += test_failover();
    failures += test_history();
    failures += test_server();
    failures += test_frappe();
    failures += test_heard();
    return failures;
}
