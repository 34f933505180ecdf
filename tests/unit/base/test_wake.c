/* test_wake.c - waking a loop from another thread. */
/* SPDX-License-Identifier: MIT */
#include "base/wake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SENDS 1000

struct meeting {
    struct loop *loop;
    struct wake *wake;
    pthread_mutex_t mutex;
    unsigned sent; /* under the mutex */
    unsigned woken;
};

static void on_woken(void *ctx)
{
    struct meeting *meeting = ctx;
    pthread_mutex_lock(&meeting->mutex);
    unsigned sent = meeting->sent;
    pthread_mutex_unlock(&meeting->mutex);
    meeting->woken++;
    if (sent == SENDS)
        loop_stop(meeting->loop);
}

static void *send_all(void *ctx)
{
    struct meeting *meeting = ctx;
    for (int i = 0; i < SENDS; i++) {
        pthread_mutex_lock(&meeting->mutex);
        meeting->sent++;
        pthread_mutex_unlock(&meeting->mutex);
        wake_send(meeting->wake);
    }
    return NULL;
}

static void the_last_send_is_always_seen_by_the_loop(void **state)
{
    struct meeting meeting = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    (void)state;
    meeting.loop = loop_new();
    meeting.wake = wake_new(meeting.loop, on_woken, &meeting);
    assert_int_equal(pthread_create(&thread, NULL, send_all, &meeting), 0);
    loop_run(meeting.loop); /* ends only when the last one was seen */
    pthread_join(thread, NULL);
    assert_true(meeting.woken >= 1 && meeting.woken <= SENDS);
    wake_free(meeting.wake);
    loop_free(meeting.loop);
    pthread_mutex_destroy(&meeting.mutex);
}

static void a_wake_that_is_freed_unused_leaves_nothing(void **state)
{
    struct loop *loop = loop_new();
    (void)state;
    wake_free(wake_new(loop, on_woken, NULL));
    wake_free(NULL);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_send_is_always_seen_by_the_loop),
        cmocka_unit_test(a_wake_that_is_freed_unused_leaves_nothing),
    };
    return cmocka_run_group_tests_name("wake", tests, NULL, NULL);
}
