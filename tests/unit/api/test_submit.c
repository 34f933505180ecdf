/* test_submit.c - requests for a generation: what is taken, what is kept, what is answered. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "bus/memory.h"

#include <stdio.h>

static struct fake_exchange *submit(struct bench *b, const char *body)
{
    return ask(b, HTTP_POST, "/v1/tasks", body);
}

static const struct task_key key = {{"", 0}, {"t", 1}};

/* The request that is kept with task t. */
static void keeps(struct bench *b, const char *request)
{
    struct store_task found = bus_memory_load(b->bus, &key);
    char text[512];

    snprintf(text, sizeof(text), "%.*s", (int)found.request.len, found.request.ptr);
    assert_string_equal(text, request);
}

/* ---- what is refused ---- */

static const struct {
    const char *body;
    unsigned status;
    const char *code;
    const char *field;
} mistakes[] = {
    {"", 400, "MALFORMED_JSON", "body"},
    {"{", 400, "MALFORMED_JSON", "body"},
    {"[]", 400, "MALFORMED_JSON", "body"},
    {"{}", 422, "INVALID_VALUE", "message"},
    {"{\"message\":null}", 422, "INVALID_VALUE", "message"},
    {"{\"message\":7}", 422, "INVALID_VALUE", "message"},
    {"{\"message\":\"\"}", 422, "INVALID_VALUE", "message"},
    {"{\"message\":\" \\n\\t\"}", 422, "INVALID_VALUE", "message"},
    {"{\"message\":\"123456789012345678901\"}", 422, "MESSAGE_TOO_LONG", "message"},
    {"{\"message\":\"a\",\"messages\":[]}", 422, "INVALID_VALUE", "message"},
    {"{\"messages\":\"a\"}", 422, "INVALID_VALUE", "messages"},
    {"{\"messages\":[]}", 422, "INVALID_VALUE", "messages"},
    {"{\"messages\":[7]}", 422, "INVALID_VALUE", "messages"},
    {"{\"messages\":[{\"content\":\"a\"}]}", 422, "INVALID_VALUE", "messages"},
    {"{\"messages\":[{\"role\":\"boss\",\"content\":\"a\"}]}", 422, "INVALID_VALUE",
     "messages"},
    {"{\"messages\":[{\"role\":\"user\"}]}", 422, "INVALID_VALUE", "messages"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\" \"}]}", 422, "INVALID_VALUE",
     "messages"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", 422, "INVALID_VALUE",
     "messages"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[\"a\"]}]}", 422, "INVALID_VALUE",
     "messages"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":"
     "[{\"type\":\"text\",\"text\":\"123456789012345678901\"}]}]}",
     422, "MESSAGE_TOO_LONG", "messages"},
    {"{\"messages\":[{\"role\":\"assistant\"}]}", 422, "INVALID_VALUE", "messages"},
    {"{\"message\":\"a\",\"max_tokens\":0}", 422, "INVALID_VALUE", "max_tokens"},
    {"{\"message\":\"a\",\"max_tokens\":32769}", 422, "INVALID_VALUE", "max_tokens"},
    {"{\"message\":\"a\",\"max_tokens\":1.5}", 422, "INVALID_VALUE", "max_tokens"},
    {"{\"message\":\"a\",\"max_tokens\":\"9\"}", 422, "INVALID_VALUE", "max_tokens"},
    {"{\"message\":\"a\",\"max_completion_tokens\":0}", 422, "INVALID_VALUE",
     "max_tokens"},
    {"{\"message\":\"a\",\"temperature\":-0.1}", 422, "INVALID_VALUE", "temperature"},
    {"{\"message\":\"a\",\"temperature\":2.01}", 422, "INVALID_VALUE", "temperature"},
    {"{\"message\":\"a\",\"temperature\":true}", 422, "INVALID_VALUE", "temperature"},
    {"{\"message\":\"a\",\"mode\":\"poet\"}", 422, "INVALID_VALUE", "mode"},
    {"{\"message\":\"a\",\"model\":[]}", 422, "INVALID_VALUE", "model"},
    {"{\"message\":\"a\",\"model\":\"a\\nb\"}", 422, "INVALID_VALUE", "model"},
    {"{\"message\":\"a\",\"stream\":\"no\"}", 422, "INVALID_VALUE", "stream"},
    {"{\"message\":\"a\",\"useMemory\":1}", 422, "INVALID_VALUE", "useMemory"},
    {"{\"message\":\"a\",\"task_id\":\"a b\"}", 422, "INVALID_VALUE", "task_id"},
    {"{\"message\":\"a\",\"task_id\":\"\"}", 422, "INVALID_VALUE", "task_id"},
    {"{\"message\":\"a\",\"conversation_id\":7}", 422, "INVALID_VALUE",
     "conversation_id"},
    {"{\"message\":\"a\",\"options\":[]}", 422, "INVALID_VALUE", "options"},
    {"{\"message\":\"a\",\"n\":2}", 422, "INVALID_VALUE", "n"},
};

static void each_mistake_is_named_with_its_field(void **state)
{
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char part[64];
        struct fake_exchange *x = submit(b, mistakes[i].body);
        answered(b, x, mistakes[i].status, mistakes[i].code);
        snprintf(part, sizeof(part), "\"field\":\"%s\"", mistakes[i].field);
        answered(b, x, mistakes[i].status, part);
    }
    assert_int_equal(counted(b, "thinkwire_submitted_total "), 0);
}

