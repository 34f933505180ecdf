/* handshake.h - what a session remembers of the request that opened it. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_ENGINE_HANDSHAKE_H
#define THINKWIRE_ENGINE_HANDSHAKE_H

#include "base/http.h"

/* The handshake request, kept as long as the session: what the application may want to
 * know. Header values are NULL slices when absent. */
struct sio_handshake {
    struct slice query;
    struct slice peer;
    struct slice host;
    struct slice origin;
    struct slice cookie;
    struct slice authorization;
    struct slice site_header; /* X-Frappe-Site-Name */
    struct slice user_agent;
    bool is_tls;
};

/* A copy in one allocation; the caller frees it with free(). */
struct sio_handshake *handshake_copy(const struct http_request *request);

#endif
