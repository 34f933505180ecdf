/* test_races.c - exactly one terminal event per run, whoever races with whom. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Several actors, each on a connection of its own, do what they like to one task without
 * waiting for each other: open, publish, repeat, stop, end, join. Then the log is read and
 * must be what the contract says, whatever the order was in which Redis took them.
 */
enum { ACTORS = 5, ROUNDS = 120, BATCH = 4, WORDS = ACTORS * ROUNDS * BATCH };

struct word {
    bool was_accepted; /* an answer told its id */
    unsigned seen;     /* times it stands in the log */
};

struct actor {
    struct shop shop;
    struct race *race;
    char name[8];
    uint64_t epoch;
    uint64_t counter;
    /* The last batch, for repeating it. */
    uint64_t sent_epoch;
    uint64_t sent_counter;
    size_t sent_first; /* number of its first word */
    size_t sent_count;
    bool was_owned;
    bool was_terminal;
};

struct opening {
    uint64_t epoch;
    const struct actor *actor;
};

struct race {
    struct stage stage;
    struct opening openings[ACTORS * ROUNDS];
    size_t opening_count;
    struct actor actors[ACTORS];
    struct word words[WORDS];
    size_t word_count;
    unsigned answered;
    uint32_t seed;
};

static uint32_t roll(struct race *race, uint32_t n)
{
    race->seed = race->seed * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)race->seed * n) >> 32);
}

static void answered(struct actor *actor)
{
    actor->race->answered++;
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct actor *actor = ctx;

    assert_int_equal(status, PUBLISH_OK);
    actor->epoch = epoch;
    actor->counter = 1;
    actor->race->openings[actor->race->opening_count++] =
        (struct opening){.epoch = epoch, .actor = actor};
    answered(actor);
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct actor *actor = ctx;
    size_t accepted = 0;

    assert_int_not_equal(result->status, PUBLISH_UNAVAILABLE);
    if (result->last.epoch != 0 && result->first.epoch == result->last.epoch)
        accepted = (size_t)(result->last.seq - result->first.seq) + 1;
    if (result->status == PUBLISH_OK)
        accepted = actor->sent_count;
    for (size_t i = 0; i < accepted; i++)
        actor->race->words[actor->sent_first + i].was_accepted = true;
    if (actor->was_owned && result->status == PUBLISH_OK &&
        actor->sent_epoch == actor->epoch &&
        actor->counter < actor->sent_counter + actor->sent_count)
        actor->counter = actor->sent_counter + actor->sent_count;
    answered(actor);
}

static void on_ended(void *ctx, enum store_end_status status)
{
    assert_int_not_equal(status, STORE_END_UNAVAILABLE);
    answered(ctx);
}

static void on_stopped(void *ctx, enum stop_status status, uint64_t epoch)
{
    (void)epoch;
    assert_int_not_equal(status, STOP_UNAVAILABLE);
    answered(ctx);
}

static void send_batch(struct actor *actor)
{
    struct event events[BATCH];
    char texts[BATCH][160];
    struct publish_request request = {
        .task = the_task(), .events = events, .count = actor->sent_count};

    for (size_t i = 0; i < actor->sent_count; i++) {
        const char *field;
        bool is_last = actor->was_terminal && i + 1 == actor->sent_count;
        (void)snprintf(texts[i], sizeof(texts[i]),
                       "{\"type\":\"%s\",\"task_id\":\"t1\",\"text\":\"w%zu;\","
                       "\"partial\":%s}",
                       is_last ? "completion" : "text", actor->sent_first + i,
                       is_last ? "false" : "true");
        assert_int_equal(event_check(slice_of(texts[i]), &events[i], &field), EVENT_OK);
    }
    if (actor->was_owned) {
        request.producer = slice_of(actor->name);
        request.epoch = actor->sent_epoch;
        request.counter = actor->sent_counter;
    }
    store_publish(actor->shop.store, &request, on_published, actor);
}

static void publish(struct actor *actor, bool is_owned)
{
    struct race *race = actor->race;

    actor->was_owned = is_owned;
    actor->sent_epoch = actor->epoch;
    actor->sent_counter = actor->counter;
    actor->sent_count = 1 + roll(race, BATCH);
    actor->sent_first = race->word_count;
    race->word_count += actor->sent_count;
    assert_true(race->word_count <= WORDS);
    actor->was_terminal = roll(race, 5) == 0;
    send_batch(actor);
}

static void open_run(struct actor *actor)
{
    struct run_open_request request = {
        .task = the_task(),
        .producer = slice_of(actor->name),
        .lease_ms = roll(actor->race, 3) == 0 ? 0 : 60000,
        .state = roll(actor->race, 4) == 0 ? RUN_QUEUED : RUN_RUNNING};

    store_open(actor->shop.store, &request, on_opened, actor);
}

static void end_run(struct actor *actor)
{
    struct store_ending ending = {
        .task = the_task(),
        .epoch = actor->epoch,
        .condition = roll(actor->race, 2) == 0 ? STORE_IF_ANY : STORE_IF_IDLE,
        .type = EVENT_ERROR,
        .code = "PRODUCER_LOST",
        .message = "m"};

    store_end(actor->shop.store, &ending, on_ended, actor);
}

