/* eio_farewell.c - orderly closes that the client has not heard of yet. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

#include "base/mem.h"

#include <stdlib.h>

/*
 * A polling session may end between two GETs. Its next GET is told so (`6`, `1`) instead of
 * `Session ID unknown`. Oldest first in farewell_order; what is too old goes when the next
 * one comes, so no timer is needed for at most EIO_MAX_FAREWELLS small records.
 */

void eio_farewell_forget(struct eio_server *server, struct eio_farewell *farewell)
{
    map_remove(server->farewells, slice_of(farewell->sid));
    list_remove(&farewell->link);
    free(farewell);
}

static struct eio_farewell *oldest(struct eio_server *server)
{
    return LIST_ENTRY(server->farewell_order.next, struct eio_farewell, link);
}

static void forget_old(struct eio_server *server)
{
    uint64_t now = loop_now_ms(server->loop);

    LIST_FOR_EACH(it, tmp, &server->farewell_order)
    {
        struct eio_farewell *farewell = LIST_ENTRY(it, struct eio_farewell, link);
        if (farewell->until_ms > now)
            return;
        eio_farewell_forget(server, farewell);
    }
}

void eio_farewell_add(struct eio_server *server, const struct eio_session *session)
{
    struct eio_farewell *farewell = mem_new(sizeof(*farewell));

    forget_old(server);
    if (map_size(server->farewells) >= EIO_MAX_FAREWELLS)
        eio_farewell_forget(server, oldest(server));
    farewell->until_ms = loop_now_ms(server->loop) + EIO_FAREWELL_MS;
    farewell->revision = session->revision;
    memcpy(farewell->sid, session->sid, EIO_ID_SIZE);
    map_set(server->farewells, slice_of(farewell->sid), farewell);
    list_push_back(&server->farewell_order, &farewell->link);
}

struct eio_farewell *eio_farewell_find(struct eio_server *server, const char *sid)
{
    forget_old(server);
    return map_get(server->farewells, slice_of(sid));
}

void eio_farewell_forget_all(struct eio_server *server)
{
    LIST_FOR_EACH(it, tmp, &server->farewell_order)
    {
        eio_farewell_forget(server, LIST_ENTRY(it, struct eio_farewell, link));
    }
}
