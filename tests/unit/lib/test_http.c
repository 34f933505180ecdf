/* test_http.c - emitters over HTTP, against a broker that answers as scripted. */
/* SPDX-License-Identifier: MIT */
#include "scripted.h"

#include "emitters/lib/emitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_REQUESTS 32

/* What the broker does with the next request. */
struct move {
    const char
        *answer; /* status, a blank, then the body; NULL = close without a word */
};

struct rig {
    struct loop *loop;
    struct timer watchdog;
    struct timer tick;
    struct http_client *client;
    struct scripted *broker;
    const struct move *moves;
    size_t move_count;
    struct buf requests[MAX_REQUESTS];
    size_t count;
    struct emitter_sink *sink;
    struct emitter *emitter;
    unsigned settled;
    unsigned ended;
    enum publish_status ended_as;
    unsigned stops;
};

static void on_watchdog(struct timer *timer)
{
    struct rig *rig = LIST_ENTRY(timer, struct rig, watchdog);
    fprintf(stderr, "waited in vain after %zu requests\n", rig->count);
    for (size_t i = 0; i < rig->count; i++)
        fprintf(stderr, "%s\n", buf_text(&rig->requests[i]));
    abort();
}

static void on_tick(struct timer *timer)
{
    struct rig *rig = LIST_ENTRY(timer, struct rig, tick);
    loop_stop(rig->loop);
}

static void respond(struct scripted_peer *peer, const char *answer)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "HTTP/1.1 %.3s X\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             answer, strlen(answer + 4), answer + 4);
    scripted_send(peer, text);
}

static void on_request(void *ctx, struct scripted_peer *peer, struct slice request)
{
    struct rig *rig = ctx;
    assert_true(rig->count < rig->move_count);
    buf_slice(&rig->requests[rig->count], request);
    const char *answer = rig->moves[rig->count++].answer;
    if (answer == NULL)
        scripted_close(peer);
    else
        respond(peer, answer);
}

static void on_ended(void *ctx, enum publish_status status)
{
    struct rig *rig = ctx;
    rig->ended++;
    rig->ended_as = status;
    loop_stop(rig->loop);
}

static void on_settled(void *ctx)
{
    struct rig *rig = ctx;
    rig->settled++;
    loop_stop(rig->loop);
}

static void on_stop(void *ctx)
{
    struct rig *rig = ctx;
    rig->stops++;
}

static void start(struct rig *rig, bool is_guest, const struct move *moves,
                  size_t count)
{
    static const char *const headers[] = {"Authorization: Bearer secret"};
    char url[64];
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_new();
    timer_init(&rig->watchdog, rig->loop, on_watchdog);
    timer_start(&rig->watchdog, 10000, 0);
    timer_init(&rig->tick, rig->loop, on_tick);
    rig->client = http_client_new(rig->loop, NULL);
    rig->broker = scripted_new(rig->loop, NULL, on_request, rig);
    rig->moves = moves;
    rig->move_count = count;
    for (size_t i = 0; i < MAX_REQUESTS; i++)
        buf_init(&rig->requests[i], 1U << 20);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", scripted_port(rig->broker));
    struct sink_http_options http = {
        .base_url = url, .headers = headers, .header_count = 1};
    rig->sink = is_guest ? sink_http_joining_new(rig->loop, rig->client, &http)
                         : sink_http_new(rig->loop, rig->client, &http);
    struct emitter_options options = {
        .task = {slice_of("site1"), slice_of("t1")},
        .producer = slice_of("p1"),
        .on_ended = on_ended,
        .on_settled = on_settled,
        .on_stop = on_stop,
        .ctx = rig,
    };
    rig->emitter = emitter_new(rig->loop, rig->sink, &options);
}

#define START(rig, is_guest, moves)                                                    \
    start(rig, is_guest, moves, sizeof(moves) / sizeof((moves)[0]))

static void finish(struct rig *rig)
{
    assert_int_equal(rig->count, rig->move_count);
    emitter_free(rig->emitter);
    sink_free(rig->sink);
    http_client_free(rig->client);
    scripted_free(rig->broker);
    timer_release(&rig->watchdog);
    timer_release(&rig->tick);
    for (size_t i = 0; i < MAX_REQUESTS; i++)
        buf_release(&rig->requests[i]);
    loop_free(rig->loop);
}

/* Says one delta and waits until it is acknowledged, or the run over. */
static void say(struct rig *rig, const char *delta)
{
    assert_true(emitter_text(rig->emitter, slice_of(delta)));
    loop_run(rig->loop);
}

static bool has(struct rig *rig, size_t request, const char *needle)
{
    return strstr(buf_text(&rig->requests[request]), needle) != NULL;
}

#define UNKNOWN "404 {\"error\":{\"code\":\"UNKNOWN_TASK\",\"message\":\"x\"}}"
#define DONE_1  "200 {\"ok\":true,\"first\":\"5-1\",\"last\":\"5-1\",\"epoch\":5}"
#define DONE_2  "200 {\"ok\":true,\"first\":\"5-2\",\"last\":\"5-2\",\"epoch\":5}"
#define AT_5_1  "200 {\"task_id\":\"t1\",\"state\":\"running\",\"id\":\"5-1\"}"
#define AT_5_2  "200 {\"task_id\":\"t1\",\"state\":\"running\",\"id\":\"5-2\"}"

