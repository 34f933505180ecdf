/* test_events.c - events, acknowledgements both ways, binary attachments. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int with_sio(void **state)
{
    struct sio_options options = sio_defaults();
    *state = bench_sio(&options);
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

/* ---- in ---- */

static void an_event_arrives_with_its_arguments(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "42[\"message\",1,\"2\",{\"3\":[true]}]");
    heard(b, "event / message [\"message\",1,\"2\",{\"3\":[true]}]\n");
}

static void names_are_decoded(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "42[\"t\\u00e9\"]");
    heard(b, "event / t\xc3\xa9 [\"t\\u00e9\"]\n");
    say(b, pipe, "42[7,1]");
    heard(b, "event / 7 [7,1]\n");
}

static void an_event_without_json_is_ignored(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "42");
    still_open(b, pipe);
    heard(b, "");
}

static void echo_ack(struct bench *b, struct sio_socket *socket,
                     const struct sio_event *event)
{
    (void)b;
    if (event->attachment_count > 0)
        sio_ack_binary(socket, event->ack, event->args, event->attachments,
                       event->attachment_count);
    else
        sio_ack(socket, event->ack, event->args);
}

static void an_acknowledgement_repeats_the_id_as_sent(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_event = echo_ack;
    say(b, pipe, "42456[\"x\",1]");
    said(b, pipe, "43456[\"x\",1]");
    say(b, pipe, "420[\"x\"]");
    said(b, pipe, "430[\"x\"]");
    heard(b, "event / x [\"x\",1] ack 456\nevent / x [\"x\"] ack 0\n");
}

static void an_acknowledgement_names_its_namespace(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_event = echo_ack;
    say(b, pipe, "40/site,");
    assert_memory_equal(next_message(b, pipe), "40/site,", 8);
    say(b, pipe, "42/site,3[\"x\"]");
    said(b, pipe, "43/site,3[\"x\"]");
}

/* ---- binary ---- */

#define PLACE0 "{\"_placeholder\":true,\"num\":0}"
#define PLACE1 "{\"_placeholder\":true,\"num\":1}"

static void attachments_are_put_together(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "452-[\"file\"," PLACE0 "," PLACE1 "]");
    say_bytes(b, pipe, "abc", 3);
    heard(b, "");
    say_bytes(b, pipe, "de", 2);
    heard(b, "event / file [\"file\"," PLACE0 "," PLACE1 "] <abc> <de>\n");
}

static void heartbeats_may_come_in_between(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "451-[\"file\"," PLACE0 "]");
    say(b, pipe, "3");
    say_bytes(b, pipe, "abc", 3);
    heard(b, "event / file [\"file\"," PLACE0 "] <abc>\n");
}

static void a_binary_event_may_ask_for_a_binary_acknowledgement(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    b->on_event = echo_ack;
    say(b, pipe, "451-789[\"file\"," PLACE0 "]");
    say_bytes(b, pipe, "abc", 3);
    said(b, pipe, "461-789[\"file\"," PLACE0 "]");
    said_bytes(b, pipe, "abc", 3);
}

static void binary_events_travel_by_polling(void **state)
{
    struct bench *b = *state;

    join_polling(b);
    b->on_event = echo_ack;
    post(b, "451-7[\"file\"," PLACE0 "]\x1e"
            "bAQIDBA==");
    answered(b, fetch(b), 200,
             "461-7[\"file\"," PLACE0 "]\x1e"
             "bAQIDBA==");
}

static void closes(struct bench *b, const char *text, const char *data,
                   const char *reason)
{
    struct fake_pipe *pipe = join_websocket(b);
    char lines[128];

    if (text != NULL)
        say(b, pipe, text);
    if (data != NULL)
        say_bytes(b, pipe, data, strlen(data));
    closed(b, pipe);
    snprintf(lines, sizeof(lines), "disconnect / %s\n", reason);
    heard(b, lines);
    hang_up(b, pipe, "transport close");
}

static void broken_binary_events_close_the_connection(void **state)
{
    struct bench *b = *state;
    const char *reason = "forced close";

    closes(b, NULL, "unasked", reason);
    closes(b, "450-[\"x\"]", NULL, reason);
    closes(b, "4511-[\"x\"]", NULL, reason);
    closes(b, "45[\"x\"]", NULL, reason);
    closes(b, "451-[\"x\"," PLACE1 "]", "data", reason);
    closes(b, "451-[\"x\",{\"_placeholder\":true,\"num\":-1}]", "data", reason);
    closes(b, "451-[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]", "data", reason);
    closes(b, "451-[\"x\",{\"_placeholder\":true}]", "data", reason);
    closes(b, "451-[\"x\",[[{\"a\":{\"_placeholder\":true,\"num\":9}}]]]", "data",
           reason);
}

static void text_between_attachments_closes_the_connection(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "451-[\"x\"," PLACE0 "]");
    say(b, pipe, "42[\"y\"]");
    closed(b, pipe);
    heard(b, "disconnect / forced close\n");
}

static void a_placeholder_that_is_not_true_is_data(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "451-[\"x\"," PLACE0 ",{\"_placeholder\":1,\"num\":9}]");
    say_bytes(b, pipe, "abc", 3);
    still_open(b, pipe);
}

