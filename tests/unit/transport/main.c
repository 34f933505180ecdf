/* main.c - all tests of the transport. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

int main(void)
{
    return run_h1_tests() + run_origin_tests() + run_http_tests() + run_guard_tests() +
                       run_stream_tests() + run_ws_tests() + run_life_tests() +
                       run_drain_tests() ==
                   0
               ? 0
               : 1;
}
