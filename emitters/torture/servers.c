/* servers.c - the private Redis and the brokers. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "emitters/torture/resp.h"
#include "emitters/torture/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS        15000
#define MEASURE_MS      500
#define SPARE_FILES     16
#define FILES_A_READER  3
#define SETTLE_FILES_MS 8000

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/* ---- starting ---- */

static void pause_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static bool answers(uint16_t port)
{
    static const char *const ping[] = {"PING"};
    struct buf command;
    struct buf answer;
    bool is_good;

    buf_init(&command, 64);
    buf_init(&answer, 1 << 20);
    resp_command(&command, ping, 1);
    is_good =
        resp_ask(port, buf_view(&command), 1, 500, &answer) && answer.data[0] == '+';
    buf_release(&command);
    buf_release(&answer);
    return is_good;
}

void redis_start(struct world *world)
{
    char port[16];
    const char *argv[] = {world->redis_path, "--port",    port,
                          "--bind",          "127.0.0.1", "--dir",
                          world->folder,     "--save",    "",
                          "--appendonly",    "no",        "--maxmemory-policy",
                          "noeviction",      NULL};

    snprintf(port, sizeof(port), "%u", world->redis_port);
    process_start(&world->redis, argv);
}

/* What it had saved. */
void redis_forget(struct world *world)
{
    char path[sizeof(world->folder) + 16];

    snprintf(path, sizeof(path), "%s/dump.rdb", world->folder);
    unlink(path);
}

void broker_start(struct world *world, unsigned broker)
{
    char listen[32];
    char bus[48];
    const char *argv[] = {world->broker_path,
                          "--listen",
                          listen,
                          "--bus",
                          bus,
                          "--heartbeat-ms",
                          "1000",
                          "--retry-ms",
                          "100",
                          "--poll-wait-ms",
                          "1500",
                          "--wait-unknown-ms",
                          "5000",
                          "--stop-grace-ms",
                          "1000",
                          "--linger-ms",
                          "1000",
                          "--retain-events",
                          "300",
                          "--ping-interval-ms",
                          "1000",
                          "--ping-timeout-ms",
                          "3000",
                          "--log-level",
                          "info",
                          NULL};

    snprintf(listen, sizeof(listen), "127.0.0.1:%u", world->broker_ports[broker]);
    snprintf(bus, sizeof(bus), "redis://127.0.0.1:%u", world->redis_port);
    world->is_terminated[broker] = false;
    process_start(&world->brokers[broker], argv);
}

static bool await_redis(struct world *world)
{
    uint64_t deadline = clock_mono_ms() + START_MS;

    while (!answers(world->redis_port)) {
        if (clock_mono_ms() > deadline || process_wait(&world->redis, 0))
            return false;
        pause_ms(10);
    }
    return true;
}

/* It listens once it has read its settings; whether Redis is there shows later. */
static bool await_broker(struct world *world, unsigned broker)
{
    uint64_t deadline = clock_mono_ms() + START_MS;
    struct buf answer;
    bool is_there = false;

    buf_init(&answer, 65536);
    while (!is_there && clock_mono_ms() < deadline) {
        if (process_wait(&world->brokers[broker], 0))
            break;
        /* Any answer will do; its head is no answer of Redis, but one line of text. */
        is_there = resp_ask(world->broker_ports[broker],
                            slice_of("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
                            1, 500, &answer) &&
                   memmem(answer.data, answer.len, " 200 ", 5) != NULL;
        buf_reset(&answer);
        pause_ms(10);
    }
    buf_release(&answer);
    return is_there;
}

static void name_process(struct world *world, struct process *process, const char *name)
{
    snprintf(process->name, sizeof(process->name), "%s", name);
    snprintf(process->log, sizeof(process->log), "%s/%s.log", world->folder, name);
}

bool servers_start(struct world *world)
{
    name_process(world, &world->redis, "redis");
    world->redis_port = port_free();
    redis_start(world);
    if (!await_redis(world)) {
        fprintf(stderr, "thinkwire torture: redis-server did not start; see %s\n",
                world->redis.log);
        return false;
    }
    for (unsigned i = 0; i < world->options->brokers; i++) {
        char name[24];
        uint64_t rss;
        snprintf(name, sizeof(name), "broker-%u", i);
        name_process(world, &world->brokers[i], name);
        world->broker_ports[i] = port_free();
        broker_start(world, i);
        if (!await_broker(world, i)) {
            fprintf(stderr, "thinkwire torture: a broker did not start; see %s\n",
                    world->brokers[i].log);
            return false;
        }
        (void)process_measure(world->brokers[i].pid, &rss,
                              &world->first_descriptors[i]);
    }
    return true;
}

void servers_stop(struct world *world)
{
    for (unsigned i = 0; i < world->options->brokers; i++)
        process_kill(&world->brokers[i]);
    process_kill(&world->redis);
}

/* ---- watching ---- */

bool servers_are_whole(const struct world *world)
{
    if (world->redis.pid == 0 || world->redis.is_paused || world->has_limit)
        return false;
    for (unsigned i = 0; i < world->options->brokers; i++) {
        if (world->brokers[i].pid == 0 || world->brokers[i].is_paused ||
            world->is_terminated[i])
            return false;
    }
    return true;
}

static void measure(struct world *world, unsigned broker)
{
    struct world_tally *tally = &world->tally;
    unsigned most = world->first_descriptors[broker] + SPARE_FILES +
                    world->reader_count * FILES_A_READER;
    uint64_t rss;
    unsigned files;

    if (!process_measure(world->brokers[broker].pid, &rss, &files))
        return;
    if (rss > tally->peak_rss_bytes)
        tally->peak_rss_bytes = rss;
    if (files > tally->peak_descriptors)
        tally->peak_descriptors = files;
    if (!IS_SANITIZED && rss > world->options->rss_bytes)
        report_violation(world, -1, "broker %u has grown to %llu MB", broker,
                         (unsigned long long)(rss >> 20));
    if (files > most)
        report_violation(world, -1,
                         "broker %u has %u descriptors open, at most %u are right",
                         broker, files, most);
}

static void check_end(struct world *world, unsigned broker)
{
    struct process *process = &world->brokers[broker];
    bool is_clean;

    if (process->pid == 0 || !process_wait(process, 0))
        return;
    is_clean = WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0;
    if (!world->is_terminated[broker] || !is_clean)
        report_violation(world, -1, "broker %u ended by itself, wait status %d; see %s",
                         broker, process->status, process->log);
}

void servers_watch(struct world *world)
{
    bool is_due = world->now_ms - world->measured_ms >= MEASURE_MS;

    for (unsigned i = 0; i < world->options->brokers; i++) {
        check_end(world, i);
        if (is_due && world->brokers[i].pid > 0)
            measure(world, i);
    }
    if (is_due)
        world->measured_ms = world->now_ms;
    if (world->redis.pid > 0 && process_wait(&world->redis, 0))
        report_violation(world, -1, "redis-server ended by itself; see %s",
                         world->redis.log);
}

void servers_settle(struct world *world)
{
    uint64_t deadline = clock_mono_ms() + SETTLE_FILES_MS;

    for (unsigned i = 0; i < world->options->brokers; i++) {
        unsigned files = 0;
        uint64_t rss;
        do {
            pause_ms(50);
            if (!process_measure(world->brokers[i].pid, &rss, &files))
                break;
        } while (files > world->first_descriptors[i] + 1 && clock_mono_ms() < deadline);
        if (files > world->first_descriptors[i] + 1)
            report_violation(
                world, -1, "broker %u has %u descriptors without readers, %u at first",
                i, files, world->first_descriptors[i]);
    }
}
