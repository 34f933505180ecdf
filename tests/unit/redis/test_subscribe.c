/* test_subscribe.c - channels: confirmed, remembered, replayed. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "tests.h"

#include <stdio.h>
#include <string.h>

struct listener {
    struct scene *scene;
    struct link *link;
    unsigned ups;
    unsigned downs;
    unsigned confirmed;
    unsigned heard;
    bool frees_on_message;
    bool gives_up_on_message;
    bool frees_on_subscribed;
    char last_channel[64];
    char last_payload[64];
};

static void free_link(struct listener *l)
{
    struct link *link = l->link;

    l->link = NULL;
    link_free(link);
}

static void on_up(void *ctx)
{
    ((struct listener *)ctx)->ups++;
}

static void on_down(void *ctx, const char *reason)
{
    (void)reason;
    ((struct listener *)ctx)->downs++;
}

static void on_subscribed(void *ctx, struct slice channel)
{
    struct listener *l = ctx;

    l->confirmed++;
    (void)snprintf(l->last_channel, sizeof(l->last_channel), "%.*s", (int)channel.len,
                   channel.ptr);
    if (l->frees_on_subscribed)
        free_link(l);
}

static void on_message(void *ctx, struct slice channel, struct slice payload)
{
    struct listener *l = ctx;

    l->heard++;
    (void)snprintf(l->last_channel, sizeof(l->last_channel), "%.*s", (int)channel.len,
                   channel.ptr);
    (void)snprintf(l->last_payload, sizeof(l->last_payload), "%.*s", (int)payload.len,
                   payload.ptr);
    if (l->gives_up_on_message)
        link_unsubscribe(l->link, channel);
    if (l->frees_on_message)
        free_link(l);
}

static void listener_open_as(struct listener *l, void **state, bool passes_all)
{
    struct link_options options = {.is_quiet = true,
                                   .is_subscriber = true,
                                   .silence_ms = 50,
                                   .ping_timeout_ms = 200,
                                   .backoff_min_ms = 5,
                                   .backoff_max_ms = 20,
                                   .on_up = on_up,
                                   .on_down = on_down,
                                   .on_subscribed = on_subscribed,
                                   .on_message = on_message,
                                   .passes_all = passes_all,
                                   .ctx = l};
    struct buf error;

    *l = (struct listener){.scene = *state};
    buf_init(&error, 1024);
    l->link = link_new(l->scene->loop, l->scene->redis.url, &options, &error);
    assert_non_null(l->link);
    buf_release(&error);
}

static void listener_open(struct listener *l, void **state)
{
    listener_open_as(l, state, false);
}

static void messages_arrive_once_the_subscription_is_confirmed(void **state)
{
    struct listener l;

    listener_open(&l, state);
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    assert_string_equal(scene_ask(l.scene, "PUBLISH a hello"), "1");
    scene_until_count(l.scene, &l.heard, 1);
    assert_string_equal(l.last_channel, "a");
    assert_string_equal(l.last_payload, "hello");
    assert_string_equal(scene_ask(l.scene, "PUBLISH b nobody"), "0");
    link_free(l.link);
}

static void
many_subscriptions_are_each_confirmed_and_replayed_after_a_restart(void **state)
{
    struct listener l;
    char name[32];

    listener_open(&l, state);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "channel-%d", i);
        link_subscribe(l.link, slice_of(name));
        link_subscribe(l.link, slice_of(name));
    }
    scene_until_count(l.scene, &l.confirmed, 3000);
    assert_string_equal(scene_ask(l.scene, "PUBSUB NUMSUB channel-2999"),
                        "channel-2999|1");
    private_redis_kill(&l.scene->redis);
    scene_until_count(l.scene, &l.downs, 1);
    /* What changes while it is away is part of the replay. */
    link_unsubscribe(l.link, slice_of("channel-0"));
    link_subscribe(l.link, slice_of("new"));
    private_redis_start(&l.scene->redis);
    scene_until_count(l.scene, &l.confirmed, 6000);
    scene_idle(l.scene, 20);
    assert_int_equal(l.confirmed, 6000);
    assert_string_equal(scene_ask(l.scene, "PUBSUB NUMSUB channel-0 channel-7 new"),
                        "channel-0|0|channel-7|1|new|1");
    assert_int_equal(l.heard, 0);
    link_free(l.link);
}

static void rapid_changes_end_as_last_wished_and_are_told_once(void **state)
{
    struct listener l;

    listener_open(&l, state);
    scene_until_count(l.scene, &l.ups, 1);
    for (int i = 0; i < 101; i++) {
        link_subscribe(l.link, slice_of("flap"));
        if (i < 100)
            link_unsubscribe(l.link, slice_of("flap"));
        link_unsubscribe(l.link, slice_of("never"));
        if (i % 3 == 0)
            scene_idle(l.scene, 0);
    }
    scene_until_count(l.scene, &l.confirmed, 1);
    assert_string_equal(scene_ask(l.scene, "PUBSUB NUMSUB flap"), "flap|1");
    assert_string_equal(scene_ask(l.scene, "PUBLISH flap x"), "1");
    scene_until_count(l.scene, &l.heard, 1);
    link_unsubscribe(l.link, slice_of("flap"));
    scene_idle(l.scene, 20);
    assert_string_equal(scene_ask(l.scene, "PUBSUB NUMSUB flap"), "flap|0");
    link_free(l.link);
}

static void given_up_and_wanted_again_in_one_turn_is_confirmed_again(void **state)
{
    struct listener l;

    listener_open(&l, state);
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    link_unsubscribe(l.link, slice_of("a"));
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 2);
    assert_string_equal(scene_ask(l.scene, "PUBLISH a x"), "1");
    scene_until_count(l.scene, &l.heard, 1);
    link_free(l.link);
}

