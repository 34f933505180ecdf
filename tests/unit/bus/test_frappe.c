/* test_frappe.c - Frappe's channel: both forms, every room, and all that is malformed. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void publish(struct stage *stage, const char *payload)
{
    (void)scene_ask_words(stage->scene, "PUBLISH", "events", payload, (char *)NULL);
}

static struct topic *room(struct stage *stage, const char *site, const char *name)
{
    return hub_topic(stage->hub, TOPIC_ROOM, slice_of(site), slice_of(name));
}

static struct topic *task(struct stage *stage, const char *site, const char *name)
{
    return hub_topic(stage->hub, TOPIC_TASK, slice_of(site), slice_of(name));
}

/* As frappe.as_json writes it: indented, keys sorted, ASCII. */
static const char v15[] =
    "{\n \"event\": \"ai_progress\",\n \"message\": {\n  \"partial\": true,\n  "
    "\"task_id\": \"t1\",\n  \"text\": \"Analyzing\\u2026 \\u00e9 \\ud83d\\ude00\",\n  "
    "\"type\": \"reasoning\"\n },\n \"namespace\": \"site1.local\",\n \"room\": "
    "\"task_progress:t1\"\n}";
static const char v13[] =
    "{\n \"event\": \"ai_progress\",\n \"message\": {\n  \"task_id\": \"t1\",\n  "
    "\"text\": \"hi\",\n  \"type\": \"text\"\n },\n \"room\": "
    "\"site1.local:task_progress:t1\"\n}";

static void both_forms_of_a_task_room_lead_to_the_task(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "site1.local", "t1"));
    publish(&stage, v15);
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(
        buf_text(&eye.last),
        "{\"partial\":true,\"task_id\":\"t1\",\"text\":\"Analyzing\\u2026 \\u00e9 "
        "\\ud83d\\ude00\",\"type\":\"reasoning\"}");
    const struct entry *entry = topic_entry(eye.topic, eye.reader.pos - 1);
    assert_true(entry->is_opaque);
    assert_false(entry->is_delta);
    assert_int_equal(entry->type, EVENT_REASONING);
    assert_true(slice_is(entry->name, "ai_progress"));
    assert_true(entry->id.is_local);
    assert_int_equal(entry->id.seq, 1);
    publish(&stage, v13);
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.last),
                        "{\"task_id\":\"t1\",\"text\":\"hi\",\"type\":\"text\"}");
    assert_int_equal(topic_run(eye.topic)->text.merged, 0);
    eye_close(&eye);
    stage_close(&stage);
}