static void a_length_is_counted_in_code_points(void **state)
{
    struct bench *b = *state;

    answered(b, submit(b, "{\"message\":\"\\ud83d\\ude00234567890123456789\\u00e9\"}"),
             202, "\"state\":\"queued\"");
}

/* ---- what is kept ---- */

static void what_was_said_is_kept_with_the_run(void **state)
{
    struct bench *b = *state;

    answered(b,
             submit(b, "{\"task_id\":\"t\",\"message\":\"a \\\"b\\\" \\u00e9\","
                       "\"model\":\"m\",\"mode\":\"agent\",\"max_tokens\":5,"
                       "\"temperature\":0.5,\"top_p\":0.1,\"stop\":[\"x\"],"
                       "\"options\":{\"k\":1},\"useMemory\":true,"
                       "\"conversation_id\":\"c\",\"stream\":true,\"unknown\":1}"),
             202, "{\"task_id\":\"t\",\"epoch\":");
    keeps(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"a \\\"b\\\" \u00e9\"}],"
             "\"model\":\"m\",\"mode\":\"agent\",\"max_tokens\":5,\"temperature\":0.5,"
             "\"options\":{\"k\":1,\"stop\":[\"x\"],\"top_p\":0.1},"
             "\"conversation_id\":\"c\",\"request_id\":\"req_1\",\"memory\":true}");
}

static void messages_are_kept_as_they_came(void **state)
{
    struct bench *b = *state;

    answered(b,
             submit(b, "{\"task_id\":\"t\",\"messages\":[{\"role\":\"system\","
                       "\"content\":\"be brief\"},{\"role\":\"assistant\",\"content\":"
                       "null,\"tool_calls\":[]},{\"role\":\"user\",\"content\":"
                       "[{\"type\":\"text\",\"text\":\"a\"}]}],\"temperature\":null}"),
             202, "queued");
    keeps(b, "{\"messages\":[{\"role\":\"system\",\"content\":\"be brief\"},"
             "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]},"
             "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}],"
             "\"request_id\":\"req_1\"}");
}

static void a_reader_finds_it_queued_at_once(void **state)
{
    struct bench *b = *state;

    answered(b, submit(b, "{\"task_id\":\"t\",\"message\":\"a\"}"), 202, "queued");
    answered(b, get(b, "/v1/tasks/t"), 200, "\"state\":\"queued\"");
    const struct run *run = topic_run(task(b, "t"));
    assert_int_equal(run->last_seq, 1);
    assert_int_equal(run->state, RUN_QUEUED);
    const struct entry *entry = topic_entry(task(b, "t"), run->first_pos);
    assert_non_null(entry);
    assert_int_equal(entry->type, EVENT_QUEUED);
}

