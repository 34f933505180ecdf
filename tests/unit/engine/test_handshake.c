/* test_handshake.c - opening a session, and every way to be refused. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

static int with_eio(void **state)
{
    struct eio_options options = eio_defaults();
    *state = bench_eio(&options);
    return 0;
}

static int done(void **state)
{
    bench_free(*state);
    return 0;
}

static void refused(struct bench *b, struct fake_exchange *x, unsigned status,
                    const char *body)
{
    answered(b, x, status, body);
    assert_string_equal(x->extra, "Content-Type: application/json\r\n");
    heard(b, "");
}

#define TRANSPORT_UNKNOWN "{\"code\":0,\"message\":\"Transport unknown\"}"
#define SID_UNKNOWN       "{\"code\":1,\"message\":\"Session ID unknown\"}"
#define BAD_METHOD        "{\"code\":2,\"message\":\"Bad handshake method\"}"
#define BAD_REQUEST       "{\"code\":3,\"message\":\"Bad request\"}"
#define UNSUPPORTED       "{\"code\":5,\"message\":\"Unsupported protocol version\"}"

/* ---- opening ---- */

static void polling_answers_with_the_open_packet_alone(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = get(b, "EIO=4&transport=polling&t=abc");
    char expected[256];

    settle(b);
    memcpy(b->sid, buf_text(&x->body) + 9, EIO_ID_SIZE - 1);
    snprintf(expected, sizeof(expected),
             "0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":1000000}",
             b->sid);
    answered(b, x, 200, expected);
    assert_string_equal(x->extra, "Content-Type: text/plain; charset=UTF-8\r\n"
                                  "Cache-Control: no-store\r\n");
    heard(b, "open\n");
    assert_int_equal(eio_server_sessions(b->eio), 1);
    assert_string_equal(eio_session_transport(b->session), "polling");
}

static void websocket_opens_without_upgrades(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = dial(b, "EIO=4&transport=websocket");
    const char *packet = next_message(b, pipe);

    assert_non_null(strstr(packet, "\"upgrades\":[],"));
    assert_memory_equal(packet, "0{\"sid\":\"", 9);
    heard(b, "open\n");
    assert_string_equal(eio_session_transport(b->session), "websocket");
}

static void ids_are_twenty_url_characters_and_never_the_same(void **state)
{
    struct bench *b = *state;
    char first[EIO_ID_SIZE];
    char second[EIO_ID_SIZE];

    eio_make_id(b->eio, first);
    for (int i = 0; i < 200; i++) {
        eio_make_id(b->eio, second);
        assert_int_equal(strlen(second), 20);
        assert_int_equal(strspn(second,
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-_"),
                         20);
        assert_string_not_equal(first, second);
    }
}

static void the_handshake_is_remembered(void **state)
{
    struct bench *b = *state;
    const struct sio_handshake *handshake = NULL;

    b->origin = "https://site.example";
    b->user_agent = "test/1";
    open_polling(b, 4, "&user=ada");
    handshake = eio_session_handshake(b->session);
    assert_true(slice_is(handshake->query, "EIO=4&transport=polling&user=ada"));
    assert_true(slice_is(handshake->origin, "https://site.example"));
    assert_true(slice_is(handshake->user_agent, "test/1"));
    assert_true(slice_is(handshake->peer, "127.0.0.1"));
    assert_null(handshake->cookie.ptr);
    assert_null(handshake->site_header.ptr);
}

static void old_internet_explorers_get_their_header(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *x = NULL;

    b->user_agent = "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko";
    x = get(b, "EIO=4&transport=polling");
    assert_non_null(strstr(x->extra, "X-XSS-Protection: 0\r\n"));
}

static void the_last_of_several_equal_parameters_wins(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "EIO=4&transport=polling&transport=carrier-pigeon"), 400,
            TRANSPORT_UNKNOWN);
    open_polling(b, 4, "&EIO=3&EIO=4");
}

/* ---- the table of errors, in its order ---- */

static void code_0_an_unknown_transport(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "EIO=4"), 400, TRANSPORT_UNKNOWN);
    refused(b, get(b, ""), 400, TRANSPORT_UNKNOWN);
    refused(b, get(b, "EIO=4&transport=webtransport"), 400, TRANSPORT_UNKNOWN);
    refused(b, get(b, "EIO=4&transport=__proto__&sid=unknown"), 400, TRANSPORT_UNKNOWN);
    assert_null(dial(b, "EIO=4"));
    assert_int_equal(b->ws_status, 400);
    assert_string_equal(b->ws_body, "Transport unknown");
}

