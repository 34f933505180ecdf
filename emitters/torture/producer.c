/* producer.c - a process that tells one story, and a journal that outlives it. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/producer.h"

#include "base/clock.h"
#include "emitters/lib/thinkwire.h"
#include "emitters/torture/oracle.h"
#include "emitters/torture/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every fault of a test is shorter. */
#define PATIENCE_MS  120000
#define FLUSH_EVERY  64
#define STATUS_EVERY 37

void task_name(unsigned task, char name[TASK_NAME_SIZE])
{
    snprintf(name, TASK_NAME_SIZE, TASK_NAME_BEGINS "%u", task);
}

struct journal *journal_new(void)
{
    void *memory = mmap(NULL, sizeof(struct journal), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        abort();
    return memory;
}

void journal_free(struct journal *journal)
{
    munmap(journal, sizeof(*journal));
}

/* ---- in the child ---- */

static bool tell_one(const struct producer *producer, struct thinkwire_run *run,
                     unsigned k)
{
    const struct story *story = producer->story;
    struct slice text = story_delta(story, k);
    enum thinkwire_status status = story_kind_of(story, k) == STORY_TEXT
                                       ? thinkwire_text(run, text.ptr, text.len)
                                       : thinkwire_reasoning(run, text.ptr, text.len);

    atomic_store(&producer->journal->status, (unsigned)status);
    if (status != THINKWIRE_OK)
        return false;
    atomic_store(&producer->journal->accepted, k + 1);
    if (k % FLUSH_EVERY == 0 && thinkwire_flush(run, 200) == THINKWIRE_OK)
        atomic_store(&producer->journal->flushed, k + 1);
    if (k % STATUS_EVERY == STATUS_EVERY - 1)
        (void)thinkwire_event(run, "status", "{\"message\":\"going on\"}");
    return true;
}

static enum thinkwire_status end(const struct producer *producer,
                                 struct thinkwire_run *run)
{
    atomic_store(&producer->journal->has_ended, 1);
    if (producer->story->ending == ENDING_COMPLETION)
        return thinkwire_completion(run);
    return thinkwire_error(run, ORACLE_OWN_ERROR, "As its story wants it.");
}

static void tell(const struct producer *producer, struct thinkwire_run *run)
{
    const struct story *story = producer->story;

    for (unsigned k = 0; k < story->deltas; k++) {
        if (!story->is_stubborn && thinkwire_stop_requested(run)) {
            (void)thinkwire_stopped(run);
            return;
        }
        if (!tell_one(producer, run, k))
            return;
        /* In small bunches, as models do. */
        if (k % 3 == 2)
            usleep(story->pace_us * 3);
    }
    (void)end(producer, run);
}

static int producer_main(void *ctx)
{
    const struct producer *producer = ctx;
    struct thinkwire_options options = THINKWIRE_OPTIONS_INIT;
    struct thinkwire_counters counters;
    char task[TASK_NAME_SIZE];
    char url[64];

    options.lease_ms = producer->lease_ms;
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", producer->port);
    task_name(producer->story->task, task);
    struct thinkwire *thinkwire = thinkwire_connect(url, &options, NULL, 0);
    struct thinkwire_run *run =
        thinkwire == NULL ? NULL : thinkwire_open(thinkwire, "", task);
    if (run == NULL)
        return 1;
    tell(producer, run);
    (void)thinkwire_flush(run, PATIENCE_MS);
    thinkwire_read_counters(run, &counters);
    atomic_store(&producer->journal->reopened, (unsigned)counters.reopened);
    atomic_store(&producer->journal->status,
                 (unsigned)thinkwire_close(run, PATIENCE_MS));
    atomic_store(&producer->journal->done_ms, clock_mono_ms());
    atomic_store(&producer->journal->is_done, 1);
    (void)thinkwire_disconnect(thinkwire, 1000);
    return 0;
}

pid_t producer_start(const struct producer *producer)
{
    struct producer copy = *producer;

    return process_fork(producer_main, &copy);
}
