/* kit.c - time that passes, counters that are read. */
/* SPDX-License-Identifier: MIT */
#include "kit.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A turn may defer to the next: a log wakes its readers, a session is pumped, a pipe that was
 * written to asks for more. */
#define SETTLED_TURNS 4

struct countdown {
    struct turn_task turn;
    struct loop *loop;
    unsigned turns;
};

static void on_countdown(struct turn_task *turn)
{
    struct countdown *countdown = LIST_ENTRY(turn, struct countdown, turn);

    if (--countdown->turns == 0)
        loop_stop(countdown->loop);
    else
        turn_defer(countdown->loop, turn);
}

void kit_settle(struct loop *loop)
{
    struct countdown countdown = {.loop = loop, .turns = SETTLED_TURNS};

    turn_task_init(&countdown.turn, on_countdown);
    turn_defer(loop, &countdown.turn);
    loop_run(loop);
}

struct alarm {
    struct timer timer;
    struct loop *loop;
};

static void on_time(struct timer *timer)
{
    loop_stop(LIST_ENTRY(timer, struct alarm, timer)->loop);
}

void kit_pass_ms(struct loop *loop, uint64_t ms)
{
    struct alarm alarm = {.loop = loop};

    timer_init(&alarm.timer, loop, on_time);
    timer_start(&alarm.timer, ms, 0);
    loop_run(loop);
    timer_release(&alarm.timer);
    kit_settle(loop);
}

uint64_t kit_counted(const struct counters *counters, const char *line_start)
{
    struct buf text;
    const char *line;
    uint64_t value;

    buf_init(&text, 1 << 20);
    counters_write(counters, &text);
    line = buf_text(&text);
    while (line != NULL && strncmp(line, line_start, strlen(line_start)) != 0) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (line == NULL)
        fail_msg("no counter %s", line_start);
    value = line == NULL ? 0 : strtoull(line + strlen(line_start), NULL, 10);
    buf_release(&text);
    return value;
}
