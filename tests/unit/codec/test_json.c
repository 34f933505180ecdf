/* test_json.c - RFC 8259, strictly; and the walk through what passed. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_slice(struct slice s, const char *text)
{
    if (!slice_is(s, text))
        fail_msg("expected '%s', got '%.*s'", text, (int)s.len, s.ptr);
}

/* Both ways to check say the same. */
static bool is_json(struct slice text)
{
    struct json_pick pick = {.name = "a"};
    enum json_kind kind;
    bool is_good = json_check(text);

    if (json_pick(text, &kind, &pick, 1) != is_good)
        fail_msg("json_pick() says otherwise: %.*s", (int)text.len, text.ptr);
    return is_good;
}

static void what_the_grammar_allows_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5",
        "0.0e0",
        "1E+400",
        "1e-5",
        "123456789012345678901234567890",
        "\"\"",
        "\"plain ascii \x7f\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\\uD800\\udfff\\uAbCd\"",
        "\"\xc2\x80 \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf \xf4\x8f\xbf\xbf\"",
        "[]",
        "{}",
        "[1,[2,[3]],{}]",
        "{\"a\":1,\"a\":2,\"\":null}",
        " \t\r\n[ 1 , 2 ] \t\r\n",
        " { \"a\" : { \"b\" : [ ] } } ",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!is_json(slice_of(good[i])))
            fail_msg("refused: %s", good[i]);
    }
}

static const char *const forbidden[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "NULL",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "-",
    "+1",
    "01",
    "-01",
    "1.",
    ".5",
    "-.5",
    "1e",
    "1e+",
    "1.e3",
    "0x10",
    "1 2",
    "1,",
    "\"",
    "\"abc",
    "\"\\\"",
    "\"\\",
    "\"\\x41\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u\"",
    "\"\\U0041\"",
    "'a'",
    "a",
    "\"a\nb\"",
    "\"a\tb\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\"\x80\"",
    "\"\xc0\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82\"",
    "\"\xff\"",
    "\xef\xbb\xbf[]",
    "[",
    "]",
    "{",
    "}",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1}",
    "{1:2}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1]",
    "{a:1}",
    "{'a':1}",
    "[]]",
    "[] []",
    "{}{}",
    "[1]// c",
    "/* c */1",
    "[1,/**/2]",
    "\v1",
    "\f1",
    "\xc2\xa0 1",
    "[\"a\"\"b\"]",
    "{\"a\"::1}",
    "[:]",
    "[1,,2]",
    "{\"a\":1,,\"b\":2}",
    "tru e",
    "--1",
    "1-",
    "1e5.5",
};

static void what_the_grammar_forbids_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        if (is_json(slice_of(forbidden[i])))
            fail_msg("accepted: %s", forbidden[i]);
    }
}

static void a_nul_is_never_allowed(void **state)
{
    (void)state;
    assert_false(is_json(slice_make("\"a\0b\"", 5)));
    assert_false(is_json(slice_make("1\0", 2)));
    assert_false(is_json(slice_make("[1\0]", 4)));
    assert_false(is_json(slice_make("\"\\\0\"", 4)));
    assert_false(is_json(slice_make(NULL, 0)));
}

/* The scanner may not read past the end: each text lies at the end of its own allocation,
 * where the sanitizer watches. */
static void every_cut_of_a_text_is_refused_without_reading_on(void **state)
{
    (void)state;
    static const char text[] =
        "{\"key\":[1.5e+3,true,null,\"\\u00e9\xe2\x82\xac\\n\"],\"b\":{\"c\":false}}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        copy = realloc(copy, len == 0 ? 1 : len);
        assert_non_null(copy);
        memcpy(copy, text, len);
        if (is_json(slice_make(copy, len)))
            fail_msg("accepted: %.*s", (int)len, copy);
        free(copy);
    }
    assert_true(is_json(slice_make(text, sizeof(text) - 1)));
}