static void attachments_share_the_bound_of_one_message(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);
    char *data = calloc(1, 600000);

    say(b, pipe, "452-[\"x\"]");
    say_bytes(b, pipe, data, 600000);
    still_open(b, pipe);
    say_bytes(b, pipe, data, 600000);
    closed(b, pipe);
    heard(b, "disconnect / transport error\n");
    free(data);
}

static void half_a_binary_event_leaks_nothing(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "452-[\"x\"]");
    say_bytes(b, pipe, "abc", 3);
    hang_up(b, pipe, "transport close");
    heard(b, "disconnect / transport close\n");
}

/* ---- out ---- */

static void emits_name_their_namespace(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    sio_emit(b->socket, slice_of("[\"hi\",1]"));
    said(b, pipe, "42[\"hi\",1]");
    say(b, pipe, "40/site,");
    assert_memory_equal(next_message(b, pipe), "40/site,", 8);
    sio_emit(b->socket, slice_of("[\"hi\",2]"));
    said(b, pipe, "42/site,[\"hi\",2]");
}

static void an_emit_right_after_accept_follows_the_connect_packet(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = open_websocket(b, 4);

    b->answers_later = true;
    say(b, pipe, "40");
    sio_accept(b->socket);
    sio_emit(b->socket, slice_of("[\"auth\",{}]"));
    assert_memory_equal(next_message(b, pipe), "40{\"sid\":\"", 10);
    said(b, pipe, "42[\"auth\",{}]");
}

static void a_binary_emit_is_followed_by_its_attachments(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);
    const struct slice attachments[] = {slice_of("abc"), slice_of("de")};

    sio_emit_binary(b->socket, slice_of("[\"f\"," PLACE0 "," PLACE1 "]"), attachments,
                    2);
    said(b, pipe, "452-[\"f\"," PLACE0 "," PLACE1 "]");
    said_bytes(b, pipe, "abc", 3);
    said_bytes(b, pipe, "de", 2);
}

static void a_question_is_answered_once(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    assert_int_equal(sio_ask(b->socket, slice_of("[\"q\"]")), 0);
    assert_int_equal(sio_ask(b->socket, slice_of("[\"q\"]")), 1);
    said(b, pipe, "420[\"q\"]");
    said(b, pipe, "421[\"q\"]");
    say(b, pipe, "431[\"yes\"]");
    say(b, pipe, "431[\"again\"]");
    say(b, pipe, "430[]");
    heard(b, "ack / 1 [\"yes\"]\nack / 0 []\n");
    still_open(b, pipe);
}

static void a_question_may_be_answered_in_binary(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    sio_ask(b->socket, slice_of("[\"q\"]"));
    say(b, pipe, "461-0[" PLACE0 "]");
    say_bytes(b, pipe, "abc", 3);
    heard(b, "ack / 0 [" PLACE0 "] <abc>\n");
}

static void unknown_acknowledgements_are_ignored(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);

    say(b, pipe, "430[]");
    say(b, pipe, "43[]");
    say(b, pipe, "4399999999999999999999999999[]");
    for (int i = 0; i <= SIO_MAX_ASKED; i++)
        sio_ask(b->socket, slice_of("[\"q\"]"));
    say(b, pipe, "430[]"); /* forgotten: too many came after it */
    say(b, pipe, "431[]");
    heard(b, "ack / 1 []\n");
    still_open(b, pipe);
}

static void too_large_an_emit_closes_the_connection_and_is_counted(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = join_websocket(b);
    size_t len = 100000;
    char *args = malloc(len);

    memset(args, ' ', len);
    sio_emit(b->socket, slice_make(args, len));
    closed(b, pipe);
    heard(b, "disconnect / transport error\n");
    assert_int_equal(counted(b, "thinkwire_engine_overflows_total "), 1);
    free(args);
}

#define SIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_sio, done)

int test_events(void)
{
    const struct CMUnitTest tests[] = {
        SIO_TEST(an_event_arrives_with_its_arguments),
        SIO_TEST(names_are_decoded),
        SIO_TEST(an_event_without_json_is_ignored),
        SIO_TEST(an_acknowledgement_repeats_the_id_as_sent),
        SIO_TEST(an_acknowledgement_names_its_namespace),
        SIO_TEST(attachments_are_put_together),
        SIO_TEST(heartbeats_may_come_in_between),
        SIO_TEST(a_binary_event_may_ask_for_a_binary_acknowledgement),
        SIO_TEST(binary_events_travel_by_polling),
        SIO_TEST(broken_binary_events_close_the_connection),
        SIO_TEST(text_between_attachments_closes_the_connection),
        SIO_TEST(a_placeholder_that_is_not_true_is_data),
        SIO_TEST(attachments_share_the_bound_of_one_message),
        SIO_TEST(half_a_binary_event_leaks_nothing),
        SIO_TEST(emits_name_their_namespace),
        SIO_TEST(an_emit_right_after_accept_follows_the_connect_packet),
        SIO_TEST(a_binary_emit_is_followed_by_its_attachments),
        SIO_TEST(a_question_is_answered_once),
        SIO_TEST(a_question_may_be_answered_in_binary),
        SIO_TEST(unknown_acknowledgements_are_ignored),
        SIO_TEST(too_large_an_emit_closes_the_connection_and_is_counted),
    };
    return cmocka_run_group_tests_name("engine: events", tests, NULL, NULL);
}
