/* test_return.c - a Socket.IO session that another broker has kept, and the offsets of it. */
/* SPDX-License-Identifier: MIT */
#include "session/sio_inside.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

#define DIAL "EIO=4&transport=websocket"

/* A keeper that remembers one record and answers claims when it is told to. */
struct shelf_of_one {
    struct session_keeper slots;
    char record[2048];
    char pid[64];
    unsigned keeps;
    unsigned drops;
    unsigned claims;
    bool is_down;
    struct {
        void (*done)(void *ctx, bool is_taken);
        void *ctx;
    } asked[32]; /* records whose fate has not been told yet */
    unsigned asked_count;
    void (*done)(void *ctx, enum keeper_answer answer, struct slice record);
    void *done_ctx;
};

static bool is_up(void *ctx)
{
    const struct shelf_of_one *shelf = ctx;

    return !shelf->is_down;
}

static bool keep(void *ctx, const struct session_record *record,
                 void (*done)(void *done_ctx, bool is_taken), void *done_ctx)
{
    struct shelf_of_one *shelf = ctx;

    if (shelf->is_down)
        return false;
    shelf->keeps++;
    (void)snprintf(shelf->pid, sizeof(shelf->pid), "%.*s", (int)record->pid.len,
                   record->pid.ptr);
    (void)snprintf(shelf->record, sizeof(shelf->record), "%.*s", (int)record->text.len,
                   record->text.ptr);
    if (done != NULL) {
        assert_true(shelf->asked_count < 32);
        shelf->asked[shelf->asked_count].done = done;
        shelf->asked[shelf->asked_count++].ctx = done_ctx;
    }
    return true;
}

/* What became of the records so far. */
static void tell_kept(struct shelf_of_one *shelf, bool is_taken)
{
    unsigned count = shelf->asked_count;

    shelf->asked_count = 0;
    for (unsigned i = 0; i < count; i++)
        shelf->asked[i].done(shelf->asked[i].ctx, is_taken);
}

static void drop(void *ctx, struct slice pid)
{
    struct shelf_of_one *shelf = ctx;

    (void)pid;
    shelf->drops++;
    shelf->record[0] = '\0';
}

static void claim(void *ctx, struct slice pid, uint64_t ttl_ms,
                  void (*done)(void *done_ctx, enum keeper_answer answer,
                               struct slice record),
                  void *done_ctx)
{
    struct shelf_of_one *shelf = ctx;

    (void)pid;
    (void)ttl_ms;
    shelf->claims++;
    shelf->done = done;
    shelf->done_ctx = done_ctx;
}

static struct bench *open_with(struct shelf_of_one *shelf, bool has_keeper)
{
    struct hub_limits limits = roomy();
    struct session_options options = patient();

    *shelf = (struct shelf_of_one){.slots = {is_up, keep, drop, claim, shelf}};
    options.recovery = RECOVERY_AUTO;
    options.recovery_ms = 60000;
    options.max_saved_sessions = 100;
    options.max_subscriptions = 100;
    options.keeper = has_keeper ? &shelf->slots : NULL;
    return bench_new(&limits, &options);
}

static struct bench *open_bench(struct shelf_of_one *shelf)
{
    return open_with(shelf, true);
}

static void close_bench(struct bench *b, struct shelf_of_one *shelf)
{
    bench_free(b);
    tell_kept(shelf, true); /* nobody is there to hear it */
}

static void send_text(struct fake_pipe *pipe, const char *text)
{
    pipe->base.owner->on_message(&pipe->base, slice_of(text), false);
}

/* What has arrived so far, frames and all: texts are searched for in it. */
static const char *heard(struct bench *b, struct fake_pipe *pipe, struct buf *in)
{
    settle(b);
    pipe_read(pipe, in);
    return buf_text(in);
}

static struct fake_pipe *dial(struct bench *b, const char *auth)
{
    unsigned status = 0;
    struct fake_pipe *pipe = pipe_dial(b, &b->sio_ws, DIAL, &status);
    char packet[1024];

