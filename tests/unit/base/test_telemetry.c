/* test_telemetry.c - rows in a file per day, and the days that are over. */
/* SPDX-License-Identifier: MIT */
#include "base/telemetry.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_MS UINT64_C(86400000)

struct folder {
    char top[64];
    char dir[80];
    struct counters *counters;
};

static int with_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    assert_non_null(folder);
    (void)snprintf(folder->top, sizeof(folder->top), "/tmp/thinkwire-rows-XXXXXX");
    assert_non_null(mkdtemp(folder->top));
    (void)snprintf(folder->dir, sizeof(folder->dir), "%s/rows", folder->top);
    folder->counters = counters_new();
    *state = folder;
    return 0;
}

static int without(void **state)
{
    struct folder *folder = *state;
    const struct dirent *entry;
    DIR *dir = opendir(folder->dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        (void)closedir(dir);
    (void)unlink(folder->dir);
    (void)rmdir(folder->dir);
    assert_int_equal(rmdir(folder->top), 0);
    counters_free(folder->counters);
    free(folder);
    return 0;
}

static struct telemetry *writer(const struct folder *folder, uint64_t keep_days,
                                uint64_t day_bytes)
{
    return telemetry_new(&(struct telemetry_options){.dir = folder->dir,
                                                     .keep_days = keep_days,
                                                     .day_bytes = day_bytes},
                         folder->counters);
}

/* The file of the day that was so many days ago. */
static void path_of(const struct folder *folder, unsigned days_ago, char path[160])
{
    char day[CLOCK_ISO_SIZE];

    clock_iso(clock_wall_ms() - days_ago * DAY_MS, day);
    (void)snprintf(path, 160, "%s/telemetry-%.10s.jsonl", folder->dir, day);
}

static void leave_file(const char *path)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fputs("{}\n", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static size_t read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len;

    assert_non_null(file);
    len = fread(out, 1, size - 1, file);
    assert_int_equal(fclose(file), 0);
    out[len] = '\0';
    return len;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void rows_stand_in_the_file_of_their_day(void **state)
{
    const struct folder *folder = *state;
    struct telemetry *telemetry = writer(folder, 30, 0);
    char path[160];
    char text[1024];

    telemetry_row(telemetry, "a", slice_of("{\"n\":1}"));
    telemetry_row(telemetry, "b", slice_of("{\"n\":2}"));
    telemetry_free(telemetry);
    path_of(folder, 0, path);
    (void)read_file(path, text, sizeof(text));
    const char *second = strchr(text, '\n') + 1;
    assert_memory_equal(text, "{\"type\":\"a\",\"created_at\":\"20", 28);
    assert_non_null(strstr(text, "\",\"payload_json\":{\"n\":1}}\n{\"type\":\"b\""));
    assert_non_null(strstr(second, "\",\"payload_json\":{\"n\":2}}\n"));
}

static void days_that_are_over_are_deleted_and_nothing_else_is(void **state)
{
    const struct folder *folder = *state;
    char old[160];
    char kept[160];
    char foreign[160];

    assert_int_equal(mkdir(folder->dir, 0700), 0);
    path_of(folder, 5, old);
    path_of(folder, 2, kept);
    (void)snprintf(foreign, sizeof(foreign), "%s/telemetry-2020-01-01.jsonl.gz",
                   folder->dir);
    leave_file(old);
    leave_file(kept);
    leave_file(foreign);
    struct telemetry *telemetry = writer(folder, 3, 0);
    for (unsigned turns = 0; turns < 2000 && exists(old); turns++)
        usleep(5000);
    telemetry_free(telemetry);
    assert_false(exists(old));
    assert_true(exists(kept));
    assert_true(exists(foreign));
}

static void with_0_days_nothing_is_deleted(void **state)
{
    const struct folder *folder = *state;
    char old[160];
    char today[160];

    assert_int_equal(mkdir(folder->dir, 0700), 0);
    path_of(folder, 5000, old);
    leave_file(old);
    struct telemetry *telemetry = writer(folder, 0, 0);
    telemetry_row(telemetry, "a", slice_of("{}"));
    telemetry_free(telemetry);
    path_of(folder, 0, today);
    assert_true(exists(today)); /* the thread has had its turn */
    assert_true(exists(old));
}

static uint64_t lost(const struct folder *folder)
{
    return counters_add(folder->counters, COUNTER_TOTAL, "telemetry_lost_total", NULL,
                        "")
        ->value;
}

/* The thread tells what it lost when the next row comes. */
static void write_until_lost(const struct folder *folder, struct telemetry *telemetry)
{
    for (unsigned turns = 0; turns < 2000 && lost(folder) == 0; turns++) {
        telemetry_row(telemetry, "a",
                      slice_of("{\"text\":\"xxxxxxxxxxxxxxxxxxxxxx\"}"));
        usleep(5000);
    }
    assert_true(lost(folder) > 0);
}

static void a_day_that_is_full_loses_rows_and_counts_them(void **state)
{
    const struct folder *folder = *state;
    struct telemetry *telemetry = writer(folder, 30, 500);
    char path[160];
    char text[1024];

    path_of(folder, 0, path);
    telemetry_row(telemetry, "a", slice_of("{}"));
    for (unsigned turns = 0; turns < 2000 && !exists(path); turns++)
        usleep(5000);
    write_until_lost(folder, telemetry);
    telemetry_free(telemetry);
    size_t len = read_file(path, text, sizeof(text));
    assert_in_range(len, 50, 500);
    assert_int_equal(text[len - 1], '\n');
}

static void a_folder_that_cannot_be_disturbs_nobody(void **state)
{
    const struct folder *folder = *state;

    leave_file(folder->dir); /* a file stands in its place */
    struct telemetry *telemetry = writer(folder, 30, 0);
    write_until_lost(folder, telemetry);
    telemetry_free(telemetry);
}

int main(void)
{
#define ROWS_TEST(name) cmocka_unit_test_setup_teardown(name, with_folder, without)
    const struct CMUnitTest tests[] = {
        ROWS_TEST(rows_stand_in_the_file_of_their_day),
        ROWS_TEST(days_that_are_over_are_deleted_and_nothing_else_is),
        ROWS_TEST(with_0_days_nothing_is_deleted),
        ROWS_TEST(a_day_that_is_full_loses_rows_and_counts_them),
        ROWS_TEST(a_folder_that_cannot_be_disturbs_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
