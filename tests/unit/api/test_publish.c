/* test_publish.c - POST /v1/tasks/{id}/events: what is taken, and what is refused how. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#define DELTA "{\"type\":\"text\",\"text\":\"a\",\"partial\":true}"

static void one_event_is_published(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = post(b, DELTA);
    const struct entry *entry;

    answered(b, x, 200, "{\"ok\":true,\"first\":\"");
    assert_true(number_in(x, "epoch") > 0);
    entry = topic_entry(task(b, "t"), topic_base(task(b, "t")));
    assert_true(slice_is(entry->body,
                         "{\"task_id\":\"t\",\"type\":\"text\",\"text\":\"a\","
                         "\"partial\":true}"));
    assert_true(entry->is_delta);
    assert_true(slice_is(entry->text, "a"));
}

static void an_event_may_be_laid_out_over_lines_and_name_its_task(void **state)
{
    struct bench *b = *state;

    answered(b,
             post(b, "\n { \"task_id\" : \"t\",\r\n \"type\":\"text\",\n \"text\" : "
                     "\"a b\", \"partial\":true\n}\n"),
             200, "\"ok\":true");
    assert_true(slice_is(topic_entry(task(b, "t"), topic_base(task(b, "t")))->body,
                         "{\"task_id\":\"t\",\"type\":\"text\",\"text\":\"a b\","
                         "\"partial\":true}"));
}

static void json_lines_are_published_in_order(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x =
        post(b, DELTA "\n\n" DELTA "\r\n  \n{\"type\":\"status\"}\n");
    const struct run *run;

    answered(b, x, 200, "\"ids\":[\"");
    run = topic_run(task(b, "t"));
    assert_int_equal(run->last_seq, 3);
    assert_int_equal(run->text.utf8.len, 2);
    assert_null(memmem(x->body.data, x->body.len, "error", 5));
}

static void an_empty_object_gets_its_task_and_is_refused_for_its_type(void **state)
{
    struct bench *b = *state;

    answered(b, post(b, "{}"), 422, "\"field\":\"type\"");
    assert_null(task(b, "t"));
}

static void every_refusal_names_line_and_field(void **state)
{
    static const struct {
        const char *body;
        unsigned status;
        const char *part;
    } rows[] = {
        {"", 400, "line 1: not valid JSON"},
        {" \r\n\n", 400, "line 1: not valid JSON"},
        {"nonsense", 400, "line 1: not valid JSON"},
        {"NaN", 400, "line 1: not valid JSON"},
        {DELTA "\nnull", 422, "line 2: not a JSON object"},
        {"[" DELTA "]", 422, "line 1: not a JSON object"},
        {DELTA "\n\n\n" DELTA "}", 400, "line 4: not valid JSON"},
        {DELTA "\n{\"type\":\"text\"}", 422,
         "line 2: a required member is missing\","
         "\"field\":\"text\""},
        {"{\"type\":\"text\",\"text\":5}", 422, "wrong JSON type\",\"field\":\"text\""},
        {"{\"type\":\"a b\"}", 422, "\"field\":\"type\""},
        {"{\"type\":\"status\",\"id\":\"5-1\"}", 422, "\"field\":\"id\""},
        {"{\"type\":\"status\",\"task_id\":\"u\"}", 422, "\"field\":\"task_id\""},
        {"{\"type\":\"status\",\"timestamp\":\"now\"}", 422, "\"field\":\"timestamp\""},
        {"{\"type\":\"error\"}", 422, "\"field\":\"code\""},
        {"{\"type\":\"status\",\"type\":\"text\"}", 422, "\"field\":\"type\""},
        {DELTA "\n" DELTA "\n" DELTA "\n" DELTA "\n" DELTA "\n" DELTA, 413,
         "line 6: more events than one request may hold"},
        {"{\"type\":\"status\",\"x\":\"\xff\"}", 400, "line 1: not valid JSON"},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake_exchange *x = post(b, rows[i].body);
        answered(b, x, rows[i].status, rows[i].part);
        answered(b, x, rows[i].status, "\"code\":\"INVALID_EVENT\"");
    }
    /* Nothing of a refused request was published. */
    assert_null(task(b, "t"));
}

static void an_event_that_is_too_long_is_named_so(void **state)
{
    struct bench *b = *state;
    size_t len = EVENT_MAX_BYTES + 2000;
    char *body = malloc(len + 64);
    int at = snprintf(body, 64, "{\"type\":\"status\",\"x\":\"");

    memset(body + at, 'x', len);
    memcpy(body + (size_t)at + len, "\"}", 3);
    answered(b, post(b, body), 413, "line 1: larger than an event may be");
    /* White space does not count. */
    memset(body, ' ', len);
    memcpy(body + len, DELTA, sizeof(DELTA));
    answered(b, post(b, body), 200, "\"ok\":true");
    free(body);
}

/* ---- the producer's headers ---- */

