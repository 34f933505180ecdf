/* test_config.c - the command line, values, and what --help and its like print. */
/* SPDX-License-Identifier: MIT */
#include "config_case.h"

static void without_sources_the_defaults_hold(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    load_run(&load, (const char *const[]){NULL});
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_false(load.target.frappe);
    assert_int_equal(load.target.interval_ms, 25000);
    assert_int_equal(load.target.retain_bytes, 65536);
    assert_string_equal(load.target.bus, "memory");
    assert_int_equal(load.target.level, 2);
    assert_list(&load.target.sites, "");
    load_end(&load);
}

static void the_command_line_takes_both_forms(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--frappe", "--ping-interval-ms", "100", "--bus=redis://h:1/0?a=b",
         "--log-level=debug");
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_true(load.target.frappe);
    assert_int_equal(load.target.interval_ms, 100);
    assert_string_equal(load.target.bus, "redis://h:1/0?a=b");
    assert_int_equal(load.target.level, 3);
    load_end(&load);
}

static void flags_take_words(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool value;
    } cases[] = {{"on", true},   {"true", true},   {"1", true},
                 {"off", false}, {"false", false}, {"0", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load load;
        char joined[32];
        load_begin(&load);
        (void)snprintf(joined, sizeof(joined), "--frappe=%s", cases[i].word);
        LOAD(&load, joined);
        assert_int_equal(load.target.frappe, cases[i].value);
        load_end(&load);
        load_begin(&load);
        LOAD(&load, "--frappe", cases[i].word);
        assert_int_equal(load.target.frappe, cases[i].value);
        load_end(&load);
    }
}

static void a_flag_does_not_swallow_an_argument(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    load.takes_positional = true;
    LOAD(&load, "--frappe", "1", "--frappe", "off", "task");
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_false(load.target.frappe);
    assert_list(&load.positional, "1|task|");
    load_end(&load);
}

static void arguments_are_collected_and_two_dashes_end_the_options(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    load.takes_positional = true;
    LOAD(&load, "emit", "-", "--bus", "memory", "--", "--help", "-x");
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_list(&load.positional, "emit|-|--help|-x|");
    load_end(&load);
}

static void positional_arguments_are_an_error_where_none_are_wanted(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "stray\n");
    assert_failed(&load, "unexpected argument \"stray\\n\" (command line)");
    load_end(&load);
}

static void sizes_take_suffixes_and_other_numbers_do_not(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } cases[] = {{"1", 1},        {"2k", 2048},
                 {"3M", 3145728}, {"1g", 1073741824},
                 {"1K", 1024},    {"18446744073709551615", UINT64_MAX}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load load;
        load_begin(&load);
        LOAD(&load, "--retain-bytes", cases[i].text);
        assert_int_equal(load.outcome, CONFIG_RUN);
        assert_true(load.target.retain_bytes == cases[i].value);
        load_end(&load);
    }
    static const char *const bad[] = {"",
                                      "k",
                                      "1kk",
                                      "1x",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1.5",
                                      "0x10",
                                      "18446744073709551616",
                                      "17179869185g",
                                      "0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct load load;
        load_begin(&load);
        LOAD(&load, "--retain-bytes", bad[i]);
        assert_failed(&load, "retain-bytes (command line): ");
        load_end(&load);
    }
    struct load load;
    load_begin(&load);
    LOAD(&load, "--ping-interval-ms", "1k");
    assert_failed(&load,
                  "\"1k\" is not allowed; give a whole number from 100 to 3600000");
    load_end(&load);
}

static void values_out_of_range_are_refused_with_the_range(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--ping-interval-ms", "99");
    assert_failed(&load,
                  "ping-interval-ms (command line): \"99\" is not allowed; give a "
                  "whole number from 100 to 3600000");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--log-level", "loud");
    assert_failed(&load, "give one of error|warn|info|debug");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--frappe=maybe");
    assert_failed(&load,
                  "frappe (command line): \"maybe\" is not allowed; give on or off");
    load_end(&load);
}

static void control_characters_in_text_are_refused_and_not_echoed(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--bus", "redis://:secret\x01@host");
    assert_failed(&load, "give text without control characters");
    assert_null(strstr(buf_text(&load.error), "secret"));
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--sites", "a\x7f");
    assert_failed(&load, "give text without control characters");
    load_end(&load);
}

static void an_option_without_its_value_is_told(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--bus");
    assert_failed(&load, "--bus (command line) needs a value");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--bus", "--frappe");
    assert_failed(&load, "--bus=VALUE");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--bus=--odd");
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_string_equal(load.target.bus, "--odd");
    load_end(&load);
}