    assert_non_null(pipe);
    settle(b);
    (void)snprintf(packet, sizeof(packet), "40%s", auth);
    send_text(pipe, packet);
    settle(b);
    return pipe;
}

/* A client that watches t and has heard one event of it. */
static struct fake_pipe *watcher(struct bench *b, struct buf *in)
{
    struct fake_pipe *pipe = dial(b, "{\"recovery\":true}");

    buf_init(in, 1 << 20);
    send_text(pipe, "42[\"task_subscribe\",\"t\"]");
    settle(b);
    say_text(b, "t", E1, "one");
    assert_non_null(strstr(heard(b, pipe, in), "one"));
    return pipe;
}

/* The offset is the last text of the last event. */
static void comes_back(const struct shelf_of_one *shelf, const struct buf *in,
                       char *auth, size_t size)
{
    const char *end = strrchr(in->data, ']');
    const char *from = end - 2;

    while (*from != '"')
        from--;
    (void)snprintf(auth, size, "{\"pid\":\"%s\",\"offset\":\"%.*s\"}", shelf->pid,
                   (int)(end - from - 2), from + 1);
}

static void answer(struct bench *b, struct shelf_of_one *shelf, enum keeper_answer with,
                   const char *record)
{
    shelf->done(shelf->done_ctx, with, slice_of(record));
    settle(b);
}

static void a_session_of_another_broker_goes_on_behind_its_offset(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    struct buf again;
    char auth[512];
    char record[2048];

    (void)state;
    pipe = watcher(b, &in);
    comes_back(&shelf, &in, auth, sizeof(auth));
    pipe_hang_up(pipe, "transport close");
    settle(b);
    memcpy(record, shelf.record, sizeof(record));
    say_text(b, "t", E1, "two");
    pipe = dial(b, auth);
    buf_init(&again, 1 << 20);
    assert_int_equal(shelf.claims, 1);
    assert_null(strstr(heard(b, pipe, &again), shelf.pid));
    answer(b, &shelf, KEEPER_OTHERS, record);
    assert_non_null(strstr(heard(b, pipe, &again), shelf.pid));
    assert_non_null(strstr(buf_text(&again), "two"));
    assert_null(strstr(buf_text(&again), "one"));
    assert_int_equal(counted(b, "thinkwire_sessions_taken_over_total"), 1);
    /* It is kept again, as this broker's own. */
    assert_non_null(strstr(shelf.record, "\"t\":\"t\""));
    buf_release(&in);
    buf_release(&again);
    close_bench(b, &shelf);
}

static void one_that_another_has_just_taken_is_not_given_here_either(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    struct buf again;
    char auth[512];
    char pid[64];

    (void)state;
    pipe = watcher(b, &in);
    comes_back(&shelf, &in, auth, sizeof(auth));
    memcpy(pid, shelf.pid, sizeof(pid));
    pipe_hang_up(pipe, "transport close");
    say_text(b, "t", E1, "two");
    pipe = dial(b, auth);
    buf_init(&again, 1 << 20);
    answer(b, &shelf, KEEPER_TAKEN, "");
    assert_non_null(strstr(heard(b, pipe, &again), "\"pid\""));
    assert_null(strstr(buf_text(&again), pid));
    assert_null(strstr(buf_text(&again), "two"));
    buf_release(&in);
    buf_release(&again);
    close_bench(b, &shelf);
}

static void without_an_answer_a_client_is_known_where_it_was(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    struct buf again;
    char auth[512];

    (void)state;
    pipe = watcher(b, &in);
    comes_back(&shelf, &in, auth, sizeof(auth));
    pipe_hang_up(pipe, "transport close");
    say_text(b, "t", E1, "two");
    pipe = dial(b, auth);
    buf_init(&again, 1 << 20);
    pass_ms(b, 2300);
    assert_non_null(strstr(heard(b, pipe, &again), shelf.pid));
    assert_non_null(strstr(buf_text(&again), "two"));
    /* The late answer finds nobody who waits: what it brought is kept. */
    shelf.record[0] = '\0';
    answer(b, &shelf, KEEPER_OTHERS, "{\"late\":1}");
    assert_string_equal(shelf.record, "{\"late\":1}");
    buf_release(&in);
    buf_release(&again);
    close_bench(b, &shelf);
}

