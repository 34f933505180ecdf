/* test_loop.c - timers, end-of-turn work and signals on the one loop. */
/* SPDX-License-Identifier: MIT */
#include "base/loop.h"

#include "base/clock.h"
#include "base/slice.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

struct probe {
    struct timer timer;
    struct turn_task task;
    struct loop *loop;
    unsigned fired;
    unsigned ran;
    unsigned stop_at;
    char *trace; /* a letter for each thing that happened */
    char letter;
};

static void note(struct probe *probe, char letter)
{
    if (probe->trace != NULL)
        probe->trace[strlen(probe->trace)] = letter;
}

static struct probe *of_timer(struct timer *timer)
{
    return LIST_ENTRY(timer, struct probe, timer);
}

static struct probe *of_task(struct turn_task *task)
{
    return LIST_ENTRY(task, struct probe, task);
}

static void count_fire(struct timer *timer)
{
    struct probe *probe = of_timer(timer);
    note(probe, probe->letter);
    if (++probe->fired == probe->stop_at)
        loop_stop(probe->loop);
}

static void count_run(struct turn_task *task)
{
    struct probe *probe = of_task(task);
    note(probe, probe->letter);
    if (++probe->ran == probe->stop_at)
        loop_stop(probe->loop);
}

/* Ends a loop that would otherwise turn for ever: a failing test fails, it does not hang. */
static void watchdog_fired(struct timer *timer)
{
    (void)timer;
    fail_msg("the loop did not stop by itself");
}

static void run_watched(struct loop *loop)
{
    struct timer watchdog;
    timer_init(&watchdog, loop, watchdog_fired);
    timer_start(&watchdog, 20000, 0);
    loop_run(loop);
    timer_release(&watchdog);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe probe = {.loop = loop, .stop_at = 1};
    timer_init(&probe.timer, loop, count_fire);
    assert_false(timer_is_active(&probe.timer));
    uint64_t before = clock_mono_ns();
    timer_start(&probe.timer, 20, 0);
    assert_true(timer_is_active(&probe.timer));
    run_watched(loop);
    assert_true(clock_mono_ns() - before >= 19000000u);
    assert_int_equal(probe.fired, 1);
    assert_false(timer_is_active(&probe.timer));
    timer_release(&probe.timer);
    loop_free(loop);
}

static void a_timer_started_before_the_loop_runs_counts_from_its_start(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe probe = {.loop = loop, .stop_at = 1};
    timer_init(&probe.timer, loop, count_fire);
    uint64_t begin = clock_mono_ms();
    while (clock_mono_ms() - begin < 30)
        ; /* a slow start: the time the loop has cached grows old */
    uint64_t before = clock_mono_ns();
    timer_start(&probe.timer, 20, 0);
    run_watched(loop);
    assert_true(clock_mono_ns() - before >= 19000000u);
    timer_release(&probe.timer);
    loop_free(loop);
}

static void a_repeating_timer_fires_until_it_is_stopped(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe probe = {.loop = loop, .stop_at = 3};
    timer_init(&probe.timer, loop, count_fire);
    timer_start(&probe.timer, 0, 1);
    run_watched(loop);
    assert_int_equal(probe.fired, 3);
    assert_true(timer_is_active(&probe.timer));
    timer_stop(&probe.timer);
    assert_false(timer_is_active(&probe.timer));
    timer_release(&probe.timer);
    loop_free(loop);
}

static void release_at_once(struct timer *timer)
{
    struct probe *probe = of_timer(timer);
    probe->fired++;
    timer_release(timer);
    timer_release(timer);
    timer_stop(timer);
    loop_stop(probe->loop);
}

static void a_timer_may_release_itself_and_its_memory_may_go_at_once(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe *probe = calloc(1, sizeof(*probe));
    assert_non_null(probe);
    probe->loop = loop;
    timer_init(&probe->timer, loop, release_at_once);
    timer_start(&probe->timer, 0, 1);
    run_watched(loop);
    assert_int_equal(probe->fired, 1);
    assert_false(timer_is_active(&probe->timer));
    free(probe);

    struct timer *other = calloc(1, sizeof(*other));
    assert_non_null(other);
    timer_init(other, loop, watchdog_fired);
    timer_start(other, 0, 0);
    timer_release(other);
    free(other);
    struct probe last = {.loop = loop, .stop_at = 1};
    timer_init(&last.timer, loop, count_fire);
    timer_start(&last.timer, 5, 0);
    run_watched(loop);
    loop_free(loop);
    /* What the loop closed by itself is released too. */
    assert_null(last.timer.handle);
    timer_release(&last.timer);
}

