/* counters.c - named counters, gauges and histograms; Prometheus text out. */
/* SPDX-License-Identifier: MIT */
#include "base/counters.h"

#include "base/list.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define PREFIX "thinkwire_"

/* Upper bounds in milliseconds; one more bucket has none. */
static const double bounds[] = {0.1, 0.2, 0.5, 1,   2,    5,    10,   20,
                                50,  100, 200, 500, 1000, 2000, 5000, 10000};
#define BOUND_COUNT (sizeof(bounds) / sizeof(bounds[0]))

struct histogram {
    uint64_t buckets[BOUND_COUNT + 1];
    double sum_ms;
};

struct sample {
    struct list node;
    struct counter counter;
    char *label; /* NULL: none */
};

/* Everything of one name: the exposition format wants it together, under one heading. */
struct family {
    struct list node;
    char *name;
    char *help;
    enum counter_kind kind;
    struct list samples;
    struct histogram *histogram; /* then there are no samples */
};

struct counters {
    struct list families;
};

struct counters *counters_new(void)
{
    struct counters *counters = mem_new(sizeof(*counters));
    list_init(&counters->families);
    return counters;
}

static void family_free(struct family *family)
{
    LIST_FOR_EACH(it, tmp, &family->samples)
    {
        struct sample *sample = LIST_ENTRY(it, struct sample, node);
        list_remove(it);
        free(sample->label);
        free(sample);
    }
    free(family->histogram);
    free(family->name);
    free(family->help);
    free(family);
}

void counters_free(struct counters *counters)
{
    if (counters == NULL)
        return;
    LIST_FOR_EACH(it, tmp, &counters->families)
    {
        list_remove(it);
        family_free(LIST_ENTRY(it, struct family, node));
    }
    free(counters);
}

/* Linear: done at start, for some dozens of names. */
static struct family *family_get(struct counters *counters, const char *name,
                                 const char *help)
{
    LIST_FOR_EACH(it, tmp, &counters->families)
    {
        struct family *family = LIST_ENTRY(it, struct family, node);
        if (strcmp(family->name, name) == 0)
            return family;
    }

    struct family *family = mem_new(sizeof(*family));
    family->name = mem_text(slice_of(name));
    family->help = mem_text(slice_of(help));
    list_init(&family->samples);
    list_init(&family->node);
    list_push_back(&counters->families, &family->node);
    return family;
}

static bool is_same_label(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

struct counter *counters_add(struct counters *counters, enum counter_kind kind,
                             const char *name, const char *label, const char *help)
{
    struct family *family = family_get(counters, name, help);

    assert(family->histogram == NULL);
    LIST_FOR_EACH(it, tmp, &family->samples)
    {
        struct sample *sample = LIST_ENTRY(it, struct sample, node);
        if (is_same_label(sample->label, label))
            return &sample->counter;
    }

    struct sample *sample = mem_new(sizeof(*sample));
    sample->label = label == NULL ? NULL : mem_text(slice_of(label));
    list_init(&sample->node);
    list_push_back(&family->samples, &sample->node);
    family->kind = kind;
    return &sample->counter;
}

struct histogram *counters_add_histogram(struct counters *counters, const char *name,
                                         const char *help)
{
    struct family *family = family_get(counters, name, help);

    assert(list_is_empty(&family->samples));
    if (family->histogram == NULL)
        family->histogram = mem_new(sizeof(*family->histogram));
    return family->histogram;
}

void histogram_observe(struct histogram *histogram, double milliseconds)
{
    size_t i = 0;

    if (isnan(milliseconds))
        return;
    if (milliseconds < 0)
        milliseconds = 0; /* two clocks, or one that was set back */
    while (i < BOUND_COUNT && milliseconds > bounds[i])
        i++;
    histogram->buckets[i]++;
    histogram->sum_ms += milliseconds;
}

static void write_help(const char *help, struct buf *out)
{
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\\')
            buf_puts(out, "\\\\");
        else if (*c == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, *c);
    }
}

static void write_head(const struct family *family, const char *type, struct buf *out)
{
    buf_printf(out, "# HELP " PREFIX "%s ", family->name);
    write_help(family->help, out);
    buf_printf(out, "\n# TYPE " PREFIX "%s %s\n", family->name, type);
}

static void write_samples(const struct family *family, struct buf *out)
{
    write_head(family, family->kind == COUNTER_GAUGE ? "gauge" : "counter", out);
    LIST_FOR_EACH(it, tmp, &family->samples)
    {
        const struct sample *sample = LIST_ENTRY(it, struct sample, node);
        buf_printf(out, PREFIX "%s", family->name);
        if (sample->label != NULL)
            buf_printf(out, "{%s}", sample->label);
        buf_printf(out, " %" PRIu64 "\n", sample->counter.value);
    }
}

static void write_histogram(const struct family *family, struct buf *out)
{
    const struct histogram *histogram = family->histogram;
    uint64_t count = 0;

    write_head(family, "histogram", out);
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        count += histogram->buckets[i];
        buf_printf(out, PREFIX "%s_bucket{le=\"%g\"} %" PRIu64 "\n", family->name,
                   bounds[i], count);
    }
    count += histogram->buckets[BOUND_COUNT];
    buf_printf(out, PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", family->name, count);
    buf_printf(out, PREFIX "%s_sum %.15g\n", family->name, histogram->sum_ms);
    buf_printf(out, PREFIX "%s_count %" PRIu64 "\n", family->name, count);
}

void counters_write(const struct counters *counters, struct buf *out)
{
    LIST_FOR_EACH(it, tmp, &counters->families)
    {
        const struct family *family = LIST_ENTRY(it, struct family, node);
        if (family->histogram != NULL)
            write_histogram(family, out);
        else
            write_samples(family, out);
    }
}
