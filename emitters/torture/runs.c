/* runs.c - tasks begin runs, and every one must end well, in Redis and at every reader. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "emitters/lib/thinkwire.h"
#include "emitters/torture/truth.h"
#include "emitters/torture/world.h"

#include <signal.h>
#include <stdlib.h>

#define PURPOSE_TASK 30
/* Healthy time a run may take to end and to reach everybody: a lease, a sweep, the longest
 * back-off, the probe of a silent task. */
#define PATIENCE_MS 16000
/* Faults are held back when a run takes so long to end, or to reach everybody once it has:
 * else those who are behind come by what they lack in other ways. */
#define CALM_MS       6000
#define CALM_FINAL_MS 1500
#define LOOK_MS       100
/* A producer that is done so shortly after data was lost may have been told so before. */
#define CLOSE_CALL_MS 300

struct run *task_run(const struct task *task)
{
    return task->run_count == 0 ? NULL : task->runs[task->run_count - 1];
}

bool run_is_on(const struct run *run)
{
    return run->producer.pid > 0 && atomic_load(&run->journal->is_done) == 0;
}

/* ---- beginning ---- */

/* One that must begin anew might do so after a newer one, and win. */
bool task_may_begin(const struct task *task)
{
    for (unsigned i = 0; i < task->run_count; i++) {
        if (task->runs[i]->facts.has_lost_data && run_is_on(task->runs[i]))
            return false;
    }
    return true;
}

void task_begin_run(struct world *world, struct task *task)
{
    struct run *run = mem_new(sizeof(*run));

    if (task->run_count == WORLD_RUNS) {
        free(run);
        return;
    }
    story_init(&run->story, world->options->seed, task->number, task->run_count);
    run->journal = journal_new();
    task->runs[task->run_count++] = run;
    run->producer.pid = producer_start(
        &(struct producer){.story = &run->story,
                           .journal = run->journal,
                           .port = world->cable.port,
                           .lease_ms = (unsigned)world->options->lease_ms});
    task->phase = TASK_RUNNING;
    world->tally.runs++;
    report_note(world, (int)task->number, "task %u: run %u begins, %u deltas",
                task->number, run->story.run, run->story.deltas);
}

static void rest(struct world *world, struct task *task)
{
    struct draw draw = draw_of(world->options->seed, PURPOSE_TASK,
                               (uint64_t)task->number << 32 | task->run_count);

    task->phase = TASK_RESTING;
    task->next_at_ms = world->now_ms + draw_below(&draw, 400);
}

static bool is_hasty(const struct world *world, const struct task *task)
{
    struct draw draw = draw_of(world->options->seed, PURPOSE_TASK + 1,
                               (uint64_t)task->number << 32 | task->run_count);

    return !world->is_draining && draw_below(&draw, 5) == 0;
}

/* ---- lost data ---- */

void runs_lost_data(struct world *world)
{
    world->house.losses++;
    for (unsigned t = 0; t < world->options->tasks; t++) {
        struct task *task = &world->tasks[t];
        struct run *run = task_run(task);
        bool is_done;
        for (unsigned i = 0; i < task->run_count; i++) {
            struct run *old = task->runs[i];
            if (old == run || !run_is_on(old))
                continue;
            /* Two producers alive at once: whose epoch is the newer is open again. */
            run->is_excused = old->is_excused = old->facts.has_lost_data = true;
        }
        if (run == NULL || task->phase == TASK_RESTING)
            continue;
        is_done = run->producer.pid == 0 || atomic_load(&run->journal->is_done) != 0;
        run->facts.has_lost_data = true;
        run->lost_ms = world->now_ms;
        if (is_done)
            run->is_excused = true;
    }
}

/* ---- ending ---- */

static void note_end(struct world *world, struct task *task, struct run *run)
{
    struct journal *journal = run->journal;

    run->facts.accepted = atomic_load(&journal->accepted);
    run->facts.flushed = atomic_load(&journal->flushed);
    run->facts.has_ended = atomic_load(&journal->has_ended) != 0;
    if (run->facts.has_lost_data && atomic_load(&journal->is_done) != 0 &&
        atomic_load(&journal->done_ms) < run->lost_ms + CLOSE_CALL_MS)
        run->is_excused = true;
    world->tally.reopened += atomic_load(&journal->reopened);
    report_note(world, (int)task->number,
                "task %u: producer of run %u is gone, %u of %u deltas, %s%s",
                task->number, run->story.run, run->facts.accepted, run->story.deltas,
                run->facts.was_killed
                    ? "killed"
                    : thinkwire_status_text(
                          (enum thinkwire_status)atomic_load(&journal->status)),
                atomic_load(&journal->reopened) > 0 ? ", reopened" : "");
}

static void reap(struct world *world, struct task *task)
{
    for (unsigned i = 0; i < task->run_count; i++) {
        struct run *run = task->runs[i];
        if (run->producer.pid > 0 && process_wait(&run->producer, 0))
            note_end(world, task, run);
    }
}

static void settled(struct world *world, struct task *task, const char *how,
                    uint64_t *count)
{
    (*count)++;
    report_note(world, (int)task->number, "task %u: run %u %s", task->number,
                task_run(task)->story.run, how);
    rest(world, task);
}

static bool reader_has_it(const struct reader *reader, const struct truth *truth)
{
    if (reader->level_epoch == truth->epoch)
        return true;
    if (reader->end_epoch != truth->epoch)
        return false;
    return fold_reaches(&reader->fold, truth->lengths);
}

