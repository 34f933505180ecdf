/* main.c - who somebody is and what they may see, asked of a scripted backend. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "rig.h"

int main(void)
{
    int failures = 0;

    diag_setup(DIAG_ERROR, DIAG_TEXT); /* the tests provoke what is told otherwise */
    failures += test_site();
    failures += test_identify();
    failures += test_permit();
    failures += test_native();
    failures += test_trouble();
    failures += test_flights();
    failures += test_secret();
    failures += test_wiping();
    return failures;
}