static void who_vanishes_before_the_answer_may_try_again(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    char auth[256];

    (void)state;
    (void)snprintf(auth, sizeof(auth), "{\"pid\":\"%s\"}", "0123456789abcdef01234567");
    pipe = dial(b, auth);
    assert_int_equal(shelf.claims, 1);
    pipe_hang_up(pipe, "transport close");
    settle(b);
    answer(b, &shelf, KEEPER_OTHERS, "{\"id\":1}");
    assert_string_equal(shelf.record, "{\"id\":1}");
    close_bench(b, &shelf);
}

static void a_record_that_is_none_of_ours_gives_a_fresh_session(void **state)
{
    static const char *const records[] = {
        "",
        "{",
        "[]",
        "{\"site\":\"\",\"user\":\"\",\"sys\":0,\"nsp\":0}",
        "{\"site\":\"x\",\"user\":\"\",\"id\":\"a\",\"tasks\":[],\"rooms\":[]}",
        "{\"site\":\"\",\"user\":\"\",\"sys\":0,\"nsp\":0,\"id\":\"a\",\"tasks\":[1],"
        "\"rooms\":[]}",
        "{\"site\":\"\",\"user\":\"\",\"sys\":0,\"nsp\":0,\"id\":\"a\",\"tasks\":[{\"t\":"
        "\"bad name\",\"s\":1,\"n\":1,\"p\":\"0\"}],\"rooms\":[]}",
        "{\"site\":\"\",\"user\":\"\",\"sys\":0,\"nsp\":0,\"id\":\"a\",\"tasks\":[],"
        "\"rooms\":[\"somewhere\"]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        struct shelf_of_one shelf;
        struct bench *b = open_bench(&shelf);
        struct fake_pipe *pipe =
            dial(b, "{\"pid\":\"0123456789abcdef01234567\",\"recovery\":true}");
        struct buf in;
        buf_init(&in, 1 << 20);
        answer(b, &shelf, KEEPER_OTHERS, records[i]);
        assert_non_null(strstr(heard(b, pipe, &in), "\"pid\""));
        assert_null(strstr(buf_text(&in), "0123456789abcdef01234567"));
        buf_release(&in);
        close_bench(b, &shelf);
    }
}

static void offsets_are_read_as_they_are_written_and_in_no_other_way(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "1-2",
        "1-2-3-",
        "1-2-3-4",
        "G-1-1",
        "1-2-",
        "100000000-1-1",
        "9.1-2-3.1",
        "9.1-2-3.1:",
        "9.1-2-3.:1-1",
        "9.1-2-3.1:~5-1",
        "9.1-2-3.1:1",
        "9.1-2-3..",
        "9.9.1-2-3",
        ".1-2-3",
        "9.1-2-3.1:+",
        "1-11111111111111111-1",
    };
    struct sio_offset offset;

    (void)state;
    assert_true(sio_parse_offset(slice_of("ab-c-1f"), &offset));
    assert_int_equal(offset.mark, 0xab);
    assert_int_equal(offset.told.order, 0xc);
    assert_int_equal(offset.told.count, 0x1f);
    assert_int_equal(offset.nonce, 0);
    assert_true(sio_parse_offset(slice_of("9.1-2-3.1:1700-5.a:-.b:0.c:~"), &offset));
    assert_int_equal(offset.nonce, 9);
    assert_int_equal(offset.count, 4);
    assert_int_equal(sio_offset_place(&offset, 1)->id.seq, 5);
    assert_int_equal(sio_offset_place(&offset, 0xa)->kind, PLACE_LOST);
    assert_int_equal(sio_offset_place(&offset, 0xb)->kind, PLACE_START);
    assert_int_equal(sio_offset_place(&offset, 0xc)->kind, PLACE_LOCAL);
    assert_null(sio_offset_place(&offset, 2));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (sio_parse_offset(slice_of(bad[i]), &offset))
            fail_msg("taken: %s", bad[i]);
}