/* The first native reader of the task that lacks something, or NULL. */
static const struct reader *who_lacks(const struct world *world, unsigned task,
                                      const struct truth *truth)
{
    for (unsigned i = 0; i < world->reader_count; i++) {
        const struct reader *reader = &world->readers[i];
        if (reader->task == task && reader->kind != READER_SIO_STRING &&
            !reader_has_it(reader, truth))
            return reader;
    }
    return NULL;
}

/* Nothing of this run is in Redis. */
static void absent(struct world *world, struct task *task, struct run *run)
{
    if (run->is_excused || (run->facts.was_killed && run->facts.has_lost_data))
        settled(world, task, "is excused: data and producer are gone",
                &world->tally.excused);
    else if (run->facts.was_killed)
        settled(world, task, "was killed before it had begun", &world->tally.never);
    else
        report_violation(world, (int)task->number,
                         "task %u: run %u is not in Redis, though it has told its end",
                         task->number, run->story.run);
}

static void judge(struct world *world, struct task *task, struct run *run,
                  const struct truth *truth)
{
    const char *why = oracle_outcome(&run->story, &run->facts, truth->outcome);
    size_t least[STORY_KINDS];

    if (why == NULL && !truth->is_prefix)
        why = "Redis holds another text";
    oracle_least(&run->story, &run->facts, truth->outcome, least);
    for (int kind = 0; why == NULL && kind < STORY_KINDS; kind++) {
        if (truth->lengths[kind] < least[kind])
            why = "text is missing in Redis";
    }
    if (why != NULL)
        report_violation(world, (int)task->number, "task %u: run %u, %s (%s)",
                         task->number, run->story.run, why,
                         outcome_name(truth->outcome));
}

static void settle_with(struct world *world, struct task *task, struct run *run,
                        const struct truth *truth)
{
    bool is_patient = world->healthy_ms - task->settling_ms < PATIENCE_MS;
    const struct reader *lacking;

    if (truth->fault[0] != '\0' && !run->is_excused) {
        report_violation(world, (int)task->number, "task %u: %s", task->number,
                         truth->fault);
        return;
    }
    if (truth->epoch <= task->last_epoch ||
        (truth->has_run && truth->run != run->story.run)) {
        absent(world, task, run);
        return;
    }
    if (run->is_excused) {
        settled(world, task, "is excused: data went after its end",
                &world->tally.excused);
        return;
    }
    if (truth->outcome == OUTCOME_NONE) {
        if (!is_patient)
            report_violation(
                world, (int)task->number,
                "task %u: run %u has not ended, though its producer is gone",
                task->number, run->story.run);
        return;
    }
    if (task->final_ms == 0)
        task->final_ms = world->healthy_ms + 1;
    judge(world, task, run, truth);
    lacking = who_lacks(world, task->number, truth);
    if (lacking == NULL) {
        task->last_epoch = truth->epoch;
        world->tally.outcomes[truth->outcome]++;
        settled(world, task, outcome_name(truth->outcome), &world->tally.verified);
    } else if (world->healthy_ms > task->final_ms + PATIENCE_MS) {
        report_violation(
            world, (int)task->number,
            "task %u: run %u has ended (%llu), reader %u (%s) does not get it",
            task->number, run->story.run, (unsigned long long)truth->epoch,
            lacking->index, reader_kind_name(lacking->kind));
    }
}

static void settle(struct world *world, struct task *task)
{
    struct truth truth;
    struct run *run = task_run(task);

    if (world->now_ms - task->looked_ms < LOOK_MS || !servers_are_whole(world))
        return;
    task->looked_ms = world->now_ms;
    if (truth_read(world->redis_port, &run->story, &truth))
        settle_with(world, task, run, &truth);
}

static void task_tick(struct world *world, struct task *task)
{
    struct run *run = task_run(task);

    reap(world, task);
    if (task->phase == TASK_RESTING && world->now_ms >= task->next_at_ms &&
        !world->is_draining && task_may_begin(task)) {
        task_begin_run(world, task);
    } else if (task->phase == TASK_RUNNING && run->producer.pid == 0) {
        task->phase = TASK_SETTLING;
        task->settling_ms = world->healthy_ms;
        task->final_ms = 0;
        if (is_hasty(world, task))
            settled(world, task, "is followed at once", &world->tally.hasty);
    } else if (task->phase == TASK_SETTLING) {
        settle(world, task);
    }
}

static bool needs_calm(const struct world *world, const struct task *task)
{
    uint64_t now = world->healthy_ms;

    return task->phase == TASK_SETTLING &&
           (task->final_ms == 0 ? now - task->settling_ms > CALM_MS
                                : now > task->final_ms + CALM_FINAL_MS);
}

void tasks_tick(struct world *world)
{
    world->is_calm = false;
    for (unsigned i = 0; i < world->options->tasks && !world->has_failed; i++) {
        struct task *task = &world->tasks[i];
        task_tick(world, task);
        if (needs_calm(world, task))
            world->is_calm = true;
    }
}

bool tasks_are_resting(const struct world *world)
{
    for (unsigned i = 0; i < world->options->tasks; i++) {
        if (world->tasks[i].phase != TASK_RESTING)
            return false;
    }
    return true;
}

void runs_release(struct world *world)
{
    for (unsigned t = 0; t < world->options->tasks; t++) {
        struct task *task = &world->tasks[t];
        for (unsigned i = 0; i < task->run_count; i++) {
            process_kill(&task->runs[i]->producer);
            story_release(&task->runs[i]->story);
            journal_free(task->runs[i]->journal);
            free(task->runs[i]);
        }
        free(task->runs);
    }
}
