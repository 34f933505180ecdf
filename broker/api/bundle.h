/* bundle.h - the Socket.IO browser client that is built into the broker. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_BUNDLE_H
#define THINKWIRE_API_BUNDLE_H

#include "base/http.h"

/* The files of third_party/socket.io-client, put into C by embed.cmake. */
struct bundle_file {
    const char *name; /* "socket.io.js"; NULL ends the list */
    const char *text;
    size_t len;
};

extern const char bundle_version[]; /* "4.8.4" */
extern const struct bundle_file bundle_files[];

/* Serves the file that the last part of the path names: as stock servers do, with the
 * version as ETag. */
void bundle_serve(void *ctx, struct http_exchange *x);

#endif