static void an_open_run_is_left_alone(void **state)
{
    struct bench *b = *state;

    answered(b, submit(b, "{\"task_id\":\"t\",\"message\":\"a\"}"), 202, "queued");
    uint64_t epoch = topic_run(task(b, "t"))->epoch;
    answered(b, submit(b, "{\"task_id\":\"t\",\"message\":\"b\"}"), 409, "TASK_OPEN");
    assert_int_equal(topic_run(task(b, "t"))->epoch, epoch);
    ask(b, HTTP_POST, "/v1/tasks/t/stop", "");
    answered(b, submit(b, "{\"task_id\":\"t\",\"message\":\"b\"}"), 202, "queued");
}

/* ---- a worker ---- */

static void on_published(void *ctx, const struct publish_result *result)
{
    (void)ctx;
    assert_int_equal(result->status, PUBLISH_OK);
}

/* Claims the queued run of task t and says this, as a worker in this process would. */
static void work(struct bench *b, const char *const *lines, size_t count)
{
    struct event events[4];
    const char *field = NULL;
    struct run_open_request claim = {
        .task = key, .producer = slice_of("w"), .lease_ms = 60000};
    struct publish_request request = {.task = key,
                                      .producer = slice_of("w"),
                                      .epoch = topic_run(task(b, "t"))->epoch,
                                      .counter = 1,
                                      .events = events,
                                      .count = count};

    for (size_t i = 0; i < count; i++)
        assert_int_equal(event_check(slice_of(lines[i]), &events[i], &field), EVENT_OK);
    assert_int_equal(bus_memory_claim(b->bus, &claim, request.epoch), PUBLISH_OK);
    b->bus->ops->publish(b->bus, &request, on_published, NULL);
}

static const char *const words =
    "{\"type\":\"text\",\"task_id\":\"t\",\"text\":\"half \",\"partial\":true}";
static const char *const stop =
    "{\"type\":\"stopped\",\"task_id\":\"t\",\"partial\":false}";
static const char *const completion =
    "{\"type\":\"completion\",\"task_id\":\"t\",\"text\":\"half \",\"partial\":false,"
    "\"model\":\"m\",\"tokens_in\":3,\"tokens_out\":4,\"cost_usd\":0.5,"
    "\"finish_reason\":\"stop\"}";
static const char *const failure =
    "{\"type\":\"error\",\"task_id\":\"t\",\"code\":\"RATE_LIMIT\",\"message\":\"Later."
    "\",\"partial\":false}";

static void who_waits_is_told_the_whole_answer(void **state)
{
    const char *lines[] = {words, completion};
    struct bench *b = *state;
    struct fake_exchange *x =
        submit(b, "{\"task_id\":\"t\",\"message\":\"a\",\"stream\":false}");

    settle(b);
    assert_false(x->is_answered);
    work(b, lines, 2);
    answered(b, x, 200,
             ",\"state\":\"completed\",\"text\":\"half \",\"reasoning\":\"\",\"usage\":"
             "{\"tokens_in\":3,\"tokens_out\":4,\"cost_usd\":0.5},\"finish_reason\":"
             "\"stop\",\"model\":\"m\"}");
}

static void who_waits_is_told_the_error_with_its_status(void **state)
{
    const char *lines[] = {words, failure};
    struct bench *b = *state;
    struct fake_exchange *x =
        submit(b, "{\"task_id\":\"t\",\"message\":\"a\",\"stream\":false}");

    work(b, lines, 2);
    answered(b, x, 429,
             "{\"error\":{\"code\":\"RATE_LIMIT\",\"message\":\"Later.\"},\"task_id\":"
             "\"t\"");
    answered(b, x, 429, "\"state\":\"error\",\"text\":\"half \"");
}

static void who_waits_and_goes_leaves_the_run_alone(void **state)
{
    const char *lines[] = {words, completion};
    struct bench *b = *state;
    struct fake_exchange *x =
        submit(b, "{\"task_id\":\"t\",\"message\":\"a\",\"stream\":false}");

    settle(b);
    abort_exchange(x);
    work(b, lines, 2);
    settle(b);
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_COMPLETED);
}

