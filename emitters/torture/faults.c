/* faults.c - what is done to whom, and how it is put right again. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/resp.h"
#include "emitters/torture/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ASK_MS       1000
#define HALF_OPEN_MS 4000
/* What producers have sent is carried out before a silence: else it would renew their leases
 * behind it. */
#define ON_ITS_WAY_MS 150
/* More than the kernel holds for a client that does not read, with room for the rest. */
#define JUNK_MESSAGES 400
#define JUNK_BYTES    65536

static bool ask_redis(struct world *world, const char *const *words, size_t count)
{
    struct buf command;
    struct buf answer;
    bool is_good;

    buf_init(&command, 4096);
    buf_init(&answer, 1 << 20);
    resp_command(&command, words, count);
    is_good = resp_ask(world->redis_port, buf_view(&command), 1, ASK_MS, &answer);
    buf_release(&command);
    buf_release(&answer);
    return is_good;
}
#define ASK_REDIS(world, ...)                                                          \
    ask_redis((world), (const char *const[]){__VA_ARGS__},                             \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* ---- remedies ---- */

static void later(struct world *world, const struct remedy *remedy)
{
    for (unsigned i = 0; i < WORLD_PENDING; i++) {
        if (world->remedies[i].at_ms == 0) {
            world->remedies[i] = *remedy;
            world->remedies[i].at_ms = world->now_ms + remedy->length_ms + 1;
            return;
        }
    }
    abort();
}

static bool has_room(const struct world *world)
{
    unsigned free_slots = 0;

    for (unsigned i = 0; i < WORLD_PENDING; i++)
        free_slots += world->remedies[i].at_ms == 0;
    return free_slots > 2;
}

static void kill_redis(struct world *world, unsigned length_ms)
{
    process_kill(&world->redis);
    runs_lost_data(world);
    later(world, &(struct remedy){.kind = REMEDY_START_REDIS, .length_ms = length_ms});
}

static void restart_broker(struct world *world, const struct remedy *remedy)
{
    unsigned broker = remedy->target;

    if (world->brokers[broker].pid == 0) {
        broker_start(world, broker);
    } else if (!world->is_terminated[broker]) {
        return; /* it was started again meanwhile */
    } else if (remedy->length_ms > 15000) {
        report_violation(world, -1, "broker %u has not ended 15 s after SIGTERM",
                         broker);
    } else {
        struct remedy again = *remedy;
        uint64_t due = world->now_ms + 100;
        again.length_ms += 100; /* how long it has been waited for */
        later(world, &again);
        for (unsigned i = 0; i < WORLD_PENDING; i++) {
            if (world->remedies[i].kind == REMEDY_START_BROKER &&
                world->remedies[i].target == broker && world->remedies[i].at_ms > due)
                world->remedies[i].at_ms = due;
        }
    }
}

static void remedy_now(struct world *world, const struct remedy *remedy)
{
    switch (remedy->kind) {
    case REMEDY_START_REDIS:
        redis_start(world);
        break;
    case REMEDY_RELEASE_CABLE:
        cable_hold(&world->cable, false);
        return;
    case REMEDY_KILL_REDIS:
        report_note(world, -1, "redis: killed, comes back with what it had");
        kill_redis(world, remedy->target);
        return;
    case REMEDY_SILENCE_REDIS:
        process_signal(&world->redis, SIGSTOP);
        later(world, &(struct remedy){.kind = REMEDY_CONTINUE_REDIS,
                                      .length_ms = remedy->target});
        return;
    case REMEDY_START_BROKER:
        restart_broker(world, remedy);
        return;
    case REMEDY_CONTINUE_REDIS:
        process_signal(&world->redis, SIGCONT);
        break;
    case REMEDY_CONTINUE_BROKER:
        process_signal(&world->brokers[remedy->target], SIGCONT);
        break;
    case REMEDY_CONTINUE_PRODUCER:
        process_signal(&remedy->run->producer, SIGCONT);
        return;
    case REMEDY_LIFT_LIMIT:
        (void)ASK_REDIS(world, "CONFIG", "SET", "client-output-buffer-limit",
                        "pubsub 33554432 8388608 60");
        process_signal(&world->brokers[remedy->target], SIGCONT);
        world->has_limit = false;
        break;
    case REMEDY_CLOSE_SOCKET:
        close((int)remedy->target);
        return;
    }
    report_note(world, -1, "put right again");
}

void faults_drop(struct world *world)
{
    for (unsigned i = 0; i < WORLD_PENDING; i++) {
        if (world->remedies[i].at_ms != 0)
            world->remedies[i].at_ms = world->now_ms;
    }
}

/* ---- Redis ---- */

static bool redis_is_up(const struct world *world)
{
    return world->redis.pid > 0 && !world->redis.is_paused;
}

/* Brokers reach Redis again before producers do. */
static void hold_cable(struct world *world, const struct fault *fault)
{
    cable_hold(&world->cable, true);
    later(world, &(struct remedy){.kind = REMEDY_RELEASE_CABLE,
                                  .length_ms = fault->length_ms + fault->detail});
}

static void hurt_restart(struct world *world, const struct fault *fault)
{
    const struct remedy start = {.kind = REMEDY_START_REDIS,
                                 .length_ms = fault->length_ms};

    switch (fault->kind) {
    case FAULT_REDIS_KEPT:
        (void)ASK_REDIS(world, "SHUTDOWN", "SAVE");
        if (!process_wait(&world->redis, 5000))
            process_kill(&world->redis);
        hold_cable(world, fault);
        later(world, &start);
        return;
    case FAULT_REDIS_LOST:
        redis_forget(world);
        kill_redis(world, fault->length_ms);
        return;
    default: /* the newest is lost: it is killed some time after it was saved */
        if (ASK_REDIS(world, "SAVE"))
            later(world, &(struct remedy){.kind = REMEDY_KILL_REDIS,
                                          .length_ms = fault->detail,
                                          .target = fault->length_ms});
        return;
    }
}

/* What no broker can read goes past a broker that does not read, until Redis cuts it. */
static void overflow_broker(struct world *world, const struct fault *fault)
{
    struct process *broker = &world->brokers[fault->target];
    struct buf commands;
    struct buf answer;
    char *junk;

    if (broker->pid == 0 || world->is_terminated[fault->target] ||
        !ASK_REDIS(world, "CONFIG", "SET", "client-output-buffer-limit",
                   "pubsub 1048576 0 0"))
        return;
    world->has_limit = true;
    process_signal(broker, SIGSTOP);
    junk = malloc(JUNK_BYTES + 1);
    if (junk == NULL)
        abort();
    memset(junk, 'x', JUNK_BYTES);
    junk[JUNK_BYTES] = '\0';
    buf_init(&commands, (size_t)JUNK_MESSAGES * (JUNK_BYTES + 256));
    buf_init(&answer, 1 << 20);
    for (unsigned i = 0; i < JUNK_MESSAGES; i++)
        resp_command(&commands,
                     (const char *const[]){"PUBLISH", "tw:{/torture-0}:live", junk}, 3);
    (void)resp_ask(world->redis_port, buf_view(&commands), JUNK_MESSAGES, 3000,
                   &answer);
    buf_release(&commands);
    buf_release(&answer);
    free(junk);
    later(world, &(struct remedy){.kind = REMEDY_LIFT_LIMIT,
                                  .target = fault->target,
                                  .length_ms = fault->length_ms});
}

static void hurt_redis(struct world *world, const struct fault *fault)
{
    if (!redis_is_up(world))
        return;
    switch (fault->kind) {
    case FAULT_REDIS_FLUSH:
        if (ASK_REDIS(world, "FLUSHALL"))
            runs_lost_data(world);
        return;
    case FAULT_REDIS_SILENCE:
        hold_cable(world, fault);
        later(world, &(struct remedy){.kind = REMEDY_SILENCE_REDIS,
                                      .length_ms = ON_ITS_WAY_MS,
                                      .target = fault->length_ms});
        return;
    case FAULT_REDIS_KILL_PUBSUB:
        (void)ASK_REDIS(world, "CLIENT", "KILL", "TYPE", "pubsub");
        return;
    case FAULT_REDIS_KILL_NORMAL:
        (void)ASK_REDIS(world, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        return;
    case FAULT_REDIS_OUTPUT_LIMIT:
        overflow_broker(world, fault);
        return;
    default:
        hurt_restart(world, fault);
        return;
    }
}

/* ---- brokers ---- */

static void hurt_broker(struct world *world, const struct fault *fault)
{
    struct process *broker = &world->brokers[fault->target];
    struct remedy start = {.kind = REMEDY_START_BROKER,
                           .target = fault->target,
                           .length_ms = fault->length_ms};

    if (broker->pid == 0 || broker->is_paused || world->is_terminated[fault->target])
        return;
    if (fault->kind == FAULT_BROKER_PAUSE) {
        process_signal(broker, SIGSTOP);
        start.kind = REMEDY_CONTINUE_BROKER;
    } else if (fault->kind == FAULT_BROKER_TERM) {
        world->is_terminated[fault->target] = true;
        process_signal(broker, SIGTERM);
    } else {
        process_kill(broker);
    }
    later(world, &start);
}

/* ---- producers ---- */

static void pause_producer(struct world *world, struct run *run,
                           const struct fault *fault)
{
    if (run->producer.is_paused)
        return;
    if (fault->length_ms > world->options->lease_ms * 2 / 3)
        run->facts.was_paused_long = true;
    process_signal(&run->producer, SIGSTOP);
    later(world, &(struct remedy){.kind = REMEDY_CONTINUE_PRODUCER,
                                  .run = run,
                                  .length_ms = fault->length_ms});
}

static bool stop_run(struct world *world, const struct fault *fault)
{
    struct run *run = task_run(&world->tasks[fault->target]);

    for (unsigned i = 0; i < world->reader_count; i++) {
        struct reader *reader = &world->readers[i];
        if (reader->task == fault->target && reader->fold.story == &run->story &&
            reader_ask_stop(reader)) {
            run->facts.was_stopped = true;
            return true;
        }
    }
    return false;
}

/* While no producer reaches Redis, those of every second task are let be: runs that are well,
 * and must outlive it. */
static bool is_spared(const struct world *world, const struct task *task)
{
    return world->cable.is_held && task->number % 2 == 1;
}

/* Who opens last wins: the older one must have been opened. */
static bool may_be_superseded(const struct task *task)
{
    const struct run *run = task_run(task);

    return task->phase == TASK_RUNNING && run_is_on(run) && task_may_begin(task) &&
           atomic_load(&run->journal->flushed) > 0;
}

/* The task that is meant, or the next one of which it is possible. */
static bool supersede_run(struct world *world, const struct fault *fault)
{
    for (unsigned i = 0; i < world->options->tasks; i++) {
        struct task *task = &world->tasks[(fault->target + i) % world->options->tasks];
        if (is_spared(world, task) || !may_be_superseded(task))
            continue;
        task_run(task)->facts.was_superseded = true;
        task_begin_run(world, task);
        return true;
    }
    return false;
}

static bool hurt_producer(struct world *world, const struct fault *fault)
{
    struct task *task = &world->tasks[fault->target];
    struct run *run = task_run(task);

    if (fault->kind == FAULT_EMITTER_CUT)
        return cable_cut(&world->cable, fault->target);
    if (fault->kind == FAULT_RUN_SUPERSEDE)
        return supersede_run(world, fault);
    if (task->phase != TASK_RUNNING || !run_is_on(run) || is_spared(world, task))
        return false;
    if (fault->kind == FAULT_EMITTER_KILL) {
        run->facts.was_killed = true;
        process_signal(&run->producer, SIGKILL);
    } else if (fault->kind == FAULT_EMITTER_PAUSE) {
        pause_producer(world, run, fault);
    } else {
        return stop_run(world, fault);
    }
    return true;
}

/* ---- readers ---- */

static void hurt_reader(struct world *world, const struct fault *fault)
{
    static const enum reader_from froms[] = {FROM_SNAPSHOT, FROM_SNAPSHOT, FROM_START,
                                             FROM_NOW};
    struct reader *reader = &world->readers[fault->target];
    int fd;

    switch (fault->kind) {
    case FAULT_READER_CUT:
        reader_cut_after(reader, fault->detail);
        return;
    case FAULT_READER_STALL:
        reader_stall(reader, world->now_ms + fault->length_ms);
        return;
    case FAULT_READER_HALF_OPEN:
        fd = reader_leave(reader);
        if (fd >= 0)
            later(world, &(struct remedy){.kind = REMEDY_CLOSE_SOCKET,
                                          .target = (unsigned)fd,
                                          .length_ms = HALF_OPEN_MS});
        return;
    default:
        reader_renew(reader, froms[fault->detail % 4]);
        return;
    }
}

/* ---- when ---- */

static void hurt(struct world *world, const struct fault *fault)
{
    char more[48] = "";
    int task = -1;

    world->tally.faults[fault->kind]++;
    if (fault->kind <= FAULT_READER_NEW) {
        task = (int)world->readers[fault->target].task;
        snprintf(more, sizeof(more), ", reader %u", fault->target);
    } else if (fault->kind <= FAULT_RUN_STOP) {
        task = (int)fault->target;
        snprintf(more, sizeof(more), ", task %u", fault->target);
    } else if (fault->kind <= FAULT_BROKER_PAUSE) {
        snprintf(more, sizeof(more), ", broker %u", fault->target);
    }
    report_note(world, task, "FAULT %s%s, %u ms", fault_name(fault->kind), more,
                fault->length_ms);
    if (fault->kind <= FAULT_READER_NEW)
        hurt_reader(world, fault);
    else if (fault->kind <= FAULT_RUN_STOP)
        (void)hurt_producer(world, fault);
    else if (fault->kind <= FAULT_BROKER_PAUSE)
        hurt_broker(world, fault);
    else
        hurt_redis(world, fault);
}

void faults_tick(struct world *world)
{
    for (unsigned i = 0; i < WORLD_PENDING; i++) {
        struct remedy remedy = world->remedies[i];
        if (remedy.at_ms == 0 || remedy.at_ms > world->now_ms)
            continue;
        world->remedies[i].at_ms = 0;
        remedy_now(world, &remedy);
    }
    while (!world->is_draining && world->next_fault < world->fault_count &&
           world->faults[world->next_fault].at_ms <= world->schedule_ms &&
           has_room(world))
        hurt(world, &world->faults[world->next_fault++]);
}
