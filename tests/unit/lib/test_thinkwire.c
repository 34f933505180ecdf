/* test_thinkwire.c - libthinkwire as its users have it: the shared library, its header. */
/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <thinkwire.h>
#include <unistd.h>

static struct thinkwire *connect_to(struct scene *scene)
{
    char error[128] = "";
    struct thinkwire *tw =
        thinkwire_connect(scene->redis.url, NULL, error, sizeof(error));
    assert_non_null(tw);
    assert_string_equal(error, "");
    return tw;
}

static enum thinkwire_status text(struct thinkwire_run *run, const char *delta)
{
    return thinkwire_text(run, delta, strlen(delta));
}

static const char *stored(struct scene *scene, const char *task_id, const char *what)
{
    return scene_ask(scene, "GET tw:{/%s}:%s", task_id, what);
}

static const char *field(struct scene *scene, const char *task_id, const char *name)
{
    return scene_ask(scene, "HGET tw:{/%s}:run %s", task_id, name);
}

/* The scene's own connection notices, too, before anything else is asked of it. */
static void take_redis_away(struct scene *scene)
{
    private_redis_kill(&scene->redis);
    while (link_is_up(scene->admin))
        scene_idle(scene, 1);
}

static void the_example_of_the_header_works(void **state)
{
    struct scene *scene = *state;
    struct thinkwire_counters counters;
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *run = thinkwire_open(tw, "", "task-1");
    assert_non_null(run);
    assert_int_equal(thinkwire_reasoning(run, "Analyzing...", 12), THINKWIRE_OK);
    assert_int_equal(thinkwire_text(run, "Hello", 5), THINKWIRE_OK);
    assert_int_equal(thinkwire_event(run, "tool_call", " { \"tool\" : \"grep\" } "),
                     THINKWIRE_OK);
    assert_int_equal(thinkwire_event(run, "status", "{}"), THINKWIRE_OK);
    assert_int_equal(thinkwire_event(run, "own/kind", NULL), THINKWIRE_OK);
    assert_int_equal(thinkwire_text(run, " world", 6), THINKWIRE_OK);
    assert_int_equal(thinkwire_flush(run, 5000), THINKWIRE_OK);
    assert_string_equal(stored(scene, "task-1", "text"), "Hello world");
    assert_int_equal(thinkwire_completion(run), THINKWIRE_OK);
    assert_int_equal(text(run, "late"), THINKWIRE_ENDED);
    assert_int_equal(thinkwire_flush(run, 5000), THINKWIRE_OK);
    thinkwire_read_counters(run, &counters);
    assert_int_equal(counters.emitted, 7);
    assert_int_equal(counters.refused, 1);
    assert_int_equal(counters.unsent_bytes, 0);
    assert_true(counters.published >= 4 && counters.published <= 7);
    assert_int_equal(thinkwire_close(run, 2000), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 2000), THINKWIRE_OK);
    assert_string_equal(field(scene, "task-1", "state"), "completed");
}

static void malformed_arguments_are_told_and_change_nothing(void **state)
{
    struct scene *scene = *state;
    struct thinkwire_options options = THINKWIRE_OPTIONS_INIT;
    char error[128];
    static const char *const urls[] = {"",
                                       "ftp://x",
                                       "redis://",
                                       "tcp://",
                                       "http://user:secret@host",
                                       "redis://127.0.0.1:99999"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        memset(error, 0, sizeof(error));
        struct thinkwire *tw = thinkwire_connect(urls[i], NULL, error, sizeof(error));
        if (tw != NULL) { /* "redis://" alone may mean the local one */
            assert_string_equal(urls[i], "redis://");
            thinkwire_disconnect(tw, 0);
            continue;
        }
        assert_true(strlen(error) > 0);
        assert_null(strstr(error, "secret"));
    }
    assert_null(thinkwire_connect(NULL, NULL, NULL, 0));
    options.prefix = "no{good";
    assert_null(thinkwire_connect(scene->redis.url, &options, NULL, 0));
    options = (struct thinkwire_options){0};
    assert_null(thinkwire_connect(scene->redis.url, &options, NULL, 0));

    struct thinkwire *tw = connect_to(scene);
    assert_null(thinkwire_open(tw, "a/b", "t"));
    assert_null(thinkwire_open(tw, NULL, ""));
    assert_null(thinkwire_open(tw, NULL, "a b"));
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    assert_int_equal(thinkwire_event(run, "no good", NULL), THINKWIRE_INVALID);
    assert_int_equal(thinkwire_event(run, "text", NULL), THINKWIRE_INVALID);
    assert_int_equal(thinkwire_event(run, "x", "[]"), THINKWIRE_INVALID);
    assert_int_equal(thinkwire_event(run, "x", "{\"type\":\"y\"}"), THINKWIRE_INVALID);
    assert_int_equal(thinkwire_event(run, "x", "{\"task_id\":\"other\"}"),
                     THINKWIRE_INVALID);
    assert_int_equal(thinkwire_error(run, "no code", "x"), THINKWIRE_INVALID);
    assert_int_equal(thinkwire_error(run, "BOOM", "it broke"), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(run, 5000), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 5000), THINKWIRE_OK);
    assert_string_equal(field(scene, "t", "state"), "error");
}

