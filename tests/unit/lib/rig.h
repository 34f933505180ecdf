/* rig.h - an emitter on a fake far end, and turns of its loop. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_LIB_RIG_H
#define THINKWIRE_TESTS_LIB_RIG_H

#include "fake_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define EPOCH 1700000000000U

struct rig {
    struct loop *loop;
    struct timer turner;
    struct timer watchdog;
    struct fake_sink fake;
    struct emitter *emitter;
    unsigned ended;
    enum publish_status ended_as;
    unsigned settled;
    unsigned stops;
    bool frees_on_end;
};

/* Options that tests change before rig_start(). */
struct emitter_options rig_options(void);
/* The run is not open yet. */
void rig_start(struct rig *rig, struct emitter_options options);
/* ... and is opened in epoch EPOCH. */
void rig_start_open(struct rig *rig, struct emitter_options options);
void rig_end(struct rig *rig);
/* One turn of the loop, without waiting. */
void rig_turn(struct rig *rig);
/* Turns until `*counter` is at least `wanted`; aborts after ten seconds. */
void rig_until(struct rig *rig, const size_t *counter, size_t wanted);
void rig_until_u(struct rig *rig, const unsigned *counter, unsigned wanted);

void say_text(struct rig *rig, const char *delta);
void say_reasoning(struct rig *rig, const char *delta);
/* How often `needle` stands in the lines of a publish. */
unsigned times_in(struct rig *rig, size_t call, const char *needle);
/* Fails unless it stands there exactly once, or not at all. */
void assert_in(struct rig *rig, size_t call, const char *needle);
void assert_not_in(struct rig *rig, size_t call, const char *needle);

int test_coalescing(void);
int test_events(void);
int test_faults(void);

#endif
