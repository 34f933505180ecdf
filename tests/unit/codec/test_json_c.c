/* test_json_c.c - our scanner and json-c's strict parser agree, but for json-c's laxness. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <json-c/json.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUNDS      200000
#define TEXT_MAX    256
#define STRING_MAX  64
#define MAX_CHANGES 4

/* The same in every run: a failure can be repeated. */
static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static uint32_t below(uint64_t *seed, size_t bound)
{
    return next_random(seed) % (uint32_t)bound;
}

/* NULL when json-c refuses the text; "null" is told by `ok` alone. */
static struct json_object *parse(struct slice text, bool *ok)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_MAX_DEPTH + 1);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    char *copy = mem_text(text);
    /* With its NUL: only then json-c knows that a number ends. */
    struct json_object *object =
        json_tokener_parse_ex(tokener, copy, (int)text.len + 1);
    *ok = json_tokener_get_error(tokener) == json_tokener_success &&
          json_tokener_get_parse_end(tokener) >= text.len;
    free(copy);
    json_tokener_free(tokener);
    return object;
}

static bool json_c_accepts(struct slice text)
{
    bool ok;
    json_object_put(parse(text, &ok));
    return ok;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '+' || c == '-' || c == '.';
}

/* True for a bare word that RFC 8259 does not know: json-c 0.16 takes "01.5", "-.5", "1.",
 * NaN and Infinity also in strict mode. */
static bool is_odd_word(const regex_t *grammar, struct slice word)
{
    char copy[TEXT_MAX + 1];
    memcpy(copy, word.ptr, word.len);
    copy[word.len] = '\0';
    return regexec(grammar, copy, 0, NULL, 0) != 0;
}

/* And it takes raw control characters in strings, and overlong UTF-8. */
static bool has_known_laxness(const regex_t *grammar, struct slice text)
{
    bool in_string = false;

    if (!utf8_is_valid(text.ptr, text.len))
        return true;
    for (size_t at = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (in_string && (unsigned char)c < 0x20)
            return true;
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            at++;
        else if (!in_string && is_word(c)) {
            size_t len = 1;
            while (at + len < text.len && is_word(text.ptr[at + len]))
                len++;
            if (is_odd_word(grammar, slice_make(text.ptr + at, len)))
                return true;
            at += len - 1;
        }
    }
    return false;
}