static void who_waits_for_what_is_erased_is_told(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x =
        submit(b, "{\"task_id\":\"t\",\"message\":\"a\",\"stream\":false}");

    settle(b);
    ask(b, HTTP_DELETE, "/v1/tasks/t", "");
    answered(b, x, 410, "\"code\":\"GONE\"");
}

/* ---- continuing ---- */

static void a_continue_keeps_request_and_text(void **state)
{
    const char *lines[] = {words, stop};
    struct bench *b = *state;

    submit(b, "{\"task_id\":\"t\",\"message\":\"a\",\"model\":\"m\",\"max_tokens\":5}");
    work(b, lines, 2);
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"max_tokens\":9}"), 202,
             "queued");
    keeps(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\":\"m\","
             "\"max_tokens\":9,\"request_id\":\"req_1\"}");
    struct store_task found = bus_memory_load(b->bus, &key);
    assert_true(found.keeps_text);
    assert_true(slice_is(found.text.utf8, "half "));
}

/* One answer: what the client brought, and behind it what was said here. */
static void a_partial_that_was_posted_stays_before_the_text(void **state)
{
    struct bench *b = *state;
    struct bus_kept kept = {
        .state = RUN_STOPPED,
        .epoch = 5,
        .request = slice_of("{\"messages\":[1],\"partial\":\"one \",\"live\":true}"),
        .text = slice_of("two "),
    };
    struct fake_exchange *x = ask(b, HTTP_POST, "/v1/tasks/t/continue", "");

    b->held.recalled(b->held.ctx, &kept);
    assert_string_equal(b->held.request,
                        "{\"messages\":[1],\"partial\":\"one \",\"request_id\":"
                        "\"req_1\"}");
    b->held.opened(b->held.ctx, PUBLISH_OK, 6);
    answered(b, x, 202, "{\"task_id\":\"t\",\"epoch\":6,\"state\":\"queued\"}");
}

static void what_cannot_be_continued_is_told(void **state)
{
    const char *lines[] = {stop};
    struct bench *b = *state;

    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", ""), 404, "UNKNOWN_TASK");
    submit(b, "{\"task_id\":\"t\",\"message\":\"a\"}");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", ""), 409, "TASK_OPEN");
    work(b, lines, 1);
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{}"), 422,
             "No partial response to continue from");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"temperature\":3}"), 422,
             "\"field\":\"temperature\"");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"message\":\"b\"}"), 422,
             "\"field\":\"message\"");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "nonsense"), 400,
             "MALFORMED_JSON");
    ask(b, HTTP_POST, "/v1/tasks/u/events",
        "{\"type\":\"completion\",\"text\":\"x\",\"partial\":false}");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/u/continue", ""), 422, "NOT_A_GENERATION");
    answered(b, get(b, "/v1/tasks/t/continue"), 405, "METHOD_NOT_ALLOWED");
}

/* ---- points ---- */

static void a_task_is_continued_from_a_point_of_it(void **state)
{
    const char *lines[] = {words, stop};
    struct bench *b = *state;

    submit(b, "{\"task_id\":\"t\",\"message\":\"a\"}");
    work(b, lines, 2);
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{}"), 202, "queued");
    work(b, lines, 2);
    answered(b, get(b, "/v1/tasks/t/points"), 200, "\"kind\":\"stopped\",\"epoch\":");
    assert_true(slice_is(bus_memory_load(b->bus, &key).text.utf8, "half half "));
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":9}"), 422,
             "\"UNKNOWN_POINT\"");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":0}"), 422,
             "\"field\":\"from_point\"");
    answered(b, ask(b, HTTP_POST, "/v1/tasks", "{\"from_point\":1,\"message\":\"a\"}"),
             422, "\"field\":\"from_point\"");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":1}"), 202,
             "queued");
    assert_true(slice_is(bus_memory_load(b->bus, &key).text.utf8, "half "));
    answered(b, get(b, "/v1/tasks/t/points"), 200, "\"length\":5,\"from_point\":1}");
    work(b, lines, 2);
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":3}"), 202,
             "queued");
    assert_true(slice_is(bus_memory_load(b->bus, &key).text.utf8, "half half "));
    answered(b, get(b, "/v1/tasks/none/points"), 404, "UNKNOWN_TASK");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/t/points", ""), 405, "METHOD_NOT_ALLOWED");
}

