/* test_burst.c - encoded once, shared by all. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

static unsigned encoded;

static void encode(struct buf *out, const struct topic *topic,
                   const struct entry *entry, uint32_t key)
{
    (void)topic;
    encoded++;
    buf_printf(out, "%u:", (unsigned)key);
    buf_u64(out, entry->id.seq);
    buf_putc(out, ' ');
}

static struct bytes *take(struct topic *topic, struct burst *burst)
{
    return topic_burst(topic, burst, encode);
}

static struct burst from(uint64_t pos)
{
    return (struct burst){
        .from = pos, .key = 7, .max_entries = 100, .about_bytes = 1000};
}

static void fill(struct topic *topic, uint64_t count)
{
    encoded = 0;
    for (uint64_t seq = 1; seq <= count; seq++)
        assert_true(say_text(topic, EPOCH, seq, "x"));
}

#define READERS 1000

static void a_thousand_readers_get_the_very_same_bytes(void **state)
{
    struct topic *topic = task(*state, "t");
    struct bytes *all[READERS];

    fill(topic, 5);
    for (int i = 0; i < READERS; i++) {
        struct burst burst = from(topic_base(topic));
        all[i] = take(topic, &burst);
        assert_ptr_equal(all[i], all[0]);
        assert_int_equal(burst.to, topic_next(topic));
    }
    assert_int_equal(encoded, 5);
    assert_int_equal(all[0]->frames, 5);
    assert_int_equal(all[0]->len, strlen("7:1 7:2 7:3 7:4 7:5 "));
    assert_memory_equal(all[0]->data, "7:1 7:2 7:3 7:4 7:5 ", all[0]->len);
    for (int i = 0; i < READERS; i++)
        bytes_unref(all[i]);
}

static void another_cursor_or_form_is_another_burst(void **state)
{
    struct topic *topic = task(*state, "t");
    struct burst wants[5];
    struct bytes *all[5];

    fill(topic, 5);
    for (int i = 0; i < 5; i++)
        wants[i] = from(topic_base(topic));
    wants[1].from++;
    wants[2].key++;
    wants[3].max_entries = 2;
    wants[4].about_bytes = 5;
    for (int i = 0; i < 5; i++) {
        all[i] = take(topic, &wants[i]);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(all[i], all[k]);
    }
    assert_int_equal(wants[3].to - wants[3].from, 2);
    /* Stops after the entry that passes the bound. */
    assert_int_equal(wants[4].to - wants[4].from, 2);
    for (int i = 0; i < 5; i++)
        bytes_unref(all[i]);
}

static void one_entry_is_sent_however_large(void **state)
{
    struct topic *topic = task(*state, "t");
    struct burst burst = from(topic_base(topic));
    struct bytes *bytes;

    fill(topic, 2);
    burst.about_bytes = 0;
    bytes = take(topic, &burst);
    assert_int_equal(burst.to - burst.from, 1);
    bytes_unref(bytes);
}

static void two_topics_at_the_same_place_share_nothing(void **state)
{
    struct bench *b = *state;
    struct topic *one = task(b, "a");
    struct topic *other = task(b, "b");
    struct burst first = from(topic_base(one));
    struct burst second = from(topic_base(other));
    struct bytes *mine;
    struct bytes *theirs;

    fill(one, 2);
    fill(other, 1);
    assert_int_equal(first.from, second.from);
    mine = take(one, &first);
    theirs = take(other, &second);
    assert_ptr_not_equal(mine, theirs);
    assert_int_equal(theirs->frames, 1);
    bytes_unref(mine);
    bytes_unref(theirs);
}

static void more_cursors_than_slots_only_cost_encoding(void **state)
{
    struct topic *topic = task(*state, "t");

    fill(topic, 40);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 40; i++) {
            struct burst burst = from(topic_base(topic) + i);
            struct bytes *bytes = take(topic, &burst);
            assert_int_equal(burst.to, topic_next(topic));
            assert_int_equal(bytes->frames, 40 - i);
            bytes_unref(bytes);
        }
    }
}

static void bursts_are_forgotten_after_the_turn(void **state)
{
    struct bench *b = *state;
    struct topic *topic = task(b, "t");
    struct burst burst = from(topic_base(topic));
    struct bytes *bytes;

    fill(topic, 3);
    bytes = take(topic, &burst);
    assert_int_equal(bytes->refs, 2);
    settle(b);
    assert_int_equal(bytes->refs, 1);
    bytes_unref(bytes);
    bytes = take(topic, &burst);
    assert_int_equal(encoded, 6);
    bytes_unref(bytes);
}

static void what_was_forgotten_is_never_told_from_a_burst(void **state)
{
    struct topic *topic = task(*state, "t");
    struct burst burst = from(topic_base(topic));
    struct bytes *old;
    struct bytes *fresh;

    fill(topic, 3);
    old = take(topic, &burst);
    topic_reset(topic);
    assert_int_equal(old->refs, 1);
    say_text(topic, EPOCH + 1, 1, "y");
    burst = from(topic_base(topic));
    fresh = take(topic, &burst);
    assert_int_equal(fresh->frames, 1);
    bytes_unref(old);
    bytes_unref(fresh);
}

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, with_hub, without)

int test_burst(void)
{
    const struct CMUnitTest tests[] = {
        HUB_TEST(a_thousand_readers_get_the_very_same_bytes),
        HUB_TEST(another_cursor_or_form_is_another_burst),
        HUB_TEST(one_entry_is_sent_however_large),
        HUB_TEST(two_topics_at_the_same_place_share_nothing),
        HUB_TEST(more_cursors_than_slots_only_cost_encoding),
        HUB_TEST(bursts_are_forgotten_after_the_turn),
        HUB_TEST(what_was_forgotten_is_never_told_from_a_burst),
    };
    return cmocka_run_group_tests_name("log: burst", tests, NULL, NULL);
}
