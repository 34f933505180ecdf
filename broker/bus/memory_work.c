/* memory_work.c - jobs, take-over and leases for a worker in this process. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "bus/memory_inside.h"

#include <stdlib.h>

struct memory_job {
    struct list node;
    struct task_key task; /* a copy */
    uint64_t epoch;
};

static void job_free(struct memory_job *job)
{
    list_remove(&job->node);
    task_key_release(&job->task);
    free(job);
}

/* ---- submitting ---- */

static void add_job(struct bus_memory *mem, const struct task_key *task, uint64_t epoch)
{
    struct memory_job *job = mem_new(sizeof(*job));

    job->task = task_key_copy(task);
    job->epoch = epoch;
    list_push_back(&mem->jobs, &job->node);
    turn_defer(mem->loop, &mem->handing_out);
}

void memory_submit(struct bus *bus, const struct run_open_request *request,
                   void (*done)(void *ctx, enum publish_status status, uint64_t epoch),
                   void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_task(mem->hub, &request->task);
    const struct owned_run *owned;

    if (topic == NULL) {
        done(ctx, PUBLISH_UNAVAILABLE, 0);
        return;
    }
    if (run_is_open(topic)) {
        done(ctx, PUBLISH_FENCED, topic_run(topic)->epoch);
        return;
    }
    owned = owned_find(mem, topic);
    if (request->from_point > 0 &&
        (owned == NULL || !points_has(owned->points, request->from_point))) {
        done(ctx, PUBLISH_UNKNOWN_RUN, 0);
        return;
    }
    memory_open_run(mem, topic, request);
    add_job(mem, &request->task, topic_run(topic)->epoch);
    done(ctx, PUBLISH_OK, topic_run(topic)->epoch);
}

void memory_recall(struct bus *bus, const struct task_key *task,
                   void (*done)(void *ctx, const struct bus_kept *kept), void *ctx)
{
    struct store_task found = bus_memory_load(bus, task);
    struct bus_kept kept = {
        .state = found.state,
        .epoch = found.epoch,
        .request = found.request,
        .text = found.text.utf8,
    };

    done(ctx, &kept);
}

void memory_points(struct bus *bus, const struct task_key *task, task_pointed *done,
                   void *ctx)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, task);
    const struct owned_run *owned = owned_find(mem, topic);
    struct task_point list[TASK_POINTS_MAX];
    struct task_points points = {.points = list};

    if (topic != NULL && !topic_was_erased(topic))
        points.state = topic_run(topic)->state;
    if (owned != NULL && points.state != RUN_UNKNOWN)
        points.count = points_list(owned->points, list);
    done(ctx, &points);
}

/* ---- handing out ---- */

static bool is_wanted(struct bus_memory *mem, const struct memory_job *job)
{
    struct topic *topic = hub_find_task(mem->hub, &job->task);

    return topic != NULL && topic_run(topic)->state == RUN_QUEUED &&
           topic_run(topic)->epoch == job->epoch;
}

void memory_hand_out(struct turn_task *turn)
{
    struct bus_memory *mem = LIST_ENTRY(turn, struct bus_memory, handing_out);

    LIST_FOR_EACH(node, next, &mem->jobs)
    {
        struct memory_job *job = LIST_ENTRY(node, struct memory_job, node);
        bool has_wish = mem->office.on_job != NULL && mem->wanted > 0;
        if (!has_wish)
            return;
        if (is_wanted(mem, job)) {
            mem->wanted--;
            mem->office.on_job(mem->office.ctx, &job->task, job->epoch);
        }
        job_free(job);
    }
}

void memory_drop_jobs(struct bus_memory *mem, bool is_all)
{
    LIST_FOR_EACH(node, next, &mem->jobs)
    {
        struct memory_job *job = LIST_ENTRY(node, struct memory_job, node);
        if (is_all || !is_wanted(mem, job))
            job_free(job);
    }
}