/* Two sources of one task do not take it from each other at every event. */
static void what_is_said_beside_a_run_of_the_bus_goes_to_the_room(void **state)
{
    struct stage stage;
    struct eye eye;
    struct topic *topic;
    struct topic_event native = {.id = {7, 1, false},
                                 .type = EVENT_STATUS,
                                 .body = slice_of("{\"type\":\"status\"}")};

    stage_open_frappe(&stage, state);
    topic = task(&stage, "site1.local", "t1");
    eye_attach(&eye, topic);
    publish(&stage, v15);
    eye_until_seen(&eye, &stage, 1);
    assert_true(topic_run(topic)->is_local);
    assert_true(topic_append(topic, &native));
    publish(&stage, v15);
    while (hub_find(stage.hub, TOPIC_ROOM, slice_of("site1.local"),
                    slice_of("task_progress:t1")) == NULL)
        scene_idle(stage.scene, 1);
    native.id.seq = 2;
    assert_true(topic_append(topic, &native));
    eye_until_seen(&eye, &stage, 3);
    assert_string_equal(buf_text(&eye.log), "1:ai_progress 1:status 2:status ");
    assert_int_equal(topic_run(topic)->epoch, 7);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_task_is_remembered_before_anybody_reads_it(void **state)
{
    struct stage stage;

    stage_open_frappe(&stage, state);
    publish(&stage, v15);
    while (hub_topic_count(stage.hub) == 0)
        scene_idle(stage.scene, 1);
    assert_non_null(
        hub_find(stage.hub, TOPIC_TASK, slice_of("site1.local"), slice_of("t1")));
    stage_close(&stage);
}

struct room_row {
    const char *payload;
    const char *site;
    const char *room;
};

static const struct room_row rooms[] = {
    {"{\"event\":\"e\",\"message\":1,\"namespace\":\"s\",\"room\":\"user:a@b.c\"}", "s",
     "user:a@b.c"},
    {"{\"room\":\"s:user:a@b.c\",\"message\":1,\"event\":\"e\"}", "s", "user:a@b.c"},
    {"{\"event\":\"e\",\"message\":1,\"namespace\":\"s\",\"room\":\"doc:To\\u0044o/1\"}",
     "s", "doc:ToDo/1"},
    {"{\"event\":\"e\",\"message\":1,\"room\":\"s:doc:ToDo/1\"}", "s", "doc:ToDo/1"},
    {"{\"event\":\"e\",\"message\":1,\"namespace\":\"s\",\"room\":\"all\"}", "s",
     "all"},
    {"{\"event\":\"e\",\"message\":1,\"room\":\"s:all\"}", "s", "all"},
    {"{\"event\":\"e\",\"message\":1,\"room\":\"lonely\"}", "", "lonely"},
    {"{\"event\":\"e\",\"message\":1,\"namespace\":null,\"room\":\"s:all\"}", "s",
     "all"},
    /* An id that is not native lives in a room, not in a task. */
    {"{\"event\":\"e\",\"message\":1,\"namespace\":\"s\",\"room\":\"task_progress:a b\"}",
     "s", "task_progress:a b"},
    {"{\"event\":\"e\",\"message\":1,\"namespace\":\"s\",\"room\":\"task_progress:\"}",
     "s", "task_progress:"},
    {"{\"event\":\"e\",\"message\":1}", "", ""},
    {"{\"event\":\"e\",\"message\":1,\"room\":null}", "", ""},
};

static void every_other_room_is_free_text_of_its_site(void **state)
{
    struct stage stage;

    stage_open_frappe(&stage, state);
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct eye eye;
        eye_attach(&eye, room(&stage, rooms[i].site, rooms[i].room));
        scene_until(stage.scene, eye_is_ready, &eye);
        publish(&stage, rooms[i].payload);
        eye_until_seen(&eye, &stage, 1);
        assert_string_equal(buf_text(&eye.last), "1");
        eye_close(&eye);
    }
    stage_close(&stage);
}

static void a_room_nobody_is_in_is_not_remembered(void **state)
{
    struct stage stage;

    stage_open_frappe(&stage, state);
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
        publish(&stage, rooms[i].payload);
    while (stage_counter(&stage, "frappe_messages_total ") <
           sizeof(rooms) / sizeof(rooms[0]))
        scene_idle(stage.scene, 1);
    assert_int_equal(hub_topic_count(stage.hub), 0);
    assert_int_equal(stage_counter(&stage, "frappe_unheard_total "),
                     sizeof(rooms) / sizeof(rooms[0]));
    stage_close(&stage);
}

static void sites_do_not_mix(void **state)
{
    struct stage stage;
    struct eye mine;
    struct eye other;

    stage_open_frappe(&stage, state);
    eye_attach(&mine, task(&stage, "site1.local", "t1"));
    eye_attach(&other, task(&stage, "site2.local", "t1"));
    publish(&stage, v15);
    publish(&stage, v13);
    eye_until_seen(&mine, &stage, 2);
    assert_int_equal(other.seen, 0);
    eye_close(&mine);
    eye_close(&other);
    stage_close(&stage);
}

static void a_list_of_rooms_has_one_arrival_number(void **state)
{
    struct stage stage;
    struct eye one;
    struct eye two;

    stage_open_frappe(&stage, state);
    eye_attach(&one, task(&stage, "s", "t1"));
    eye_attach(&two, room(&stage, "s", "user:u"));
    publish(&stage, "{\"event\":\"e\",\"message\":{},\"namespace\":\"s\","
                    "\"room\":[\"task_progress:t1\",\"user:u\"]}");
    eye_until_seen(&one, &stage, 1);
    eye_until_seen(&two, &stage, 1);
    assert_int_equal(topic_entry(one.topic, one.reader.pos - 1)->order,
                     topic_entry(two.topic, two.reader.pos - 1)->order);
    eye_close(&one);
    eye_close(&two);
    stage_close(&stage);
}