/* ---- what the offset leaves out ---- */

static void copy_pid(const struct buf *in, char pid[64])
{
    const char *at = strstr(in->data, "\"pid\":\"");

    assert_non_null(at);
    (void)snprintf(pid, 64, "%.24s", at + strlen("\"pid\":\""));
}

/* A native reader hears one event and comes back; `others` tasks it watches besides. */
static void hears_nothing_twice(bool is_kept, unsigned others)
{
    struct shelf_of_one shelf;
    struct bench *b = open_with(&shelf, is_kept);
    struct fake_pipe *pipe = dial(b, "{\"recovery\":true}");
    struct buf in;
    struct buf again;
    char packet[128];
    char auth[512];

    buf_init(&in, 1 << 20);
    buf_init(&again, 1 << 20);
    say_text(b, "t", E1, "before");
    for (unsigned i = 0; i < others; i++) {
        (void)snprintf(packet, sizeof(packet),
                       "42[\"task_subscribe\",{\"task_id\":\"o%u\"}]", i);
        send_text(pipe, packet);
    }
    send_text(pipe, "42[\"task_subscribe\",{\"task_id\":\"t\",\"from\":\"start\"}]");
    settle(b);
    say_text(b, "t", E1, "one");
    assert_non_null(strstr(heard(b, pipe, &in), "one"));
    copy_pid(&in, shelf.pid);
    comes_back(&shelf, &in, auth, sizeof(auth));
    say_text(b, "t", E1, "two");
    settle(b);
    pipe_hang_up(pipe, "transport close");
    settle(b);
    pipe = dial(b, auth);
    if (is_kept)
        answer(b, &shelf, KEEPER_NONE, "");
    assert_non_null(strstr(heard(b, pipe, &again), shelf.pid));
    assert_non_null(strstr(buf_text(&again), "two"));
    assert_null(strstr(buf_text(&again), "one"));
    assert_null(strstr(buf_text(&again), "before"));
    buf_release(&in);
    buf_release(&again);
    close_bench(b, &shelf);
}

static void nothing_comes_twice_where_nothing_is_kept_for_others(void **state)
{
    (void)state;
    hears_nothing_twice(false, 0);
    hears_nothing_twice(true, 0);
    /* More tasks than are kept. */
    hears_nothing_twice(true, SIO_MAX_PLACES);
}

static void a_record_that_is_older_than_the_offset_is_not_gone_on_with(void **state)
{
    static const char *const parts[] = {".2:11-1", ".0:~"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct shelf_of_one shelf;
        struct bench *b = open_bench(&shelf);
        struct fake_pipe *pipe;
        struct buf in;
        struct buf again;
        char auth[512];
        char record[2048];
        size_t len;
        pipe = watcher(b, &in);
        comes_back(&shelf, &in, auth, sizeof(auth));
        len = strlen(auth) - 2; /* the offset goes on before its quote */
        (void)snprintf(auth + len, sizeof(auth) - len, "%s\"}", parts[i]);
        pipe_hang_up(pipe, "transport close");
        settle(b);
        memcpy(record, shelf.record, sizeof(record));
        pipe = dial(b, auth);
        buf_init(&again, 1 << 20);
        answer(b, &shelf, KEEPER_OTHERS, record);
        assert_non_null(strstr(heard(b, pipe, &again), "\"pid\""));
        assert_int_equal(counted(b, "thinkwire_sessions_taken_over_total"), 0);
        buf_release(&in);
        buf_release(&again);
        close_bench(b, &shelf);
    }
}

/* ---- records that Redis does not take ---- */