static void act(struct actor *actor)
{
    struct task_key task = the_task();

    switch (roll(actor->race, 12)) {
    case 0:
    case 1:
        open_run(actor);
        return;
    case 2:
        store_stop(actor->shop.store, &task, actor->epoch, on_stopped, actor);
        return;
    case 3:
        end_run(actor);
        return;
    case 4:
        publish(actor, false);
        return;
    case 5:
        /* A repeat for want of an answer: the same bytes. */
        if (actor->was_owned && actor->sent_count > 0 &&
            actor->sent_epoch == actor->epoch) {
            send_batch(actor);
            return;
        }
        open_run(actor);
        return;
    default:
        if (actor->epoch == 0)
            open_run(actor);
        else
            publish(actor, true);
    }
}

/* ---- the log ---- */

struct seen_run {
    uint64_t epoch;
    uint64_t seq;
    unsigned terminals;
    struct buf text;
};

/* NULL: a guest's publish opened it. */
static const struct actor *opener(const struct race *race, uint64_t epoch)
{
    for (size_t i = 0; i < race->opening_count; i++) {
        if (race->openings[i].epoch == epoch)
            return race->openings[i].actor;
    }
    return NULL;
}

/* Nothing is begun anew before the last one has ended, but that a producer may replace its
 * own run; it may have opened more that nobody wrote to. */
static bool may_follow(const struct race *race, const struct seen_run *run,
                       uint64_t epoch)
{
    const struct actor *actor = opener(race, run->epoch);

    if (run->epoch == 0 || run->terminals == 1)
        return true;
    return actor != NULL && opener(race, epoch) == actor;
}

static void check_entry(struct race *race, struct seen_run *run, struct slice id_text,
                        struct slice json)
{
    struct event_id id;
    struct event event;
    const char *field;

    assert_true(event_id_parse(id_text, &id));
    assert_int_equal(event_check(json, &event, &field), EVENT_OK);
    if (id.epoch != run->epoch) {
        assert_true(may_follow(race, run, id.epoch));
        run->epoch = id.epoch;
        run->seq = 0;
        run->terminals = 0;
        buf_reset(&run->text);
    }
    assert_int_equal(id.seq, ++run->seq);
    assert_int_equal(run->terminals, 0); /* nothing follows it */
    run->terminals += event_type_is_terminal(event.type) ? 1 : 0;
    if (event.is_delta)
        buf_slice(&run->text, event.text);
    if (event.text.len > 1 && event.text.ptr[0] == 'w')
        race->words[strtoul(event.text.ptr + 1, NULL, 10)].seen++;
}

static void check_log(struct race *race)
{
    struct scene *scene = race->stage.scene;
    struct seen_run run = {0};
    struct buf copy;
    struct slice rest;
    struct slice id;
    struct slice field;
    struct slice json;
    size_t runs = 0;

    buf_init(&run.text, 1 << 20);
    buf_init(&copy, 16 << 20);
    buf_puts(&copy, scene_ask(scene, "XRANGE tw:{s/t1}:log - +"));
    rest = buf_view(&copy);
    while (next_part(&rest, '|', &id) && next_part(&rest, '|', &field) &&
           next_part(&rest, '|', &json)) {
        check_entry(race, &run, id, json);
        runs += run.seq == 1 ? 1 : 0;
    }
    assert_true(runs > 20);
    for (size_t i = 0; i < race->word_count; i++) {
        assert_true(race->words[i].seen <= 1);
        if (race->words[i].was_accepted)
            assert_int_equal(race->words[i].seen, 1);
    }
    /* What is kept beside the log is what the log says. */
    if (strtoull(shop_field(&race->actors[0].shop, "epoch"), NULL, 10) == run.epoch)
        assert_string_equal(scene_ask(scene, "GET tw:{s/t1}:text"),
                            buf_text(&run.text));
    buf_release(&copy);
    buf_release(&run.text);
}

static void race_once(void **state, uint32_t seed)
{
    struct race *race = calloc(1, sizeof(*race));
    unsigned wanted = 0;

    assert_non_null(race);
    race->seed = seed;
    stage_open(&race->stage, state); /* a broker that sweeps meanwhile */
    for (size_t i = 0; i < ACTORS; i++) {
        struct actor *actor = &race->actors[i];
        shop_open(&actor->shop, state);
        actor->shop.limits.retain_events = 100000;
        shop_limits(&actor->shop, &actor->shop.limits);
        actor->race = race;
        (void)snprintf(actor->name, sizeof(actor->name), "p%zu", i);
    }
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t a = 0; a < ACTORS; a++) {
            act(&race->actors[a]);
            wanted++;
        }
        /* On five connections: Redis takes them in any order. */
        scene_until_count(race->stage.scene, &race->answered, wanted);
    }
    check_log(race);
    for (size_t i = 0; i < ACTORS; i++)
        shop_close(&race->actors[i].shop);
    stage_close(&race->stage);
    free(race);
}

static void
every_run_has_one_terminal_event_and_every_accepted_event_stands_once(void **state)
{
    for (uint32_t seed = 1; seed <= 8; seed++) {
        print_message("seed %u\n", seed);
        (void)scene_clean(state);
        race_once(state, seed);
    }
}

int test_races(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_run_has_one_terminal_event_and_every_accepted_event_stands_once),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("races", tests, scene_new, scene_free);
}