static void calls_do_not_wait_for_a_redis_that_is_away(void **state)
{
    struct scene *scene = *state;
    take_redis_away(scene);
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    uint64_t began = clock_mono_ms();
    uint64_t worst = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t before = clock_mono_ns();
        assert_int_equal(text(run, "word "), THINKWIRE_OK);
        uint64_t took = clock_mono_ns() - before;
        worst = took > worst ? took : worst;
    }
    assert_true(clock_mono_ms() - began < 1000);
    assert_true(worst <
                200 * 1000000ULL); /* a busy machine; the call itself takes µs */
    began = clock_mono_ms();
    assert_int_equal(thinkwire_flush(run, 50), THINKWIRE_TIMEOUT);
    assert_true(clock_mono_ms() - began >= 50);
    assert_true(clock_mono_ms() - began < 1000);
    assert_int_equal(thinkwire_completion(run), THINKWIRE_OK);
    private_redis_start(&scene->redis);
    assert_int_equal(thinkwire_flush(run, 10000), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(run, 0), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 1000), THINKWIRE_OK);
    assert_int_equal(strlen(stored(scene, "t", "text")), 5000);
}

static void closing_and_disconnecting_keep_their_bounds(void **state)
{
    struct scene *scene = *state;
    private_redis_pause(&scene->redis);
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    assert_int_equal(text(run, "a"), THINKWIRE_OK);
    uint64_t began = clock_mono_ms();
    assert_int_equal(thinkwire_close(run, 30), THINKWIRE_TIMEOUT);
    assert_int_equal(thinkwire_disconnect(tw, 30), THINKWIRE_TIMEOUT);
    assert_true(clock_mono_ms() - began >= 60);
    assert_true(clock_mono_ms() - began < 1060);
    private_redis_resume(&scene->redis);
}

static void a_closed_run_is_delivered_in_the_background(void **state)
{
    struct scene *scene = *state;
    take_redis_away(scene);
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    assert_int_equal(text(run, "later"), THINKWIRE_OK);
    assert_int_equal(thinkwire_completion(run), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(run, 0), THINKWIRE_TIMEOUT);
    private_redis_start(&scene->redis);
    assert_int_equal(thinkwire_disconnect(tw, 10000), THINKWIRE_OK);
    assert_string_equal(field(scene, "t", "state"), "completed");
    assert_string_equal(stored(scene, "t", "text"), "later");
}

static void too_much_unsent_ends_the_run_and_says_so(void **state)
{
    struct scene *scene = *state;
    struct thinkwire_options options = THINKWIRE_OPTIONS_INIT;
    enum thinkwire_status status = THINKWIRE_OK;
    options.max_unsent_bytes = 10000;
    take_redis_away(scene);
    struct thinkwire *tw = thinkwire_connect(scene->redis.url, &options, NULL, 0);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    for (int i = 0; status == THINKWIRE_OK && i < 1000000; i++)
        status = text(run, "0123456789");
    assert_int_equal(status, THINKWIRE_OVERFLOW);
    private_redis_start(&scene->redis);
    assert_int_equal(thinkwire_flush(run, 10000), THINKWIRE_OVERFLOW);
    thinkwire_close(run, 1000);
    thinkwire_disconnect(tw, 1000);
    assert_string_equal(field(scene, "t", "state"), "error");
    assert_string_equal(stored(scene, "t", "text"), "");
}