static void nothing_is_delivered_after_giving_up(void **state)
{
    struct listener l;

    listener_open(&l, state);
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    (void)scene_ask(l.scene, "PUBLISH a first");
    link_unsubscribe(l.link, slice_of("a"));
    unsigned heard = l.heard;
    (void)scene_ask(l.scene, "PUBLISH a second");
    scene_idle(l.scene, 20);
    assert_int_equal(l.heard, heard);
    link_free(l.link);
}

/* Two messages of one read; the channel is given up at the first. */
static unsigned heard_of_two(struct listener *l)
{
    link_subscribe(l->link, slice_of("a"));
    scene_until_count(l->scene, &l->confirmed, 1);
    l->gives_up_on_message = true;
    (void)scene_ask_words(l->scene, "EVAL",
                          "redis.call('PUBLISH', 'a', '1') "
                          "redis.call('PUBLISH', 'a', '2')",
                          "0", (char *)NULL);
    scene_until_count(l->scene, &l->heard, 1);
    scene_idle(l->scene, 20);
    link_free(l->link);
    return l->heard;
}

static void what_was_on_its_way_comes_only_to_whom_wants_all(void **state)
{
    struct listener l;

    listener_open_as(&l, state, false);
    assert_int_equal(heard_of_two(&l), 1);
    listener_open_as(&l, state, true);
    assert_int_equal(heard_of_two(&l), 2);
}

static void a_cut_by_the_server_is_healed(void **state)
{
    struct listener l;

    listener_open(&l, state);
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    (void)scene_ask(l.scene, "CLIENT KILL TYPE pubsub");
    scene_until_count(l.scene, &l.confirmed, 2);
    assert_int_equal(l.downs, 1);
    assert_string_equal(scene_ask(l.scene, "PUBLISH a x"), "1");
    scene_until_count(l.scene, &l.heard, 1);
    link_free(l.link);
}

static void pings_keep_a_quiet_subscriber_with_and_without_channels(void **state)
{
    struct listener l;

    listener_open(&l, state);
    scene_until_count(l.scene, &l.ups, 1);
    scene_idle(l.scene, 200);
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    scene_idle(l.scene, 200);
    assert_int_equal(l.downs, 0);
    private_redis_pause(&l.scene->redis);
    scene_until_count(l.scene, &l.downs, 1);
    private_redis_resume(&l.scene->redis);
    scene_until_count(l.scene, &l.confirmed, 2);
    link_free(l.link);
}

static void a_refused_subscription_drops_the_link(void **state)
{
    struct listener l;

    listener_open(&l, state);
    scene_until_count(l.scene, &l.ups, 1);
    (void)scene_ask(l.scene, "ACL SETUSER default resetchannels");
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.downs, 1);
    assert_true(link_stats(l.link)->errors >= 1);
    (void)scene_ask(l.scene, "ACL SETUSER default allchannels");
    scene_until_count(l.scene, &l.confirmed, 1);
    link_free(l.link);
}

static void commands_on_a_subscriber_are_refused(void **state)
{
    struct listener l;
    struct slice argv[1] = {slice_of("PING")};

    listener_open(&l, state);
    scene_until_count(l.scene, &l.ups, 1);
    link_command(l.link, argv, 1, NULL, NULL);
    scene_idle(l.scene, 5);
    assert_int_equal(link_stats(l.link)->refused, 1);
    assert_int_equal(l.downs, 0);
    link_free(l.link);
}

static void a_subscriber_may_be_freed_inside_a_message(void **state)
{
    struct listener l;

    listener_open(&l, state);
    l.frees_on_message = true;
    link_subscribe(l.link, slice_of("a"));
    scene_until_count(l.scene, &l.confirmed, 1);
    (void)scene_ask(l.scene, "PUBLISH a 1");
    (void)scene_ask(l.scene, "PUBLISH a 2");
    scene_until_count(l.scene, &l.heard, 1);
    assert_null(l.link);
    assert_int_equal(l.heard, 1);
}

static void a_subscriber_may_be_freed_when_confirmed(void **state)
{
    struct listener l;

    listener_open(&l, state);
    l.frees_on_subscribed = true;
    link_subscribe(l.link, slice_of("a"));
    link_subscribe(l.link, slice_of("b"));
    scene_until_count(l.scene, &l.confirmed, 1);
    scene_idle(l.scene, 10);
    assert_int_equal(l.confirmed, 1);
}

int test_subscribe(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_once_the_subscription_is_confirmed),
        cmocka_unit_test(
            many_subscriptions_are_each_confirmed_and_replayed_after_a_restart),
        cmocka_unit_test(rapid_changes_end_as_last_wished_and_are_told_once),
        cmocka_unit_test(given_up_and_wanted_again_in_one_turn_is_confirmed_again),
        cmocka_unit_test(nothing_is_delivered_after_giving_up),
        cmocka_unit_test(what_was_on_its_way_comes_only_to_whom_wants_all),
        cmocka_unit_test(a_cut_by_the_server_is_healed),
        cmocka_unit_test(pings_keep_a_quiet_subscriber_with_and_without_channels),
        cmocka_unit_test(a_refused_subscription_drops_the_link),
        cmocka_unit_test(commands_on_a_subscriber_are_refused),
        cmocka_unit_test(a_subscriber_may_be_freed_inside_a_message),
        cmocka_unit_test(a_subscriber_may_be_freed_when_confirmed),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("subscribe", tests, scene_new, scene_free);
}
