/* test_diag.c - lines for operators that no peer can forge. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"

#include "capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define STAMP_LENGTH 24

/* What one line says behind its time stamp; freed with the buffer. */
static const char *said(struct buf *out, enum diag_format format,
                        const struct diag_field *fields, size_t count)
{
    struct capture capture;
    buf_reset(out);
    diag_setup(DIAG_INFO, format);
    capture_begin(&capture, STDERR_FILENO);
    diag_line(DIAG_WARN, "peer misbehaves", fields, count);
    capture_end(&capture, out);
    return buf_text(out);
}

static void a_line_is_time_level_phrase_and_fields(void **state)
{
    (void)state;
    struct buf out;
    struct capture capture;
    buf_init(&out, 10000);
    diag_setup(DIAG_INFO, DIAG_TEXT);
    capture_begin(&capture, STDERR_FILENO);
    diag(DIAG_INFO, "broker ready", DIAG_S("listen", "127.0.0.1:9000"),
         DIAG_SLICE("site", slice_make("exampleX", 7)), DIAG_N("pid", -42));
    diag_say(DIAG_ERROR, "over and out");
    capture_end(&capture, &out);

    const char *text = buf_text(&out);
    assert_int_equal(text[4], '-');
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[STAMP_LENGTH - 1], 'Z');
    const char *first =
        " info broker ready listen=127.0.0.1:9000 site=example pid=-42\n";
    assert_memory_equal(text + STAMP_LENGTH, first, strlen(first));
    const char *second = text + STAMP_LENGTH + strlen(first) + STAMP_LENGTH;
    assert_string_equal(second, " error over and out\n");
    buf_release(&out);
}

static void a_value_cannot_forge_a_line_or_a_field(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    const char *evil = "x\n2026 error forged a=\"b\" c=\\d\x1b[31m\x7f\xc2\x9b"
                       "end\xff";
    const struct diag_field field = DIAG_S("name", evil);
    assert_string_equal(
        said(&out, DIAG_TEXT, &field, 1) + STAMP_LENGTH,
        " warn peer misbehaves name=\"x\\n2026 error forged a=\\\"b\\\" "
        "c=\\\\d\\u001b[31m\\u007f\\u009bend\xef\xbf\xbd\"\n");
    buf_release(&out);
}

static void empty_and_spaced_values_are_quoted(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    const struct diag_field fields[] = {DIAG_S("a", ""), DIAG_S("b", "two words"),
                                        DIAG_S("c", NULL), DIAG_S("d", "x=y")};
    assert_string_equal(
        said(&out, DIAG_TEXT, fields, 4) + STAMP_LENGTH,
        " warn peer misbehaves a=\"\" b=\"two words\" c=\"\" d=\"x=y\"\n");
    buf_release(&out);
}

static void json_lines_are_objects(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 10000);
    const struct diag_field fields[] = {DIAG_S("who", "a\"b"), DIAG_N("n", 7)};
    const char *text = said(&out, DIAG_JSON, fields, 2);
    assert_memory_equal(text, "{\"time\":\"2", 10);
    assert_string_equal(text + 9 + STAMP_LENGTH,
                        "\",\"level\":\"warn\",\"message\":\"peer misbehaves\","
                        "\"who\":\"a\\\"b\",\"n\":7}\n");
    buf_release(&out);
}

static void long_values_are_cut(void **state)
{
    (void)state;
    struct buf out;
    static char text[5000];
    memset(text, 'x', sizeof(text));
    buf_init(&out, 10000);
    const struct diag_field field = DIAG_SLICE("v", slice_make(text, sizeof(text)));
    (void)said(&out, DIAG_TEXT, &field, 1);
    assert_in_range(out.len, 512, 600);
    buf_release(&out);
}

static void a_line_past_its_bound_is_replaced_by_a_warning(void **state)
{
    (void)state;
    struct buf out;
    static char text[500];
    struct diag_field fields[100];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 100; i++)
        fields[i] = DIAG_SLICE("v", slice_make(text, sizeof(text)));
    buf_init(&out, 100000);
    assert_string_equal(said(&out, DIAG_TEXT, fields, 100) + STAMP_LENGTH,
                        " warn diagnostic line too long, dropped\n");
    buf_release(&out);
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    struct buf out;
    struct capture capture;
    buf_init(&out, 10000);
    diag_setup(DIAG_WARN, DIAG_TEXT);
    assert_true(diag_is_on(DIAG_ERROR));
    assert_true(diag_is_on(DIAG_WARN));
    assert_false(diag_is_on(DIAG_INFO));
    capture_begin(&capture, STDERR_FILENO);
    diag_say(DIAG_INFO, "not heard");
    diag_say(DIAG_DEBUG, "not heard");
    capture_end(&capture, &out);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

static void level_names_are_parsed(void **state)
{
    (void)state;
    enum diag_level level;
    assert_true(diag_level_parse("error", &level) && level == DIAG_ERROR);
    assert_true(diag_level_parse("warn", &level) && level == DIAG_WARN);
    assert_true(diag_level_parse("info", &level) && level == DIAG_INFO);
    assert_true(diag_level_parse("debug", &level) && level == DIAG_DEBUG);
    assert_false(diag_level_parse("loud", &level));
    assert_false(diag_level_parse("", &level));
}

static void a_gate_passes_a_burst_each_second_and_counts_the_rest(void **state)
{
    (void)state;
    struct diag_gate gate = {0};
    for (int i = 0; i < 10; i++)
        assert_int_equal(diag_gate_pass(&gate, 3, 5000 + (uint64_t)i), i < 3);
    assert_int_equal(gate.suppressed, 7);
    assert_true(diag_gate_pass(&gate, 3, 6000));
    assert_int_equal(gate.suppressed, 7);
    gate.suppressed = 0;
    assert_true(diag_gate_pass(&gate, 3, 6999));
    assert_true(diag_gate_pass(&gate, 3, 6999));
    assert_false(diag_gate_pass(&gate, 3, 6999));
    assert_int_equal(gate.suppressed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_time_level_phrase_and_fields),
        cmocka_unit_test(a_value_cannot_forge_a_line_or_a_field),
        cmocka_unit_test(empty_and_spaced_values_are_quoted),
        cmocka_unit_test(json_lines_are_objects),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_line_past_its_bound_is_replaced_by_a_warning),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(level_names_are_parsed),
        cmocka_unit_test(a_gate_passes_a_burst_each_second_and_counts_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