void bus_memory_employ(struct bus *bus, const struct memory_office *office)
{
    struct bus_memory *mem = memory_of(bus);

    mem->office = office == NULL ? (struct memory_office){0} : *office;
    mem->wanted = 0;
}

void bus_memory_want(struct bus *bus, size_t count)
{
    struct bus_memory *mem = memory_of(bus);

    mem->wanted = count;
    if (count > 0 && !list_is_empty(&mem->jobs))
        turn_defer(mem->loop, &mem->handing_out);
}

void memory_tell_stop(struct bus_memory *mem, const struct topic *topic)
{
    struct task_key task = {topic_site(topic), topic_name(topic)};

    if (mem->office.on_stop != NULL)
        mem->office.on_stop(mem->office.ctx, &task, topic_run(topic)->epoch);
}

/* ---- what a producer asks ---- */

static void take_over(struct bus_memory *mem, struct owned_run *owned,
                      const struct run_open_request *request)
{
    if (!slice_is(request->producer, owned->producer)) {
        free(owned->producer);
        owned->producer = mem_text(request->producer);
        owned->counter = 1;
        owned->mark_count = 0;
    }
    owned->touched_ms = loop_now_ms(mem->loop);
    owned->lease_ms = request->lease_ms;
    owned_renew(mem, owned);
}

enum publish_status bus_memory_claim(struct bus *bus,
                                     const struct run_open_request *request,
                                     uint64_t epoch)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, &request->task);
    struct owned_run *owned = owned_find(mem, topic);

    if (owned == NULL || owned->epoch < epoch)
        return PUBLISH_UNKNOWN_RUN;
    if (owned->epoch > epoch)
        return PUBLISH_FENCED;
    if (!run_is_open(topic) || topic_run(topic)->epoch != epoch)
        return PUBLISH_ENDED;
    if (!slice_is(request->producer, owned->producer) &&
        (topic_run(topic)->state != RUN_QUEUED || owned_is_alive(mem, owned)))
        return PUBLISH_FENCED;
    take_over(mem, owned, request);
    return PUBLISH_OK;
}

static enum publish_status renew(struct bus_memory *mem, const struct topic *topic,
                                 struct owned_run *owned,
                                 const struct store_renewal *renewal)
{
    if (owned == NULL || owned->epoch < renewal->epoch)
        return PUBLISH_UNKNOWN_RUN;
    if (owned->epoch > renewal->epoch || !slice_is(renewal->producer, owned->producer))
        return PUBLISH_FENCED;
    if (!run_is_open(topic) || topic_run(topic)->epoch != owned->epoch)
        return PUBLISH_ENDED;
    owned->lease_ms = renewal->lease_ms;
    owned_renew(mem, owned);
    return PUBLISH_OK;
}

struct publish_result bus_memory_renew(struct bus *bus,
                                       const struct store_renewal *renewal)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, &renewal->task);
    struct owned_run *owned = owned_find(mem, topic);

    return (struct publish_result){
        .status = renew(mem, topic, owned, renewal),
        .stop_requested = owned != NULL && owned->stop_ms != 0,
    };
}

struct store_task bus_memory_load(struct bus *bus, const struct task_key *task)
{
    struct bus_memory *mem = memory_of(bus);
    struct topic *topic = hub_find_task(mem->hub, task);
    const struct owned_run *owned = owned_find(mem, topic);
    struct store_task found = {0};

    if (owned == NULL || topic_run(topic)->epoch != owned->epoch ||
        topic_was_erased(topic))
        return found;
    const struct run *run = topic_run(topic);
    found.state = run->state;
    found.epoch = run->epoch;
    found.last_seq = run->last_seq;
    found.lease_ms = owned->lease_ms;
    found.keeps_text = owned->keeps_text;
    found.stop_requested = owned->stop_ms != 0;
    found.producer = slice_of(owned->producer);
    found.request = slice_of(owned->request);
    found.text.utf8 = buf_view(&run->text.utf8);
    found.reasoning.utf8 = buf_view(&run->reasoning.utf8);
    return found;
}