static void code_3_an_origin_with_control_characters(void **state)
{
    struct bench *b = *state;

    b->origin = "https://a\001b";
    refused(b, get(b, "EIO=4&transport=polling&sid=unknown"), 400, BAD_REQUEST);
    assert_null(dial(b, "EIO=4&transport=websocket"));
    assert_string_equal(b->ws_body, "Bad request");
}

static void code_3_jsonp_is_refused_by_name(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "EIO=3&transport=polling&j=0"), 400,
            "{\"code\":3,\"message\":\"JSONP is not supported\"}");
}

static void code_1_an_unknown_sid(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "EIO=4&transport=polling&sid=unknown"), 400, SID_UNKNOWN);
    refused(b, get(b, "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA"), 400,
            SID_UNKNOWN);
    refused(b, ask(b, HTTP_POST, "EIO=4&transport=polling&sid=unknown", slice_of("4x")),
            400, SID_UNKNOWN);
    assert_null(dial(b, "EIO=4&transport=websocket&sid=unknown"));
    assert_int_equal(b->ws_status, 400);
    assert_string_equal(b->ws_body, "Session ID unknown");
    assert_int_equal(counted(b, "thinkwire_engine_refused_total{code=\"1\"}"), 4);
}

static void code_3_another_transport_than_the_session_has(void **state)
{
    struct bench *b = *state;
    struct fake_pipe *pipe = NULL;
    char query[TEXT_SIZE];

    open_polling(b, 4, "");
    snprintf(query, sizeof(query), "EIO=4&transport=websocket&sid=%s", b->sid);
    answered(b, get(b, query), 400, BAD_REQUEST);
    pipe = open_websocket(b, 4);
    answered(b, fetch(b), 400, BAD_REQUEST);
    answered(b, post(b, "4x"), 400, BAD_REQUEST);
    still_open(b, pipe);
}

static void code_3_another_revision_than_the_session_has(void **state)
{
    struct bench *b = *state;
    char query[TEXT_SIZE];

    open_polling(b, 4, "");
    snprintf(query, sizeof(query), "EIO=3&transport=polling&sid=%s", b->sid);
    answered(b, get(b, query), 400, BAD_REQUEST);
    snprintf(query, sizeof(query), "EIO=3&transport=websocket&sid=%s", b->sid);
    assert_null(dial(b, query));
    assert_string_equal(b->ws_body, "Bad request");
    not_answered(b, fetch(b)); /* it lives */
}

static void code_2_a_handshake_by_any_other_method(void **state)
{
    struct bench *b = *state;
    static const enum http_method methods[] = {HTTP_HEAD, HTTP_POST, HTTP_PUT,
                                               HTTP_DELETE, HTTP_OPTIONS};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        refused(b, ask(b, methods[i], "EIO=4&transport=polling", slice_make(NULL, 0)),
                400, BAD_METHOD);
}

static void code_3_websocket_without_an_upgrade(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "EIO=4&transport=websocket"), 400, BAD_REQUEST);
}

static void polling_with_an_upgrade_is_refused_too(void **state)
{
    struct bench *b = *state;

    assert_null(dial(b, "EIO=4&transport=polling"));
    assert_int_equal(b->ws_status, 400);
    assert_string_equal(b->ws_body, "Bad request");
}

static void code_4_the_application_refuses(void **state)
{
    struct bench *b = *state;

    b->forbids = "Not from there";
    refused(b, get(b, "EIO=4&transport=polling"), 403,
            "{\"code\":4,\"message\":\"Not from there\"}");
    assert_null(dial(b, "EIO=4&transport=websocket"));
    assert_int_equal(b->ws_status, 400);
    assert_string_equal(b->ws_body, "Not from there");
}

static void code_5_a_version_that_is_none_or_missing(void **state)
{
    struct bench *b = *state;

    refused(b, get(b, "transport=polling"), 400, UNSUPPORTED);
    refused(b, get(b, "EIO=abc&transport=polling"), 400, UNSUPPORTED);
    refused(b, get(b, "EIO=5&transport=polling"), 400, UNSUPPORTED);
    assert_null(dial(b, "transport=websocket"));
    assert_int_equal(b->ws_status, 400);
    assert_string_equal(b->ws_body, "Unsupported protocol version");
}

