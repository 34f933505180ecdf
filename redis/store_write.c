/* store_write.c - the scripts that change a task. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "redis/store_inside.h"

/* `done` travels as a function without arguments and is cast back by who knows its type. */
#define DONE(call, type) ((type)(call)->done)

typedef void end_done(void *ctx, enum store_end_status status);
typedef void stop_done(void *ctx, enum stop_status status, uint64_t epoch);
typedef void erase_done(void *ctx, bool ok);
typedef void any_done(void);

/* The i-th item of a script's answer, or what an empty text would be. */
static struct slice text_at(const struct reply *reply, size_t i)
{
    const struct reply *item = reply_at(reply, i);
    return item == NULL ? slice_make(NULL, 0) : reply_text(item);
}

static uint64_t number_at(const struct reply *reply, size_t i)
{
    const struct reply *item = reply_at(reply, i);
    return item == NULL ? 0 : reply_u64(item);
}

static bool is_answer(const struct reply *reply, size_t count)
{
    return reply != NULL && reply_count(reply) == count;
}

static enum publish_status status_of(struct slice name)
{
    static const struct {
        const char *name;
        enum publish_status status;
    } all[] = {{"OK", PUBLISH_OK},
               {"FENCED", PUBLISH_FENCED},
               {"ENDED", PUBLISH_ENDED},
               {"GAP", PUBLISH_GAP},
               {"UNKNOWN_RUN", PUBLISH_UNKNOWN_RUN},
               {"TOO_LARGE", PUBLISH_TOO_LARGE}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (slice_is(name, all[i].name))
            return all[i].status;
    return PUBLISH_UNAVAILABLE;
}

/* ---- open ---- */

static void finish_open(struct call *call, const struct reply *reply)
{
    store_opened *done = DONE(call, store_opened *);

    if (!is_answer(reply, 3)) {
        done(call->ctx, PUBLISH_UNAVAILABLE, 0);
        return;
    }
    enum publish_status status = status_of(text_at(reply, 0));
    uint64_t epoch = number_at(reply, 1);
    if (status == PUBLISH_OK)
        store_index_open(call->store, &call->task, epoch);
    done(call->ctx, status, epoch);
}

void store_claim(struct store *store, const struct run_open_request *request,
                 uint64_t epoch, store_opened *done, void *ctx)
{
    struct call *call = call_new(store, &request->task, finish_open);

    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_open);
    call_arg(call, request->producer);
    call_arg(call, slice_of(run_state_name(request->state)));
    call_arg_u64(call, request->lease_ms);
    call_arg_u64(call, request->keeps_text ? 1 : 0);
    call_arg(call, request->request);
    call_arg_u64(call, epoch);
    call_arg_u64(call, request->is_submission ? 1 : 0);
    call_arg_u64(call, request->from_point);
    call_run(call);
}

void store_open(struct store *store, const struct run_open_request *request,
                store_opened *done, void *ctx)
{
    store_claim(store, request, 0, done, ctx);
}

/* ---- publish ---- */

static void resume_publish(struct call *call, bool is_lost)
{
    struct publish_result lost = {.status = PUBLISH_UNAVAILABLE,
                                  .detail = "Redis was lost before a replica had it"};

    DONE(call, store_published *)(call->ctx, is_lost ? &lost : &call->published);
}

static void finish_publish(struct call *call, const struct reply *reply)
{
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    store_published *done = DONE(call, store_published *);

    if (!is_answer(reply, 9)) {
        if (reply != NULL && reply_kind(reply) == REPLY_ERROR)
            result.detail = store_refusal_text(store_refusal_of(reply));
        done(call->ctx, &result);
        return;
    }
    uint64_t opened = number_at(reply, 7);
    result.status = status_of(text_at(reply, 0));
    result.first.epoch = number_at(reply, 1);
    result.first.seq = number_at(reply, 2);
    result.last.epoch = number_at(reply, 3);
    result.last.seq = number_at(reply, 4);
    result.expected_counter = number_at(reply, 5);
    result.stop_requested = number_at(reply, 6) == 1;
    if (opened != 0)
        store_index_open(call->store, &call->task, opened);
    if (run_state_is_final(run_state_of(text_at(reply, 8))) && result.last.epoch != 0) {
        store_index_close(call->store, &call->task, result.last.epoch);
        call->published = result;
        if (call_hold(call, resume_publish))
            return;
    }
    done(call->ctx, &result);
}

static bool is_too_large(const struct publish_request *request)
{
    size_t bytes = 0;

    if (request->count == 0 || request->count > STORE_MAX_BATCH_EVENTS)
        return true;
    for (size_t i = 0; i < request->count; i++)
        bytes += request->events[i].json.len;
    return bytes > STORE_MAX_BATCH_BYTES;
}

static void add_event(struct call *call, const struct event *event)
{
    call_arg(call, event->type_name);
    /* One line, so that every transport may carry it as it is. */
    if (memchr(event->json.ptr, '\n', event->json.len) != NULL)
        json_minify(&call->bytes, event->json);
    else
        buf_slice(&call->bytes, event->json);
    call_arg_end(call);
    if (event->is_delta)
        json_unescape(&call->bytes, event->text);
    call_arg_end(call);
}

void store_publish(struct store *store, const struct publish_request *request,
                   store_published *done, void *ctx)
{
    if (is_too_large(request)) {
        done(ctx, &(struct publish_result){
                      .status = PUBLISH_REJECTED,
                      .detail = "a batch has 1 to 1024 events and at most 4 MB"});
        return;
    }
    struct call *call = call_new(store, &request->task, finish_publish);
    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_publish);
    call_arg(call, request->producer);
    call_arg_u64(call, request->epoch);
    call_arg_u64(call, request->counter);
    call_arg_u64(call, request->count);
    for (size_t i = 0; i < request->count; i++)
        add_event(call, &request->events[i]);
    call_run(call);
}