static void restarting_moves_a_timer(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char trace[8] = "";
    struct probe first = {.loop = loop, .trace = trace, .letter = 'a', .stop_at = 1};
    struct probe second = {.loop = loop, .trace = trace, .letter = 'b'};
    timer_init(&first.timer, loop, count_fire);
    timer_init(&second.timer, loop, count_fire);
    timer_start(&first.timer, 1, 0);
    timer_start(&second.timer, 10, 0);
    timer_start(&first.timer, 20, 0);
    run_watched(loop);
    assert_string_equal(trace, "ba");
    timer_release(&first.timer);
    timer_release(&second.timer);
    loop_free(loop);
}

static void defer_from_fire(struct timer *timer)
{
    struct probe *probe = of_timer(timer);
    note(probe, 't');
    turn_defer(probe->loop, &probe->task);
    turn_defer(probe->loop, &probe->task);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct probe *probe = poll->data;
    note(probe, 'i');
    assert_int_equal(uv_poll_stop(poll), 0);
    turn_defer(probe->loop, &probe->task);
}

static void work_runs_once_after_all_timers_and_input_of_the_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char trace[16] = "";
    struct probe probe = {.loop = loop, .trace = trace, .letter = 'w', .stop_at = 1};
    struct probe other = {.loop = loop, .trace = trace, .letter = 'u'};
    int ends[2];
    uv_poll_t poll;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(uv_poll_init(loop_uv(loop), &poll, ends[0]), 0);
    poll.data = &probe;
    assert_int_equal(uv_poll_start(&poll, UV_READABLE, on_readable), 0);
    turn_task_init(&probe.task, count_run);
    turn_task_init(&other.task, count_run);
    timer_init(&probe.timer, loop, defer_from_fire);
    timer_init(&other.timer, loop, defer_from_fire);
    timer_start(&probe.timer, 0, 0);
    timer_start(&other.timer, 0, 0);
    run_watched(loop);
    assert_string_equal(trace, "ttiwu");
    timer_release(&probe.timer);
    timer_release(&other.timer);
    loop_free(loop);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void defer_again(struct turn_task *task)
{
    struct probe *probe = of_task(task);
    note(probe, probe->letter);
    if (++probe->ran == probe->stop_at)
        loop_stop(probe->loop);
    else
        turn_defer(probe->loop, task);
}

static void
work_that_is_put_off_again_waits_for_the_next_turn_which_does_not_block(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char trace[16] = "";
    struct probe again = {.loop = loop, .trace = trace, .letter = 'a', .stop_at = 3};
    struct probe once = {.loop = loop, .trace = trace, .letter = 'b'};
    turn_task_init(&again.task, defer_again);
    turn_task_init(&once.task, count_run);
    turn_defer(loop, &again.task);
    turn_defer(loop, &once.task);
    uint64_t before = clock_mono_ms();
    run_watched(loop);
    assert_true(clock_mono_ms() - before <
                10000); /* the watchdog is not what woke it */
    assert_string_equal(trace, "abaa");
    loop_free(loop);
}

static void pass_on(struct turn_task *task)
{
    struct probe *probe = of_task(task);
    note(probe, probe->letter);
    turn_defer(probe->loop, &probe[1].task);
}

static void what_came_in_is_worked_on_and_sent_in_the_same_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char trace[16] = "";
    struct probe each_turn = {
        .loop = loop, .trace = trace, .letter = '|', .stop_at = 9};
    struct probe chain[4] = {
        {.loop = loop, .trace = trace, .letter = 'i'},
        {.loop = loop, .trace = trace, .letter = 'w'},
        {.loop = loop, .trace = trace, .letter = 'o'},
        {.loop = loop, .trace = trace, .letter = 'l', .stop_at = 1}};
    turn_task_init(&each_turn.task, defer_again);
    turn_task_init_at(&chain[0].task, TURN_INPUT, pass_on);
    turn_task_init_at(&chain[1].task, TURN_WORK, pass_on);
    turn_task_init_at(&chain[2].task, TURN_OUTPUT, pass_on);
    turn_task_init(&chain[3].task, count_run);
    turn_defer(loop, &each_turn.task);
    turn_defer(loop, &chain[0].task);
    run_watched(loop);
    assert_string_equal(trace, "i|wo|l"); /* an earlier stage is the next turn's */
    loop_free(loop);
}

static void cancel_other(struct turn_task *task)
{
    struct probe *probe = of_task(task);
    note(probe, probe->letter);
    turn_cancel(&probe[1].task);
    loop_stop(probe->loop);
}

