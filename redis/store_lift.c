/* store_lift.c - opaque events in the durable log, written by one elected broker. */
/* SPDX-License-Identifier: MIT */
#include "redis/store_lift.h"

#include "redis/store_inside.h"

static void finish_lift(struct call *call, const struct reply *reply)
{
    store_lifted *done = (store_lifted *)call->done;

    if (reply == NULL || reply_count(reply) != 4) {
        done(call->ctx, STORE_LIFT_UNAVAILABLE);
        return;
    }
    struct slice status = reply_text(reply_at(reply, 0));
    uint64_t opened = reply_u64(reply_at(reply, 1));
    if (opened != 0)
        store_index_open(call->store, &call->task, opened);
    if (!slice_is(status, "OK")) {
        done(call->ctx,
             slice_is(status, "NATIVE") ? STORE_LIFT_NATIVE : STORE_LIFT_FENCED);
        return;
    }
    if (run_state_is_final(run_state_of(reply_text(reply_at(reply, 3)))))
        store_index_close(call->store, &call->task, reply_u64(reply_at(reply, 2)));
    done(call->ctx, STORE_LIFT_DONE);
}

void store_lift(struct store *store, const struct store_lift *lift, store_lifted *done,
                void *ctx)
{
    struct call *call = call_new(store, &lift->task, finish_lift);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    call_begin(call, &script_lift);
    call_arg(call, lift->lifter);
    call_arg_u64(call, lift->term);
    call_arg(call, lift->type);
    call_arg(call, lift->json);
    call_run(call);
}

static void finish_elect(struct call *call, const struct reply *reply)
{
    bool is_answer = reply != NULL && reply_kind(reply) == REPLY_TEXT;

    ((store_elected *)call->done)(call->ctx, is_answer ? reply_u64(reply) : 0);
}

void store_elect(struct store *store, struct slice who, uint64_t lasts_ms,
                 store_elected *done, void *ctx)
{
    struct call *call = call_new(store, NULL, finish_elect);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    /* Short enough to go as it is, and then NOSCRIPT needs no care. */
    call_arg(call, slice_of("EVAL"));
    call_arg(call, slice_make(script_elect.text, script_elect.len));
    call_arg(call, slice_of("1"));
    buf_printf(&call->bytes, "%s:lift", store->prefix);
    call_arg_end(call);
    call_arg(call, who);
    call_arg_u64(call, lasts_ms);
    call_command(call);
}