/* ---- renew ---- */

static void finish_renew(struct call *call, const struct reply *reply)
{
    struct publish_result result = {.status = PUBLISH_UNAVAILABLE};
    store_published *done = DONE(call, store_published *);

    if (is_answer(reply, 2)) {
        result.status = status_of(text_at(reply, 0));
        result.stop_requested = number_at(reply, 1) == 1;
    }
    done(call->ctx, &result);
}

void store_renew(struct store *store, const struct store_renewal *renewal,
                 store_published *done, void *ctx)
{
    struct call *call = call_new(store, &renewal->task, finish_renew);

    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_renew);
    call_arg(call, renewal->producer);
    call_arg_u64(call, renewal->epoch);
    call_arg_u64(call, renewal->lease_ms);
    call_run(call);
}

/* ---- end ---- */

static enum store_end_status end_status_of(struct slice name)
{
    static const struct {
        const char *name;
        enum store_end_status status;
    } all[] = {{"ENDED_NOW", STORE_END_DONE},
               {"ENDED", STORE_END_ALREADY},
               {"HELD", STORE_END_HELD},
               {"STALE", STORE_END_STALE},
               {"UNKNOWN_RUN", STORE_END_UNKNOWN}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (slice_is(name, all[i].name))
            return all[i].status;
    return STORE_END_UNAVAILABLE;
}

static void resume_end(struct call *call, bool is_lost)
{
    DONE(call, end_done *)(call->ctx, is_lost ? STORE_END_UNAVAILABLE : call->ended);
}

static void finish_end(struct call *call, const struct reply *reply)
{
    enum store_end_status status = STORE_END_UNAVAILABLE;
    end_done *done = DONE(call, end_done *);

    if (is_answer(reply, 3))
        status = end_status_of(text_at(reply, 0));
    if (status == STORE_END_DONE || status == STORE_END_ALREADY)
        store_index_close(call->store, &call->task, number_at(reply, 1));
    call->ended = status;
    if (status == STORE_END_DONE && call_hold(call, resume_end))
        return;
    done(call->ctx, status);
}

void store_end(struct store *store, const struct store_ending *ending,
               void (*done)(void *ctx, enum store_end_status status), void *ctx)
{
    static const char *const conditions[] = {
        [STORE_IF_ANY] = "any",       [STORE_IF_LEASE_ABSENT] = "lease-absent",
        [STORE_IF_QUEUED] = "queued", [STORE_IF_STOP_GRACE] = "stop-grace",
        [STORE_IF_IDLE] = "idle",
    };
    struct call *call = call_new(store, &ending->task, finish_end);

    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_end);
    call_arg(call, slice_of(conditions[ending->condition]));
    call_arg_u64(call, ending->epoch);
    call_arg_u64(call, ending->min_age_ms);
    call_arg(call, slice_of(event_type_name(ending->type)));
    call_arg(call, slice_of(ending->code));
    call_arg(call, slice_of(ending->message));
    call_arg_u64(call, ending->not_after_ms);
    call_run(call);
}

/* ---- stop ---- */

static enum stop_status stop_status_of(struct slice name)
{
    static const struct {
        const char *name;
        enum stop_status status;
    } all[] = {{"accepted", STOP_ACCEPTED},
               {"no_producer", STOP_NO_PRODUCER},
               {"already_finished", STOP_ALREADY_FINISHED},
               {"unknown_task", STOP_UNKNOWN_TASK},
               {"stale_epoch", STOP_STALE_EPOCH}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (slice_is(name, all[i].name))
            return all[i].status;
    return STOP_UNAVAILABLE;
}

static void resume_stop(struct call *call, bool is_lost)
{
    DONE(call, stop_done *)
    (call->ctx, is_lost ? STOP_UNAVAILABLE : call->stopped, is_lost ? 0 : call->epoch);
}

static void finish_stop(struct call *call, const struct reply *reply)
{
    stop_done *done = DONE(call, stop_done *);

    if (!is_answer(reply, 3)) {
        done(call->ctx, STOP_UNAVAILABLE, 0);
        return;
    }
    uint64_t epoch = number_at(reply, 1);
    call->stopped = stop_status_of(text_at(reply, 0));
    call->epoch = epoch;
    if (run_state_is_final(run_state_of(text_at(reply, 2)))) {
        store_index_close(call->store, &call->task, epoch);
        if (call_hold(call, resume_stop))
            return;
    }
    done(call->ctx, call->stopped, epoch);
}

void store_stop(struct store *store, const struct task_key *task, uint64_t epoch,
                void (*done)(void *ctx, enum stop_status status, uint64_t epoch),
                void *ctx)
{
    struct call *call = call_new(store, task, finish_stop);

    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_stop);
    call_arg_u64(call, epoch);
    call_run(call);
}

/* ---- erase ---- */

#define ERASED_MARKER_MS 600000

static void finish_erase(struct call *call, const struct reply *reply)
{
    bool is_done = is_answer(reply, 2);

    if (is_done)
        store_index_forget(call->store, &call->task);
    DONE(call, erase_done *)(call->ctx, is_done);
}

void store_erase(struct store *store, const struct task_key *task,
                 void (*done)(void *ctx, bool ok), void *ctx)
{
    struct call *call = call_new(store, task, finish_erase);

    call->done = (any_done *)done;
    call->ctx = ctx;
    call_begin(call, &script_erase);
    call_arg_u64(call, ERASED_MARKER_MS);
    call_run(call);
}