static void a_record_that_was_not_taken_is_written_again_after_a_second(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    unsigned keeps;

    (void)state;
    pipe = watcher(b, &in);
    tell_kept(&shelf, true);
    send_text(pipe, "42[\"task_subscribe\",\"u\"]");
    settle(b);
    assert_non_null(strstr(shelf.record, "\"t\":\"u\""));
    tell_kept(&shelf, false);
    /* What is there tells of other subscriptions: none is better. */
    assert_int_equal(shelf.drops, 1);
    assert_int_equal(counted(b, "thinkwire_session_records_refused_total"), 1);
    keeps = shelf.keeps;
    pass_ms(b, 1700);
    assert_int_equal(shelf.keeps, keeps + 1);
    assert_non_null(strstr(shelf.record, "\"t\":\"u\""));
    /* Once it is taken it is written no more until half its time is over. */
    tell_kept(&shelf, true);
    pass_ms(b, 1700);
    assert_int_equal(shelf.keeps, keeps + 1);
    assert_int_equal(shelf.drops, 1);
    buf_release(&in);
    close_bench(b, &shelf);
}

static void
while_redis_is_away_a_change_is_remembered_and_written_when_it_is_back(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    unsigned keeps;

    (void)state;
    pipe = watcher(b, &in);
    tell_kept(&shelf, true);
    keeps = shelf.keeps;
    shelf.is_down = true;
    send_text(pipe, "42[\"task_subscribe\",\"u\"]");
    settle(b);
    pass_ms(b, 1700);
    assert_int_equal(shelf.keeps, keeps);
    shelf.is_down = false;
    pass_ms(b, 700);
    assert_int_equal(shelf.keeps, keeps + 1);
    assert_non_null(strstr(shelf.record, "\"t\":\"u\""));
    buf_release(&in);
    close_bench(b, &shelf);
}

static void what_was_cut_is_written_until_it_is_taken_and_then_expires(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);
    struct fake_pipe *pipe;
    struct buf in;
    unsigned keeps;

    (void)state;
    pipe = watcher(b, &in);
    tell_kept(&shelf, true);
    pipe_hang_up(pipe, "transport close");
    settle(b);
    assert_null(strstr(shelf.record, "\"cut\":0,"));
    tell_kept(&shelf, false);
    /* What Redis holds is as good, but for the time of the cut. */
    assert_int_equal(shelf.drops, 0);
    keeps = shelf.keeps;
    shelf.record[0] = '\0';
    pass_ms(b, 1700);
    assert_int_equal(shelf.keeps, keeps + 1);
    assert_non_null(strstr(shelf.record, "\"cut\":"));
    assert_null(strstr(shelf.record, "\"cut\":0,"));
    tell_kept(&shelf, true);
    pass_ms(b, 1700);
    assert_int_equal(shelf.keeps, keeps + 1);
    buf_release(&in);
    close_bench(b, &shelf);
}

static void the_oldest_session_that_is_displaced_is_counted(void **state)
{
    struct shelf_of_one shelf;
    struct bench *b = open_bench(&shelf);

    (void)state;
    for (unsigned i = 0; i < 102; i++) {
        pipe_hang_up(dial(b, "{\"recovery\":true}"), "transport close");
        settle(b);
        tell_kept(&shelf, true);
    }
    assert_int_equal(counted(b, "thinkwire_saved_sessions_displaced_total"), 2);
    close_bench(b, &shelf);
}

int test_return(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_of_another_broker_goes_on_behind_its_offset),
        cmocka_unit_test(one_that_another_has_just_taken_is_not_given_here_either),
        cmocka_unit_test(without_an_answer_a_client_is_known_where_it_was),
        cmocka_unit_test(who_vanishes_before_the_answer_may_try_again),
        cmocka_unit_test(a_record_that_is_none_of_ours_gives_a_fresh_session),
        cmocka_unit_test(nothing_comes_twice_where_nothing_is_kept_for_others),
        cmocka_unit_test(a_record_that_is_older_than_the_offset_is_not_gone_on_with),
        cmocka_unit_test(offsets_are_read_as_they_are_written_and_in_no_other_way),
        cmocka_unit_test(a_record_that_was_not_taken_is_written_again_after_a_second),
        cmocka_unit_test(
            while_redis_is_away_a_change_is_remembered_and_written_when_it_is_back),
        cmocka_unit_test(what_was_cut_is_written_until_it_is_taken_and_then_expires),
        cmocka_unit_test(the_oldest_session_that_is_displaced_is_counted),
    };

    return cmocka_run_group_tests_name("return", tests, NULL, NULL);
}