static void compile_grammar(regex_t *grammar)
{
    assert_int_equal(regcomp(grammar,
                             "^(true|false|null|-?(0|[1-9][0-9]*)(\\.[0-9]+)?"
                             "([eE][-+]?[0-9]+)?)$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
}

static void compare(const regex_t *grammar, struct slice text)
{
    bool ours = json_check(text);
    bool theirs = json_c_accepts(text);

    if (ours == theirs || (theirs && has_known_laxness(grammar, text)))
        return;
    fail_msg("ours %d, json-c %d: %.*s", ours, theirs, (int)text.len, text.ptr);
}

#define LITERAL(text)                                                                  \
    {                                                                                  \
        (text), sizeof(text) - 1                                                       \
    }

static const struct slice seeds[] = {
    LITERAL("{\"a\":[1,2.5e3,-0,true,false,null],\"b\":\"x\\u00e9\\n\"}"),
    LITERAL(
        "[\"ai_progress\",{\"task_id\":\"t-1\",\"partial\":true,\"text\":\"\xe2\x82\xac\"}]"),
    LITERAL("[[],{},\"\\ud83d\\ude00\",\"\xc3\xa9\",1E-5]"),
    LITERAL(" [ 1 , 2 ] "),
    LITERAL("\"str\""),
    LITERAL("-12.5e+3"),
    LITERAL("{\"\":{\"\":{}}}"),
    LITERAL("null"),
};
#define SEED_COUNT (sizeof(seeds) / sizeof(seeds[0]))

static void the_seeds_are_accepted_by_both(void **state)
{
    (void)state;
    for (size_t i = 0; i < SEED_COUNT; i++) {
        assert_true(json_check(seeds[i]));
        assert_true(json_c_accepts(seeds[i]));
    }
}

static const char *const odd_texts[] = {
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "-",
    "+1",
    "1e",
    "1 2",
    "1,",
    "\"",
    "\"abc",
    "\"\\x41\"",
    "\"\\u12g4\"",
    "'a'",
    "a",
    "\"\x80\"",
    "\"\xc0\xaf\"",
    "\"\xff\"",
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
    "{\"a\":1,}",
    "{,}",
    "{\"a\" 1}",
    "{\"a\":1]",
    "{a:1}",
    "{'a':1}",
    "[]]",
    "[] []",
    "[1]// c",
    "/* c */1",
    "[1,,2]",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "{\"a\":1,\"a\":2}",
    "1e400",
    "123456789012345678901234567890",
    "\"\x7f\"",
    "[\"a\"\"b\"]",
    "\xef\xbb\xbf[]",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

static void the_table_of_odd_texts_is_judged_alike(void **state)
{
    (void)state;
    regex_t grammar;
    compile_grammar(&grammar);
    for (size_t i = 0; i < sizeof(odd_texts) / sizeof(odd_texts[0]); i++)
        compare(&grammar, slice_of(odd_texts[i]));
    regfree(&grammar);
}

/* A byte replaced, inserted or removed, or the end cut off. */
static size_t mutate(uint64_t *seed, char *text, size_t len)
{
    static const char alphabet[] =
        "{}[]\",:\\/ubnrft0123456789+-.eE \t\n\r\x01\x1f\x7f\x80"
        "\xc3\xa9\xe2\xffNaInfyTrueFlsu";
    char c = alphabet[below(seed, sizeof(alphabet) - 1)];
    size_t at = len == 0 ? 0 : below(seed, len);

    switch (below(seed, 4)) {
    case 0:
        if (len > 0)
            text[at] = c;
        return len;
    case 1:
        if (len == TEXT_MAX)
            return len;
        memmove(text + at + 1, text + at, len - at);
        text[at] = c;
        return len + 1;
    case 2:
        if (len == 0)
            return 0;
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    default:
        return at;
    }
}

static void random_changes_are_judged_alike(void **state)
{
    (void)state;
    uint64_t seed = 20261120;
    regex_t grammar;
    unsigned accepted = 0;
    compile_grammar(&grammar);
    for (int round = 0; round < ROUNDS; round++) {
        char text[TEXT_MAX];
        struct slice origin = seeds[below(&seed, SEED_COUNT)];
        size_t len = origin.len;
        memcpy(text, origin.ptr, len);
        for (uint32_t n = below(&seed, MAX_CHANGES); n > 0; n--)
            len = mutate(&seed, text, len);
        compare(&grammar, slice_make(text, len));
        accepted += json_check(slice_make(text, len));
    }
    regfree(&grammar);
    /* The mutations are no use when they break, or leave, everything. */
    assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

static void strings_survive_the_way_through_json_c_in_both_directions(void **state)
{
    (void)state;
    uint64_t seed = 77;
    struct buf text;
    struct buf quoted;
    struct buf back;
    buf_init(&text, 1000);
    buf_init(&quoted, 10000);
    buf_init(&back, 10000);
    for (int round = 0; round < ROUNDS / 20; round++) {
        char raw[STRING_MAX];
        bool ok;
        size_t len = below(&seed, sizeof(raw));
        for (size_t i = 0; i < len; i++)
            raw[i] = (char)(below(&seed, 4) == 0 ? below(&seed, 256)
                                                 : 32 + below(&seed, 96));
        buf_reset(&quoted);
        assert_true(json_quote(&quoted, slice_make(raw, len)));
        struct json_object *object = parse(buf_view(&quoted), &ok);
        assert_true(ok);
        buf_reset(&text);
        assert_true(json_unescape(&text, json_string_raw(buf_view(&quoted))));
        assert_int_equal(json_object_get_string_len(object), text.len);
        assert_memory_equal(json_object_get_string(object), buf_text(&text), text.len);

        struct slice theirs = slice_of(json_object_to_json_string(object));
        assert_true(json_check(theirs));
        buf_reset(&back);
        assert_true(json_unescape(&back, json_string_raw(theirs)));
        assert_true(slice_equal(buf_view(&back), buf_view(&text)));
        json_object_put(object);
    }
    buf_release(&text);
    buf_release(&quoted);
    buf_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_are_accepted_by_both),
        cmocka_unit_test(the_table_of_odd_texts_is_judged_alike),
        cmocka_unit_test(random_changes_are_judged_alike),
        cmocka_unit_test(strings_survive_the_way_through_json_c_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