static void messages_of_any_kind_pass_as_they_are(void **state)
{
    static const char *const messages[][2] = {
        {"\"Failed\"", "\"Failed\""},
        {"[ 1, \"x\" ]", "[1,\"x\"]"},
        {"null", "null"},
        {"{}", "{}"},
        {"12345678901234567890", "12345678901234567890"},
        {"{ \"b\": 1.0, \"a\": 1e400 }", "{\"b\":1.0,\"a\":1e400}"},
        {"{\"10\":2,\"2\":1}", "{\"10\":2,\"2\":1}"},
        {"{\"_placeholder\":true,\"num\":0}", "{\"_placeholder\":true,\"num\":0}"},
        {"\" two  blanks \"", "\" two  blanks \""},
        {"{\"id\":\"theirs\"}", "{\"id\":\"theirs\"}"},
    };
    char payload[512];
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    for (unsigned i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        (void)snprintf(
            payload, sizeof(payload),
            "{\"event\":\"e\",\"namespace\":\"s\",\"room\":\"task_progress:t1\","
            "\"message\":%s}",
            messages[i][0]);
        publish(&stage, payload);
        eye_until_seen(&eye, &stage, i + 1);
        assert_string_equal(buf_text(&eye.last), messages[i][1]);
    }
    publish(&stage,
            "{\"event\":\"e\",\"namespace\":\"s\",\"room\":\"task_progress:t1\"}");
    eye_until_seen(&eye, &stage, sizeof(messages) / sizeof(messages[0]) + 1);
    assert_string_equal(buf_text(&eye.last), "null");
    eye_close(&eye);
    stage_close(&stage);
}

static void event_names_may_be_anything_that_is_not_reserved(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    publish(&stage,
            "{\"event\":\"task_complete:9\",\"message\":{\"type\":\"completion\"},"
            "\"namespace\":\"s\",\"room\":\"task_progress:t1\"}");
    publish(&stage, "{\"event\":\"caf\\u00e9 \\\"x\\\"\",\"message\":{},"
                    "\"namespace\":\"s\",\"room\":\"task_progress:t1\"}");
    publish(&stage, "{\"event\":\"ai_progress\",\"message\":{\"type\":\"completion\"},"
                    "\"namespace\":\"s\",\"room\":\"task_progress:t1\"}");
    eye_until_seen(&eye, &stage, 3);
    assert_string_equal(buf_text(&eye.log),
                        "1:task_complete:9 2:caf\xc3\xa9 \"x\" 3:ai_progress ");
    assert_int_equal(topic_run(eye.topic)->state, RUN_COMPLETED);
    eye_close(&eye);
    stage_close(&stage);
}

/* Of equal members the first counts, however its key is written; others may stand between. */
static void a_publication_is_read_by_its_first_members(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    publish(&stage,
            " { \"doctype\" : {\"room\":5,\"event\":null} , \"\\u0065vent\":\"e\","
            "\"event\":\"connect\",\"message\": { \"a b\" : [ 1 , \" \\\" \" ] },"
            "\"message\":2,\"na\\u006despace\":\"s\",\"namespace\":7,"
            "\"room\":\"task\\u005fprogress:t1\",\"room\":8} ");
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.last), "{\"a b\":[1,\" \\\" \"]}");
    assert_string_equal(buf_text(&eye.log), "1:e ");
    eye_close(&eye);
    stage_close(&stage);
}

/* So that it is told its own, and no second "id" is written beside it. */
static void whether_an_event_names_an_id_is_known(void **state)
{
    static const struct {
        const char *event;
        const char *message;
        bool lacks_id;
    } rows[] = {
        {"ai_progress", "{\"type\":\"text\"}", true},
        {"ai_progress", "{\"inner\":{\"id\":1}}", true},
        {"ai_progress", "{\"\\u0069d\":1}", false},
        {"ai_progress", "[\"id\"]", false},
        {"other", "{\"type\":\"text\"}", false}, /* not looked for */
    };
    struct stage stage;
    struct eye eye;
    char payload[200];

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)snprintf(payload, sizeof(payload),
                       "{\"event\":\"%s\",\"message\":%s,\"namespace\":\"s\","
                       "\"room\":\"task_progress:t1\"}",
                       rows[i].event, rows[i].message);
        publish(&stage, payload);
        eye_until_seen(&eye, &stage, (unsigned)i + 1);
        assert_string_equal(buf_text(&eye.last), rows[i].message);
        assert_int_equal(topic_entry(eye.topic, eye.reader.pos - 1)->lacks_id,
                         rows[i].lacks_id);
    }
    eye_close(&eye);
    stage_close(&stage);
}