static void a_forked_child_gets_nothing_done_and_harms_nothing(void **state)
{
    struct scene *scene = *state;
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    pid_t child = fork();
    if (child == 0) {
        bool good = text(run, "child") == THINKWIRE_FORKED &&
                    thinkwire_open(tw, NULL, "u") == NULL &&
                    thinkwire_event(run, "no good", NULL) == THINKWIRE_FORKED &&
                    thinkwire_flush(run, 1000) == THINKWIRE_FORKED &&
                    thinkwire_stop_requested(run) == 0 &&
                    thinkwire_close(run, 1000) == THINKWIRE_FORKED &&
                    thinkwire_disconnect(tw, 1000) == THINKWIRE_FORKED;
        _exit(good ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(text(run, "parent"), THINKWIRE_OK);
    assert_int_equal(thinkwire_completion(run), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(run, 5000), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 5000), THINKWIRE_OK);
    assert_string_equal(stored(scene, "t", "text"), "parent");
}

struct talker {
    struct thinkwire *tw;
    pthread_t thread;
    char task_id[16];
};

static void *talk(void *ctx)
{
    struct talker *talker = ctx;
    struct thinkwire_run *run = thinkwire_open(talker->tw, NULL, talker->task_id);
    for (int i = 0; i < 500; i++) {
        char word[32];
        snprintf(word, sizeof(word), "%s.%d ", talker->task_id, i);
        if (text(run, word) != THINKWIRE_OK)
            return ctx;
    }
    thinkwire_completion(run);
    return thinkwire_close(run, 20000) == THINKWIRE_OK ? NULL : ctx;
}

static void threads_do_not_mix_their_runs(void **state)
{
    enum { COUNT = 4 };
    struct scene *scene = *state;
    struct talker talkers[COUNT];
    struct thinkwire *tw = connect_to(scene);
    for (int i = 0; i < COUNT; i++) {
        talkers[i].tw = tw;
        snprintf(talkers[i].task_id, sizeof(talkers[i].task_id), "t%d", i);
        assert_int_equal(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]),
                         0);
    }
    for (int i = 0; i < COUNT; i++) {
        void *failed = NULL;
        pthread_join(talkers[i].thread, &failed);
        assert_null(failed);
    }
    assert_int_equal(thinkwire_disconnect(tw, 5000), THINKWIRE_OK);
    for (int i = 0; i < COUNT; i++) {
        char wanted[16000] = "";
        size_t len = 0;
        for (int w = 0; w < 500; w++)
            len +=
                (size_t)snprintf(wanted + len, sizeof(wanted) - len, "t%d.%d ", i, w);
        assert_string_equal(stored(scene, talkers[i].task_id, "text"), wanted);
    }
}

static void a_newer_run_fences_and_a_stop_is_heard(void **state)
{
    struct scene *scene = *state;
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *old = thinkwire_open(tw, NULL, "t");
    assert_int_equal(text(old, "a"), THINKWIRE_OK);
    assert_int_equal(thinkwire_flush(old, 5000), THINKWIRE_OK);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    assert_int_equal(text(run, "b"), THINKWIRE_OK);
    assert_int_equal(thinkwire_flush(run, 5000), THINKWIRE_OK);
    text(old, "c");
    assert_int_equal(thinkwire_flush(old, 5000), THINKWIRE_FENCED);
    assert_int_equal(text(old, "d"), THINKWIRE_FENCED);
    assert_int_equal(thinkwire_close(old, 1000), THINKWIRE_FENCED);

    assert_int_equal(thinkwire_stop_requested(run), 0);
    char epoch[32];
    snprintf(epoch, sizeof(epoch), "%s", field(scene, "t", "epoch"));
    scene_ask(scene, "HSET tw:{/t}:run stop_requested %s", epoch);
    assert_int_equal(text(run, "e"), THINKWIRE_OK);
    assert_int_equal(thinkwire_flush(run, 5000), THINKWIRE_OK);
    uint64_t deadline = clock_mono_ms() + 5000;
    while (thinkwire_stop_requested(run) == 0)
        assert_true(clock_mono_ms() < deadline);
    assert_int_equal(thinkwire_stopped(run), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(run, 5000), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 5000), THINKWIRE_OK);
    assert_string_equal(field(scene, "t", "state"), "stopped");
}

