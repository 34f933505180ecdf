/* origin.c - which browser origins may talk to us, and what CORS tells them. */
/* SPDX-License-Identifier: MIT */
#include "transport/origin.h"

#include <ctype.h>

#define REQUESTED_HEADERS_MAX_BYTES 1024

static bool equals_any_case(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* "[::1]:80" -> "[::1]", "host:80" -> "host" */
static struct slice without_port(struct slice authority)
{
    const char *close = authority.len > 0 && authority.ptr[0] == '['
                            ? memchr(authority.ptr, ']', authority.len)
                            : NULL;
    if (close != NULL)
        return slice_make(authority.ptr, (size_t)(close - authority.ptr) + 1);
    const char *colon =
        authority.len == 0 ? NULL : memchr(authority.ptr, ':', authority.len);
    return colon == NULL ? authority
                         : slice_make(authority.ptr, (size_t)(colon - authority.ptr));
}

/* The host name inside "scheme://host[:port]"; empty for "null" and for nonsense. */
static struct slice origin_host(struct slice origin)
{
    const char *mark = origin.len < 4 ? NULL : memmem(origin.ptr, origin.len, "://", 3);

    if (mark == NULL)
        return slice_make("", 0);
    size_t skip = (size_t)(mark - origin.ptr) + 3;
    return without_port(slice_make(origin.ptr + skip, origin.len - skip));
}

static bool list_has(const struct config_list *list, struct slice origin)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        if (equals_any_case(slice_of(list->items[i]), origin))
            return true;
    }
    return false;
}

static bool list_has_any(const struct origin_rules *rules)
{
    return rules->is_open || list_has(rules->origins, slice_of("*"));
}

enum origin_verdict origin_judge(const struct origin_rules *rules, struct slice origin,
                                 struct slice host)
{
    if (origin.ptr == NULL)
        return ORIGIN_ABSENT;
    /* An Origin that spells "*" is nobody's. */
    if (!slice_is(origin, "*") && list_has(rules->origins, origin))
        return ORIGIN_LISTED;
    if (list_has_any(rules))
        return ORIGIN_ANY;
    struct slice name = origin_host(origin);
    if (name.len > 0 && equals_any_case(name, without_port(host)))
        return ORIGIN_SAME_HOST;
    return ORIGIN_FOREIGN;
}

bool origin_may_connect(const struct origin_rules *rules, struct slice origin,
                        struct slice host)
{
    return origin_judge(rules, origin, host) != ORIGIN_FOREIGN;
}

static void write_line(struct buf *out, const char *name, struct slice value)
{
    buf_puts(out, name);
    buf_puts(out, ": ");
    buf_slice(out, value);
    buf_puts(out, "\r\n");
}

static const char exposed[] =
    "Access-Control-Expose-Headers: X-Request-Id, X-Task-Id\r\n";

void origin_write_lines(const struct origin_rules *rules, struct slice origin,
                        struct slice host, struct buf *out)
{
    if (!rules->is_open && (rules->origins == NULL || rules->origins->count == 0))
        return;
    enum origin_verdict verdict = origin_judge(rules, origin, host);
    bool answers_star = list_has_any(rules) && !rules->reflect_credentials;
    bool echoes = verdict == ORIGIN_LISTED || (verdict == ORIGIN_ANY && !answers_star);
    if (echoes) {
        write_line(out, "Access-Control-Allow-Origin", origin);
        buf_puts(out, "Access-Control-Allow-Credentials: true\r\n");
        buf_puts(out, exposed);
    } else if (answers_star) {
        buf_puts(out, "Access-Control-Allow-Origin: *\r\n");
        buf_puts(out, exposed);
    }
    /* The answer to somebody else would differ: caches must know. */
    if (!answers_star || rules->origins->count > 1)
        buf_puts(out, "Vary: Origin\r\n");
}

bool origin_is_preflight(const struct http_request *request)
{
    return request->method == HTTP_OPTIONS &&
           http_header(request, "origin").ptr != NULL &&
           http_header(request, "access-control-request-method").ptr != NULL;
}

static bool is_name_list(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (isalnum((unsigned char)c) == 0 && strchr("-_, ", c) == NULL)
            return false;
    }
    return text.len > 0 && text.len <= REQUESTED_HEADERS_MAX_BYTES;
}

void origin_write_preflight(const struct http_request *request, struct buf *out)
{
    struct slice asked = http_header(request, "access-control-request-headers");

    buf_puts(out, "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
                  "Access-Control-Allow-Headers: Authorization,Content-Type,X-API-Key,"
                  "Last-Event-ID,X-Request-Id,If-None-Match,Thinkwire-Producer,"
                  "Thinkwire-Epoch,Thinkwire-Counter");
    /* An allowed origin may send what it likes: libraries have headers of their own. */
    if (is_name_list(asked)) {
        buf_putc(out, ',');
        buf_slice(out, asked);
    }
    buf_puts(out, "\r\nVary: Access-Control-Request-Headers\r\n"
                  "Access-Control-Max-Age: 600\r\n");
}