/* ---- malformed ---- */

struct bad_row {
    const char *payload;
    const char *counter;
};

#define ROOM ",\"message\":{},\"namespace\":\"s\",\"room\":\"task_progress:t1\"}"

static const struct bad_row bad[] = {
    {"", "json"},
    {"nonsense", "json"},
    {"{\"event\":\"e\"" ROOM "x", "json"},
    {"{\"event\":\"e\",\"message\":{\"x\":NaN},\"room\":\"task_progress:t1\"}", "json"},
    {"{\"event\":\"e\",\"message\":Infinity}", "json"},
    {"{\"event\":\"e\",\"message\":-Infinity}", "json"},
    {"{\"event\":\"e\",\"message\":{\"trunc", "json"},
    {"{'event':'e'}", "json"},
    {"{\"event\":\"e\",\"message\":\"\\ud800\\u12\"}", "json"},
    {"null", "shape"},
    {"[]", "shape"},
    {"\"text\"", "shape"},
    {"7", "shape"},
    {"{}", "shape"},
    {"{\"message\":{},\"room\":\"task_progress:t1\"}", "shape"},
    {"{\"event\":5" ROOM, "shape"},
    {"{\"event\":null" ROOM, "shape"},
    {"{\"event\":[\"e\"]" ROOM, "shape"},
    {"{\"event\":{\"e\":1}" ROOM, "shape"},
    {"{\"event\":\"connect\"" ROOM, "event"},
    {"{\"event\":\"connect_error\"" ROOM, "event"},
    {"{\"event\":\"disconnect\"" ROOM, "event"},
    {"{\"event\":\"disconnecting\"" ROOM, "event"},
    {"{\"event\":\"newListener\"" ROOM, "event"},
    {"{\"event\":\"removeListener\"" ROOM, "event"},
    {"{\"event\":\"\\u0063onnect\"" ROOM, "event"},
    {"{\"event\":\"e\",\"message\":{},\"room\":5}", "room"},
    {"{\"event\":\"e\",\"message\":{},\"room\":{\"a\":1}}", "room"},
    {"{\"event\":\"e\",\"message\":{},\"room\":[5]}", "room"},
    {"{\"event\":\"e\",\"message\":{},\"room\":[[\"a\"]]}", "room"},
    {"{\"event\":\"e\",\"message\":{},\"room\":true}", "room"},
};

static void what_is_malformed_is_skipped_and_counted_by_reason(void **state)
{
    struct stage stage;
    struct eye eye;
    char line[64];

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(line, sizeof(line), "frappe_skipped_total{reason=\"%s\"} ",
                       bad[i].counter);
        uint64_t before = stage_counter(&stage, line);
        publish(&stage, bad[i].payload);
        while (stage_counter(&stage, "frappe_messages_total ") < i + 1)
            scene_idle(stage.scene, 1);
        if (stage_counter(&stage, line) != before + 1)
            print_error("row %zu: %s\n", i, bad[i].payload);
        assert_int_equal(stage_counter(&stage, line), before + 1);
    }
    assert_int_equal(eye.seen, 0);
    publish(&stage, "{\"event\":\"e\"" ROOM);
    eye_until_seen(&eye, &stage, 1);
    eye_close(&eye);
    stage_close(&stage);
}

static void json_too_deep_is_skipped(void **state)
{
    struct stage stage;
    struct buf payload;

    buf_init(&payload, 4096);
    buf_puts(&payload, "{\"event\":\"e\",\"message\":");
    for (int i = 0; i < 800; i++)
        buf_putc(&payload, i < 400 ? '[' : ']');
    buf_putc(&payload, '}');
    stage_open_frappe(&stage, state);
    publish(&stage, buf_text(&payload));
    buf_release(&payload);
    while (stage_counter(&stage, "frappe_skipped_total{reason=\"json\"} ") == 0)
        scene_idle(stage.scene, 1);
    stage_close(&stage);
}

