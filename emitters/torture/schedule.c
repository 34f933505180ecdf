/* schedule.c - which fault when: drawn from the seed, before anything begins. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/schedule.h"

#include "base/mem.h"
#include "emitters/torture/draw.h"

#include <stdbool.h>
#include <stdlib.h>

#define PURPOSE_READER  10
#define PURPOSE_EMITTER 11
#define PURPOSE_WORLD   12
#define WORLD_FIRST     FAULT_BROKER_KILL
#define WORLD_KINDS     (FAULT_KINDS - WORLD_FIRST)
/* Until everything has begun once. */
#define QUIET_MS 800

struct making {
    const struct schedule_wants *wants;
    struct fault *faults;
    size_t count;
    size_t room;
};

const char *fault_name(enum fault_kind kind)
{
    static const char *const names[] = {
        "reader cut",
        "reader stalled",
        "reader gone, half open",
        "reader replaced by a newcomer",
        "emitter's connection cut",
        "emitter killed",
        "emitter paused",
        "run superseded",
        "stop asked for",
        "broker killed",
        "broker terminated",
        "broker paused",
        "redis restarted, data kept",
        "redis restarted, data lost",
        "redis restarted, newest data lost",
        "redis flushed",
        "redis silent",
        "pub/sub clients killed",
        "normal clients killed",
        "output-buffer limit",
    };

    return names[kind];
}

static void add(struct making *making, const struct fault *fault)
{
    if (making->count == making->room) {
        making->room = making->room * 2 + 64;
        making->faults =
            mem_resize(making->faults, making->room * sizeof(*making->faults));
    }
    making->faults[making->count++] = *fault;
}

/* Each reader by itself, every few seconds. */
static void make_reader(struct making *making, unsigned reader)
{
    struct draw draw = draw_of(making->wants->seed, PURPOSE_READER, reader);
    uint64_t at_ms = QUIET_MS + draw_below(&draw, 3000);

    while (at_ms < making->wants->length_ms) {
        struct fault fault = {.at_ms = at_ms, .target = reader};
        unsigned which = draw_below(&draw, 10);
        fault.kind = which < 5   ? FAULT_READER_CUT
                     : which < 7 ? FAULT_READER_STALL
                     : which < 8 ? FAULT_READER_HALF_OPEN
                                 : FAULT_READER_NEW;
        fault.length_ms = draw_between(&draw, 100, 2500);
        fault.detail = draw_below(&draw, 6000);
        add(making, &fault);
        at_ms += draw_between(&draw, 1000, 6000);
    }
}

static unsigned pause_ms(struct draw *draw, unsigned lease_ms)
{
    return draw_below(draw, 2) == 0 ? draw_between(draw, 100, lease_ms / 2)
                                    : lease_ms * 2 + draw_below(draw, lease_ms);
}

/* The first ones let two producers tell the same task, so that it shows at once whether the
 * older one is kept out. */
#define FIRST_SUPERSEDED 3

static void make_emitters(struct making *making)
{
    const struct schedule_wants *wants = making->wants;
    struct draw draw = draw_of(wants->seed, PURPOSE_EMITTER, 0);
    uint64_t at_ms = QUIET_MS;

    for (unsigned n = 0; at_ms < wants->length_ms; n++) {
        struct fault fault = {.at_ms = at_ms,
                              .target = draw_below(&draw, wants->tasks)};
        unsigned which = draw_below(&draw, 16);
        fault.kind = n < FIRST_SUPERSEDED ? FAULT_RUN_SUPERSEDE
                     : which < 8          ? FAULT_EMITTER_CUT
                     : which < 10         ? FAULT_EMITTER_KILL
                     : which < 12         ? FAULT_EMITTER_PAUSE
                     : which < 14         ? FAULT_RUN_SUPERSEDE
                                          : FAULT_RUN_STOP;
        fault.length_ms = pause_ms(&draw, wants->lease_ms);
        add(making, &fault);
        at_ms += draw_between(&draw, 100, 900);
    }
}

static unsigned world_length(struct draw *draw, enum fault_kind kind,
                             const struct schedule_wants *wants)
{
    switch (kind) {
    case FAULT_REDIS_SILENCE:
        /* Longer than a lease; in long tests also longer than a link waits for. */
        return draw_below(draw, 4) == 0 && wants->length_ms >= 60000
                   ? draw_between(draw, 10000, 12000)
                   : wants->lease_ms + draw_between(draw, 300, 2500);
    case FAULT_REDIS_KEPT:
        /* Also longer than a lease: it has run out when Redis is back, its producer lives. */
        return draw_below(draw, 3) > 0 ? wants->lease_ms + draw_between(draw, 200, 1500)
                                       : draw_between(draw, 100, 1500);
    case FAULT_BROKER_PAUSE:
        return draw_between(draw, 200, 3000);
    case FAULT_REDIS_FLUSH:
    case FAULT_REDIS_KILL_PUBSUB:
    case FAULT_REDIS_KILL_NORMAL:
        return 0;
    default:
        return draw_between(draw, 100, 1500);
    }
}

