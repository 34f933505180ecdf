/* test_lift.c - Frappe's progress in the durable log: one lifter, its fences, its limits. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include "redis/store_lift.h"

#include <stdio.h>
#include <string.h>

/* One more broker on the same Redis. */
struct broker {
    struct counters *counters;
    struct hub *hub;
    struct bus *bus;
    struct bus_lift *lift;
    struct bus_frappe *frappe;
};

static void broker_open(struct broker *broker, struct stage *stage)
{
    struct hub_limits limits = *hub_limits(stage->hub);

    broker->counters = counters_new();
    broker->hub = hub_new(stage->scene->loop, &limits, broker->counters);
    broker->bus =
        bus_redis_new(stage->scene->loop, broker->hub, stage->scene->redis.url, "tw",
                      &stage->limits, broker->counters, &stage->listed);
    broker->lift = bus_redis_lift(broker->bus, broker->counters);
    broker->frappe = bus_frappe_new(
        stage->scene->loop, broker->hub,
        &(struct frappe_channel){stage->scene->redis.url, "events", broker->lift},
        broker->counters, &stage->listed);
    assert_non_null(broker->frappe);
}

/* As a SIGKILL: nothing is given back. */
static void broker_kill(struct broker *broker)
{
    bus_frappe_free(broker->frappe);
    broker->bus->ops->free(broker->bus);
    hub_free(broker->hub);
    counters_free(broker->counters);
}

static uint64_t counter_of(struct stage *stage, const struct broker *broker,
                           const char *line)
{
    struct counters *mine = stage->counters;
    uint64_t value;

    stage->counters = broker->counters;
    value = stage_counter(stage, line);
    stage->counters = mine;
    return value;
}

static bool leads(struct stage *stage, const struct broker *broker)
{
    return counter_of(stage, broker, "lift_elected ") == 1;
}

static void until_leads(struct stage *stage, const struct broker *broker)
{
    for (int i = 0; i < 1000 && !leads(stage, broker); i++)
        scene_idle(stage->scene, 10);
    assert_true(leads(stage, broker));
}

static void say(struct stage *stage, const char *room, const char *event,
                const char *message)
{
    char payload[512];

    (void)snprintf(
        payload, sizeof(payload),
        "{\"event\":\"%s\",\"message\":%s,\"namespace\":\"s\",\"room\":\"%s\"}", event,
        message, room);
    (void)scene_ask_words(stage->scene, "PUBLISH", "events", payload, (char *)NULL);
}

static void say_text(struct stage *stage, const char *text)
{
    char message[128];

    (void)snprintf(message, sizeof(message),
                   "{\"task_id\": \"t1\", \"type\": \"text\", \"text\": \"%s\"}", text);
    say(stage, "task_progress:t1", "ai_progress", message);
}