/* `depth` times `open`, then `inside`, then `depth` times `close`. */
static void build_nested(struct buf *out, unsigned depth, const char *open, char close)
{
    buf_reset(out);
    for (unsigned i = 0; i < depth; i++)
        buf_puts(out, open);
    buf_putc(out, '1');
    for (unsigned i = 0; i < depth; i++)
        buf_putc(out, close);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 10000000);
    build_nested(&text, JSON_MAX_DEPTH, "[", ']');
    assert_true(is_json(buf_view(&text)));
    build_nested(&text, JSON_MAX_DEPTH + 1, "[", ']');
    assert_false(is_json(buf_view(&text)));
    build_nested(&text, JSON_MAX_DEPTH, "{\"a\":", '}');
    assert_true(is_json(buf_view(&text)));
    build_nested(&text, JSON_MAX_DEPTH + 1, "{\"a\":", '}');
    assert_false(is_json(buf_view(&text)));
    build_nested(&text, 1000000, "[", ']');
    assert_false(is_json(buf_view(&text)));
    /* Siblings do not add up. */
    buf_reset(&text);
    buf_puts(&text, "[[]");
    for (int i = 0; i < 1000; i++)
        buf_puts(&text, ",[[{}]]");
    buf_puts(&text, "]");
    assert_true(is_json(buf_view(&text)));
    buf_release(&text);
}

static void mixed_nesting_must_close_as_it_opened(void **state)
{
    (void)state;
    assert_true(is_json(slice_of("[{\"a\":[{\"b\":[]}]}]")));
    assert_false(is_json(slice_of("[{\"a\":[{\"b\":[}]]}]")));
    assert_false(is_json(slice_of("[{\"a\":[{\"b\":[]]]}]")));
}

static void a_scan_tells_length_kind_and_value(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ssize_t length;
        enum json_kind kind;
        const char *value;
    } cases[] = {
        {"null,", 4, JSON_NULL, "null"},
        {" true", 5, JSON_TRUE, "true"},
        {"false", 5, JSON_FALSE, "false"},
        {"\n-1.5]", 5, JSON_NUMBER, "-1.5"},
        {"12abc", 2, JSON_NUMBER, "12"},
        {"01", 1, JSON_NUMBER, "0"},
        {"\"a\\\"b\" trailing", 6, JSON_STRING, "\"a\\\"b\""},
        {"[1, 2]\n{", 6, JSON_ARRAY, "[1, 2]"},
        {"  {\"a\":[]}}", 10, JSON_OBJECT, "{\"a\":[]}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum json_kind kind;
        struct slice value;
        assert_int_equal(json_scan(slice_of(cases[i].text), &kind, &value),
                         cases[i].length);
        assert_int_equal(kind, cases[i].kind);
        assert_slice(value, cases[i].value);
    }
    enum json_kind kind;
    struct slice value;
    assert_int_equal(json_scan(slice_of(""), &kind, &value), -1);
    assert_int_equal(json_scan(slice_of("  "), &kind, &value), -1);
    assert_int_equal(json_scan(slice_of("[1"), &kind, &value), -1);
    assert_int_equal(json_scan(slice_of("x"), &kind, &value), -1);
}

/* "key=kind:value;" for each member. */
static void assert_walk(const char *container, const char *expected)
{
    struct buf seen;
    struct json_member member;
    size_t at = 0;
    buf_init(&seen, 1000);
    assert_true(is_json(slice_of(container)));
    while (json_next(slice_of(container), &at, &member)) {
        buf_slice(&seen, member.key);
        buf_printf(&seen, "=%u:", (unsigned)member.kind);
        buf_slice(&seen, member.value);
        buf_putc(&seen, ';');
    }
    assert_string_equal(buf_text(&seen), expected);
    assert_false(json_next(slice_of(container), &at, &member));
    buf_release(&seen);
}

