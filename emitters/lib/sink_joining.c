/* sink_joining.c - publishing into an unleased run through Redis. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "emitters/lib/joining.h"

#include <stdlib.h>

struct sink_joining {
    struct joining joining;
    struct store *store;
    struct question *open; /* the one in flight */
};

/* Outlives the sink: an answer of the store cannot be called back. */
struct question {
    struct sink_joining *sink; /* NULL = nobody waits any more */
};

static struct question *ask(struct sink_joining *sink)
{
    struct question *question = mem_new(sizeof(*question));
    question->sink = sink;
    sink->open = question;
    return question;
}

/* Who waits for the answer, or NULL. */
static struct sink_joining *answered(void *ctx)
{
    struct question *question = ctx;
    struct sink_joining *sink = question->sink;
    free(question);
    if (sink != NULL)
        sink->open = NULL;
    return sink;
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct sink_joining *sink = answered(ctx);
    bool is_lost = result->status == PUBLISH_UNAVAILABLE;
    if (sink != NULL)
        joining_posted(&sink->joining, is_lost ? POST_UNKNOWN : POST_ANSWERED, result);
}

static void post(struct joining *joining, const struct publish_request *request)
{
    struct sink_joining *sink = LIST_ENTRY(joining, struct sink_joining, joining);
    store_publish(sink->store, request, on_published, ask(sink));
}

static void on_looked(void *ctx, const struct store_task *task)
{
    struct sink_joining *sink = answered(ctx);
    if (sink == NULL)
        return;
    if (task == NULL)
        joining_not_looked(&sink->joining);
    else
        joining_looked(&sink->joining, task->state != RUN_UNKNOWN,
                       (struct event_id){task->epoch, task->last_seq, false});
}

static void look(struct joining *joining, const struct task_key *task)
{
    struct sink_joining *sink = LIST_ENTRY(joining, struct sink_joining, joining);
    store_look(sink->store, task, on_looked, ask(sink));
}

static void free_all(struct joining *joining)
{
    struct sink_joining *sink = LIST_ENTRY(joining, struct sink_joining, joining);
    if (sink->open != NULL)
        sink->open->sink = NULL;
    joining_release(joining);
    free(sink);
}

struct emitter_sink *sink_joining_new(struct loop *loop, struct store *store)
{
    static const struct joining_far far = {post, look, free_all};
    struct sink_joining *sink = mem_new(sizeof(*sink));
    joining_init(&sink->joining, loop, &far);
    sink->store = store;
    return &sink->joining.sink;
}
