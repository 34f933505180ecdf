/* submit.c - a checked request becomes a queued run. */
/* SPDX-License-Identifier: MIT */
#include "api/internal.h"
#include "api/submit_inside.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

#define ID_RANDOM 24 /* hex digits */

/* One submission until the bus has answered. */
struct call {
    struct api *api;
    struct buf
        request; /* JSON of ask.h; of a continue first only what it says itself */
    struct task_key task; /* a copy */
    uint64_t from_point;
    bool has_posted; /* the request it continues has a partial answer of the client's */
    api_submitted *done;
    void *ctx;
};

static void answer(struct call *call, const struct api_fault *fault, uint64_t epoch)
{
    struct submitted submitted = {.task = call->task, .epoch = epoch};

    if (fault != NULL)
        submitted.fault = *fault;
    call->done(call->ctx, &submitted);
    buf_release(&call->request);
    task_key_release(&call->task);
    free(call);
}

static void answer_fault(struct call *call, unsigned status, const char *code,
                         const char *message, uint64_t epoch)
{
    struct api_fault fault = {0};

    api_fault_set(&fault, status, code, NULL, message);
    answer(call, &fault, epoch);
}

/* ---- opening ---- */

static void answer_unknown_point(struct call *call)
{
    struct api_fault fault = {0};

    api_fault_set(&fault, 422, "UNKNOWN_POINT", "from_point",
                  "this task has no such point; GET /v1/tasks/{task_id}/points lists "
                  "them");
    answer(call, &fault, 0);
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct call *call = ctx;

    if (status == PUBLISH_OK) {
        counter_add(call->api->submitted, 1);
        answer(call, NULL, epoch);
    } else if (status == PUBLISH_UNKNOWN_RUN) {
        answer_unknown_point(call);
    } else if (status == PUBLISH_FENCED) {
        answer_fault(call, 409, "TASK_OPEN", "a run of this task is still open", epoch);
    } else {
        answer_fault(call, 503, "UNAVAILABLE", "the event store cannot be reached", 0);
    }
}

static void open_run(struct call *call, bool keeps_text)
{
    struct bus *bus = call->api->bus;
    struct run_open_request request = {
        .task = call->task,
        .state = RUN_QUEUED,
        .keeps_text = keeps_text,
        .from_point = call->from_point,
        .request = buf_view(&call->request),
        .is_submission = true,
    };

    bus->ops->submit(bus, &request, on_opened, call);
}

/* ---- continuing ---- */

/* What the client brought of an answer that was begun elsewhere. */
static bool has_posted(const struct bus_kept *kept)
{
    struct json_member member;

    return json_get(kept->request, "partial", &member) && member.kind == JSON_STRING &&
           member.value.len > 2;
}

static void answer_no_partial(struct call *call, uint64_t epoch)
{
    answer_fault(call, 422, "NO_PARTIAL", "No partial response to continue from",
                 epoch);
}

static void on_points(void *ctx, const struct task_points *points)
{
    struct call *call = ctx;
    const struct task_point *point = NULL;

    if (points == NULL) {
        answer_fault(call, 503, "UNAVAILABLE", "the event store cannot be reached", 0);
        return;
    }
    for (size_t i = 0; i < points->count; i++) {
        if (points->points[i].number == call->from_point)
            point = &points->points[i];
    }
    if (point == NULL)
        answer_unknown_point(call);
    else if (point->length == 0 && !call->has_posted)
        answer_no_partial(call, 0);
    else
        open_run(call, true);
}

static void replace_request(struct call *call, const struct bus_kept *kept)
{
    struct buf request;

    buf_init(&request, SIZE_MAX);
    submission_write_continue(kept, buf_view(&call->request), &request);
    buf_release(&call->request);
    call->request = request;
}

static void go_on(struct call *call, const struct bus_kept *kept)
{
    struct bus *bus = call->api->bus;

    call->has_posted = has_posted(kept);
    replace_request(call, kept);
    if (call->from_point > 0)
        bus->ops->points(bus, &call->task, on_points, call);
    else
        open_run(call, true);
}

static void on_recalled(void *ctx, const struct bus_kept *kept)
{
    struct call *call = ctx;

    if (kept == NULL) {
        answer_fault(call, 503, "UNAVAILABLE", "the event store cannot be reached", 0);
    } else if (kept->state == RUN_UNKNOWN) {
        answer_fault(call, 404, "UNKNOWN_TASK", "nobody knows this task", 0);
    } else if (!run_state_is_final(kept->state)) {
        answer_fault(call, 409, "TASK_OPEN", "a run of this task is still open",
                     kept->epoch);
    } else if (kept->request.len == 0 || !json_check(kept->request)) {
        answer_fault(
            call, 422, "NOT_A_GENERATION",
            "this task was not submitted here: nobody knows what to go on with",
            kept->epoch);
    } else if (call->from_point == 0 && kept->text.len == 0 && !has_posted(kept)) {
        answer_no_partial(call, kept->epoch);
    } else {
        go_on(call, kept);
    }
}

/* ---- submitting ---- */

static void put_task(struct call *call, const struct submission *s)
{
    struct task_key task = {s->site, s->task_id};
    char id[sizeof("gen_") + ID_RANDOM] = "gen_";

    if (task.task_id.len == 0) {
        random_hex(id + sizeof("gen_") - 1, ID_RANDOM);
        task.task_id = slice_of(id);
    }
    call->task = task_key_copy(&task);
}

void api_submit(struct api *api, const struct submission *submission,
                api_submitted *done, void *ctx)
{
    struct call *call = mem_new(sizeof(*call));
    struct api_fault fault = {0};

    call->api = api;
    call->done = done;
    call->ctx = ctx;
    buf_init(&call->request, SIZE_MAX);
    put_task(call, submission);
    if (!submission_check(submission, api->options.max_message_chars, &fault)) {
        counter_add(api->submit_refused, 1);
        answer(call, &fault, 0);
        return;
    }
    if (submission->is_continue) {
        (void)json_u64(submission->from_point, &call->from_point);
        submission_write_changes(submission, &call->request);
        api->bus->ops->recall(api->bus, &call->task, on_recalled, call);
        return;
    }
    submission_write(submission, &call->request);
    open_run(call, false);
}
