/* test_config_sources.c - the environment, the file, and which source wins. */
/* SPDX-License-Identifier: MIT */
#include "config_case.h"

static char file_path[] = "/tmp/thinkwire-config-XXXXXX";

static const char *write_file(const char *text)
{
    FILE *file = fopen(file_path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return file_path;
}

static void the_environment_is_read_under_both_names(void **state)
{
    (void)state;
    struct load load;
    assert_int_equal(setenv("PING_INTERVAL", "200", 1), 0);
    assert_int_equal(setenv("THINKWIRE_FRAPPE", "on", 1), 0);
    assert_int_equal(setenv("THINKWIRE_BUS", "", 1), 0);
    load_begin(&load);
    load_run(&load, (const char *const[]){NULL});
    assert_int_equal(load.target.interval_ms, 200);
    assert_true(load.target.frappe);
    assert_string_equal(load.target.bus, "memory"); /* empty counts as not set */
    load_end(&load);

    assert_int_equal(setenv("THINKWIRE_PING_INTERVAL_MS", "300", 1), 0);
    load_begin(&load);
    load_run(&load, (const char *const[]){NULL});
    assert_int_equal(load.target.interval_ms, 300);
    load_end(&load);

    assert_int_equal(setenv("THINKWIRE_PING_INTERVAL_MS", "no", 1), 0);
    load_begin(&load);
    load_run(&load, (const char *const[]){NULL});
    assert_failed(&load,
                  "ping-interval-ms (environment THINKWIRE_PING_INTERVAL_MS): \"no\"");
    load_end(&load);
}

static void the_file_is_read_line_by_line(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    const char *path = write_file("# comment\n"
                                  "\r\n"
                                  "ping-interval-ms   500   # behind a value\r\n"
                                  "\tbus redis://:pa#ss@host/0\n"
                                  "frappe\n"
                                  "sites a,b\n"
                                  "sites c\n"
                                  "log-level warn");
    LOAD(&load, "--config", path);
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_int_equal(load.target.interval_ms, 500);
    assert_string_equal(load.target.bus, "redis://:pa#ss@host/0");
    assert_true(load.target.frappe);
    assert_int_equal(load.target.level, 1);
    assert_list(&load.target.sites, "a|b|c|");
    load_end(&load);
}

static void mistakes_in_the_file_are_told_with_their_line(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"bus memory\nping-interval-ms ten\n", " line 2): \"ten\" is not allowed"},
        {"\n\npnig-interval-ms 5\n", " line 3); did you mean ping-interval-ms?"},
        {"config other\n", "unknown option \"config\""},
        {"log-level\n", " line 1): \"\" is not allowed"},
        {"bus = memory\x01\n", "control characters"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load load;
        char option[64];
        load_begin(&load);
        (void)snprintf(option, sizeof(option), "--config=%s",
                       write_file(cases[i].text));
        LOAD(&load, option);
        assert_failed(&load, cases[i].part);
        load_end(&load);
    }
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct load load;
    load_begin(&load);
    LOAD(&load, "--config", "/nonexistent/thinkwire.conf");
    assert_failed(&load, "cannot read \"/nonexistent/thinkwire.conf\": No such file");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--config");
    assert_failed(&load, "--config (command line) needs a value");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--config", "/");
    assert_failed(&load, "cannot read");
    load_end(&load);
}

static void a_file_past_its_bound_is_an_error(void **state)
{
    (void)state;
    struct load load;
    FILE *file = fopen(file_path, "we");
    assert_non_null(file);
    for (int i = 0; i < 1100 * 1024; i++)
        assert_int_equal(fputc('\n', file), '\n');
    assert_int_equal(fclose(file), 0);
    load_begin(&load);
    LOAD(&load, "--config", file_path);
    assert_failed(&load, "File too large");
    load_end(&load);
}

static void the_stronger_source_wins(void **state)
{
    (void)state;
    struct load load;
    const char *path = write_file("ping-interval-ms 200\nbus file\nlog-level error\n");
    assert_int_equal(setenv("THINKWIRE_BUS", "env", 1), 0);
    assert_int_equal(setenv("THINKWIRE_LOG_LEVEL", "warn", 1), 0);
    load_begin(&load);
    LOAD(&load, "--log-level", "debug", "--config", path);
    assert_int_equal(load.outcome, CONFIG_RUN);
    assert_int_equal(load.target.interval_ms, 200);
    assert_string_equal(load.target.bus, "env");
    assert_int_equal(load.target.level, 3);
    load_end(&load);
}

static void a_list_replaces_the_weaker_one_as_a_whole(void **state)
{
    (void)state;
    struct load load;
    const char *path = write_file("sites f1,f2\n");
    load_begin(&load);
    LOAD(&load, "--config", path, "--sites", "a, b ,,c", "--sites=d");
    assert_list(&load.target.sites, "a|b|c|d|");
    load_end(&load);

    assert_int_equal(setenv("FRAPPE_SITES", "alias", 1), 0);
    load_begin(&load);
    LOAD(&load, "--config", path);
    assert_list(&load.target.sites, "alias|");
    load_end(&load);
    assert_int_equal(setenv("THINKWIRE_SITES", "e1,e2", 1), 0);
    load_begin(&load);
    LOAD(&load, "--config", path);
    assert_list(&load.target.sites, "e1|e2|");
    load_end(&load);
    load_begin(&load);
    LOAD(&load, "--sites=");
    assert_list(&load.target.sites, "");
    load_end(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN_TEST(the_environment_is_read_under_both_names),
        CLEAN_TEST(the_file_is_read_line_by_line),
        CLEAN_TEST(mistakes_in_the_file_are_told_with_their_line),
        CLEAN_TEST(a_file_that_cannot_be_read_is_an_error),
        CLEAN_TEST(a_file_past_its_bound_is_an_error),
        CLEAN_TEST(the_stronger_source_wins),
        CLEAN_TEST(a_list_replaces_the_weaker_one_as_a_whole),
    };
    int file = mkstemp(file_path);
    if (file < 0)
        return 1;
    (void)close(file);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(file_path);
    return failures;
}