static void see(struct eye *eye, struct stage *stage, struct hub *hub)
{
    eye_attach(eye, hub_topic(hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    scene_until(stage->scene, eye_is_ready, eye);
}

static void every_broker_has_a_lifted_event_once_as_published_under_one_id(void **state)
{
    struct stage stage;
    struct broker brokers[3];
    struct eye eyes[3];
    unsigned elected = 0;

    stage_open(&stage, state);
    for (size_t i = 0; i < 3; i++) {
        broker_open(&brokers[i], &stage);
        if (i == 0)
            until_leads(&stage, &brokers[0]);
        see(&eyes[i], &stage, brokers[i].hub);
    }
    say_text(&stage, "one");
    say_text(&stage, "two");
    for (size_t i = 0; i < 3; i++)
        eye_until_seen(&eyes[i], &stage, 2);
    scene_idle(stage.scene, 1200);
    for (size_t i = 0; i < 3; i++) {
        const struct run *run = topic_run(eyes[i].topic);
        const struct entry *last =
            topic_entry(eyes[i].topic, topic_next(eyes[i].topic) - 1);
        assert_string_equal(buf_text(&eyes[i].log), "1:ai_progress 2:ai_progress ");
        assert_string_equal(buf_text(&eyes[i].last),
                            "{\"task_id\":\"t1\",\"type\":\"text\",\"text\":\"two\"}");
        assert_true(last->is_opaque && !last->id.is_local);
        assert_int_equal(last->id.epoch, topic_run(eyes[0].topic)->epoch);
        assert_true(run->is_opaque);
        assert_int_equal(run->text.merged, 0);
        elected += leads(&stage, &brokers[i]) ? 1 : 0;
    }
    assert_int_equal(elected, 1);
    /* A broker that comes later reads the same. */
    struct eye late;
    struct broker cold;
    broker_open(&cold, &stage);
    see(&late, &stage, cold.hub);
    assert_true(topic_run(late.topic)->is_opaque);
    assert_int_equal(topic_next(late.topic) - topic_base(late.topic), 2);
    say(&stage, "task_progress:t1", "ai_progress", "{\"type\":\"completion\"}");
    eye_until_seen(&late, &stage, 1);
    assert_int_equal(topic_run(late.topic)->state, RUN_COMPLETED);
    eye_close(&late);
    broker_kill(&cold);
    for (size_t i = 0; i < 3; i++) {
        eye_close(&eyes[i]);
        broker_kill(&brokers[i]);
    }
    stage_close(&stage);
}

static void the_next_lifter_begins_a_new_run_without_a_word_of_ours(void **state)
{
    struct stage stage;
    struct broker first;
    struct broker second;
    struct eye eye;

    stage_open(&stage, state);
    broker_open(&first, &stage);
    until_leads(&stage, &first);
    broker_open(&second, &stage);
    see(&eye, &stage, second.hub);
    say_text(&stage, "one");
    eye_until_seen(&eye, &stage, 1);
    uint64_t epoch = topic_run(eye.topic)->epoch;
    broker_kill(&first);
    say_text(&stage, "lost: nobody is elected");
    until_leads(&stage, &second);
    say_text(&stage, "two");
    eye_until_seen(&eye, &stage, 2);
    assert_string_equal(buf_text(&eye.log), "1:ai_progress 1:ai_progress ");
    assert_true(topic_run(eye.topic)->epoch > epoch);
    assert_int_equal(eye.lost, 0);
    eye_close(&eye);
    broker_kill(&second);
    stage_close(&stage);
}

static void who_resigns_is_followed_at_once(void **state)
{
    struct stage stage;
    struct broker first;
    struct broker second;

    stage_open(&stage, state);
    broker_open(&first, &stage);
    until_leads(&stage, &first);
    broker_open(&second, &stage);
    bus_lift_resign(first.lift);
    assert_false(leads(&stage, &first));
    uint64_t began = loop_now_ms(stage.scene->loop);
    until_leads(&stage, &second);
    assert_true(loop_now_ms(stage.scene->loop) - began < LIFT_LASTS_MS);
    scene_idle(stage.scene, 1200);
    assert_false(leads(&stage, &first));
    broker_kill(&first);
    broker_kill(&second);
    stage_close(&stage);
}

static void on_lifted(void *ctx, enum store_lift_status status)
{
    struct stage *stage = ctx;

    stage->stopped = (enum stop_status)status;
    stage->told++;
}

static enum store_lift_status lift(struct stage *stage, const char *lifter,
                                   uint64_t term)
{
    struct store_lift event = {.task = the_task(),
                               .lifter = slice_of(lifter),
                               .term = term,
                               .type = slice_of("text"),
                               .json = slice_of("{\"type\":\"text\"}")};

    stage->told = 0;
    store_lift(stage->shop.store, &event, on_lifted, stage);
    scene_until_count(stage->scene, &stage->told, 1);
    return (enum store_lift_status)stage->stopped;
}

static void an_earlier_term_is_fenced_off(void **state)
{
    struct stage stage;

    stage_open(&stage, state);
    assert_int_equal(lift(&stage, "a", 5), STORE_LIFT_DONE);
    assert_int_equal(lift(&stage, "b", 6), STORE_LIFT_DONE);
    assert_int_equal(lift(&stage, "a", 5), STORE_LIFT_FENCED);
    assert_int_equal(lift(&stage, "b", 6), STORE_LIFT_DONE);
    assert_string_equal(shop_field(&stage.shop, "seq"), "2");
    assert_string_equal(scene_ask(stage.scene, "XLEN tw:{s/t1}:log"), "3");
    stage_close(&stage);
}

static void a_native_run_is_not_lifted_into(void **state)
{
    struct stage stage;
    struct broker broker;
    struct eye eye;

    stage_open(&stage, state);
    broker_open(&broker, &stage);
    until_leads(&stage, &broker);
    (void)shop_run(&stage.shop, "p", 60000);
    shop_publish(&stage.shop, "p", stage.shop.epoch, 1, "t:native");
    see(&eye, &stage, broker.hub);
    say_text(&stage, "beside");
    shop_publish(&stage.shop, "p", stage.shop.epoch, 2, "t:native");
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.log), "2:text ");
    while (counter_of(&stage, &broker, "lift_events_total{outcome=\"native_run\"} ") ==
           0)
        scene_idle(stage.scene, 5);
    /* Who reads the room has it. */
    struct topic *aside =
        hub_find(broker.hub, TOPIC_ROOM, slice_of("s"), slice_of("task_progress:t1"));
    assert_non_null(aside);
    assert_int_equal(topic_next(aside) - topic_base(aside), 1);
    eye_close(&eye);
    broker_kill(&broker);
    stage_close(&stage);
}

