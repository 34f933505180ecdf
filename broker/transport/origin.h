/* origin.h - which browser origins may talk to us, and what CORS tells them. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TRANSPORT_ORIGIN_H
#define THINKWIRE_TRANSPORT_ORIGIN_H

#include "base/config.h"
#include "base/http.h"

/*
 * An origin is allowed when the list has it (scheme, host and port, compared without
 * regard to case) or has "*". It is the same host when its host name equals that of the
 * Host header; ports are not compared, because a proxy often drops them from Host.
 *
 *                     not listed, other host   same host   listed or "*"   no Origin
 *   WebSocket         403                      yes         yes             yes
 *   preflight         403                      204         204             (not one)
 *   other requests    served, no CORS lines    the same    CORS lines      served
 *
 * CORS does not protect WebSockets, so the upgrade asks origin_may_connect() itself.
 */
struct origin_rules {
    const struct config_list *origins;
    /* With "*": echo the origin and allow credentials instead of answering "*". Listed
     * origins are always echoed with credentials. */
    bool reflect_credentials;
    bool is_open; /* as if the list had "*" */
};

enum origin_verdict {
    ORIGIN_ABSENT,
    ORIGIN_SAME_HOST,
    ORIGIN_LISTED,
    ORIGIN_ANY, /* allowed by "*" only */
    ORIGIN_FOREIGN
};

/* `origin` and `host` are header values; an absent one has a NULL ptr. */
enum origin_verdict origin_judge(const struct origin_rules *rules, struct slice origin,
                                 struct slice host);
/* Whether a WebSocket may be opened: everything but ORIGIN_FOREIGN. */
bool origin_may_connect(const struct origin_rules *rules, struct slice origin,
                        struct slice host);

/* Appends the CORS lines that every answer carries, each ending in CR LF; none when
 * CORS is off or has nothing to say. */
void origin_write_lines(const struct origin_rules *rules, struct slice origin,
                        struct slice host, struct buf *out);

/* Whether `request` asks for permission only (OPTIONS with Origin and
 * Access-Control-Request-Method). */
bool origin_is_preflight(const struct http_request *request);
/* Appends what a preflight of an allowed origin is answered besides
 * origin_write_lines(). */
void origin_write_preflight(const struct http_request *request, struct buf *out);

#endif
