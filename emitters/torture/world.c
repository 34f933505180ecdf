/* world.c - one torture from its beginning to its end. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/world.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TURN_MS       10
#define BROKERS_AGAIN 90000

/* ---- what readers report ---- */

static void on_violation(void *ctx, const struct reader *reader, const char *text)
{
    report_violation(ctx, (int)reader->task, "reader %u (%s, task %u): %s",
                     reader->index, reader_kind_name(reader->kind), reader->task, text);
}

static void on_note(void *ctx, const struct reader *reader, const char *text)
{
    report_note(ctx, (int)reader->task, "reader %u (%s): %s", reader->index,
                reader_kind_name(reader->kind), text);
}

static void on_cable_note(void *ctx, int task, const char *text)
{
    report_note(ctx, task, "task %d: its producer %s", task, text);
}

static const struct story *find_story(void *ctx, unsigned task, unsigned run)
{
    const struct world *world = ctx;

    if (task >= world->options->tasks || run >= world->tasks[task].run_count)
        return NULL;
    return &world->tasks[task].runs[run]->story;
}

/* ---- Ctrl-C ---- */

static void on_signal(struct watch *watch, bool is_readable, bool is_writable)
{
    struct world *world = LIST_ENTRY(watch, struct world, signals);

    (void)is_readable;
    (void)is_writable;
    world->is_interrupted = true;
}

static void await_signals(struct world *world)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    world->signals.on_ready = on_signal;
    watch_open(&world->set, &world->signals,
               signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    watch_want(&world->set, &world->signals, true, false);
}

/* ---- beginning ---- */

static void make_readers(struct world *world)
{
    unsigned tasks = (unsigned)world->options->tasks;
    unsigned index = 0;

    world->house = (struct house){.set = &world->set,
                                  .broker_ports = world->broker_ports,
                                  .broker_count = (unsigned)world->options->brokers,
                                  .book = {find_story, world},
                                  .now_ms = world->now_ms,
                                  .on_violation = on_violation,
                                  .on_note = on_note,
                                  .ctx = world};
    world->reader_count = (unsigned)world->options->readers * READER_KINDS;
    world->readers = mem_array(world->reader_count, sizeof(*world->readers));
    for (unsigned i = 0; i < world->options->readers; i++) {
        for (int kind = 0; kind < READER_KINDS; kind++, index++)
            reader_init(&world->readers[index], &world->house,
                        &(struct reader_plan){.index = index,
                                              .task = (i + (unsigned)kind) % tasks,
                                              .kind = (enum reader_kind)kind,
                                              .seed = world->options->seed});
    }
}

static bool begin(struct world *world)
{
    const struct torture_options *options = world->options;

    world->start_ms = world->now_ms = clock_mono_ms();
    world->notes = mem_array(WORLD_HISTORY, sizeof(*world->notes));
    watch_set_init(&world->set);
    await_signals(world);
    for (unsigned i = 0; i < WORLD_TASKS; i++)
        world->tasks[i].number = i;
    if (!servers_start(world) ||
        !cable_open(&world->cable, &world->set, world->redis_port))
        return false;
    world->cable.on_note = on_cable_note;
    world->cable.ctx = world;
    for (unsigned i = 0; i < options->tasks; i++)
        world->tasks[i].runs = mem_array(WORLD_RUNS, sizeof(struct run *));
    make_readers(world);
    world->faults =
        schedule_make(&(struct schedule_wants){.seed = options->seed,
                                               .length_ms = options->seconds * 1000,
                                               .readers = world->reader_count,
                                               .tasks = (unsigned)options->tasks,
                                               .brokers = (unsigned)options->brokers,
                                               .lease_ms = (unsigned)options->lease_ms},
                      &world->fault_count);
    world->start_ms = world->now_ms = clock_mono_ms();
    return true;
}

/* ---- going on ---- */

static void turn(struct world *world)
{
    uint64_t now;
    uint64_t passed;

    watch_set_turn(&world->set, TURN_MS);
    now = clock_mono_ms();
    if (now - world->kept_ms < TURN_MS / 2)
        return;
    world->kept_ms = now;
    passed = now - world->now_ms;
    world->now_ms = world->house.now_ms = now;
    if (servers_are_whole(world))
        world->healthy_ms += passed;
    if (world->is_calm)
        world->tally.calm_ms += passed;
    else
        world->schedule_ms += passed;
    faults_tick(world);
    servers_watch(world);
    tasks_tick(world);
    for (unsigned i = 0; i < world->reader_count; i++)
        reader_tick(&world->readers[i]);
    report_progress(world);
}

static bool goes_on(const struct world *world)
{
    return !world->has_failed && !world->is_interrupted;
}

static void go_on(struct world *world)
{
    uint64_t end_ms = world->start_ms + world->options->seconds * 1000;

    while (goes_on(world) && world->now_ms < end_ms)
        turn(world);
    if (!goes_on(world))
        return;
    report_note(world, -1, "no more faults: whoever is behind may catch up");
    world->is_draining = true;
    end_ms = world->now_ms + BROKERS_AGAIN;
    while (goes_on(world) && !tasks_are_resting(world) && world->now_ms < end_ms)
        turn(world);
    if (goes_on(world) && !tasks_are_resting(world))
        report_violation(world, -1, "some run did not come to its end in %d s",
                         BROKERS_AGAIN / 1000);
}

/* ---- ending ---- */

static void remove_folder(struct world *world)
{
    char path[PATH_MAX];

    redis_forget(world);
    unlink(world->redis.log);
    for (unsigned i = 0; i < world->options->brokers; i++)
        unlink(world->brokers[i].log);
    snprintf(path, sizeof(path), "%s", world->folder);
    rmdir(path);
}

static void end(struct world *world)
{
    for (unsigned i = 0; i < world->reader_count; i++)
        reader_release(&world->readers[i]);
    if (goes_on(world) && world->readers != NULL) {
        faults_drop(world);
        faults_tick(world);
        servers_settle(world);
    }
    runs_release(world);
    cable_close(&world->cable);
    servers_stop(world);
    watch_close(&world->signals);
    watch_set_release(&world->set);
    if (world->readers != NULL)
        report_table(world);
    free(world->readers);
    free(world->faults);
    free(world->notes);
    if (world->options->keep || world->has_failed)
        printf("\nlogs are kept in %s\n", world->folder);
    else
        remove_folder(world);
}

int world_run(struct world *world)
{
    bool has_begun = begin(world);

    if (has_begun)
        go_on(world);
    end(world);
    if (world->has_failed)
        return 1;
    return has_begun && !world->is_interrupted ? 0 : 2;
}
