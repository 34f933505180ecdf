/* test_memory.c - the memory bus answers as the table in redis/README.md says. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- short ways to ask ---- */

struct answer {
    struct publish_result result;
    enum publish_status open_status;
    uint64_t epoch;
    enum stop_status stop;
};

static void on_published(void *ctx, const struct publish_result *result)
{
    ((struct answer *)ctx)->result = *result;
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    ((struct answer *)ctx)->open_status = status;
    ((struct answer *)ctx)->epoch = epoch;
}

static void on_stopped(void *ctx, enum stop_status status)
{
    ((struct answer *)ctx)->stop = status;
}

static void on_erased(void *ctx, bool ok)
{
    (void)ctx;
    assert_true(ok);
}

static const struct task_key key = {{"", 0}, {"t", 1}};

static uint64_t open_run(struct bench *b, const char *producer,
                         enum run_state run_state, bool keeps_text)
{
    struct run_open_request request = {
        .task = key,
        .producer = slice_of(producer),
        .state = run_state,
        .keeps_text = keeps_text,
    };
    struct answer answer = {0};

    b->bus->ops->open(b->bus, &request, on_opened, &answer);
    assert_int_equal(answer.open_status, PUBLISH_OK);
    return answer.epoch;
}

/* `words`: one delta for each word, "." is a completion. */
static struct publish_result publish(struct bench *b, const char *producer,
                                     uint64_t epoch, uint64_t counter,
                                     const char *words)
{
    struct event events[16];
    struct publish_request request = {
        .task = key,
        .producer = slice_of(producer),
        .epoch = epoch,
        .counter = counter,
        .events = events,
    };
    struct answer answer = {0};
    char bodies[16][128];

    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        char *body = bodies[request.count];
        const char *field;
        snprintf(body, sizeof(bodies[0]),
                 "{\"task_id\":\"t\",\"type\":\"%s\",\"text\":\"%.*s\"%s}",
                 *words == '.' ? "completion" : "text", (int)len, words,
                 *words == '.' ? "" : ",\"partial\":true");
        assert_int_equal(event_check(slice_of(body), &events[request.count], &field),
                         EVENT_OK);
        request.count++;
        words += len + (words[len] == ' ');
    }
    b->bus->ops->publish(b->bus, &request, on_published, &answer);
    return answer.result;
}

static enum stop_status stop(struct bench *b, uint64_t epoch)
{
    struct answer answer = {0};

    b->bus->ops->stop(b->bus, &key, epoch, on_stopped, &answer);
    return answer.stop;
}

static void has_text(struct bench *b, const char *text)
{
    const struct accumulated *acc = &topic_run(task(b, "t"))->text;

    assert_int_equal(acc->utf8.len, strlen(text));
    assert_memory_equal(acc->utf8.len == 0 ? "" : acc->utf8.data, text, strlen(text));
}

static void ids(const struct publish_result *result, uint64_t first, uint64_t last)
{
    assert_int_equal(result->first.seq, first);
    assert_int_equal(result->last.seq, last);
}

static void answers(struct publish_result result, enum publish_status status)
{
    assert_int_equal(result.status, status);
}

/* The newest event has this in its body. */
static void last_says(struct bench *b, const char *part)
{
    const struct entry *entry = topic_entry(task(b, "t"), topic_next(task(b, "t")) - 1);

    assert_non_null(memmem(entry->body.ptr, entry->body.len, part, strlen(part)));
}

/* ---- publishing ---- */

static void a_repeat_is_told_the_first_ids(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
    struct publish_result result = publish(b, "p", epoch, 1, "a b c");

    answers(result, PUBLISH_OK);
    ids(&result, 1, 3);
    assert_int_equal(result.expected_counter, 4);
    result = publish(b, "p", epoch, 1, "a b c");
    answers(result, PUBLISH_OK);
    ids(&result, 1, 3);
    result = publish(b, "p", epoch, 2, "b");
    ids(&result, 2, 2);
    result = publish(b, "p", epoch, 3, "c d e");
    answers(result, PUBLISH_OK);
    ids(&result, 3, 5);
    has_text(b, "abcde");
    assert_int_equal(result.expected_counter, 6);
}