/* A deck of all kinds, shuffled, then again: so that none is missing for long. */
struct deck {
    unsigned char cards[WORLD_KINDS + 1];
    unsigned left;
    unsigned dealt;
};

/* What lies on top of the first deck, the last one first: with these it shows within a minute
 * whether gaps heal and healthy runs are let live, whatever the seed (tests/torture/broken.sh).
 * Behind each is a pause in which the runs it hit can end, since other faults hide it: data
 * that is lost is told anew, a broker that starts reads all. */
static const enum fault_kind opening[] = {
    FAULT_REDIS_KILL_PUBSUB,
    FAULT_REDIS_SILENCE,
    FAULT_REDIS_OUTPUT_LIMIT,
};
#define OPENING_PAUSE_MS UINT64_C(4000)
#define OPENING          (sizeof(opening) / sizeof(opening[0]))

static bool is_of_the_opening(enum fault_kind kind)
{
    for (size_t i = 0; i < OPENING; i++)
        if (opening[i] == kind)
            return true;
    return false;
}

static void fill_deck(struct deck *deck)
{
    /* A restart that loses nothing is the most common one. */
    deck->cards[deck->left++] = FAULT_REDIS_KEPT;
    for (int kind = WORLD_FIRST; kind < FAULT_KINDS; kind++)
        if (!is_of_the_opening((enum fault_kind)kind))
            deck->cards[deck->left++] = (unsigned char)kind;
    for (size_t i = 0; i < OPENING; i++)
        deck->cards[deck->left++] = (unsigned char)opening[i];
}

static enum fault_kind deal(struct deck *deck, struct draw *draw)
{
    unsigned card;
    unsigned char dealt;

    if (deck->left == 0)
        fill_deck(deck);
    card = deck->dealt++ < OPENING ? deck->left - 1 : draw_below(draw, deck->left);
    dealt = deck->cards[card];
    deck->cards[card] = deck->cards[--deck->left];
    return (enum fault_kind)dealt;
}

static void make_world(struct making *making)
{
    const struct schedule_wants *wants = making->wants;
    struct draw draw = draw_of(wants->seed, PURPOSE_WORLD, 0);
    uint64_t at_ms = QUIET_MS + draw_below(&draw, 1000);
    struct deck deck = {.left = 0};

    while (at_ms < wants->length_ms) {
        struct fault fault = {.at_ms = at_ms,
                              .kind = deal(&deck, &draw),
                              .target = draw_below(&draw, wants->brokers),
                              .detail = draw_between(&draw, 100, 1500)};
        fault.length_ms = world_length(&draw, fault.kind, wants);
        /* Links that were lost are too late to see a lease that has run out. */
        if (deck.dealt <= OPENING && fault.length_ms > wants->lease_ms + 2500)
            fault.length_ms = wants->lease_ms + 2500;
        if ((fault.kind == FAULT_REDIS_KEPT || fault.kind == FAULT_REDIS_SILENCE) &&
            fault.length_ms > wants->lease_ms)
            fault.detail = wants->lease_ms * 7 / 10;
        add(making, &fault);
        at_ms += fault.length_ms + draw_between(&draw, 500, 2500);
        if (deck.dealt <= OPENING)
            at_ms += wants->length_ms < 10 * OPENING_PAUSE_MS ? wants->length_ms / 10
                                                              : OPENING_PAUSE_MS;
        if (fault.kind == FAULT_REDIS_TAIL_LOST || fault.kind == FAULT_REDIS_KEPT ||
            fault.kind == FAULT_REDIS_SILENCE)
            at_ms += fault.detail;
    }
}

static int earlier(const void *a, const void *b)
{
    const struct fault *x = a;
    const struct fault *y = b;

    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return x->target < y->target ? -1 : x->target > y->target;
}

struct fault *schedule_make(const struct schedule_wants *wants, size_t *count)
{
    struct making making = {.wants = wants};

    for (unsigned i = 0; i < wants->readers; i++)
        make_reader(&making, i);
    make_emitters(&making);
    make_world(&making);
    if (making.count > 0)
        qsort(making.faults, making.count, sizeof(*making.faults), earlier);
    *count = making.count;
    return making.faults;
}