/* ---- as owner ---- */

static void the_first_publish_opens_the_run_and_later_ones_name_its_epoch(void **state)
{
    static const struct move moves[] = {{DONE_1}, {DONE_2}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    say(&rig, "a");
    say(&rig, "b");
    assert_true(has(&rig, 0, "POST /v1/tasks/t1/events?site=site1 HTTP/1.1\r\n"));
    assert_true(has(&rig, 0, "\r\nThinkwire-Producer: p1\r\n"));
    assert_true(has(&rig, 0, "\r\nThinkwire-Counter: 1\r\n"));
    assert_false(has(&rig, 0, "Thinkwire-Epoch"));
    assert_true(has(&rig, 0, "\r\nAuthorization: Bearer secret\r\n"));
    assert_true(has(&rig, 0, "\r\nContent-Type: application/json\r\n"));
    assert_true(has(&rig, 0, "\r\n\r\n{\"type\":\"text\",\"text\":\"a\""));
    assert_true(has(&rig, 1, "\r\nThinkwire-Epoch: 5\r\n"));
    assert_true(has(&rig, 1, "\r\nThinkwire-Counter: 2\r\n"));
    assert_int_equal(emitter_epoch(rig.emitter), 5);
    finish(&rig);
}

static void several_events_travel_as_json_lines(void **state)
{
    static const struct move moves[] = {
        {"200 {\"ok\":true,\"first\":\"5-1\",\"last\":\"5-2\",\"epoch\":5}"}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    assert_true(emitter_reasoning(rig.emitter, slice_of("r")));
    say(&rig, "t");
    assert_true(has(&rig, 0, "\r\nContent-Type: application/x-ndjson\r\n"));
    assert_true(has(&rig, 0, "}\n{\"type\":\"text\""));
    assert_int_equal(emitter_stats(rig.emitter)->published, 2);
    finish(&rig);
}

static void an_owner_repeats_what_was_not_answered(void **state)
{
    static const struct move moves[] = {
        {DONE_1},
        {NULL},
        {"503 {\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"x\"}}"},
        {"429 no"},
        {"502 <html>"},
        {"200 not json"},
        {DONE_2}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    say(&rig, "a");
    say(&rig, "b");
    for (size_t i = 1; i < 7; i++) {
        assert_true(has(&rig, i, "\r\nThinkwire-Counter: 2\r\n"));
        assert_true(has(&rig, i, "\"text\":\"b\""));
    }
    finish(&rig);
}

static void a_broker_that_lost_the_run_gets_it_again(void **state)
{
    static const struct move moves[] = {
        {DONE_1},
        {"409 {\"error\":{\"code\":\"UNKNOWN_RUN\",\"message\":\"x\"}}"},
        {"200 {\"ok\":true,\"first\":\"9-1\",\"last\":\"9-1\",\"epoch\":9}"}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    say(&rig, "a");
    say(&rig, "b");
    assert_true(has(&rig, 2, "\"text\":\"ab\""));
    assert_false(has(&rig, 2, "Thinkwire-Epoch"));
    assert_true(has(&rig, 2, "\r\nThinkwire-Counter: 1\r\n"));
    assert_int_equal(emitter_epoch(rig.emitter), 9);
    finish(&rig);
}

static void refusals_end_the_run(void **state)
{
    static const struct {
        struct move move;
        enum publish_status status;
    } rows[] = {
        {{"409 {\"error\":{\"code\":\"FENCED\",\"message\":\"x\"}}"}, PUBLISH_FENCED},
        {{"409 {\"error\":{\"code\":\"ENDED\",\"message\":\"x\"}}"}, PUBLISH_ENDED},
        {{"413 {\"error\":{\"code\":\"TOO_LARGE\",\"message\":\"x\"}}"},
         PUBLISH_TOO_LARGE},
        {{"401 {\"error\":{\"code\":\"UNAUTHORIZED\",\"message\":\"x\"}}"},
         PUBLISH_REJECTED},
        {{"404 page not found"}, PUBLISH_REJECTED},
        {{"422 []"}, PUBLISH_REJECTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig;
        start(&rig, false, &rows[i].move, 1);
        say(&rig, "a");
        assert_int_equal(rig.ended, 1);
        assert_int_equal(rig.ended_as, rows[i].status);
        finish(&rig);
    }
}

static void a_stop_request_in_an_answer_is_heard(void **state)
{
    static const struct move moves[] = {
        {"200 {\"ok\":true,\"first\":\"5-1\",\"last\":\"5-1\",\"stop_requested\":true}"},
        {DONE_2}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    say(&rig, "a");
    say(&rig, "b");
    assert_int_equal(rig.stops, 1);
    finish(&rig);
}

static void a_broker_that_is_not_there_yet_is_waited_for(void **state)
{
    static const struct move moves[] = {{DONE_1}};
    struct rig rig;
    (void)state;
    START(&rig, false, moves);
    /* Another client on a port where nobody listens. */
    struct scripted *gone = scripted_new(rig.loop, NULL, on_request, &rig);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", scripted_port(gone));
    scripted_free(gone);
    struct sink_http_options http = {.base_url = url};
    struct emitter_sink *sink = sink_http_new(rig.loop, rig.client, &http);
    struct emitter_options options = {.task = {slice_of(""), slice_of("t2")}};
    struct emitter *waiting = emitter_new(rig.loop, sink, &options);
    assert_true(emitter_text(waiting, slice_of("x")));
    say(&rig, "a");
    timer_start(&rig.tick, 1, 1);
    while (emitter_stats(waiting)->retries < 2)
        loop_run(rig.loop);
    assert_false(emitter_is_settled(waiting));
    emitter_free(waiting);
    sink_free(sink);
    finish(&rig);
}

/* ---- as guest ---- */

static void a_guest_looks_first_and_then_joins_without_a_producer(void **state)
{
    static const struct move moves[] = {{UNKNOWN}, {DONE_1}, {DONE_2}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    say(&rig, "b");
    assert_true(has(&rig, 0, "GET /v1/tasks/t1?site=site1 HTTP/1.1\r\n"));
    assert_true(has(&rig, 1, "POST /v1/tasks/t1/events?site=site1 HTTP/1.1\r\n"));
    assert_false(has(&rig, 1, "Thinkwire-"));
    assert_true(has(&rig, 2, "POST "));
    finish(&rig);
}

static void a_guest_whose_post_was_written_does_not_repeat_it(void **state)
{
    static const struct move moves[] = {{AT_5_1}, {NULL}, {AT_5_2}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    assert_int_equal(rig.settled, 1);
    assert_int_equal(emitter_stats(rig.emitter)->published, 1);
    finish(&rig);
}

static void a_guest_whose_post_was_not_written_repeats_it(void **state)
{
    static const struct move moves[] = {{AT_5_1}, {NULL}, {AT_5_1}, {DONE_2}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    assert_true(has(&rig, 3, "\"text\":\"a\""));
    finish(&rig);
}

static void a_guest_whose_first_post_opened_the_run_does_not_repeat_it(void **state)
{
    static const struct move moves[] = {{UNKNOWN}, {"502 x"}, {"503 y"}, {AT_5_1}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    assert_int_equal(emitter_epoch(rig.emitter), 5);
    finish(&rig);
}

static void a_guest_that_may_not_look_posts_once_and_never_twice(void **state)
{
    static const struct move moves[] = {{"403 {}"}, {NULL}, {"403 {}"}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    assert_int_equal(rig.ended_as, PUBLISH_REJECTED);
    finish(&rig);
}

static void a_guest_notices_that_its_run_was_begun_anew(void **state)
{
    static const struct move moves[] = {
        {UNKNOWN},
        {DONE_1},
        {"200 {\"ok\":true,\"first\":\"9-1\",\"last\":\"9-1\",\"epoch\":9}"}};
    struct rig rig;
    (void)state;
    START(&rig, true, moves);
    say(&rig, "a");
    say(&rig, "b");
    assert_int_equal(emitter_stats(rig.emitter)->restarts, 1);
    finish(&rig);
}

static void a_sink_may_go_with_a_request_in_flight(void **state)
{
    static const struct move moves[] = {{DONE_1}};
    (void)state;
    for (int is_guest = 0; is_guest < 2; is_guest++) {
        struct rig rig;
        START(&rig, is_guest == 1, moves);
        assert_true(emitter_text(rig.emitter, slice_of("a")));
        emitter_free(rig.emitter);
        sink_free(rig.sink);
        rig.emitter = NULL;
        rig.sink = NULL;
        rig.move_count = 0;
        finish(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_publish_opens_the_run_and_later_ones_name_its_epoch),
        cmocka_unit_test(several_events_travel_as_json_lines),
        cmocka_unit_test(an_owner_repeats_what_was_not_answered),
        cmocka_unit_test(a_broker_that_lost_the_run_gets_it_again),
        cmocka_unit_test(refusals_end_the_run),
        cmocka_unit_test(a_stop_request_in_an_answer_is_heard),
        cmocka_unit_test(a_broker_that_is_not_there_yet_is_waited_for),
        cmocka_unit_test(a_guest_looks_first_and_then_joins_without_a_producer),
        cmocka_unit_test(a_guest_whose_post_was_written_does_not_repeat_it),
        cmocka_unit_test(a_guest_whose_post_was_not_written_repeats_it),
        cmocka_unit_test(a_guest_whose_first_post_opened_the_run_does_not_repeat_it),
        cmocka_unit_test(a_guest_that_may_not_look_posts_once_and_never_twice),
        cmocka_unit_test(a_guest_notices_that_its_run_was_begun_anew),
        cmocka_unit_test(a_sink_may_go_with_a_request_in_flight),
    };
    return cmocka_run_group_tests_name("emitter over http", tests, NULL, NULL);
}