static void malformed_headers_are_named(void **state)
{
    static const struct {
        const char *producer;
        const char *epoch;
        const char *counter;
        const char *field;
    } rows[] = {
        {"a b", NULL, NULL, "Thinkwire-Producer"},
        {"", NULL, NULL, "Thinkwire-Producer"},
        {NULL, "5", NULL, "Thinkwire-Epoch"},
        {NULL, NULL, "1", "Thinkwire-Counter"},
        {"p", "x", "1", "Thinkwire-Epoch"},
        {"p", "0", "1", "Thinkwire-Epoch"},
        {"p", "5", NULL, "Thinkwire-Counter"},
        {"p", "5", "0", "Thinkwire-Counter"},
        {"p", "5", "-1", "Thinkwire-Counter"},
        {"p", NULL, "2", "Thinkwire-Counter"},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char wanted[64];
        b->producer = rows[i].producer;
        b->epoch = rows[i].epoch;
        b->counter = rows[i].counter;
        snprintf(wanted, sizeof(wanted), "\"field\":\"%s\"", rows[i].field);
        answered(b, post(b, DELTA), 422, wanted);
    }
    assert_null(task(b, "t"));
}

static void publishing_is_idempotent(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *first;
    struct fake_exchange *again;
    char epoch[32];

    b->producer = "p1";
    answered(b, post(b, DELTA), 200, "\"ok\":true");
    snprintf(epoch, sizeof(epoch), "%llu",
             (unsigned long long)topic_run(task(b, "t"))->epoch);
    b->epoch = epoch;
    b->counter = "2";
    first = post(b, DELTA "\n" DELTA);
    answered(b, first, 200, "\"ok\":true");
    again = post(b, DELTA "\n" DELTA);
    answered(b, again, 200, buf_text(&first->body));
    assert_int_equal(topic_run(task(b, "t"))->last_seq, 3);
    b->counter = "7";
    again = post(b, DELTA);
    answered(b, again, 409, "\"code\":\"GAP\"");
    assert_int_equal(number_in(again, "expected_counter"), 4);
    b->producer = "p2";
    answered(b, post(b, DELTA), 409, "\"code\":\"FENCED\"");
    b->producer = "p1";
    b->counter = "4";
    answered(b, post(b, "{\"type\":\"completion\",\"text\":\"aaa\"}"), 200, "ok");
    b->counter = "5";
    answered(b, post(b, DELTA), 409, "\"code\":\"ENDED\"");
    b->epoch = "9007199254740992";
    answered(b, post(b, DELTA), 409, "\"code\":\"UNKNOWN_RUN\"");
}

static void without_a_producer_a_run_is_opened_and_joined(void **state)
{
    struct bench *b = *state;
    uint64_t first;
    uint64_t second;

    first = number_in(post(b, DELTA), "epoch");
    assert_int_equal(number_in(post(b, DELTA), "epoch"), first);
    post(b, "{\"type\":\"stopped\"}");
    second = number_in(post(b, DELTA), "epoch");
    assert_true(second > first);
    assert_int_equal(topic_run(task(b, "t"))->text.utf8.len, 1);
}

static void a_run_that_grows_too_large_is_ended(void **state)
{
    struct bench *b = *state;
    char *body = malloc(800064);
    int at = snprintf(body, 64, "{\"type\":\"text\",\"partial\":true,\"text\":\"");

    memset(body + at, 'x', 800000);
    memcpy(body + at + 800000, "\"}", 3);
    answered(b, post(b, body), 200, "ok");
    answered(b, post(b, body), 413, "\"code\":\"TOO_LARGE\"");
    assert_int_equal(topic_run(task(b, "t"))->state, RUN_FAILED);
    assert_int_equal(topic_run(task(b, "t"))->text.utf8.len, 800000);
    free(body);
}

static void too_many_tasks_are_no_fault_of_the_request(void **state)
{
    struct hub_limits limits = roomy();
    struct bus_limits bus_limits = bus_roomy();
    struct bench *b;

    (void)state;
    limits.max_topics = 1;
    b = bench_new(&limits, &bus_limits, false);
    answered(b, post(b, DELTA), 200, "ok");
    answered(b, ask(b, HTTP_POST, "/v1/tasks/u/events", DELTA), 503, "too many tasks");
    answered(b, get(b, "/v1/tasks/u"), 503, "TOO_MANY");
    bench_free(b);
}

#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, with_memory, without)

int test_publish(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(one_event_is_published),
        MEMORY_TEST(an_event_may_be_laid_out_over_lines_and_name_its_task),
        MEMORY_TEST(json_lines_are_published_in_order),
        MEMORY_TEST(an_empty_object_gets_its_task_and_is_refused_for_its_type),
        MEMORY_TEST(every_refusal_names_line_and_field),
        MEMORY_TEST(an_event_that_is_too_long_is_named_so),
        MEMORY_TEST(malformed_headers_are_named),
        MEMORY_TEST(publishing_is_idempotent),
        MEMORY_TEST(without_a_producer_a_run_is_opened_and_joined),
        MEMORY_TEST(a_run_that_grows_too_large_is_ended),
        cmocka_unit_test(too_many_tasks_are_no_fault_of_the_request),
    };
    return cmocka_run_group_tests_name("api: publish", tests, NULL, NULL);
}
