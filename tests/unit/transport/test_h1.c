/* test_h1.c - request heads: what is read, and what is refused and why. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "transport/h1.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST "Host: h\r\n"

/* Parses a copy of exactly its size, so that a sanitizer sees every overrun. */
static unsigned parse(const char *text, size_t len, struct h1_head *head, char **copy)
{
    const char *why = NULL;

    *copy = malloc(len);
    memcpy(*copy, text, len);
    unsigned status = h1_parse(*copy, len, head, &why);
    assert_non_null(why);
    return status;
}

static unsigned status_of(const char *text)
{
    struct h1_head head;
    char *copy = NULL;
    unsigned status = parse(text, strlen(text), &head, &copy);

    free(copy);
    return status;
}

static void a_plain_request_is_read(void **state)
{
    static const char text[] =
        "\r\nPOST /a%20b/c?x=%41 HTTP/1.1\r\nHOST: h:80\r\n"
        "Content-Length: 17\r\nX-Odd:\t a b \t\r\nEmpty:\r\n\r\n";
    struct h1_head head;
    char *copy = NULL;

    (void)state;
    assert_int_equal(parse(text, sizeof(text) - 1, &head, &copy), 0);
    assert_int_equal(head.method, HTTP_POST);
    assert_true(slice_is(head.path, "/a b/c"));
    assert_true(slice_is(head.query, "x=%41"));
    assert_true(head.has_length);
    assert_int_equal(head.content_length, 17);
    assert_int_equal(head.header_count, 4);
    assert_true(slice_is(head.headers[0].name, "host"));
    assert_true(slice_is(head.headers[0].value, "h:80"));
    assert_true(slice_is(head.headers[2].value, "a b"));
    assert_int_equal(head.headers[3].value.len, 0);
    assert_false(head.is_http10);
    assert_false(head.wants_close);
    assert_false(head.is_upgrade);
    free(copy);
}

static void the_end_of_a_head_is_found_wherever_it_is_cut(void **state)
{
    static const char text[] = "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\nrest";
    size_t scanned = 0;

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 5; len++)
        assert_int_equal(h1_head_length(slice_make(text, len), &scanned), 0);
    assert_int_equal(h1_head_length(slice_make(text, sizeof(text) - 1), &scanned),
                     sizeof(text) - 5);
}

static void targets_may_be_absolute(void **state)
{
    static const char text[] = "GET http://h:80/p?q HTTP/1.1\r\n" HOST "\r\n";
    struct h1_head head;
    char *copy = NULL;

    (void)state;
    assert_int_equal(parse(text, sizeof(text) - 1, &head, &copy), 0);
    assert_true(slice_is(head.path, "/p"));
    assert_true(slice_is(head.query, "q"));
    free(copy);
    assert_int_equal(status_of("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 0);
    assert_int_equal(status_of("GET * HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(status_of("GET http://h HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(status_of("CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n"), 400);
}

static void malformed_request_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "GET\r\n",
        "GET /\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/11\r\n",
        "GET / http/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "G(T / HTTP/1.1\r\n",
        "GET x HTTP/1.1\r\n",
        "GET /a#b HTTP/1.1\r\n",
        "GET /\t HTTP/1.1\r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\r\n",
        "/ HTTP/1.1\r\n",
        "\nGET / HTTP/1.1\r\n",
        "GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n",
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s" HOST "\r\n", lines[i]);
        if (status_of(text) != 400)
            fail_msg("%s", lines[i]);
    }
    assert_int_equal(status_of("GET / HTTP/2.0\r\n" HOST "\r\n"), 505);
    assert_int_equal(status_of("PRI * HTTP/2.0\r\n\r\n"), 505);
}

static void hostile_paths_are_refused(void **state)
{
    static const char *const paths[] = {
        "/%",       "/%4",    "/%zz",  "/%00",    "/a%0ab",     "/%7f",
        "/%2f",     "/a%2Fb", "/../a", "/a/..",   "/a/./b",     "/.",
        "/%2e%2e/", "/a/%2e", "/%ff",  "/%c0%af", "/%ed%a0%80",
    };
    static const char *const good[] = {"/.well-known", "/a..b",       "/...",
                                       "/%e2%82%ac",   "/a%25b",      "//",
                                       "/a;b=c,d",     "/caf\xc3\xa9"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        if (status_of(text) != 400)
            fail_msg("%s", paths[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", good[i]);
        if (status_of(text) != 0)
            fail_msg("%s", good[i]);
    }
}

static void malformed_header_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "NoColon\r\n",
        ": empty name\r\n",
        "Name : v\r\n",
        " folded\r\n",
        "A: b\r\n folded\r\n",
        "A: b\nC: d\r\n",
        "A: b\rC: d\r\n",
        "N\x01: v\r\n",
        "A: \x01\r\n",
        "A: \x7f\r\n",
        "Content-Length: x\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 9999999999999999\r\n",
        "Host: second\r\n",
    };
    char text[300];

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "%s\r\n",
                       lines[i]);
        if (status_of(text) != 400)
            fail_msg("%s", lines[i]);
    }
    assert_int_equal(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.0\r\n\r\n"), 0);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n" HOST "Expect: more\r\n\r\n"), 417);
}

static void a_nul_in_a_header_is_refused(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n";
    struct h1_head head;
    char *copy = NULL;

    (void)state;
    assert_int_equal(parse(text, sizeof(text) - 1, &head, &copy), 400);
    free(copy);
}

static void headers_are_counted(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 100000);
    buf_puts(&text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 1; i < H1_MAX_HEADERS; i++)
        buf_puts(&text, "a: b\r\n");
    size_t len = text.len;
    buf_puts(&text, "\r\n");
    assert_int_equal(status_of(buf_text(&text)), 0);
    text.len = len;
    buf_puts(&text, "a: b\r\n\r\n");
    assert_int_equal(status_of(buf_text(&text)), 431);
    buf_release(&text);
}

static void a_target_has_its_bound(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 100000);
    buf_puts(&text, "GET /");
    for (int i = 0; i < 8192; i++)
        buf_putc(&text, 'a');
    buf_puts(&text, " HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(status_of(buf_text(&text)), 414);
    buf_release(&text);
}

struct wish {
    const char *lines;
    bool closes;
    bool upgrades;
};

static void connection_wishes_are_understood(void **state)
{
    static const struct wish wishes[] = {
        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", true, false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo , Close\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\n" HOST
         "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
         false, true},
        {"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n", false, false},
        {"GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", false,
         false},
        {"GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n",
         false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        struct h1_head head;
        char *copy = NULL;
        assert_int_equal(parse(wishes[i].lines, strlen(wishes[i].lines), &head, &copy),
                         0);
        assert_int_equal(head.wants_close, wishes[i].closes);
        assert_int_equal(head.is_upgrade, wishes[i].upgrades);
        free(copy);
    }
}

int run_h1_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_read),
        cmocka_unit_test(the_end_of_a_head_is_found_wherever_it_is_cut),
        cmocka_unit_test(targets_may_be_absolute),
        cmocka_unit_test(malformed_request_lines_are_refused),
        cmocka_unit_test(hostile_paths_are_refused),
        cmocka_unit_test(malformed_header_lines_are_refused),
        cmocka_unit_test(a_nul_in_a_header_is_refused),
        cmocka_unit_test(headers_are_counted),
        cmocka_unit_test(a_target_has_its_bound),
        cmocka_unit_test(connection_wishes_are_understood),
    };

    return cmocka_run_group_tests_name("h1", tests, NULL, NULL);
}
