/* worker.c - takes jobs and generates: many runs at once on one loop. */
/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdlib.h>

struct worker_counters {
    struct counter *active;
    struct counter *taken;
    struct counter *again;
    struct counter *completed;
    struct counter *failed;
    struct counter *stopped;
    struct counter *lost;
    struct counter *retries;
    struct counter *fallbacks;
    struct counter *trimmed;
    struct counter *shortened;
    struct counter *empty[ASK_AUTONOMOUS + 1]; /* by mode */
    struct histogram *first_token;
};

struct worker {
    struct loop *loop;
    struct worker_options options;
    struct roster roster;
    struct worker_source *source;
    struct list tasks;
    size_t active;
    struct worker_counters count;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

/* One job. */
struct task {
    struct list node;
    struct worker *worker;
    struct generation *generation; /* NULL while its run is looked at */
    struct task_key key;           /* a copy */
    char *job_id;
    uint64_t epoch;
    bool is_watched;
    bool is_loading;
    bool is_finished; /* the job was, not the run */
    bool is_orphan;   /* the worker is gone; an answer is still to come */
};

/* ---- room ---- */

static void look_for_more(struct worker *worker)
{
    if (worker->drained == NULL) {
        worker->source->ops->want(worker->source,
                                  worker->options.max_generations - worker->active);
        return;
    }
    if (worker->active > 0)
        return;
    void (*done)(void *ctx) = worker->drained;
    worker->drained = NULL;
    done(worker->drained_ctx);
}

static void finish_job(struct task *task)
{
    struct worker_source *source = task->worker->source;

    if (!task->is_finished)
        source->ops->finish(source, slice_of(task->job_id));
    task->is_finished = true;
}

static void free_task(struct task *task)
{
    task_key_release(&task->key);
    free(task->job_id);
    free(task);
}

static void drop(struct task *task)
{
    struct worker *worker = task->worker;

    if (task->is_watched)
        worker->source->ops->watch(worker->source, &task->key, false);
    list_remove(&task->node);
    worker->active--;
    worker->count.active->value--;
    free_task(task);
    look_for_more(worker);
}

/* ---- a run ---- */

static void on_begun(void *ctx, struct generation *generation)
{
    (void)generation;
    finish_job(ctx);
}

static void count_report(struct worker *worker, const struct generation_report *report)
{
    struct counter *outcome = report->outcome[0] == 'c'   ? worker->count.completed
                              : report->outcome[0] == 'e' ? worker->count.failed
                              : report->outcome[0] == 's' ? worker->count.stopped
                                                          : worker->count.lost;

    counter_add(outcome, 1);
    counter_add(worker->count.retries, report->retries);
    counter_add(worker->count.fallbacks, report->fallbacks);
    if (report->trimmed_bytes > 0)
        counter_add(worker->count.trimmed, 1);
    if (report->was_shortened)
        counter_add(worker->count.shortened, 1);
    counter_add(worker->count.empty[report->ask->mode], report->empty_answers);
    if (report->first_token_ms > 0)
        histogram_observe(worker->count.first_token, (double)report->first_token_ms);
}

/* What a chat endpoint asked for has the name that chat deployments look for (C16). */
static void log_report(const struct generation_report *report)
{
    bool is_bad = report->outcome[0] == 'e' || report->outcome[0] == 'l';
    bool is_chat = report->ask->is_live;

    diag(is_bad ? DIAG_WARN : DIAG_INFO,
         is_chat ? "Chat completion finished" : "generation finished",
         DIAG_SLICE("site", report->task.site),
         DIAG_SLICE("task", report->task.task_id),
         DIAG_S("request_id",
                report->ask->request_id == NULL ? "" : report->ask->request_id),
         DIAG_S("outcome", report->outcome), DIAG_S("code", report->code),
         DIAG_S("provider", report->provider), DIAG_S("model", report->model),
         DIAG_N("total_ms", report->elapsed_ms),
         DIAG_N("ttft_ms", report->first_token_ms),
         DIAG_N("memory_ms", report->memory_ms), DIAG_N("retries", report->retries),
         DIAG_N("fallbacks", report->fallbacks));
}

static void on_over(void *ctx, struct generation *generation,
                    const struct generation_report *report)
{
    struct task *task = ctx;
    struct worker *worker = task->worker;
    /* Another worker has the run: the job is its. */
    bool is_taken = strcmp(report->code, publish_status_name(PUBLISH_FENCED)) == 0;

    (void)generation;
    task->generation = NULL;
    if (is_taken && !task->is_finished) { /* we never had it */
        drop(task);
        return;
    }
    log_report(report);
    count_report(worker, report);
    if (worker->options.on_report != NULL)
        worker->options.on_report(worker->options.ctx, report);
    finish_job(task);
    drop(task);
}

static void generate(struct task *task, const struct store_task *run)
{
    struct worker *worker = task->worker;
    struct generation_job job = {
        .task = task->key,
        .request = run->request,
        .keeps_text = run->keeps_text,
        .claim_epoch = task->epoch,
        .lease_ms = worker->options.lease_ms,
        .owner = {.on_begun = on_begun, .on_over = on_over, .ctx = task},
    };

    if (run->keeps_text) {
        job.earlier_text = run->text.utf8;
        job.earlier_reasoning = run->reasoning.utf8;
    }
    task->is_watched = true;
    worker->source->ops->watch(worker->source, &job.task, true);
    task->generation =
        generation_start(worker->loop, &worker->roster, &worker->options.generation,
                         worker->source->sink, &job);
}

static void on_loaded(void *ctx, const struct store_task *run)
{
    struct task *task = ctx;

    task->is_loading = false;
    if (task->is_orphan) {
        free_task(task);
        return;
    }
    if (run == NULL) { /* Redis is away: the job comes again, to whom it may */
        drop(task);
        return;
    }
    bool is_ours = run->epoch == task->epoch && !run_state_is_final(run->state);
    if (is_ours && run->state == RUN_QUEUED) {
        generate(task, run);
        return;
    }
    /* Running: its worker has it, or its lease will end it; then the job comes once more. */
    if (!is_ours)
        finish_job(task);
    drop(task);
}

static void on_job(void *ctx, const struct job *job)
{
    struct worker *worker = ctx;
    struct task *task = mem_new(sizeof(*task));

    task->worker = worker;
    task->epoch = job->epoch;
    task->job_id = mem_text(job->id);
    task->key = task_key_copy(&job->task);
    list_push_back(&worker->tasks, &task->node);
    worker->active++;
    worker->count.active->value++;
    counter_add(worker->count.taken, 1);
    if (job->is_again)
        counter_add(worker->count.again, 1);
    task->is_loading = true;
    worker->source->ops->load(worker->source, &task->key, on_loaded, task);
}

/* ---- stops ---- */

static void on_stop(void *ctx, const struct task_key *key, uint64_t epoch)
{
    struct worker *worker = ctx;

    LIST_FOR_EACH(it, next, &worker->tasks)
    {
        struct task *task = LIST_ENTRY(it, struct task, node);
        if (task->epoch != epoch || task->generation == NULL ||
            !slice_equal(task->key.task_id, key->task_id) ||
            !slice_equal(task->key.site, key->site))
            continue;
        generation_stop(task->generation);
        return;
    }
}

/* ---- life ---- */

static struct counter *total(struct counters *counters, const char *name,
                             const char *label, const char *help)
{
    return counters_add(counters, COUNTER_TOTAL, name, label, help);
}

static void count_empty(struct worker_counters *count, struct counters *counters)
{
    static const char *const modes[ASK_AUTONOMOUS + 1] = {
        [ASK_CHAT] = "mode=\"chat\"",
        [ASK_AGENT] = "mode=\"agent\"",
        [ASK_AUTONOMOUS] = "mode=\"autonomous\"",
    };

    for (size_t i = 0; i <= ASK_AUTONOMOUS; i++)
        count->empty[i] = total(counters, "worker_empty_answers_total", modes[i],
                                "Answers that ended regularly without a word");
}

static void count_all(struct worker_counters *count, struct counters *counters)
{
    static const char runs[] = "Generations that ended, by how";

    count->active = counters_add(counters, COUNTER_GAUGE, "worker_generations", NULL,
                                 "Generations at work");
    count->taken = total(counters, "worker_jobs_total", NULL, "Jobs taken");
    count->again = total(counters, "worker_jobs_again_total", NULL,
                         "Jobs taken over from a worker that fell silent");
    count->completed =
        total(counters, "worker_runs_total", "outcome=\"completed\"", runs);
    count->failed = total(counters, "worker_runs_total", "outcome=\"error\"", runs);
    count->stopped = total(counters, "worker_runs_total", "outcome=\"stopped\"", runs);
    count->lost = total(counters, "worker_runs_total", "outcome=\"lost\"", runs);
    count->retries =
        total(counters, "worker_retries_total", NULL, "Calls to providers repeated");
    count->fallbacks = total(counters, "worker_fallbacks_total", NULL,
                             "Calls to another provider, or not streaming, instead");
    count->trimmed = total(counters, "worker_trimmed_total", NULL,
                           "Runs whose beginning repeated what was said");
    count->shortened = total(counters, "worker_shortened_total", NULL,
                             "Runs whose partial answer was too long for the prompt");
    count_empty(count, counters);
    count->first_token = counters_add_histogram(counters, "worker_first_token_ms",
                                                "From taking a job to its first token");
}

struct worker *worker_new(struct loop *loop, const struct worker_options *options,
                          struct counters *counters, struct buf *error)
{
    struct worker *worker = mem_new(sizeof(*worker));
    struct worker_desk desk = {.on_job = on_job, .on_stop = on_stop, .ctx = worker};

    worker->loop = loop;
    worker->options = *options;
    worker->source = options->source;
    list_init(&worker->tasks);
    count_all(&worker->count, counters);
    worker->source->ops->open(worker->source, &desk);
    if (!roster_open(&worker->roster, loop, options->providers, error)) {
        worker_free(worker);
        return NULL;
    }
    look_for_more(worker);
    return worker;
}

void worker_drain(struct worker *worker, void (*done)(void *ctx), void *ctx)
{
    worker->source->ops->want(worker->source, 0);
    worker->drained = done;
    worker->drained_ctx = ctx;
    look_for_more(worker);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    LIST_FOR_EACH(it, next, &worker->tasks)
    {
        struct task *task = LIST_ENTRY(it, struct task, node);
        list_remove(&task->node);
        generation_free(task->generation);
        task->is_orphan = true;
        if (!task->is_loading)
            free_task(task);
    }
    worker->source->ops->free(worker->source);
    roster_close(&worker->roster);
    free(worker);
}

size_t worker_active(const struct worker *worker)
{
    return worker->active;
}

const char *worker_trouble(const struct worker *worker)
{
    return worker->source->ops->trouble(worker->source);
}