static void a_gap_tells_what_is_expected(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
    struct publish_result result;

    publish(b, "p", epoch, 1, "a b");
    result = publish(b, "p", epoch, 4, "d");
    answers(result, PUBLISH_GAP);
    assert_int_equal(result.expected_counter, 3);
    assert_int_equal(result.first.epoch, 0);
    has_text(b, "ab");
}

static void strangers_and_old_epochs_are_fenced(void **state)
{
    struct bench *b = *state;
    uint64_t old = open_run(b, "p", RUN_RUNNING, false);
    uint64_t epoch;

    publish(b, "p", old, 1, "a");
    answers(publish(b, "q", old, 2, "b"), PUBLISH_FENCED);
    epoch = open_run(b, "q", RUN_RUNNING, false);
    assert_true(epoch > old);
    answers(publish(b, "p", old, 2, "b"), PUBLISH_FENCED);
    answers(publish(b, "p", epoch, 1, "b"), PUBLISH_FENCED);
    answers(publish(b, "q", epoch, 1, "x"), PUBLISH_OK);
    has_text(b, "x");
}

static void a_run_nobody_opened_is_unknown(void **state)
{
    struct bench *b = *state;
    uint64_t epoch;

    answers(publish(b, "p", 5, 1, "a"), PUBLISH_UNKNOWN_RUN);
    epoch = open_run(b, "p", RUN_RUNNING, false);
    answers(publish(b, "p", epoch + 1, 1, "a"), PUBLISH_UNKNOWN_RUN);
}

static void after_the_end_only_repeats_are_welcome(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
    struct publish_result result = publish(b, "p", epoch, 1, "a . b");

    answers(result, PUBLISH_ENDED);
    ids(&result, 1, 2);
    assert_int_equal(result.expected_counter, 3);
    result = publish(b, "p", epoch, 1, "a .");
    answers(result, PUBLISH_OK);
    ids(&result, 1, 2);
    answers(publish(b, "p", epoch, 3, "b"), PUBLISH_ENDED);
    answers(publish(b, "p", epoch, 9, "b"), PUBLISH_ENDED);
    result = publish(b, "p", epoch, 2, ". b");
    answers(result, PUBLISH_ENDED);
    ids(&result, 2, 2);
    /* Also much later. */
    pass_ms(b, 1100);
    answers(publish(b, "p", epoch, 1, "a ."), PUBLISH_OK);
    answers(publish(b, "p", epoch, 3, "b"), PUBLISH_ENDED);
    has_text(b, "a");
}

/* An ending that the bus writes has no counter of the producer. */
static void what_came_too_late_for_a_stop_is_not_taken_for_a_repeat(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);

    publish(b, "p", epoch, 1, "a");
    assert_int_equal(stop(b, 0), STOP_NO_PRODUCER);
    assert_int_equal(topic_run(task(b, "t"))->last_seq, 2);
    answers(publish(b, "p", epoch, 2, "b"), PUBLISH_ENDED);
    answers(publish(b, "p", epoch, 1, "a"), PUBLISH_OK);
    has_text(b, "a");
}

static void a_run_past_its_text_bound_ends(void **state)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();
    struct publish_result result;
    struct bench *b;
    uint64_t epoch;

    (void)state;
    bus_limits.retain_text_bytes = 5;
    b = bench_new(&limits, &bus_limits, false);
    epoch = open_run(b, "p", RUN_RUNNING, false);
    /* What counts is the decoded text. */
    answers(publish(b, "p", epoch, 1, "\\u0061\\u0062 c"), PUBLISH_OK);
    result = publish(b, "p", epoch, 3, "d efg h");
    answers(result, PUBLISH_TOO_LARGE);
    ids(&result, 3, 3);
    last_says(b, "\"code\":\"RUN_TOO_LARGE\"");
    has_text(b, "abcd");
    answers(publish(b, "p", epoch, 4, "e"), PUBLISH_ENDED);
    bench_free(b);
}