static void an_unknown_option_names_the_nearest(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"--ping-intervall-ms", "did you mean ping-interval-ms?"},
        {"--retain_bytes=1", "did you mean retain-bytes?"},
        {"--chekc-config", "did you mean check-config?"},
        {"--quite-another-thing", "--help lists them all"},
        {"-x", "unknown option \"-x\""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load load;
        load_begin(&load);
        LOAD(&load, cases[i].text);
        assert_failed(&load, cases[i].part);
        assert_contains(&load.error, "(command line)");
        load_end(&load);
    }
}

static void help_tells_every_row_by_group(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--nonsense", "--help");
    assert_int_equal(load.outcome, CONFIG_DONE);
    assert_int_equal(load.error.len, 0);
    assert_contains(&load.output,
                    "Usage: thinkwired [options]\n\nA broker.\n\nRules\n");
    assert_contains(&load.output,
                    "  --ping-interval-ms NUMBER\n      How often.\n"
                    "      default: 25000; 100 to 3600000; environment: "
                    "THINKWIRE_PING_INTERVAL_MS\n      or PING_INTERVAL\n");
    assert_contains(&load.output, "  --retain-bytes BYTES\n");
    assert_contains(&load.output,
                    "must be\n      wrapped.\n      default: 64k; 1 or more; ");
    assert_contains(&load.output, "  --frappe [on|off]\n");
    assert_contains(&load.output, "  --log-level error|warn|info|debug\n");
    assert_contains(&load.output, "  --sites LIST (repeatable");
    assert_contains(&load.output, "default: none; environment: THINKWIRE_SITES");
    assert_contains(&load.output, "  --check-config\n");
    const char *text = buf_text(&load.output);
    /* One heading for a group, whatever the order of the rows. */
    assert_null(strstr(strstr(text, "\nRules\n") + 1, "\nRules\n"));
    assert_true(strstr(text, "--bus") < strstr(text, "\nTiming\n"));
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "-h");
    assert_int_equal(load.outcome, CONFIG_DONE);
    load_end(&load);
}

static void version_is_one_line(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--version");
    assert_int_equal(load.outcome, CONFIG_DONE);
    assert_string_equal(buf_text(&load.output), "thinkwired 1.2.3\n");
    load_end(&load);
}

static void check_config_says_ok_or_fails(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    load.takes_positional = true;
    LOAD(&load, "--check-config", "--frappe", "word");
    assert_int_equal(load.outcome, CONFIG_DONE);
    assert_string_equal(buf_text(&load.output), "configuration ok\n");
    assert_null(load.target.bus);
    assert_int_equal(load.positional.count, 0);
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--check-config", "--log-level=loud");
    assert_failed(&load, "log-level");
    assert_int_equal(load.output.len, 0);
    load_end(&load);
}

static bool wants_frappe(void *ctx, struct buf *error)
{
    struct target *target = ctx;

    target->interval_ms = 1; /* it may complete what was read */
    return target->frappe || (buf_puts(error, "only with --frappe") && false);
}

static void the_configuration_is_checked_as_a_whole(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    load.check = wants_frappe;
    LOAD(&load, "--frappe", "on");
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_int_equal(load.target.interval_ms, 1);
    load_end(&load);
    load_begin(&load);
    load.check = wants_frappe;
    LOAD(&load, "--bus", "memory");
    assert_failed(&load, "only with --frappe");
    load_end(&load);
    load_begin(&load);
    load.check = wants_frappe;
    LOAD(&load, "--check-config", "--bus", "memory");
    assert_failed(&load, "only with --frappe");
    assert_int_equal(load.output.len, 0);
    load_end(&load);
    load_begin(&load);
    load.check = wants_frappe;
    LOAD(&load, "--check-config", "--frappe", "on");
    assert_int_equal(load.outcome, CONFIG_DONE);
    assert_null(load.target.bus);
    load_end(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN_TEST(without_sources_the_defaults_hold),
        CLEAN_TEST(the_command_line_takes_both_forms),
        CLEAN_TEST(flags_take_words),
        CLEAN_TEST(a_flag_does_not_swallow_an_argument),
        CLEAN_TEST(arguments_are_collected_and_two_dashes_end_the_options),
        CLEAN_TEST(positional_arguments_are_an_error_where_none_are_wanted),
        CLEAN_TEST(sizes_take_suffixes_and_other_numbers_do_not),
        CLEAN_TEST(values_out_of_range_are_refused_with_the_range),
        CLEAN_TEST(control_characters_in_text_are_refused_and_not_echoed),
        CLEAN_TEST(an_option_without_its_value_is_told),
        CLEAN_TEST(an_unknown_option_names_the_nearest),
        CLEAN_TEST(help_tells_every_row_by_group),
        CLEAN_TEST(version_is_one_line),
        CLEAN_TEST(check_config_says_ok_or_fails),
        CLEAN_TEST(the_configuration_is_checked_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