static void guests_join_one_run_and_an_owners_run_is_closed_to_them(void **state)
{
    struct scene *scene = *state;
    struct thinkwire *tw = connect_to(scene);
    struct thinkwire_run *one = thinkwire_join(tw, NULL, "t");
    assert_int_equal(text(one, "one "), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(one, 5000), THINKWIRE_OK);
    struct thinkwire_run *two = thinkwire_join(tw, NULL, "t");
    assert_int_equal(text(two, "two"), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(two, 5000), THINKWIRE_OK);
    assert_string_equal(stored(scene, "t", "text"), "one two");
    struct thinkwire_run *owner = thinkwire_open(tw, NULL, "t");
    assert_int_equal(thinkwire_flush(owner, 5000), THINKWIRE_OK);
    assert_int_equal(text(owner, "mine"), THINKWIRE_OK);
    assert_int_equal(thinkwire_flush(owner, 5000), THINKWIRE_OK);
    struct thinkwire_run *guest = thinkwire_join(tw, NULL, "t");
    assert_int_equal(text(guest, "x"), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(guest, 5000), THINKWIRE_FENCED);
    assert_int_equal(thinkwire_close(owner, 5000), THINKWIRE_OK);
    assert_int_equal(thinkwire_disconnect(tw, 5000), THINKWIRE_OK);
}

static void trouble_is_told_in_words_and_goes_when_it_is_over(void **state)
{
    struct scene *scene = *state;
    char words[160] = "x";
    take_redis_away(scene);
    struct thinkwire *tw = connect_to(scene);
    uint64_t deadline = clock_mono_ms() + 5000;
    while (strstr(words, "efused") == NULL) {
        assert_true(clock_mono_ms() < deadline);
        (void)thinkwire_trouble(tw, words, sizeof(words));
    }
    private_redis_start(&scene->redis);
    deadline = clock_mono_ms() + 5000;
    while (thinkwire_trouble(tw, NULL, 0) != 0)
        assert_true(clock_mono_ms() < deadline);
    thinkwire_disconnect(tw, 1000);
    tw = thinkwire_connect("http://127.0.0.1:1/", NULL, NULL, 0);
    struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
    assert_int_equal(text(run, "x"), THINKWIRE_OK);
    deadline = clock_mono_ms() + 5000;
    while (thinkwire_trouble(tw, words, sizeof(words)) == 0)
        assert_true(clock_mono_ms() < deadline);
    assert_true(strlen(words) > 0);
    assert_int_equal(thinkwire_disconnect(tw, 0), THINKWIRE_TIMEOUT);
}

static void nothing_is_left_after_many_connections(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 50; i++) {
        struct thinkwire *tw = connect_to(scene);
        struct thinkwire_run *run = thinkwire_open(tw, NULL, "t");
        text(run, "a");
        if (i % 2 == 0)
            thinkwire_close(run, 5000);
        thinkwire_disconnect(tw, 5000);
    }
    int fd = dup(0);
    assert_true(fd < 64); /* descriptors come back; memory is the sanitizer's to see */
    close(fd);
    assert_int_equal(thinkwire_disconnect(NULL, 0), THINKWIRE_OK);
    assert_int_equal(thinkwire_close(NULL, 0), THINKWIRE_OK);
}

static void every_status_has_its_own_words(void **state)
{
    (void)state;
    for (int a = THINKWIRE_OK; a <= THINKWIRE_FORKED; a++)
        for (int b = THINKWIRE_OK; b < a; b++)
            assert_string_not_equal(thinkwire_status_text((enum thinkwire_status)a),
                                    thinkwire_status_text((enum thinkwire_status)b));
    assert_string_equal(thinkwire_version(), THINKWIRE_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_example_of_the_header_works, scene_clean),
        cmocka_unit_test_setup(malformed_arguments_are_told_and_change_nothing,
                               scene_clean),
        cmocka_unit_test_setup(calls_do_not_wait_for_a_redis_that_is_away, scene_clean),
        cmocka_unit_test_setup(closing_and_disconnecting_keep_their_bounds,
                               scene_clean),
        cmocka_unit_test_setup(a_closed_run_is_delivered_in_the_background,
                               scene_clean),
        cmocka_unit_test_setup(too_much_unsent_ends_the_run_and_says_so, scene_clean),
        cmocka_unit_test_setup(a_forked_child_gets_nothing_done_and_harms_nothing,
                               scene_clean),
        cmocka_unit_test_setup(threads_do_not_mix_their_runs, scene_clean),
        cmocka_unit_test_setup(a_newer_run_fences_and_a_stop_is_heard, scene_clean),
        cmocka_unit_test_setup(guests_join_one_run_and_an_owners_run_is_closed_to_them,
                               scene_clean),
        cmocka_unit_test_setup(trouble_is_told_in_words_and_goes_when_it_is_over,
                               scene_clean),
        cmocka_unit_test_setup(nothing_is_left_after_many_connections, scene_clean),
        cmocka_unit_test(every_status_has_its_own_words),
    };
    return cmocka_run_group_tests_name("libthinkwire", tests, scene_new, scene_free);
}
