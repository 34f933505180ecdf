/* inside.c - the memory bus as the source of a worker in this process. */
/* SPDX-License-Identifier: MIT */
#include "inside.h"

#include "base/mem.h"
#include "bus/memory.h"

#include <stdlib.h>

/*
 * The bus answers at once, the worker and its emitters want to be answered later, as from
 * Redis: an answer is put off to the end of the turn. What is asked is carried out at once, so
 * readers see a delta in the turn in which its provider sent it.
 */
#define MAX_IN_FLIGHT   4
#define MAX_BATCH_BYTES (1U << 20)

struct inside {
    struct worker_source source;
    struct emitter_sink sink;
    struct worker_desk desk;
    struct loop *loop;
    struct bus *bus;
    struct list answers; /* struct answer, in the order of the questions */
    struct turn_task turn;
};

enum answer_kind { ANSWER_OPENED, ANSWER_PUBLISHED, ANSWER_LOADED };

struct answer {
    struct list node;
    enum answer_kind kind;
    store_opened *opened;
    store_published *published;
    store_loaded *loaded;
    void *ctx;
    struct publish_result result;
    uint64_t epoch;
    struct task_key task; /* ANSWER_LOADED: a copy */
};

static struct inside *of(struct worker_source *source)
{
    return LIST_ENTRY(source, struct inside, source);
}

static struct inside *of_sink(struct emitter_sink *sink)
{
    return LIST_ENTRY(sink, struct inside, sink);
}

/* ---- answers, later ---- */

static struct answer *promise(struct inside *inside, enum answer_kind kind, void *ctx)
{
    struct answer *answer = mem_new(sizeof(*answer));

    answer->kind = kind;
    answer->ctx = ctx;
    list_push_back(&inside->answers, &answer->node);
    turn_defer(inside->loop, &inside->turn);
    return answer;
}

static void tell_loaded(struct inside *inside, const struct answer *answer)
{
    struct store_task task = bus_memory_load(inside->bus, &answer->task);

    answer->loaded(answer->ctx, &task);
}

static void answer_free(struct answer *answer)
{
    list_remove(&answer->node);
    task_key_release(&answer->task);
    free(answer);
}

/* One; what it leads to may free anything but the source. */
static void keep_promise(struct inside *inside, struct answer *answer)
{
    switch (answer->kind) {
    case ANSWER_OPENED:
        answer->opened(answer->ctx, answer->result.status, answer->epoch);
        break;
    case ANSWER_PUBLISHED:
        answer->published(answer->ctx, &answer->result);
        break;
    case ANSWER_LOADED:
        tell_loaded(inside, answer);
        break;
    }
}

static void on_turn(struct turn_task *turn)
{
    struct inside *inside = LIST_ENTRY(turn, struct inside, turn);
    struct list due;

    /* What these lead to is asked anew, and answered in the next turn. */
    list_init(&due);
    list_splice(&due, &inside->answers);
    LIST_FOR_EACH(node, next, &due)
    {
        struct answer *answer = LIST_ENTRY(node, struct answer, node);
        keep_promise(inside, answer);
        answer_free(answer);
    }
}

/* ---- the sink ---- */

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct answer *answer = ctx;

    answer->result.status = status;
    answer->epoch = epoch;
}

static void sink_open(struct emitter_sink *sink, const struct run_open_request *request,
                      uint64_t claim_epoch, store_opened *done, void *ctx)
{
    struct inside *inside = of_sink(sink);
    struct answer *answer = promise(inside, ANSWER_OPENED, ctx);

    answer->opened = done;
    if (claim_epoch == 0) {
        inside->bus->ops->open(inside->bus, request, on_opened, answer);
        return;
    }
    answer->result.status = bus_memory_claim(inside->bus, request, claim_epoch);
    answer->epoch = claim_epoch;
}

static void on_published(void *ctx, const struct publish_result *result)
{
    ((struct answer *)ctx)->result = *result;
}

