/* test_telemetry.c - what clients may leave at /v1/telemetry. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>

#define TARGET "/v1/telemetry"
#define STOP                                                                           \
    "{\"event\":\"gen.stop_clicked\",\"data\":{\"partial_length\":7},\"metadata\":"    \
    "{\"ux_schema\":\"v1\"}}"
#define CONTINUE(data)                                                                 \
    "{\"event\":\"gen.continue_clicked\",\"data\":" data ",\"metadata\":"              \
    "{\"ux_schema\":\"v1\",\"conversation_id\":\"c1\"}}"
#define METADATA(members)                                                              \
    "{\"event\":\"gen.stop_clicked\",\"data\":{},\"metadata\":{" members "}}"
#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void what_the_schema_has_is_taken(void **state)
{
    struct bench *b = *state;

    answered(b, ask(b, HTTP_POST, TARGET, STOP), 204, "");
    answered(b, ask(b, HTTP_POST, TARGET, CONTINUE("{\"continuation_length\":120}")),
             204, "");
    answered(b,
             ask(b, HTTP_POST, TARGET,
                 METADATA("\"ux_schema\":\"v1\",\"conversation_id\":null,"
                          "\"task_id\":\"t1\"")),
             204, "");
    assert_int_equal(
        counted(b, "thinkwire_client_events_total{event=\"gen.stop_clicked\"} "), 2);
    assert_int_equal(
        counted(b, "thinkwire_client_events_total{event=\"gen.continue_clicked\"} "),
        1);
}

static const struct {
    const char *body;
    unsigned status;
    const char *field;
} refused[] = {
    {"", 400, "body"},
    {"[]", 400, "body"},
    {"{\"event\":", 400, "body"},
    {"{}", 422, "event"},
    {"{\"event\":7}", 422, "event"},
    {"{\"event\":\"gen.other\",\"data\":{},\"metadata\":{\"ux_schema\":\"v1\"}}", 422,
     "event"},
    {"{\"event\":\"gen.stop_clicked\"}", 422, "data"},
    {"{\"event\":\"gen.stop_clicked\",\"data\":[]}", 422, "data"},
    {"{\"event\":\"gen.stop_clicked\",\"data\":{}}", 422, "metadata"},
    {"{\"event\":\"gen.stop_clicked\",\"data\":{},\"metadata\":\"v1\"}", 422,
     "metadata"},
    {"{\"event\":\"gen.stop_clicked\",\"text\":\"hello\"}", 422, "body"},
    {CONTINUE("{}"), 422, "data.continuation_length"},
    {CONTINUE("{\"continuation_length\":null}"), 422, "data.continuation_length"},
    {CONTINUE("{\"continuation_length\":-1}"), 422, "data.continuation_length"},
    {CONTINUE("{\"continuation_length\":1.5}"), 422, "data.continuation_length"},
    {CONTINUE("{\"continuation_length\":\"7\"}"), 422, "data.continuation_length"},
    {CONTINUE("{\"continuation_length\":7,\"text\":\"hello\"}"), 422, "data"},
    {METADATA(""), 422, "metadata.ux_schema"},
    {METADATA("\"ux_schema\":\"v2\""), 422, "metadata.ux_schema"},
    {METADATA("\"ux_schema\":1"), 422, "metadata.ux_schema"},
    {METADATA("\"ux_schema\":\"v1\",\"task_id\":\"a b\""), 422, "metadata.task_id"},
    {METADATA("\"ux_schema\":\"v1\",\"conversation_id\":7"), 422,
     "metadata.conversation_id"},
    {METADATA("\"ux_schema\":\"v1\",\"conversation_id\":\"a\\nb\""), 422,
     "metadata.conversation_id"},
    {METADATA("\"ux_schema\":\"v1\",\"conversation_id\":\"" A32 A32 A32 A32 "a\""), 422,
     "metadata.conversation_id"},
    {METADATA("\"ux_schema\":\"v1\",\"user\":\"me\""), 422, "metadata"},
};
#define REFUSED (sizeof(refused) / sizeof(refused[0]))

static void what_it_has_not_is_refused_by_name(void **state)
{
    struct bench *b = *state;
    char part[64];

    for (size_t i = 0; i < REFUSED; i++) {
        (void)snprintf(part, sizeof(part), "\"field\":\"%s\"", refused[i].field);
        answered(b, ask(b, HTTP_POST, TARGET, refused[i].body), refused[i].status,
                 part);
    }
    assert_int_equal(
        counted(b, "thinkwire_client_events_refused_total{reason=\"malformed\"} "),
        REFUSED);
    answered(b, get(b, TARGET), 405, "METHOD_NOT_ALLOWED");
}

static void more_than_a_minute_takes_are_sent_away(void **state)
{
    struct bench *b = *state;

    for (unsigned i = 0; i < 3; i++)
        answered(b, ask(b, HTTP_POST, TARGET, STOP), 204, "");
    answered(b, ask(b, HTTP_POST, TARGET, STOP), 429, "TOO_MANY");
    assert_int_equal(
        counted(b, "thinkwire_client_events_refused_total{reason=\"too many\"} "), 1);
}

int test_telemetry(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_schema_has_is_taken, with_memory,
                                        without),
        cmocka_unit_test_setup_teardown(what_it_has_not_is_refused_by_name, with_memory,
                                        without),
        cmocka_unit_test_setup_teardown(more_than_a_minute_takes_are_sent_away,
                                        with_memory, without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
