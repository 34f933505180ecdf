/* site.c - which site a request is for (frappe-realtime contract, section 2.3). */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"

static struct slice slice_from(struct slice text, size_t at)
{
    return slice_make(text.ptr + at, text.len - at);
}

/* Behind "scheme://", all of it when there is no scheme. */
static struct slice after_scheme(struct slice url)
{
    const char *mark = url.len < 3 ? NULL : memmem(url.ptr, url.len, "://", 3);
    return mark == NULL ? url : slice_from(url, (size_t)(mark - url.ptr) + 3);
}

struct slice auth_authority(struct slice url_or_host)
{
    struct slice authority = after_scheme(url_or_host);
    for (size_t i = 0; i < authority.len; i++) {
        if (char_is_one_of(authority.ptr[i], "/?#\\"))
            authority.len = i;
    }
    return authority;
}

struct slice auth_hostname(struct slice url_or_host)
{
    struct slice host = auth_authority(url_or_host);
    const char *at = host.len == 0 ? NULL : memrchr(host.ptr, '@', host.len);
    if (at != NULL)
        host = slice_from(host, (size_t)(at - host.ptr) + 1);
    const char *close =
        host.len > 0 && host.ptr[0] == '[' ? memchr(host.ptr, ']', host.len) : NULL;
    if (close != NULL)
        return slice_make(host.ptr, (size_t)(close - host.ptr) + 1);
    const char *colon = host.len == 0 ? NULL : memchr(host.ptr, ':', host.len);
    return colon == NULL ? host : slice_make(host.ptr, (size_t)(colon - host.ptr));
}

static bool is_this_machine(struct slice name)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name.len == strlen(names[i]) &&
            strncasecmp(name.ptr, names[i], name.len) == 0)
            return true;
    }
    return false;
}

struct slice auth_site(struct slice site_header, struct slice origin, struct slice host,
                       struct slice default_site)
{
    struct slice named = auth_hostname(site_header);
    if (named.len > 0)
        return named;
    struct slice host_name = auth_hostname(host);
    if (default_site.len > 0 && is_this_machine(host_name))
        return default_site;
    /* "Origin: null" (a sandboxed frame) names no host: then the site is Host's, and the
     * origin check refuses with its own, clearer words. */
    bool names_host = after_scheme(origin).len < origin.len;
    struct slice origin_name = auth_hostname(origin);
    return names_host && origin_name.len > 0 ? origin_name : host_name;
}
