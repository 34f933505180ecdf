/* main.c - conversations with the engine. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/diag.h"

int main(void)
{
    int failures = 0;

    diag_setup(DIAG_ERROR, DIAG_TEXT); /* the tests provoke what is told otherwise */
    failures += test_handshake();
    failures += test_polling();
    failures += test_websocket();
    failures += test_heartbeat();
    failures += test_upgrade();
    failures += test_eio3();
    failures += test_namespaces();
    failures += test_events();
    failures += test_pull();
    failures += test_lifetime();
    return failures;
}
