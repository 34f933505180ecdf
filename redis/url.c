/* url.c - where a Redis is and who we are there. */
/* SPDX-License-Identifier: MIT */
#include "redis/url.h"

#include "base/http.h"
#include "base/mem.h"

#include <stdlib.h>

#define URL_MAX_BYTES 4096

/* The part of `s` before the first `mark`; `s` becomes what follows it. Without the mark
 * false, and both are left alone. */
static bool cut_at(struct slice *s, char mark, struct slice *before)
{
    const char *at = s->len == 0 ? NULL : memchr(s->ptr, mark, s->len);

    if (at == NULL)
        return false;
    size_t len = (size_t)(at - s->ptr);
    *before = slice_make(s->ptr, len);
    *s = slice_make(at + 1, s->len - len - 1);
    return true;
}

/* Passwords may hold '@': the last one ends the credentials. */
static bool cut_credentials(struct slice *s, struct slice *credentials)
{
    const char *at = s->len == 0 ? NULL : memrchr(s->ptr, '@', s->len);

    if (at == NULL)
        return false;
    size_t len = (size_t)(at - s->ptr);
    *credentials = slice_make(s->ptr, len);
    *s = slice_make(at + 1, s->len - len - 1);
    return true;
}

static bool fail(struct buf *error, const char *message)
{
    buf_puts(error, message);
    return false;
}

static bool read_number(struct slice digits, unsigned max, unsigned *number)
{
    unsigned long value = 0;

    if (digits.len == 0 || digits.len > 9)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned long)(digits.ptr[i] - '0');
    }
    *number = (unsigned)value;
    return value <= max;
}

static bool decode(struct slice text, char **out)
{
    struct buf plain;
    bool good;

    buf_init(&plain, URL_MAX_BYTES);
    good = http_percent_decode(text, &plain);
    if (good)
        *out = mem_text(buf_view(&plain));
    buf_release(&plain);
    return good;
}

static bool read_credentials(struct redis_url *url, struct slice credentials)
{
    struct slice user = {NULL, 0};

    (void)cut_at(&credentials, ':', &user);
    if (user.len > 0 && !decode(user, &url->user))
        return false;
    return decode(credentials, &url->password);
}

static bool read_db(struct redis_url *url, struct slice digits, struct buf *error)
{
    if (digits.len == 0 || read_number(digits, 999999, &url->db))
        return true;
    return fail(error,
                "the database of a Redis address is a number: redis://host:6379/0");
}

static bool read_host(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice host;

    url->port = 6379;
    if (rest.len > 0 && rest.ptr[0] == '[') {
        rest = slice_make(rest.ptr + 1, rest.len - 1);
        if (!cut_at(&rest, ']', &host) || (rest.len > 0 && rest.ptr[0] != ':'))
            return fail(error,
                        "an IPv6 address stands in brackets: redis://[::1]:6379");
        if (rest.len > 0)
            rest = slice_make(rest.ptr + 1, rest.len - 1);
    } else if (!cut_at(&rest, ':', &host)) {
        host = rest;
        rest = slice_make(NULL, 0);
    }
    if (host.len == 0)
        return fail(error, "a Redis address needs a host: redis://host:6379/0");
    if (rest.len > 0 && (!read_number(rest, 65535, &url->port) || url->port == 0))
        return fail(error, "the port of a Redis address is a number from 1 to 65535");
    url->host = mem_text(host);
    return true;
}

static bool read_tcp(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice credentials;
    struct slice authority;

    if (cut_credentials(&rest, &credentials) && !read_credentials(url, credentials))
        return fail(error,
                    "name or password of a Redis address are badly percent-encoded");
    if (!cut_at(&rest, '/', &authority)) {
        authority = rest;
        rest = slice_make(NULL, 0);
    }
    return read_db(url, rest, error) && read_host(url, authority, error);
}

static bool read_unix(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice path = rest;
    struct slice query = {NULL, 0};
    struct slice before;

    if (cut_at(&rest, '?', &before)) {
        path = before;
        query = rest;
    }
    if (path.len == 0 || path.ptr[0] != '/')
        return fail(error,
                    "a Redis socket has an absolute path: unix:///run/redis.sock");
    if (path.len > 107)
        return fail(error, "a Redis socket's path has at most 107 bytes");
    if (query.len > 0 && (query.len < 4 || memcmp(query.ptr, "db=", 3) != 0))
        return fail(
            error,
            "behind a Redis socket only ?db=N is known (password: use redis://)");
    if (query.len > 0 && !read_db(url, slice_make(query.ptr + 3, query.len - 3), error))
        return false;
    url->path = mem_text(path);
    return true;
}

static void name_target(struct redis_url *url)
{
    struct buf target;

    buf_init(&target, URL_MAX_BYTES);
    if (url->path != NULL)
        buf_puts(&target, url->path);
    else if (strchr(url->host, ':') != NULL)
        buf_printf(&target, "[%s]:%u", url->host, url->port);
    else
        buf_printf(&target, "%s:%u", url->host, url->port);
    if (url->db != 0)
        buf_printf(&target, "/%u", url->db);
    url->target = mem_text(buf_view(&target));
    buf_release(&target);
}

static bool has_scheme(struct slice *rest, const char *scheme)
{
    size_t len = strlen(scheme);

    if (rest->len < len || memcmp(rest->ptr, scheme, len) != 0)
        return false;
    *rest = slice_make(rest->ptr + len, rest->len - len);
    return true;
}

static bool read_any(struct redis_url *url, struct slice rest, struct buf *error)
{
    if (rest.len > URL_MAX_BYTES)
        return fail(error, "a Redis address has at most 4096 bytes");
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] <= ' ')
            return fail(error, "a Redis address has no blanks or control characters");
    if (has_scheme(&rest, "redis://"))
        return read_tcp(url, rest, error);
    if (has_scheme(&rest, "unix://"))
        return read_unix(url, rest, error);
    if (has_scheme(&rest, "rediss://"))
        return fail(error, "rediss:// (TLS) is not built in: run stunnel beside this "
                           "process and give its local address as redis://");
    return fail(error, "a Redis address begins with redis:// or unix://");
}

bool redis_url_parse(const char *text, struct redis_url *url, struct buf *error)
{
    *url = (struct redis_url){.db = 0};
    if (!read_any(url, slice_of(text), error)) {
        redis_url_release(url);
        return false;
    }
    name_target(url);
    return true;
}

void redis_url_release(struct redis_url *url)
{
    free(url->host);
    free(url->path);
    free(url->user);
    /* Not left readable in freed memory. */
    if (url->password != NULL)
        explicit_bzero(url->password, strlen(url->password));
    free(url->password);
    free(url->target);
    *url = (struct redis_url){.db = 0};
}
