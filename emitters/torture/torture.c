/* torture.c - thinkwire torture: its options, and what it needs to run. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/torture.h"

#include "base/clock.h"
#include "base/config.h"
#include "base/mem.h"
#include "emitters/torture/world.h"

#include <stdio.h>
#include <stdlib.h>

#define CANNOT_RUN 2

#define NUMBER(row_name, field, preset, least, most, row_help)                         \
    {                                                                                  \
        .name = (row_name), .type = CONFIG_U64,                                        \
        .offset = offsetof(struct torture_options, field), .default_text = (preset),   \
        .min = (least), .max = (most), .help = (row_help), .group = "Options"          \
    }
static const struct config_row rows[] = {
    NUMBER("seed", seed, "0", 0, UINT64_MAX,
           "What all faults are drawn from; 0 draws one and prints it."),
    NUMBER("seconds", seconds, "60", 1, 86400, "How long faults go on."),
    NUMBER("brokers", brokers, "2", 1, WORLD_BROKERS, "Brokers on one Redis."),
    NUMBER("tasks", tasks, "6", 1, WORLD_TASKS, "Tasks that have a run at any time."),
    NUMBER("readers", readers, "8", 1, 100, "Readers of each transport."),
    NUMBER("lease-ms", lease_ms, "4000", 1000, 60000, "Lease of the runs."),
    NUMBER("rss-bytes", rss_bytes, "200m", 1 << 20, UINT64_C(1) << 40,
           "A broker must not grow past it."),
    {.name = "keep",
     .type = CONFIG_FLAG,
     .offset = offsetof(struct torture_options, keep),
     .default_text = "off",
     .help = "Keep the folder with the logs.",
     .group = "Options"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char intro[] =
    "Starts a private Redis, brokers, emitters, and readers of every transport, kills, cuts, "
    "pauses and empties them by a schedule drawn from a seed, and checks that every reader "
    "got every run's text once and in order, with exactly one end.\n"
    "\n"
    "  thinkwire torture --seed 7 --seconds 120\n"
    "\n"
    "The same seed draws the same faults; what the operating system does between them "
    "differs from run to run. Exit codes: 0 nothing was violated, 1 something was (the first "
    "is printed with its history), 2 it could not run.\n";

static uint64_t any_seed(void)
{
    uint32_t seed;

    random_bytes(&seed, sizeof(seed));
    return (uint64_t)seed + 1;
}

static bool find_programs(struct world *world)
{
    if (!program_find("redis-server", world->redis_path)) {
        fprintf(stderr, "thinkwire torture: redis-server is not in PATH (Debian: apt "
                        "install redis-server)\n");
        return false;
    }
    if (!program_beside("thinkwired", world->broker_path)) {
        fprintf(stderr, "thinkwire torture: thinkwired is not beside this program\n");
        return false;
    }
    snprintf(world->folder, sizeof(world->folder), "/tmp/thinkwire-torture-XXXXXX");
    if (mkdtemp(world->folder) == NULL) {
        perror("thinkwire torture: a folder in /tmp");
        return false;
    }
    return true;
}

static int torture(struct torture_options *options)
{
    struct world *world = mem_new(sizeof(*world));
    int code = CANNOT_RUN;

    if (options->seed == 0)
        options->seed = any_seed();
    world->options = options;
    if (find_programs(world)) {
        printf(
            "thinkwire torture --seed %llu --seconds %llu: %llu brokers, %llu tasks, "
            "%llu readers\n",
            (unsigned long long)options->seed, (unsigned long long)options->seconds,
            (unsigned long long)options->brokers, (unsigned long long)options->tasks,
            (unsigned long long)options->readers * READER_KINDS);
        fflush(stdout);
        code = world_run(world);
    }
    free(world);
    return code;
}

int tool_torture(int argc, char **argv)
{
    struct torture_options options = {0};
    struct config_request request = {.program = "thinkwire torture",
                                     .version = THINKWIRE_VERSION,
                                     .intro = intro,
                                     .rows = rows,
                                     .row_count = ROW_COUNT,
                                     .argc = argc,
                                     .argv = argv};
    struct buf error;
    enum config_outcome outcome;
    int code;

    buf_init(&error, 8192);
    outcome = config_load(&request, &options, &error);
    if (outcome == CONFIG_FAILED)
        fprintf(stderr, "thinkwire torture: %s\n", buf_text(&error));
    buf_release(&error);
    if (outcome != CONFIG_RUN)
        return outcome == CONFIG_DONE ? 0 : CANNOT_RUN;
    code = torture(&options);
    config_release(rows, ROW_COUNT, &options);
    return code;
}