static void others_may_join_an_unleased_run(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
    struct publish_result result;

    publish(b, "p", epoch, 1, "a b");
    result = publish(b, "", 0, 0, "x y");
    answers(result, PUBLISH_OK);
    ids(&result, 3, 4);
    result = publish(b, "p", epoch, 3, "c d");
    ids(&result, 5, 6);
    publish(b, "", 0, 0, "z");
    result = publish(b, "p", epoch, 5, "e");
    ids(&result, 8, 8);
    /* Repeats still find their ids. */
    result = publish(b, "p", epoch, 2, "b c d e");
    answers(result, PUBLISH_OK);
    ids(&result, 2, 8);
    result = publish(b, "p", epoch, 4, "d");
    ids(&result, 6, 6);
    has_text(b, "abxycdze");
}

static void a_leased_run_is_nobody_elses(void **state)
{
    struct bench *b = *state;
    struct run_open_request request = {
        .task = key, .producer = slice_of("p"), .state = RUN_RUNNING, .lease_ms = 1000};
    struct answer answer = {0};

    b->bus->ops->open(b->bus, &request, on_opened, &answer);
    answers(publish(b, "", 0, 0, "x"), PUBLISH_FENCED);
    answers(publish(b, "p", answer.epoch, 1, "a ."), PUBLISH_OK);
    answers(publish(b, "", 0, 0, "x"), PUBLISH_OK);
    has_text(b, "x");
}

static void without_a_producer_an_end_begins_a_new_run(void **state)
{
    struct bench *b = *state;
    struct publish_result result = publish(b, "", 0, 0, "a . b");

    answers(result, PUBLISH_OK);
    assert_true(result.last.epoch > result.first.epoch);
    has_text(b, "b");
}

/* ---- opening ---- */

static void a_newer_run_supersedes_an_open_one(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
    uint64_t pos;

    publish(b, "p", epoch, 1, "a");
    pos = topic_next(task(b, "t"));
    open_run(b, "q", RUN_RUNNING, false);
    last_says(b, "\"code\":\"SUPERSEDED\"");
    assert_int_equal(topic_next(task(b, "t")), pos + 1);
    has_text(b, "");
}

static void who_opens_again_without_an_answer_replaces_its_own_empty_run(void **state)
{
    struct bench *b = *state;
    uint64_t first = open_run(b, "p", RUN_RUNNING, false);
    uint64_t second = open_run(b, "p", RUN_RUNNING, false);

    assert_true(second > first);
    assert_int_equal(topic_next(task(b, "t")), topic_base(task(b, "t")));
    answers(publish(b, "p", first, 1, "a"), PUBLISH_FENCED);
    answers(publish(b, "p", second, 1, "a"), PUBLISH_OK);
}

static void a_continue_keeps_the_text(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);

    publish(b, "p", epoch, 1, "a .");
    epoch = open_run(b, "p", RUN_RUNNING, true);
    answers(publish(b, "p", epoch, 1, "b"), PUBLISH_OK);
    has_text(b, "ab");
}

static void epochs_are_never_given_twice(void **state)
{
    struct bench *b = *state;
    uint64_t last = 0;

    for (int i = 0; i < 20; i++) {
        uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);
        assert_true(epoch > last);
        last = epoch;
        /* Not even when nothing reminds of the one before. */
        b->bus->ops->erase(b->bus, &key, on_erased, NULL);
    }
}

/* ---- stop, erase, sweep ---- */

static void stops_are_answered_by_the_state_of_the_run(void **state)
{
    struct bench *b = *state;
    uint64_t epoch;

    assert_int_equal(stop(b, 0), STOP_UNKNOWN_TASK);
    epoch = open_run(b, "p", RUN_QUEUED, false);
    assert_int_equal(stop(b, epoch + 1), STOP_STALE_EPOCH);
    assert_int_equal(stop(b, epoch), STOP_ACCEPTED);
    assert_int_equal(stop(b, epoch), STOP_ALREADY_FINISHED);
    epoch = open_run(b, "p", RUN_RUNNING, false);
    publish(b, "p", epoch, 1, "\\u00e9\\ud83d\\ude00");
    assert_int_equal(stop(b, 0), STOP_NO_PRODUCER);
    last_says(b, "\"partial\":false,\"length\":2");
}