static void a_point_that_is_gone_when_it_is_gone_back_to_is_told(void **state)
{
    struct bench *b = *state;
    struct bus_kept kept = {
        .state = RUN_STOPPED, .epoch = 5, .request = slice_of("{\"messages\":[1]}")};
    struct task_point point = {.number = 2, .kind = slice_of("stopped"), .length = 7};
    struct task_points points = {.state = RUN_STOPPED, .points = &point, .count = 1};
    struct fake_exchange *x =
        ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":2}");

    b->held.recalled(b->held.ctx, &kept);
    b->held.pointed(b->held.ctx, &points);
    b->held.opened(b->held.ctx, PUBLISH_UNKNOWN_RUN, 0);
    answered(b, x, 422, "\"UNKNOWN_POINT\"");
    x = ask(b, HTTP_POST, "/v1/tasks/t/continue", "{\"from_point\":2}");
    b->held.recalled(b->held.ctx, &kept);
    b->held.pointed(b->held.ctx, NULL);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    x = get(b, "/v1/tasks/t/points");
    b->held.pointed(b->held.ctx, NULL);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
}

/* ---- the bus is away, or the client is ---- */

static void a_bus_that_is_away_is_503(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = submit(b, "{\"message\":\"a\"}");

    b->held.opened(b->held.ctx, PUBLISH_UNAVAILABLE, 0);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    x = ask(b, HTTP_POST, "/v1/tasks/t/continue", "");
    b->held.recalled(b->held.ctx, NULL);
    answered(b, x, 503, "\"code\":\"UNAVAILABLE\"");
    x = submit(b, "{\"message\":\"a\"}");
    abort_exchange(x);
    b->held.opened(b->held.ctx, PUBLISH_OK, 5);
    settle(b);
}

static void who_goes_on_waiting_when_the_broker_ends_is_answered(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = submit(b, "{\"message\":\"a\",\"stream\":false}");

    settle(b);
    assert_false(x->is_answered);
    api_free(b->api);
    assert_true(x->is_answered);
    assert_int_equal(x->status, 503);
    assert_non_null(strstr(buf_text(&x->body), "SHUTTING_DOWN"));
    b->api =
        api_new(&(struct api_rooms){b->loop, b->hub, b->bus, b->sessions, b->counters},
                &(struct api_options){.default_site = ""});
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, with_memory, without)
#define HELD_TEST(name)   cmocka_unit_test_setup_teardown(name, with_held, without)

int test_submit(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(each_mistake_is_named_with_its_field),
        MEMORY_TEST(a_length_is_counted_in_code_points),
        MEMORY_TEST(what_was_said_is_kept_with_the_run),
        MEMORY_TEST(messages_are_kept_as_they_came),
        MEMORY_TEST(a_reader_finds_it_queued_at_once),
        MEMORY_TEST(an_open_run_is_left_alone),
        MEMORY_TEST(who_waits_is_told_the_whole_answer),
        MEMORY_TEST(who_waits_is_told_the_error_with_its_status),
        MEMORY_TEST(who_waits_and_goes_leaves_the_run_alone),
        MEMORY_TEST(who_waits_for_what_is_erased_is_told),
        MEMORY_TEST(a_continue_keeps_request_and_text),
        HELD_TEST(a_partial_that_was_posted_stays_before_the_text),
        MEMORY_TEST(what_cannot_be_continued_is_told),
        MEMORY_TEST(a_task_is_continued_from_a_point_of_it),
        HELD_TEST(a_point_that_is_gone_when_it_is_gone_back_to_is_told),
        HELD_TEST(a_bus_that_is_away_is_503),
        MEMORY_TEST(who_goes_on_waiting_when_the_broker_ends_is_answered),
    };
    return cmocka_run_group_tests_name("api: submit", tests, NULL, NULL);
}