static void native_events_do_not_join_a_lifted_run(void **state)
{
    struct stage stage;

    stage_open(&stage, state);
    assert_int_equal(lift(&stage, "a", 1), STORE_LIFT_DONE);
    shop_publish(&stage.shop, "", 0, 0, "t:native");
    shop_expect(&stage.shop, PUBLISH_OK, 1, 1);
    assert_string_equal(shop_field(&stage.shop, "opaque"), "");
    /* The lifted run has ended with the only word of ours. */
    assert_non_null(
        strstr(scene_ask(stage.scene, "XRANGE tw:{s/t1}:log - +"), "SUPERSEDED"));
    assert_int_equal(lift(&stage, "a", 1), STORE_LIFT_NATIVE);
    stage_close(&stage);
}

/* Never into a public task: a user's progress stays this user's, on each broker. */
static void what_is_sent_to_a_user_is_not_lifted(void **state)
{
    struct stage stage;
    struct broker broker;

    stage_open(&stage, state);
    broker_open(&broker, &stage);
    until_leads(&stage, &broker);
    say(&stage, "user:a@b.c", "ai_progress", "{\"task_id\":\"t1\",\"type\":\"text\"}");
    say(&stage, "task_progress:t1", "progress", "{\"percent\":1}");
    while (counter_of(&stage, &broker, "frappe_messages_total ") < 2)
        scene_idle(stage.scene, 5);
    scene_idle(stage.scene, 100);
    assert_string_equal(scene_ask(stage.scene, "EXISTS tw:{s/t1}:log"), "0");
    assert_null(hub_find(broker.hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    broker_kill(&broker);
    stage_close(&stage);
}

/* Somebody else is elected for so long. */
static void elect_another(struct stage *stage, const char *lasts_ms)
{
    (void)scene_ask_words(
        stage->scene, "EVAL",
        "local t = redis.call('TIME') "
        "redis.call('HSET', KEYS[1], 'who', 'x', 'term', '1', 'until', "
        "string.format('%.0f', t[1] * 1000 + ARGV[1])) return 'OK'",
        "1", "tw:lift", lasts_ms, (char *)NULL);
}

static void who_resigns_while_its_election_is_under_way_gives_it_back(void **state)
{
    struct stage stage;
    struct broker broker;

    stage_open(&stage, state);
    elect_another(&stage, "60000");
    broker_open(&broker, &stage);
    scene_idle(stage.scene, 1500); /* it has asked, in vain */
    assert_false(leads(&stage, &broker));
    /* When Redis carries out its next question the other one's time is over. */
    elect_another(&stage, "500");
    (void)scene_ask(stage.scene, "CLIENT PAUSE 1500 ALL");
    scene_idle(stage.scene, 1300);
    bus_lift_resign(broker.lift);
    scene_idle(stage.scene, 700);
    assert_string_equal(scene_ask(stage.scene, "HGET tw:lift until"), "0");
    assert_false(leads(&stage, &broker));
    broker_kill(&broker);
    stage_close(&stage);
}

int test_lift(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_broker_has_a_lifted_event_once_as_published_under_one_id),
        cmocka_unit_test(the_next_lifter_begins_a_new_run_without_a_word_of_ours),
        cmocka_unit_test(who_resigns_is_followed_at_once),
        cmocka_unit_test(who_resigns_while_its_election_is_under_way_gives_it_back),
        cmocka_unit_test(an_earlier_term_is_fenced_off),
        cmocka_unit_test(a_native_run_is_not_lifted_into),
        cmocka_unit_test(native_events_do_not_join_a_lifted_run),
        cmocka_unit_test(what_is_sent_to_a_user_is_not_lifted),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("lift", tests, scene_new, scene_free);
}