static void the_producer_of_an_erased_task_is_told_that_it_ended(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = open_run(b, "p", RUN_RUNNING, false);

    publish(b, "p", epoch, 1, "secret");
    b->bus->ops->erase(b->bus, &key, on_erased, NULL);
    /* Not UNKNOWN_RUN: it would publish everything again. */
    answers(publish(b, "p", epoch, 2, "more"), PUBLISH_ENDED);
    pass_ms(b, 1100);
    answers(publish(b, "p", epoch, 2, "more"), PUBLISH_ENDED);
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_UNKNOWN);
    assert_int_equal(stop(b, 0), STOP_UNKNOWN_TASK);
}

static void a_run_that_nobody_publishes_to_is_abandoned(void **state)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();
    struct bench *b;
    uint64_t epoch;

    (void)state;
    bus_limits.abandon_ms = 1500;
    b = bench_new(&limits, &bus_limits, false);
    epoch = open_run(b, "p", RUN_RUNNING, false);
    publish(b, "p", epoch, 1, "a");
    pass_ms(b, 800);
    publish(b, "p", epoch, 2, "b");
    /* Those who are refused do not keep it alive. */
    for (int i = 0; i < 4; i++) {
        pass_ms(b, 300);
        answers(publish(b, "q", epoch, 3, "x"), PUBLISH_FENCED);
        answers(publish(b, "p", epoch, 9, "x"), PUBLISH_GAP);
    }
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_RUNNING);
    pass_ms(b, 1400);
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_FAILED);
    last_says(b, "\"code\":\"ABANDONED\"");
    answers(publish(b, "p", epoch, 3, "c"), PUBLISH_ENDED);
    bench_free(b);
}

static void what_does_not_fit_the_memory_is_unavailable(void **state)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();
    struct bench *b;

    (void)state;
    limits.retain_total_bytes = 700;
    b = bench_new(&limits, &bus_limits, false);
    answers(
        publish(b, "", 0, 0, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        PUBLISH_UNAVAILABLE);
    assert_int_equal(counted(b, "thinkwire_publish_refused_total "), 1);
    bench_free(b);
}

/* Who repeats a batch that was refused must not find half of it there. */
static void a_batch_is_taken_in_whole_or_not_at_all(void **state)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();
    struct bench *b;

    (void)state;
    limits.retain_total_bytes = 4000;
    b = bench_new(&limits, &bus_limits, false);
    answers(publish(b, "", 0, 0, "a b c d e f g h i j k l m n o p"),
            PUBLISH_UNAVAILABLE);
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_UNKNOWN);
    answers(publish(b, "", 0, 0, "a b"), PUBLISH_OK);
    has_text(b, "ab");
    bench_free(b);
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, with_memory, without)

int test_memory(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(a_repeat_is_told_the_first_ids),
        MEMORY_TEST(a_gap_tells_what_is_expected),
        MEMORY_TEST(strangers_and_old_epochs_are_fenced),
        MEMORY_TEST(a_run_nobody_opened_is_unknown),
        MEMORY_TEST(after_the_end_only_repeats_are_welcome),
        MEMORY_TEST(what_came_too_late_for_a_stop_is_not_taken_for_a_repeat),
        cmocka_unit_test(a_run_past_its_text_bound_ends),
        cmocka_unit_test(a_batch_is_taken_in_whole_or_not_at_all),
        MEMORY_TEST(others_may_join_an_unleased_run),
        MEMORY_TEST(a_leased_run_is_nobody_elses),
        MEMORY_TEST(without_a_producer_an_end_begins_a_new_run),
        MEMORY_TEST(a_newer_run_supersedes_an_open_one),
        MEMORY_TEST(who_opens_again_without_an_answer_replaces_its_own_empty_run),
        MEMORY_TEST(a_continue_keeps_the_text),
        MEMORY_TEST(epochs_are_never_given_twice),
        MEMORY_TEST(stops_are_answered_by_the_state_of_the_run),
        MEMORY_TEST(the_producer_of_an_erased_task_is_told_that_it_ended),
        cmocka_unit_test(a_run_that_nobody_publishes_to_is_abandoned),
        cmocka_unit_test(what_does_not_fit_the_memory_is_unavailable),
    };
    return cmocka_run_group_tests_name("api: memory bus", tests, NULL, NULL);
}