static void cancelled_work_does_not_run(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char trace[16] = "";
    struct probe probes[3] = {{.loop = loop, .trace = trace, .letter = 'a'},
                              {.loop = loop, .trace = trace, .letter = 'b'},
                              {.loop = loop, .trace = trace, .letter = 'c'}};
    turn_task_init(&probes[0].task, cancel_other);
    turn_task_init(&probes[1].task, count_run);
    turn_task_init(&probes[2].task, count_run);
    turn_defer(loop, &probes[0].task);
    turn_defer(loop, &probes[1].task);
    turn_defer(loop, &probes[2].task);
    turn_cancel(&probes[2].task);
    turn_cancel(&probes[2].task);
    run_watched(loop);
    assert_string_equal(trace, "a");
    turn_defer(loop, &probes[1].task);
    loop_free(loop);
    assert_false(list_is_linked(&probes[1].task.node));
}

static void an_idle_loop_sleeps(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe probe = {.loop = loop, .stop_at = 1};
    turn_task_init(&probe.task, count_run);
    turn_defer(loop, &probe.task);
    run_watched(loop);

    /* After deferred work the loop must block again: 100 ms of waiting cost no CPU time. */
    struct timespec before;
    struct timespec after;
    probe.fired = 0;
    timer_init(&probe.timer, loop, count_fire);
    timer_start(&probe.timer, 100, 0);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before), 0);
    run_watched(loop);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after), 0);
    int64_t used_ns = (int64_t)(after.tv_sec - before.tv_sec) * 1000000000 +
                      (after.tv_nsec - before.tv_nsec);
    assert_true(used_ns < 50000000);
    timer_release(&probe.timer);
    loop_free(loop);
}

static void check_time(struct timer *timer)
{
    struct probe *probe = of_timer(timer);
    uint64_t now = loop_now_ms(probe->loop);
    uint64_t begin = clock_mono_ms();
    while (clock_mono_ms() - begin < 5)
        ;
    assert_int_equal(loop_now_ms(probe->loop), now);
    loop_stop(probe->loop);
}

static void the_time_stands_still_within_a_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct probe probe = {.loop = loop};
    timer_init(&probe.timer, loop, check_time);
    timer_start(&probe.timer, 0, 0);
    run_watched(loop);
    timer_release(&probe.timer);
    loop_free(loop);
}

struct heard {
    struct loop *loop;
    int last;
    unsigned count;
};

static void on_signal(void *ctx, int signum)
{
    struct heard *heard = ctx;
    heard->last = signum;
    if (++heard->count == 2)
        loop_stop(heard->loop);
}

static void raise_two(struct timer *timer)
{
    (void)timer;
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(kill(getpid(), SIGUSR2), 0);
}

static void signals_are_heard_on_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct heard first = {.loop = loop, .count = 1};
    struct heard second = {.loop = loop, .count = 0};
    struct timer timer;
    loop_on_signal(loop, SIGUSR1, on_signal, &second);
    loop_on_signal(loop, SIGUSR2, on_signal, &first);
    timer_init(&timer, loop, raise_two);
    timer_start(&timer, 0, 0);
    run_watched(loop);
    assert_int_equal(second.last, SIGUSR1);
    assert_int_equal(first.last, SIGUSR2);
    timer_release(&timer);
    loop_free(loop);
    loop_free(NULL);
}

static void a_stop_before_the_run_ends_it_at_once(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

static void a_stop_of_a_loop_that_stands_does_not_keep_it_from_ending(void **state)
{
    struct loop *loop = loop_new();
    struct timer timer;

    (void)state;
    timer_init(&timer, loop, NULL);
    timer_start(&timer, 1000, 0);
    loop_stop(loop);
    loop_free(loop);
    assert_null(timer.handle);
}

static void a_handle_left_open_by_an_adapter_is_closed_with_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    uv_timer_t foreign;
    assert_int_equal(uv_timer_init(loop_uv(loop), &foreign), 0);
    assert_int_equal(uv_timer_start(&foreign, NULL, 100000, 0), UV_EINVAL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_once_and_not_early),
        cmocka_unit_test(a_timer_started_before_the_loop_runs_counts_from_its_start),
        cmocka_unit_test(a_repeating_timer_fires_until_it_is_stopped),
        cmocka_unit_test(a_timer_may_release_itself_and_its_memory_may_go_at_once),
        cmocka_unit_test(restarting_moves_a_timer),
        cmocka_unit_test(work_runs_once_after_all_timers_and_input_of_the_turn),
        cmocka_unit_test(
            work_that_is_put_off_again_waits_for_the_next_turn_which_does_not_block),
        cmocka_unit_test(what_came_in_is_worked_on_and_sent_in_the_same_turn),
        cmocka_unit_test(cancelled_work_does_not_run),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(the_time_stands_still_within_a_turn),
        cmocka_unit_test(signals_are_heard_on_the_loop),
        cmocka_unit_test(a_stop_before_the_run_ends_it_at_once),
        cmocka_unit_test(a_stop_of_a_loop_that_stands_does_not_keep_it_from_ending),
        cmocka_unit_test(a_handle_left_open_by_an_adapter_is_closed_with_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
