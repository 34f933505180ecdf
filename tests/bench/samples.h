/* samples.h - measured times, their percentiles, and seeded chance. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint64_t *ns;
    size_t count;
    size_t room;
};

void samples_add(struct samples *samples, uint64_t ns);
/* Sorts; the other questions ask for that. */
void samples_sort(struct samples *samples);
/* In microseconds; `permille` of 500 is the median, 1000 the maximum, 0.0 of nothing. */
double samples_us(const struct samples *samples, unsigned permille);
/* Prints {"count":…,"p50_us":…,"p90_us","p99_us","p999_us","max_us"}. Sorts. */
void samples_print(struct samples *samples);
void samples_release(struct samples *samples);

/* The next number of a seeded sequence (xorshift64*); `*state` must not be 0. */
uint64_t chance(uint64_t *state);
/* `about`, give or take a quarter. */
uint64_t chance_about(uint64_t *state, uint64_t about);

#endif
