/* writes.c - who may write where nobody is asked who he is. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"

/*
 * A bench's backend tells who a browser is, and nothing of programs, while the broker stands
 * where the original stood: on all interfaces. So what only the bench's own processes do is
 * theirs who are on this machine. A proxy here speaks for somebody else, and says so in one
 * of these headers.
 */
static const char *const forwarding[] = {"forwarded",        "x-forwarded-for",
                                         "x-forwarded-host", "x-forwarded-proto",
                                         "x-real-ip",        "via"};

static bool was_forwarded(const struct http_request *request)
{
    for (size_t i = 0; i < sizeof(forwarding) / sizeof(forwarding[0]); i++)
        if (http_header(request, forwarding[i]).ptr != NULL)
            return true;
    return false;
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

static bool is_this_machine(struct slice peer)
{
    return slice_is(peer, "unix") || slice_is(peer, "::1") ||
           begins_with(peer, "127.") || begins_with(peer, "::ffff:127.");
}

bool api_may_write(const struct api *api, struct http_exchange *x)
{
    if (!api->options.writes_are_local ||
        (is_this_machine(x->request->peer) && !was_forwarded(x->request)))
        return true;
    http_respond_error(x, 403, "WRITES_ARE_LOCAL",
                       "only programs on the broker's machine may write here "
                       "(--native-writes)",
                       NULL);
    return false;
}
