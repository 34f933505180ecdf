/* wake.c - waking a loop from another thread. */
/* SPDX-License-Identifier: MIT */
#include "base/wake.h"

#include "base/mem.h"

#include <stdlib.h>
#include <uv.h>

struct wake {
    uv_async_t uv;
    void (*woken)(void *ctx);
    void *ctx;
};

static void on_async(uv_async_t *uv)
{
    struct wake *wake = uv->data;
    wake->woken(wake->ctx);
}

struct wake *wake_new(struct loop *loop, void (*woken)(void *ctx), void *ctx)
{
    struct wake *wake = mem_new(sizeof(*wake));
    wake->woken = woken;
    wake->ctx = ctx;
    wake->uv.data = wake;
    if (uv_async_init(loop_uv(loop), &wake->uv, on_async) != 0)
        abort(); /* no descriptor left for the loop itself */
    return wake;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void wake_free(struct wake *wake)
{
    if (wake != NULL)
        uv_close((uv_handle_t *)(void *)&wake->uv, on_closed);
}

void wake_send(struct wake *wake)
{
    uv_async_send(&wake->uv);
}
