/* test_counters.c - counting, and the Prometheus text format. */
/* SPDX-License-Identifier: MIT */
#include "base/counters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void the_same_name_and_label_is_the_same_counter(void **state)
{
    (void)state;
    struct counters *counters = counters_new();
    struct counter *plain =
        counters_add(counters, COUNTER_TOTAL, "a_total", NULL, "A.");
    struct counter *ws =
        counters_add(counters, COUNTER_TOTAL, "a_total", "t=\"ws\"", "A.");
    struct counter *sse =
        counters_add(counters, COUNTER_TOTAL, "a_total", "t=\"sse\"", "A.");
    assert_ptr_not_equal(plain, ws);
    assert_ptr_not_equal(ws, sse);
    assert_ptr_equal(counters_add(counters, COUNTER_TOTAL, "a_total", NULL, "A."),
                     plain);
    assert_ptr_equal(counters_add(counters, COUNTER_TOTAL, "a_total", "t=\"ws\"", "A."),
                     ws);
    counter_add(ws, 2);
    counter_add(ws, 3);
    assert_int_equal(ws->value, 5);
    assert_int_equal(plain->value, 0);
    counters_free(counters);
    counters_free(NULL);
}

static void families_are_written_together_under_one_heading(void **state)
{
    (void)state;
    struct counters *counters = counters_new();
    struct buf out;
    buf_init(&out, 10000);
    counter_add(
        counters_add(counters, COUNTER_TOTAL, "events_total", "t=\"ws\"", "Events."),
        7);
    counters_add(counters, COUNTER_GAUGE, "open", NULL, "Odd \\ help\nof two lines.")
        ->value = 3;
    counter_add(
        counters_add(counters, COUNTER_TOTAL, "events_total", "t=\"sse\"", "Events."),
        UINT64_MAX);
    counters_write(counters, &out);
    assert_string_equal(buf_text(&out),
                        "# HELP thinkwire_events_total Events.\n"
                        "# TYPE thinkwire_events_total counter\n"
                        "thinkwire_events_total{t=\"ws\"} 7\n"
                        "thinkwire_events_total{t=\"sse\"} 18446744073709551615\n"
                        "# HELP thinkwire_open Odd \\\\ help\\nof two lines.\n"
                        "# TYPE thinkwire_open gauge\n"
                        "thinkwire_open 3\n");
    buf_release(&out);
    counters_free(counters);
}

static void assert_says(struct buf *out, const char *line)
{
    if (strstr(buf_text(out), line) == NULL)
        fail_msg("no line %s in:\n%s", line, buf_text(out));
}

static void histogram_buckets_are_cumulative(void **state)
{
    (void)state;
    struct counters *counters = counters_new();
    struct buf out;
    buf_init(&out, 10000);
    struct histogram *histogram = counters_add_histogram(counters, "lag_ms", "Lag.");
    assert_ptr_equal(counters_add_histogram(counters, "lag_ms", "Lag."), histogram);
    const double values[] = {0, 0.1, 0.11, 1.5, 10000, 10000.1, 1e9, -5, NAN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        histogram_observe(histogram, values[i]);
    counters_write(counters, &out);
    assert_says(&out, "# TYPE thinkwire_lag_ms histogram\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"0.1\"} 3\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"0.2\"} 4\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"1\"} 4\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"2\"} 5\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"5000\"} 5\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"10000\"} 6\n");
    assert_says(&out, "thinkwire_lag_ms_bucket{le=\"+Inf\"} 8\n");
    assert_says(&out, "thinkwire_lag_ms_sum 1000020001.81\n");
    assert_says(&out, "thinkwire_lag_ms_count 8\n");
    buf_release(&out);
    counters_free(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_name_and_label_is_the_same_counter),
        cmocka_unit_test(families_are_written_together_under_one_heading),
        cmocka_unit_test(histogram_buckets_are_cumulative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