static void invalid_utf8_is_repaired_and_counted(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    publish(&stage, "{\"event\":\"e\",\"message\":\"a\xff\xc3(b\",\"namespace\":\"s\","
                    "\"room\":\"task_progress:t1\"}");
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.last), "\"a\xef\xbf\xbd\xef\xbf\xbd(b\"");
    assert_int_equal(stage_counter(&stage, "frappe_repaired_total "), 1);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_message_of_megabytes_is_delivered(void **state)
{
    struct stage stage;
    struct buf payload;
    struct eye eye;

    buf_init(&payload, 2 << 20);
    buf_puts(&payload, "{\"event\":\"e\",\"namespace\":\"s\",\"room\":"
                       "\"task_progress:t1\",\"message\":\"");
    memset(buf_reserve(&payload, 1500000), 'x', 1500000);
    payload.len += 1500000;
    buf_puts(&payload, "\"}");
    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    publish(&stage, buf_text(&payload));
    eye_until_seen(&eye, &stage, 1);
    assert_int_equal(eye.last.len, 1500002);
    eye_close(&eye);
    stage_close(&stage);
    buf_release(&payload);
}

static void order_is_kept_in_a_burst(void **state)
{
    struct stage stage;
    struct eye eye;
    char script[512];

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "s", "t1"));
    (void)snprintf(script, sizeof(script),
                   "for i = 1, 3000 do redis.call('PUBLISH', "
                   "'events', ARGV[1] .. i .. ARGV[2]) end");
    (void)scene_ask_words(
        stage.scene, "EVAL", script, "0", "{\"event\":\"e\",\"message\":",
        ",\"namespace\":\"s\",\"room\":\"task_progress:t1\"}", (char *)NULL);
    eye_until_seen(&eye, &stage, 3000);
    assert_string_equal(buf_text(&eye.last), "3000");
    for (uint64_t i = 1; i <= 3000; i++) {
        const struct entry *entry = topic_entry(eye.topic, eye.reader.pos - 3001 + i);
        uint64_t number = 0;
        assert_true(json_u64(entry->body, &number));
        assert_int_equal(number, i);
    }
    /* All that a read brought was taken in before the reader was visited. */
    assert_true(eye.woken < 300);
    eye_close(&eye);
    stage_close(&stage);
}

static void a_redis_that_goes_away_and_comes_back_is_listened_to_again(void **state)
{
    struct stage stage;
    struct eye eye;

    stage_open_frappe(&stage, state);
    eye_attach(&eye, task(&stage, "site1.local", "t1"));
    assert_null(bus_frappe_trouble(stage.frappe));
    private_redis_kill(&stage.scene->redis);
    while (bus_frappe_trouble(stage.frappe) == NULL)
        scene_idle(stage.scene, 1);
    private_redis_start(&stage.scene->redis);
    while (strcmp(scene_ask(stage.scene, "PUBSUB NUMSUB events"), "events|1") != 0)
        scene_idle(stage.scene, 1);
    publish(&stage, v15);
    eye_until_seen(&eye, &stage, 1);
    eye_close(&eye);
    stage_close(&stage);
}

int test_frappe(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_a_task_room_lead_to_the_task),
        cmocka_unit_test(what_is_said_beside_a_run_of_the_bus_goes_to_the_room),
        cmocka_unit_test(a_task_is_remembered_before_anybody_reads_it),
        cmocka_unit_test(every_other_room_is_free_text_of_its_site),
        cmocka_unit_test(a_room_nobody_is_in_is_not_remembered),
        cmocka_unit_test(sites_do_not_mix),
        cmocka_unit_test(a_list_of_rooms_has_one_arrival_number),
        cmocka_unit_test(messages_of_any_kind_pass_as_they_are),
        cmocka_unit_test(event_names_may_be_anything_that_is_not_reserved),
        cmocka_unit_test(a_publication_is_read_by_its_first_members),
        cmocka_unit_test(whether_an_event_names_an_id_is_known),
        cmocka_unit_test(what_is_malformed_is_skipped_and_counted_by_reason),
        cmocka_unit_test(json_too_deep_is_skipped),
        cmocka_unit_test(invalid_utf8_is_repaired_and_counted),
        cmocka_unit_test(a_message_of_megabytes_is_delivered),
        cmocka_unit_test(order_is_kept_in_a_burst),
        cmocka_unit_test(a_redis_that_goes_away_and_comes_back_is_listened_to_again),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("frappe", tests, scene_new, scene_free);
}
