/* url.h - where a Redis is and who we are there. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_URL_H
#define THINKWIRE_REDIS_URL_H

#include "base/buf.h"

/*
 *     redis://[[user]:password@]host[:port][/db]
 *     unix:///path[?db=N]
 *     redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master[/db]
 *         [?sentinel_username=...&sentinel_password=...]
 *
 * Names and passwords may be percent-encoded, IPv6 stands in brackets. Ports are 6379, of
 * sentinels 26379, unless given. User and password are those of the Redis itself; the
 * sentinels have theirs in the query, since most have none. At most 16 sentinels.
 */
#define REDIS_URL_FORMS                                                                \
    "redis://[user:pass@]host:port[/db], unix:///path or "                             \
    "redis+sentinel://[user:pass@]host:port[,host:port...]/master[/db]"

/* One address; `path` is that of a unix socket, and then there is no host. */
struct redis_place {
    char *host;
    char *path;
    unsigned port;
};

struct redis_url {
    struct redis_place place; /* all empty when sentinels are asked for it */
    char *user;               /* NULL = the default user */
    char *password;
    unsigned db;

    struct redis_place *sentinels; /* NULL: `place` is meant */
    size_t sentinel_count;
    char *master; /* the name under which they watch it */
    char *sentinel_user;
    char *sentinel_password;

    char *target; /* for diagnostics: no credentials */
};

/* False with one sentence in `error` that never repeats the URL, since a password may stand
 * in it; nothing is held then. */
bool redis_url_parse(const char *text, struct redis_url *url, struct buf *error);
void redis_url_release(struct redis_url *url);
/* True when the text begins as one of the forms does; more only redis_url_parse() knows. */
bool redis_url_is_one(const char *text);

/* Appends "host:port", "[v6]:port" or the path. */
void redis_place_name(const struct redis_place *place, struct buf *out);
/* The bytes of both are the same. */
bool redis_place_equal(const struct redis_place *a, const struct redis_place *b);
struct redis_place redis_place_copy(const struct redis_place *place);
void redis_place_release(struct redis_place *place);

#endif
