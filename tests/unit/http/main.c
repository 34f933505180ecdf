/* main.c - the tests of the HTTP client against a scripted server. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

int main(void)
{
    int failures = test_answers();
    failures += test_endings();
    return failures;
}
