/* test_http.c - headers, queries, cookies, and the error body. */
/* SPDX-License-Identifier: MIT */
#include "base/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_slice(struct slice s, const char *text)
{
    if (!slice_is(s, text))
        fail_msg("expected '%s', got '%.*s'", text, (int)s.len, s.ptr);
}

static void the_first_header_of_a_name_is_found(void **state)
{
    (void)state;
    const struct http_header headers[] = {{slice_of("host"), slice_of("a")},
                                          {slice_of("x-empty"), slice_of("")},
                                          {slice_of("host"), slice_of("b")}};
    const struct http_request request = {.headers = headers, .header_count = 3};
    assert_slice(http_header(&request, "host"), "a");
    assert_non_null(http_header(&request, "x-empty").ptr);
    assert_int_equal(http_header(&request, "x-empty").len, 0);
    assert_null(http_header(&request, "hos").ptr);
    assert_null(http_header(&request, "cookie").ptr);
}

/* "name=value;" for each step. */
static void assert_query(const char *query, const char *expected)
{
    struct buf scratch;
    struct buf seen;
    struct slice name;
    struct slice value;
    size_t at = 0;
    buf_init(&scratch, 1000);
    buf_init(&seen, 1000);
    while (http_query_next(slice_of(query), &at, &scratch, &name, &value)) {
        buf_slice(&seen, name);
        buf_putc(&seen, '=');
        buf_slice(&seen, value);
        buf_putc(&seen, ';');
    }
    assert_string_equal(buf_text(&seen), expected);
    buf_release(&scratch);
    buf_release(&seen);
}

static void a_query_is_walked_pair_by_pair(void **state)
{
    (void)state;
    assert_query("", "");
    assert_query("a=1", "a=1;");
    assert_query("a=1&b=2&a=3", "a=1;b=2;a=3;");
    assert_query("flag&x=", "flag=;x=;");
    assert_query("=v", "=v;");
    assert_query("=", "=;");
    assert_query("a=b=c", "a=b=c;");
    assert_query("&&a=1&", "a=1;");
}

static void names_and_values_are_decoded(void **state)
{
    (void)state;
    assert_query("t%61sk=a+b%2Bc%26%3d%C3%A9", "task=a b+c&=\xc3\xa9;");
    assert_query("a+b=c", "a b=c;");
}

static void parts_that_do_not_decode_are_passed_over(void **state)
{
    (void)state;
    assert_query("a=%&b=2", "b=2;");
    assert_query("a=%4&b=2", "b=2;");
    assert_query("a=%4g&b=2", "b=2;");
    assert_query("a=x%00y&b=2", "b=2;");
    assert_query("%zz=1&b=2&c=%", "b=2;");
}

static void a_raw_nul_in_a_query_is_passed_over(void **state)
{
    (void)state;
    struct buf scratch;
    struct slice name;
    struct slice value;
    size_t at = 0;
    buf_init(&scratch, 100);
    assert_false(http_query_next(slice_make("a=\0", 3), &at, &scratch, &name, &value));
    buf_release(&scratch);
}

static void the_last_value_of_a_name_counts(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10);
    assert_true(http_query_get(slice_of("sid=a&EIO=4&sid=b%20c"), "sid", &out));
    assert_string_equal(buf_text(&out), "b c");
    assert_true(http_query_get(slice_of("x&y=1"), "x", &out));
    assert_string_equal(buf_text(&out), "");
    assert_false(http_query_get(slice_of("x&y=1"), "z", &out));
    assert_int_equal(out.len, 0);
    assert_false(http_query_get(slice_of("x=01234567890"), "x", &out));
    assert_false(http_query_get(slice_make(NULL, 0), "x", &out));
    buf_release(&out);
}

static void percent_decoding_keeps_plus_and_refuses_bad_escapes(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    assert_true(http_percent_decode(slice_of("a%2fb+%7E"), &out));
    assert_string_equal(buf_text(&out), "a/b+~");
    buf_reset(&out);
    assert_false(http_percent_decode(slice_of("%"), &out));
    assert_false(http_percent_decode(slice_of("%a"), &out));
    assert_false(http_percent_decode(slice_of("%G0"), &out));
    assert_false(http_percent_decode(slice_of("%0G"), &out));
    assert_false(http_percent_decode(slice_of("%00"), &out));
    buf_reset(&out);
    assert_false(http_percent_decode(slice_of("123456789"), &out));
    buf_release(&out);
}

static void cookies_are_found_by_their_whole_name(void **state)
{
    (void)state;
    struct slice header =
        slice_of("xsid=no; sid=abc=d; sid=second;q=\"a b\"; e=; flag");
    assert_slice(http_cookie(header, "sid"), "abc=d");
    assert_slice(http_cookie(header, "xsid"), "no");
    assert_slice(http_cookie(header, "q"), "a b");
    assert_slice(http_cookie(header, "e"), "");
    assert_non_null(http_cookie(header, "e").ptr);
    assert_null(http_cookie(header, "flag").ptr);
    assert_null(http_cookie(header, "si").ptr);
    assert_null(http_cookie(slice_make(NULL, 0), "sid").ptr);
    assert_slice(http_cookie(slice_of("  sid \t=  x\t; y=1"), "sid"), "x");
    assert_slice(http_cookie(slice_of(";;sid=x"), "sid"), "x");
    assert_slice(http_cookie(slice_of("sid=\""), "sid"), "\"");
}

struct answer {
    struct http_exchange exchange;
    unsigned status;
    struct buf headers;
    struct buf body;
};

static void keep_answer(struct http_exchange *x, unsigned status, const char *headers,
                        struct slice body)
{
    struct answer *answer = x->owner_data;
    answer->status = status;
    buf_puts(&answer->headers, headers);
    buf_slice(&answer->body, body);
}

static void assert_error_body(const char *message, const char *field,
                              const char *expected)
{
    const struct http_exchange_ops ops = {.respond = keep_answer};
    struct answer answer = {.exchange = {.ops = &ops}};
    answer.exchange.owner_data = &answer;
    buf_init(&answer.headers, 1000);
    buf_init(&answer.body, 1000);
    http_respond_error(&answer.exchange, 422, "BAD_FIELD", message, field);
    assert_int_equal(answer.status, 422);
    assert_string_equal(buf_text(&answer.headers),
                        "content-type: application/json\r\n");
    assert_string_equal(buf_text(&answer.body), expected);
    buf_release(&answer.headers);
    buf_release(&answer.body);
}

static void errors_are_json_with_code_message_and_field(void **state)
{
    (void)state;
    assert_error_body("No.", NULL,
                      "{\"error\":{\"code\":\"BAD_FIELD\",\"message\":\"No.\"}}");
    assert_error_body("Say \"please\".", "task_id",
                      "{\"error\":{\"code\":\"BAD_FIELD\",\"message\":\"Say "
                      "\\\"please\\\".\",\"field\":\"task_id\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_header_of_a_name_is_found),
        cmocka_unit_test(a_query_is_walked_pair_by_pair),
        cmocka_unit_test(names_and_values_are_decoded),
        cmocka_unit_test(parts_that_do_not_decode_are_passed_over),
        cmocka_unit_test(a_raw_nul_in_a_query_is_passed_over),
        cmocka_unit_test(the_last_value_of_a_name_counts),
        cmocka_unit_test(percent_decoding_keeps_plus_and_refuses_bad_escapes),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
        cmocka_unit_test(errors_are_json_with_code_message_and_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