static void sink_publish(struct emitter_sink *sink,
                         const struct publish_request *request, store_published *done,
                         void *ctx)
{
    struct inside *inside = of_sink(sink);
    struct answer *answer = promise(inside, ANSWER_PUBLISHED, ctx);

    answer->published = done;
    inside->bus->ops->publish(inside->bus, request, on_published, answer);
}

static void sink_renew(struct emitter_sink *sink, const struct store_renewal *renewal,
                       store_published *done, void *ctx)
{
    struct inside *inside = of_sink(sink);
    struct answer *answer = promise(inside, ANSWER_PUBLISHED, ctx);

    answer->published = done;
    answer->result = bus_memory_renew(inside->bus, renewal);
}

static void sink_release(struct emitter_sink *sink)
{
    (void)sink; /* a part of the source */
}

/* ---- the source ---- */

static void on_job(void *ctx, const struct task_key *task, uint64_t epoch)
{
    struct inside *inside = ctx;
    struct job job = {.task = *task, .epoch = epoch};

    inside->desk.on_job(inside->desk.ctx, &job);
}

static void on_stop(void *ctx, const struct task_key *task, uint64_t epoch)
{
    struct inside *inside = ctx;

    inside->desk.on_stop(inside->desk.ctx, task, epoch);
}

static void inside_open(struct worker_source *source, const struct worker_desk *desk)
{
    struct inside *inside = of(source);
    struct memory_office office = {.on_job = on_job, .on_stop = on_stop, .ctx = inside};

    inside->desk = *desk;
    bus_memory_employ(inside->bus, &office);
}

static void inside_want(struct worker_source *source, size_t count)
{
    bus_memory_want(of(source)->bus, count);
}

/* A job that was handed out is gone: nobody could take it over who outlives us. */
static void inside_finish(struct worker_source *source, struct slice job_id)
{
    (void)source;
    (void)job_id;
}

static void inside_load(struct worker_source *source, const struct task_key *task,
                        store_loaded *done, void *ctx)
{
    struct answer *answer = promise(of(source), ANSWER_LOADED, ctx);

    answer->loaded = done;
    answer->task = task_key_copy(task);
}

/* Every stop is told anyway. */
static void inside_watch(struct worker_source *source, const struct task_key *task,
                         bool is_watched)
{
    (void)source;
    (void)task;
    (void)is_watched;
}

static const char *inside_trouble(struct worker_source *source)
{
    (void)source;
    return NULL;
}

static void inside_free(struct worker_source *source)
{
    struct inside *inside = of(source);

    bus_memory_employ(inside->bus, NULL);
    turn_cancel(&inside->turn);
    LIST_FOR_EACH(node, next, &inside->answers)
    {
        struct answer *answer = LIST_ENTRY(node, struct answer, node);
        answer->result.status = PUBLISH_UNAVAILABLE;
        if (answer->kind == ANSWER_LOADED)
            answer->loaded(answer->ctx, NULL);
        else
            keep_promise(inside, answer);
        answer_free(answer);
    }
    free(inside);
}

struct worker_source *inside_source_new(struct loop *loop, struct bus *bus)
{
    static const struct worker_source_ops ops = {
        .open = inside_open,
        .want = inside_want,
        .finish = inside_finish,
        .load = inside_load,
        .watch = inside_watch,
        .trouble = inside_trouble,
        .free = inside_free,
    };
    static const struct emitter_sink_ops sink_ops = {
        .open = sink_open,
        .publish = sink_publish,
        .renew = sink_renew,
        .free = sink_release,
        .max_in_flight = MAX_IN_FLIGHT,
        .max_batch_bytes = MAX_BATCH_BYTES,
    };
    struct inside *inside = mem_new(sizeof(*inside));

    inside->source.ops = &ops;
    inside->source.sink = &inside->sink;
    inside->sink.ops = &sink_ops;
    inside->loop = loop;
    inside->bus = bus;
    list_init(&inside->answers);
    turn_task_init(&inside->turn, on_turn);
    return &inside->source;
}