static void containers_are_walked_in_order(void **state)
{
    (void)state;
    assert_walk("{}", "");
    assert_walk("[]", "");
    assert_walk(" [ ] ", "");
    assert_walk("[1]", "=3:1;");
    assert_walk(" [ null , true,false ,\"a\",[1,2] , {} ] ",
                "=0:null;=1:true;=2:false;=4:\"a\";=5:[1,2];=6:{};");
    assert_walk("{\"a\":1,\"b c\" : \"x\" , \"q\\\"\":{\"a\":[2]}}",
                "a=3:1;b c=4:\"x\";q\\\"=6:{\"a\":[2]};");
    assert_walk("[\"a\" , \"b\"]", "=4:\"a\";=4:\"b\";");
    assert_walk("1", "");
    assert_walk("\"[1]\"", "");
}

static void a_walk_through_anything_stays_inside(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "[",   "{",       "[1 2]",
                                      "{\"a\"",    "{1}", "{\"a\":", "[1,",
                                      "{\"a\":1,", "[,]", "[}",      "{]",
                                      "{\"a\":}",  "[1,]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct json_member member;
        size_t at = 0;
        unsigned steps = 0;
        while (json_next(slice_of(bad[i]), &at, &member))
            assert_true(++steps < 3);
    }
    struct json_member member;
    size_t at = 99;
    assert_false(json_next(slice_of("[1]"), &at, &member));
}

/* Quadratic, this would take minutes. */
static void a_walk_takes_linear_time_behind_much_white_space(void **state)
{
    (void)state;
    enum { SPACES = 1000000, ITEMS = 250000 };
    struct buf text;
    struct json_member member;
    size_t at = 0;
    unsigned items = 0;
    buf_init(&text, SPACES + 4 * ITEMS);
    for (int i = 0; i < SPACES; i++)
        buf_putc(&text, ' ');
    buf_puts(&text, "[1");
    for (int i = 1; i < ITEMS; i++)
        buf_puts(&text, ",\"\"");
    buf_puts(&text, "]");
    while (json_next(buf_view(&text), &at, &member))
        items++;
    assert_int_equal(items, ITEMS);
    buf_release(&text);
}

static void the_first_member_of_a_name_is_found(void **state)
{
    (void)state;
    struct json_member member;
    struct slice object =
        slice_of(" {\"b\":{\"a\":0},\"a\":1,\"a\":2,\"\":3,\"task_id\":4}");
    assert_true(json_get(object, "a", &member));
    assert_slice(member.value, "1");
    assert_true(json_get(object, "", &member));
    assert_slice(member.value, "3");
    assert_true(json_get(object, "task_id", &member));
    assert_false(json_get(object, "task", &member));
    assert_false(json_get(object, "task_id2", &member));
    assert_false(json_get(slice_of("[\"a\",1]"), "", &member));
    assert_false(json_get(slice_of("1"), "a", &member));
    assert_false(json_get(slice_of(""), "a", &member));
}

static void an_escaped_key_is_the_same_key(void **state)
{
    (void)state;
    struct json_member member;
    assert_true(json_get(slice_of("{\"t\\u0061sk\\u005Fid\":7}"), "task_id", &member));
    assert_slice(member.value, "7");
    assert_true(json_get(slice_of("{\"a\\/b\":8}"), "a/b", &member));
    assert_false(json_get(slice_of("{\"a\\\\/b\":8}"), "a/b", &member));
}

static void a_key_that_is_written_the_same_is_there(void **state)
{
    struct slice object = slice_of("{\"a\":1,\"b\\u0063\":{\"d\":2}}");
    (void)state;
    assert_true(json_has_raw(object, slice_of("a")));
    assert_true(json_has_raw(object, slice_of("b\\u0063")));
    assert_false(json_has_raw(object, slice_of("bc"))); /* json_get() decodes */
    assert_false(json_has_raw(object, slice_of("d")));
    assert_false(json_has_raw(object, slice_of("")));
    assert_false(json_has_raw(slice_of("{}"), slice_of("a")));
}

