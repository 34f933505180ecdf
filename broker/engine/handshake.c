/* handshake.c - what a session remembers of the request that opened it. */
/* SPDX-License-Identifier: MIT */
#include "engine/handshake.h"

#include "base/mem.h"

/* Moves `s` into the text that follows the struct; an absent value stays absent. */
static struct slice keep(char **at, struct slice s)
{
    if (s.ptr == NULL)
        return s;
    char *text = *at;
    if (s.len > 0)
        memcpy(text, s.ptr, s.len);
    *at += s.len;
    return slice_make(text, s.len);
}

struct sio_handshake *handshake_copy(const struct http_request *request)
{
    const struct sio_handshake seen = {
        .query = request->query,
        .peer = request->peer,
        .host = http_header(request, "host"),
        .origin = http_header(request, "origin"),
        .cookie = http_header(request, "cookie"),
        .authorization = http_header(request, "authorization"),
        .site_header = http_header(request, "x-frappe-site-name"),
        .user_agent = http_header(request, "user-agent"),
        .is_tls = request->is_tls,
    };
    size_t text_len = seen.query.len + seen.peer.len + seen.host.len + seen.origin.len +
                      seen.cookie.len + seen.authorization.len + seen.site_header.len +
                      seen.user_agent.len;
    struct sio_handshake *kept = mem_new(sizeof(*kept) + text_len);
    char *at = (char *)(kept + 1);

    kept->query = keep(&at, seen.query);
    kept->peer = keep(&at, seen.peer);
    kept->host = keep(&at, seen.host);
    kept->origin = keep(&at, seen.origin);
    kept->cookie = keep(&at, seen.cookie);
    kept->authorization = keep(&at, seen.authorization);
    kept->site_header = keep(&at, seen.site_header);
    kept->user_agent = keep(&at, seen.user_agent);
    kept->is_tls = seen.is_tls;
    return kept;
}
