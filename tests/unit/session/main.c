/* main.c - the tests of the session room. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "support.h"

int main(void)
{
    int failures;

    /* Sockets come and go by the thousand. */
    diag_setup(DIAG_ERROR, DIAG_TEXT);
    failures = test_join();

    failures += test_resume();
    failures += test_runs();
    failures += test_history();
    failures += test_history_gone();
    failures += test_slow();
    failures += test_ws();
    failures += test_sse();
    failures += test_format();
    failures += test_sio();
    failures += test_snapshot();
    failures += test_life();
    failures += test_faults();
    failures += test_return();
    failures += test_property();
    return failures;
}
