/* echo.h - the two echo applications that the public protocol suites expect. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_CONFORMANCE_ECHO_H
#define THINKWIRE_TESTS_CONFORMANCE_ECHO_H

#include "engine/eio.h"
#include "engine/sio.h"

/* Engine.IO: every message comes back as it is. No context. */
extern const struct eio_app raw_echo;

/* Socket.IO: namespaces "/" and "/custom"; `auth` on connect; `message` comes back as
 * `message-back`, `message-with-ack` as an acknowledgement. No context. */
extern const struct sio_app socket_echo;

#endif