static void code_5_eio3_where_it_is_switched_off(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;

    options.allow_eio3 = false;
    options.missing_eio_is_3 = true;
    b = bench_eio(&options);
    refused(b, get(b, "EIO=3&transport=polling"), 400, UNSUPPORTED);
    refused(b, get(b, "transport=polling"), 400, UNSUPPORTED);
    assert_null(dial(b, "EIO=3&transport=websocket"));
    bench_free(b);
    (void)state;
}

static void a_missing_version_means_3_by_option(void **state)
{
    struct eio_options options = eio_defaults();
    struct bench *b = NULL;
    struct fake_exchange *x = NULL;

    options.missing_eio_is_3 = true;
    b = bench_eio(&options);
    x = get(b, "transport=polling&b64=1");
    settle(b);
    assert_int_equal(x->status, 200);
    assert_int_equal(eio_session_revision(b->session), 3);
    heard(b, "open\n");
    refused(b, get(b, "EIO=abc&transport=polling&sid="), 400, UNSUPPORTED);
    bench_free(b);
    (void)state;
}

static void too_many_sessions_are_told_to_come_back(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 8; i++)
        open_polling(b, 4, "");
    answered(b, get(b, "EIO=4&transport=polling"), 503,
             "{\"code\":4,\"message\":\"Too many sessions\"}");
    assert_null(dial(b, "EIO=4&transport=websocket"));
    assert_int_equal(b->ws_status, 503);
}

static void other_methods_on_a_live_session_are_500_and_harmless(void **state)
{
    struct bench *b = *state;
    struct fake_exchange *held = NULL;

    open_polling(b, 4, "");
    held = fetch(b);
    answered(b, ask(b, HTTP_PUT, b->query, slice_of("4x")), 500, "");
    answered(b, ask(b, HTTP_DELETE, b->query, slice_make(NULL, 0)), 500, "");
    not_answered(b, held);
}

static void the_routes_bound_bodies_and_messages(void **state)
{
    struct bench *b = *state;
    struct http_route http;
    struct ws_route ws;

    assert_int_equal(b->http.body_limit_bytes, 1000000);
    assert_int_equal(b->ws.message_limit_bytes, 1000000);
    assert_true(b->http.is_prefix && b->ws.is_prefix);
    eio_server_routes(b->eio, "/engine.io", &http, &ws);
    assert_false(http.is_prefix || ws.is_prefix);
    assert_string_equal(http.path, "/engine.io");
}

#define EIO_TEST(name) cmocka_unit_test_setup_teardown(name, with_eio, done)

int test_handshake(void)
{
    const struct CMUnitTest tests[] = {
        EIO_TEST(polling_answers_with_the_open_packet_alone),
        EIO_TEST(websocket_opens_without_upgrades),
        EIO_TEST(ids_are_twenty_url_characters_and_never_the_same),
        EIO_TEST(the_handshake_is_remembered),
        EIO_TEST(old_internet_explorers_get_their_header),
        EIO_TEST(the_last_of_several_equal_parameters_wins),
        EIO_TEST(code_0_an_unknown_transport),
        EIO_TEST(code_3_an_origin_with_control_characters),
        EIO_TEST(code_3_jsonp_is_refused_by_name),
        EIO_TEST(code_1_an_unknown_sid),
        EIO_TEST(code_3_another_transport_than_the_session_has),
        EIO_TEST(code_3_another_revision_than_the_session_has),
        EIO_TEST(code_2_a_handshake_by_any_other_method),
        EIO_TEST(code_3_websocket_without_an_upgrade),
        EIO_TEST(polling_with_an_upgrade_is_refused_too),
        EIO_TEST(code_4_the_application_refuses),
        EIO_TEST(code_5_a_version_that_is_none_or_missing),
        cmocka_unit_test(code_5_eio3_where_it_is_switched_off),
        cmocka_unit_test(a_missing_version_means_3_by_option),
        EIO_TEST(too_many_sessions_are_told_to_come_back),
        EIO_TEST(other_methods_on_a_live_session_are_500_and_harmless),
        EIO_TEST(the_routes_bound_bodies_and_messages),
    };
    return cmocka_run_group_tests_name("engine: handshake", tests, NULL, NULL);
}
