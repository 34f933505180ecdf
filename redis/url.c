/* url.c - where a Redis is and who we are there. */
/* SPDX-License-Identifier: MIT */
#include "redis/url.h"

#include "base/http.h"
#include "base/mem.h"

#include <stdlib.h>

#define URL_MAX_BYTES 4096
#define MAX_SENTINELS 16

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

static bool read_place(struct redis_place *place, struct slice rest, struct buf *error)
{
    struct slice host;

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
    if (rest.len > 0 && (!read_number(rest, 65535, &place->port) || place->port == 0))
        return fail(error, "the port of a Redis address is a number from 1 to 65535");
    place->host = mem_text(host);
    return true;
}

static bool read_login(struct redis_url *url, struct slice *rest, struct buf *error)
{
    struct slice credentials;

    if (cut_credentials(rest, &credentials) && !read_credentials(url, credentials))
        return fail(error,
                    "name or password of a Redis address are badly percent-encoded");
    return true;
}

static bool read_tcp(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice authority;

    if (!read_login(url, &rest, error))
        return false;
    if (!cut_at(&rest, '/', &authority)) {
        authority = rest;
        rest = slice_make(NULL, 0);
    }
    url->place.port = 6379;
    return read_db(url, rest, error) && read_place(&url->place, authority, error);
}

/* ---- sentinels ---- */

static bool read_sentinels(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice one;
    bool is_last = false;

    url->sentinels = mem_array(MAX_SENTINELS, sizeof(*url->sentinels));
    while (!is_last) {
        if (url->sentinel_count == MAX_SENTINELS)
            return fail(error, "a Redis address names at most 16 sentinels");
        if (!cut_at(&rest, ',', &one)) {
            one = rest;
            is_last = true;
        }
        struct redis_place *place = &url->sentinels[url->sentinel_count++];
        *place = (struct redis_place){.port = 26379};
        if (!read_place(place, one, error))
            return false;
    }
    return true;
}

static bool read_master(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice name;

    if (!cut_at(&rest, '/', &name)) {
        name = rest;
        rest = slice_make(NULL, 0);
    }
    if (name.len == 0 || !decode(name, &url->master) || url->master[0] == '\0')
        return fail(error, "behind the sentinels stands the name they watch the master "
                           "under: redis+sentinel://host:26379/mymaster");
    return read_db(url, rest, error);
}

static bool cut_word(struct slice *s, const char *word)
{
    size_t len = strlen(word);

    if (s->len < len || memcmp(s->ptr, word, len) != 0)
        return false;
    *s = slice_make(s->ptr + len, s->len - len);
    return true;
}

static bool read_query(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice pair;

    while (rest.len > 0) {
        char **out;
        if (!cut_at(&rest, '&', &pair)) {
            pair = rest;
            rest = slice_make(NULL, 0);
        }
        if (cut_word(&pair, "sentinel_username="))
            out = &url->sentinel_user;
        else if (cut_word(&pair, "sentinel_password="))
            out = &url->sentinel_password;
        else
            return fail(error, "of sentinels only ?sentinel_username= and "
                               "sentinel_password= are known");
        if (*out != NULL || !decode(pair, out))
            return fail(error, "a sentinel's name or password is given twice or badly "
                               "percent-encoded");
    }
    return true;
}

static bool read_sentinel(struct redis_url *url, struct slice rest, struct buf *error)
{
    struct slice before;
    struct slice authority;

    /* The credentials first: a '?' or '/' in a password would end the rest too early. */
    if (!read_login(url, &rest, error))
        return false;
    if (cut_at(&rest, '?', &before)) {
        if (!read_query(url, rest, error))
            return false;
        rest = before;
    }
    if (!cut_at(&rest, '/', &authority)) {
        authority = rest;
        rest = slice_make(NULL, 0);
    }
    return read_sentinels(url, authority, error) && read_master(url, rest, error);
}

/* ---- sockets ---- */

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
    url->place.path = mem_text(path);
    return true;
}

static void name_target(struct redis_url *url)
{
    struct buf target;

    buf_init(&target, (size_t)2 * URL_MAX_BYTES);
    if (url->sentinels == NULL) {
        redis_place_name(&url->place, &target);
    } else {
        buf_printf(&target, "%s@", url->master);
        for (size_t i = 0; i < url->sentinel_count; i++) {
            if (i > 0)
                buf_putc(&target, ',');
            redis_place_name(&url->sentinels[i], &target);
        }
    }
    if (url->db != 0)
        buf_printf(&target, "/%u", url->db);
    url->target = mem_text(buf_view(&target));
    buf_release(&target);
}

static bool read_any(struct redis_url *url, struct slice rest, struct buf *error)
{
    if (rest.len > URL_MAX_BYTES)
        return fail(error, "a Redis address has at most 4096 bytes");
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] <= ' ')
            return fail(error, "a Redis address has no blanks or control characters");
    if (cut_word(&rest, "redis://"))
        return read_tcp(url, rest, error);
    if (cut_word(&rest, "unix://"))
        return read_unix(url, rest, error);
    if (cut_word(&rest, "redis+sentinel://"))
        return read_sentinel(url, rest, error);
    if (cut_word(&rest, "rediss://"))
        return fail(error, "rediss:// (TLS) is not built in: run stunnel beside this "
                           "process and give its local address as redis://");
    return fail(error, "a Redis address begins with redis://, unix:// or "
                       "redis+sentinel://");
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

bool redis_url_is_one(const char *text)
{
    static const char *const schemes[] = {"redis://", "unix://", "redis+sentinel://"};
    struct slice rest;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        rest = slice_of(text);
        if (cut_word(&rest, schemes[i]))
            return true;
    }
    return false;
}

/* Not left readable in freed memory. */
static void free_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void redis_url_release(struct redis_url *url)
{
    redis_place_release(&url->place);
    for (size_t i = 0; i < url->sentinel_count; i++)
        redis_place_release(&url->sentinels[i]);
    free(url->sentinels);
    free(url->master);
    free(url->user);
    free_secret(url->password);
    free(url->sentinel_user);
    free_secret(url->sentinel_password);
    free(url->target);
    *url = (struct redis_url){.db = 0};
}

/* ---- places ---- */

void redis_place_name(const struct redis_place *place, struct buf *out)
{
    if (place->path != NULL)
        buf_puts(out, place->path);
    else if (strchr(place->host, ':') != NULL)
        buf_printf(out, "[%s]:%u", place->host, place->port);
    else
        buf_printf(out, "%s:%u", place->host, place->port);
}

static bool text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool redis_place_equal(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && text_equal(a->host, b->host) &&
           text_equal(a->path, b->path);
}

struct redis_place redis_place_copy(const struct redis_place *place)
{
    struct redis_place copy = {.port = place->port};

    if (place->host != NULL)
        copy.host = mem_text(slice_of(place->host));
    if (place->path != NULL)
        copy.path = mem_text(slice_of(place->path));
    return copy;
}

void redis_place_release(struct redis_place *place)
{
    free(place->host);
    free(place->path);
    *place = (struct redis_place){.port = 0};
}
