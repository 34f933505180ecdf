/* roster.h - the providers at work: their keys, connections and circuit breakers. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_ROSTER_H
#define THINKWIRE_WORKER_ROSTER_H

#include "base/loop.h"
#include "base/map.h"
#include "breaker.h"
#include "http/client.h"
#include "providers.h"

/* What the configuration says stays as it is; what was learnt about a provider while it was
 * used stands here, shared by all generations of a worker. */
struct seat {
    const struct provider *provider;
    struct breaker breaker;
    struct breaker_settings breaker_settings;
    struct http_client *http; /* NULL for the demo provider */
    char *authorization;      /* a whole header line, or NULL: no key */
    uint64_t calls;
    uint64_t failures; /* those that count against the breaker */
};

struct roster {
    const struct providers *providers; /* borrowed */
    struct seat *seats;
    size_t count;
    struct http_client *memory; /* for the memory service; NULL until it is asked */
    struct map *chat_only;      /* "<url> <model>" that refused the Responses API */
};

/* Reads keys from the environment and from files. False with words in `error`. */
bool roster_open(struct roster *roster, struct loop *loop,
                 const struct providers *providers, struct buf *error);
void roster_close(struct roster *roster);

/* The seats that can be asked for `model`, first choice first; at most CHAIN_MAX. */
size_t roster_route(struct roster *roster, struct slice model,
                    struct seat *chain[CHAIN_MAX]);
/* What this provider is to be asked with. */
enum provider_api roster_api(const struct roster *roster, const struct seat *seat,
                             const char *model);
void roster_remember_chat(struct roster *roster, const struct seat *seat,
                          const char *model);

/* Kept-alive connections to the memory service, made at the first call. */
struct http_client *roster_memory_client(struct roster *roster, struct loop *loop);

#endif
