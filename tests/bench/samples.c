/* samples.c - measured times, their percentiles, and seeded chance. */
/* SPDX-License-Identifier: MIT */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, uint64_t ns)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 4096;
        samples->ns = realloc(samples->ns, samples->room * sizeof(*samples->ns));
        if (!samples->ns)
            abort();
    }
    samples->ns[samples->count++] = ns;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

void samples_sort(struct samples *samples)
{
    if (samples->count > 0)
        qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
}

double samples_us(const struct samples *samples, unsigned permille)
{
    if (samples->count == 0)
        return 0.0;
    size_t rank = (samples->count * permille + 999) / 1000;
    return (double)samples->ns[rank > 0 ? rank - 1 : 0] / 1e3;
}

void samples_print(struct samples *samples)
{
    samples_sort(samples);
    printf("{\"count\":%zu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"max_us\":%.1f}",
           samples->count, samples_us(samples, 500), samples_us(samples, 900),
           samples_us(samples, 990), samples_us(samples, 999),
           samples_us(samples, 1000));
}

void samples_release(struct samples *samples)
{
    free(samples->ns);
    *samples = (struct samples){0};
}

uint64_t chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t chance_about(uint64_t *state, uint64_t about)
{
    return about - about / 4 + chance(state) % (about / 2 + 1);
}
