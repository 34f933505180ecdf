/* test_resources.c - what is told of tasks, and which requests are none. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "codec/json.h"

#include <stdio.h>

#define DELTA "{\"type\":\"text\",\"text\":\"a\",\"partial\":true}"

static void a_task_is_told_with_its_texts(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;

    post(b, "{\"type\":\"reasoning\",\"text\":\"h\\u006d\",\"partial\":true}\n" DELTA
            "\n" DELTA);
    x = get(b, "/v1/tasks/t");
    answered(b, x, 200, "\"reasoning\":\"hm\",\"text\":\"aa\"}");
    answered(b, x, 200, "{\"site\":\"\",\"task_id\":\"t\",\"state\":\"running\"");
    answered(b, x, 200, "\"finished_at\":null,\"events\":3");
    assert_true(json_check(buf_view(&x->body)));
    answered(b, ask(b, HTTP_HEAD, "/v1/tasks/t", ""), 200, "");
    post(b, "{\"type\":\"completion\",\"text\":\"aa\"}");
    x = get(b, "/v1/tasks/t");
    answered(b, x, 200, "\"state\":\"completed\"");
    assert_true(number_in(x, "finished_at") > 0);
}

static void a_run_that_never_streamed_tells_what_its_completion_said(void **state)
{
    struct bench *b = *state;
    struct run_open_request next = {.task = {slice_of(""), slice_of("t")},
                                    .state = RUN_QUEUED};

    post(b, "{\"type\":\"completion\",\"text\":\"whole\",\"reasoning\":\"why\"}");
    answered(b, get(b, "/v1/tasks/t"), 200,
             "\"reasoning\":\"why\",\"text\":\"whole\"}");
    /* Of the run before, nothing is told with a new one. */
    topic_open_run(task(b, "t"), topic_run(task(b, "t"))->epoch + 1, next.state, 1,
                   false);
    answered(b, get(b, "/v1/tasks/t"), 200, "\"reasoning\":\"\",\"text\":\"\"}");
}

static void who_is_not_known_is_404_and_who_was_erased_410(void **state)
{
    struct bench *b = *state;

    answered(b, get(b, "/v1/tasks/t"), 404, "\"code\":\"UNKNOWN_TASK\"");
    answered(b, ask(b, HTTP_DELETE, "/v1/tasks/t", ""), 204, "");
    post(b, DELTA);
    answered(b, ask(b, HTTP_DELETE, "/v1/tasks/t", ""), 204, "");
    answered(b, get(b, "/v1/tasks/t"), 410, "\"code\":\"GONE\"");
    answered(b, post(b, DELTA), 200, "ok");
    answered(b, get(b, "/v1/tasks/t"), 200, "\"text\":\"a\"");
}

static void tasks_are_listed_newest_first(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x;
    const char *body;

    answered(b, get(b, "/v1/tasks"), 200, "{\"tasks\":[],\"now\":");
    for (int i = 0; i < 3; i++) {
        char target[64];
        snprintf(target, sizeof(target), "/v1/tasks/t%d/events", i);
        ask(b, HTTP_POST, target, DELTA);
        pass_ms(b, 3);
    }
    ask(b, HTTP_POST, "/v1/tasks/other/events?site=s2", DELTA);
    get(b, "/v1/tasks/only_asked_for");
    x = get(b, "/v1/tasks");
    answered(b, x, 200, "\"task_id\":\"t2\"");
    assert_true(json_check(buf_view(&x->body)));
    body = buf_text(&x->body);
    assert_true(strstr(body, "\"t2\"") < strstr(body, "\"t1\""));
    assert_true(strstr(body, "\"t1\"") < strstr(body, "\"t0\""));
    assert_null(strstr(body, "other"));
    assert_null(strstr(body, "only_asked_for"));
    x = get(b, "/v1/tasks?limit=1");
    answered(b, x, 200, "\"t2\"");
    assert_null(strstr(buf_text(&x->body), "\"t1\""));
    answered(b, get(b, "/v1/tasks?site=s2"), 200,
             "\"site\":\"s2\",\"task_id\":\"other\"");
    answered(b, get(b, "/v1/tasks?limit=0"), 422, "\"field\":\"limit\"");
    answered(b, get(b, "/v1/tasks?limit=1001"), 422, "\"field\":\"limit\"");
    answered(b, get(b, "/v1/tasks?limit=x"), 422, "\"field\":\"limit\"");
    answered(b, get(b, "/v1/tasks?site=a/b"), 422, "\"field\":\"site\"");
}