static void members_are_picked_while_their_object_is_checked(void **state)
{
    (void)state;
    struct json_pick picks[] = {{.name = "a"}, {.name = "b"}, {.name = "none"}};
    enum json_kind kind;

    assert_true(json_pick(slice_of(" { \"x\" : {\"a\":1} , \"\\u0062\" : [ 2 ] ,"
                                   "\"a\":\"3\" , \"a\":4,\"b\":5} "),
                          &kind, picks, 3));
    assert_int_equal(kind, JSON_OBJECT);
    assert_true(picks[0].is_there);
    assert_int_equal(picks[0].member.kind, JSON_STRING);
    assert_slice(picks[0].member.key, "a");
    assert_slice(picks[0].member.value, "\"3\"");
    assert_true(picks[1].is_there);
    assert_int_equal(picks[1].member.kind, JSON_ARRAY);
    assert_slice(picks[1].member.value, "[ 2 ]");
    assert_false(picks[2].is_there);
    /* What an earlier text left is gone. */
    assert_true(json_pick(slice_of(" [ {\"a\":1} ] "), &kind, picks, 3));
    assert_int_equal(kind, JSON_ARRAY);
    assert_false(picks[0].is_there);
    assert_true(json_pick(slice_of("{}"), &kind, picks, 3));
    assert_int_equal(kind, JSON_OBJECT);
    assert_false(picks[1].is_there);
    /* As long as nothing is wanted it is a check. */
    assert_true(json_pick(slice_of("\"a\""), &kind, picks, 0));
    assert_int_equal(kind, JSON_STRING);
    assert_false(json_pick(slice_of("{\"a\":1,}"), &kind, picks, 0));
}

static void whole_numbers_up_to_2_to_the_53_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {{"0", true, 0},
                 {"7", true, 7},
                 {"1234567890", true, 1234567890},
                 {"9007199254740992", true, UINT64_C(1) << 53},
                 {"9007199254740993", false, 0},
                 {"99999999999999999999999", false, 0},
                 {"-1", false, 0},
                 {"-0", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0},
                 {"007", false, 0},
                 {"\"7\"", false, 0},
                 {"null", false, 0},
                 {"", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0;
        bool ok = json_u64(slice_of(cases[i].text), &value);
        if (ok != cases[i].ok || (ok && value != cases[i].value))
            fail_msg("wrong answer for %s", cases[i].text);
    }
}

static void minifying_drops_white_space_outside_strings_only(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"1", "1"},
        {" [ 1 , 2 ] ", "[1,2]"},
        {"{ \"a b\" :\t\"c \\\" d\" ,\r\n\"e\\\\\" : [ ] }",
         "{\"a b\":\"c \\\" d\",\"e\\\\\":[]}"},
        {"\" x \"", "\" x \""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_true(json_minify(&out, slice_of(cases[i][0])));
        assert_string_equal(buf_text(&out), cases[i][1]);
        buf_release(&out);
    }
    struct buf out;
    buf_init(&out, 2);
    assert_false(json_minify(&out, slice_of("[ 1 ]")));
    buf_reset(&out);
    assert_true(json_minify(&out, slice_of("\"")));
    buf_reset(&out);
    assert_true(json_minify(&out, slice_of("\"\\")));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_grammar_allows_is_accepted),
        cmocka_unit_test(what_the_grammar_forbids_is_refused),
        cmocka_unit_test(a_nul_is_never_allowed),
        cmocka_unit_test(every_cut_of_a_text_is_refused_without_reading_on),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(mixed_nesting_must_close_as_it_opened),
        cmocka_unit_test(a_scan_tells_length_kind_and_value),
        cmocka_unit_test(containers_are_walked_in_order),
        cmocka_unit_test(a_walk_through_anything_stays_inside),
        cmocka_unit_test(a_walk_takes_linear_time_behind_much_white_space),
        cmocka_unit_test(the_first_member_of_a_name_is_found),
        cmocka_unit_test(an_escaped_key_is_the_same_key),
        cmocka_unit_test(a_key_that_is_written_the_same_is_there),
        cmocka_unit_test(members_are_picked_while_their_object_is_checked),
        cmocka_unit_test(whole_numbers_up_to_2_to_the_53_are_read),
        cmocka_unit_test(minifying_drops_white_space_outside_strings_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
