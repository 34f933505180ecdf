/* url.h - where a Redis is and who we are there. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_URL_H
#define THINKWIRE_REDIS_URL_H

#include "base/buf.h"

struct redis_url {
    char *host; /* NULL for a unix socket */
    char *path; /* NULL for TCP */
    char *user; /* NULL = the default user */
    char *password;
    unsigned port;
    unsigned db;
    char *target; /* for diagnostics: no credentials */
};

/* The forms of link_new(). False with one sentence in `error` that never repeats the URL,
 * since a password may stand in it; nothing is held then. */
bool redis_url_parse(const char *text, struct redis_url *url, struct buf *error);
void redis_url_release(struct redis_url *url);

#endif
