/* rig.c - an emitter on a fake far end, and turns of its loop. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

static void on_turner(struct timer *timer)
{
    struct rig *rig = LIST_ENTRY(timer, struct rig, turner);
    loop_stop(rig->loop); /* this turn still goes to its end */
}

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "the test waited in vain\n");
    abort();
}

static void on_ended(void *ctx, enum publish_status status)
{
    struct rig *rig = ctx;
    rig->ended++;
    rig->ended_as = status;
    if (rig->frees_on_end) {
        emitter_free(rig->emitter);
        rig->emitter = NULL;
    }
}

static void on_settled(void *ctx)
{
    struct rig *rig = ctx;
    rig->settled++;
}

static void on_stop(void *ctx)
{
    struct rig *rig = ctx;
    rig->stops++;
}

struct emitter_options rig_options(void)
{
    return (struct emitter_options){
        .task = {slice_of("site1"), slice_of("t1")},
        .window_ms = EMITTER_WINDOW_MS,
        .lease_ms = EMITTER_LEASE_MS,
    };
}

void rig_start(struct rig *rig, struct emitter_options options)
{
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_new();
    timer_init(&rig->turner, rig->loop, on_turner);
    timer_init(&rig->watchdog, rig->loop, on_watchdog);
    timer_start(&rig->watchdog, 10000, 0);
    fake_init(&rig->fake);
    options.on_ended = on_ended;
    options.on_settled = on_settled;
    options.on_stop = on_stop;
    options.ctx = rig;
    rig->emitter = emitter_new(rig->loop, &rig->fake.sink, &options);
}

void rig_start_open(struct rig *rig, struct emitter_options options)
{
    rig_start(rig, options);
    rig_turn(rig);
    assert_int_equal(rig->fake.opens, 1);
    fake_open(&rig->fake, PUBLISH_OK, EPOCH);
    rig_turn(rig);
}

void rig_end(struct rig *rig)
{
    emitter_free(rig->emitter);
    fake_release(&rig->fake);
    timer_release(&rig->turner);
    timer_release(&rig->watchdog);
    loop_free(rig->loop);
}

void rig_turn(struct rig *rig)
{
    timer_start(&rig->turner, 0, 0);
    loop_run(rig->loop);
}

void rig_until(struct rig *rig, const size_t *counter, size_t wanted)
{
    timer_start(&rig->turner, 1, 1);
    while (*counter < wanted)
        loop_run(rig->loop);
    timer_stop(&rig->turner);
}

void rig_until_u(struct rig *rig, const unsigned *counter, unsigned wanted)
{
    timer_start(&rig->turner, 1, 1);
    while (*counter < wanted)
        loop_run(rig->loop);
    timer_stop(&rig->turner);
}

void say_text(struct rig *rig, const char *delta)
{
    assert_true(emitter_text(rig->emitter, slice_of(delta)));
}

void say_reasoning(struct rig *rig, const char *delta)
{
    assert_true(emitter_reasoning(rig->emitter, slice_of(delta)));
}

unsigned times_in(struct rig *rig, size_t call, const char *needle)
{
    unsigned count = 0;
    assert_true(call < rig->fake.count);
    for (const char *at = fake_lines(&rig->fake, call);
         (at = strstr(at, needle)) != NULL; at++)
        count++;
    return count;
}

void assert_in(struct rig *rig, size_t call, const char *needle)
{
    assert_int_equal(times_in(rig, call, needle), 1);
}

void assert_not_in(struct rig *rig, size_t call, const char *needle)
{
    assert_int_equal(times_in(rig, call, needle), 0);
}