static void other_methods_are_405(void **state)
{
    struct bench *b = *state;
    static const char *const targets[] = {
        "/v1/tasks", "/v1/tasks/t", "/v1/tasks/t/events", "/v1/events?task_id=t",
        "/healthz",  "/readyz",     "/metrics",           "/",
    };

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        answered(b, ask(b, HTTP_PUT, targets[i], ""), 405, "METHOD_NOT_ALLOWED");
    answered(b, get(b, "/v1/tasks/t/stop"), 405, "METHOD_NOT_ALLOWED");
}

static void other_paths_and_names_are_refused(void **state)
{
    struct bench *b = *state;

    answered(b, get(b, "/v1/tasks/t/nothing"), 404, "NOT_FOUND");
    answered(b, get(b, "/v1/tasks/t/events/more"), 404, "NOT_FOUND");
    answered(b, get(b, "/v1/tasks/t/"), 404, "NOT_FOUND");
    answered(b, get(b, "/v1/tasks/"), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/tasks/a b"), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/tasks/..%2f"), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/tasks/t?site=a%20b"), 422, "\"field\":\"site\"");
    answered(b, get(b, "/v1/events"), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/events?task_id="), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/events?task_id=a,,b"), 422, "\"field\":\"task_id\"");
    answered(b, get(b, "/v1/events?task_id=a&task_id=b%0a"), 422,
             "\"field\":\"task_id\"");
    assert_int_equal(hub_topic_count(b->hub), 0);
}

static void several_tasks_may_be_named_in_either_way(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = get(b, "/v1/events?task_id=a,b&x=1&task_id=%63");

    assert_int_equal(topic_reader_count(task(b, "a")), 1);
    assert_int_equal(topic_reader_count(task(b, "b")), 1);
    assert_int_equal(topic_reader_count(task(b, "c")), 1);
    abort_exchange(x);
    settle(b);
    assert_int_equal(topic_reader_count(task(b, "a")), 0);
}

static void a_stop_is_answered_as_it_went(void **state)
{
    struct bench *b = *state;
    char target[64];

    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/stop", ""), 404,
             "{\"status\":\"unknown_task\"}");
    post(b, DELTA);
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/stop?epoch=5", ""), 409, "stale_epoch");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/stop?epoch=x", ""), 422,
             "\"field\":\"epoch\"");
    snprintf(target, sizeof(target), "/v1/tasks/t/stop?epoch=%llu",
             (unsigned long long)topic_run(task(b, "t"))->epoch);
    answered(b, ask(b, HTTP_POST, target, ""), 200, "{\"status\":\"no_producer\"}");
    answered(b, ask(b, HTTP_POST, target, ""), 200,
             "{\"status\":\"already_finished\"}");
    answered(b, get(b, "/v1/tasks/t"), 200, "\"state\":\"stopped\"");
}

static const char *not_well(void *ctx)
{
    return ctx;
}

static void health_and_readiness_are_told_apart(void **state)
{
    struct bench *b = *state;
    char trouble[] = "no \"link\"";
    struct fake_exchange *x;

    answered(b, get(b, "/healthz"), 200, "{\"status\":\"ok\"");
    x = get(b, "/readyz");
    answered(b, x, 200, "{\"ready\":true,\"bus\":\"ok\"}");
    api_add_check(b->api, "frappe", not_well, trouble);
    x = get(b, "/readyz");
    answered(b, x, 503,
             "{\"ready\":false,\"bus\":\"ok\",\"frappe\":\"no \\\"link\\\"\"}");
    answered(b, get(b, "/healthz"), 200, "ok");
    answered(b, get(b, "/metrics"), 200, "thinkwire_topics 0\n");
    answered(b, get(b, "/"), 200, "Thinkwire ");
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, with_memory, without)

int test_resources(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(a_task_is_told_with_its_texts),
        MEMORY_TEST(a_run_that_never_streamed_tells_what_its_completion_said),
        MEMORY_TEST(who_is_not_known_is_404_and_who_was_erased_410),
        MEMORY_TEST(tasks_are_listed_newest_first),
        MEMORY_TEST(other_methods_are_405),
        MEMORY_TEST(other_paths_and_names_are_refused),
        MEMORY_TEST(several_tasks_may_be_named_in_either_way),
        MEMORY_TEST(a_stop_is_answered_as_it_went),
        MEMORY_TEST(health_and_readiness_are_told_apart),
    };
    return cmocka_run_group_tests_name("api: resources", tests, NULL, NULL);
}
