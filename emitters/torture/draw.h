/* draw.h - numbers drawn from a seed: the same on every machine. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_DRAW_H
#define THINKWIRE_TORTURE_DRAW_H

#include <stdint.h>

/* splitmix64: small, and what a seed makes is easy to say. Never for secrets. */
struct draw {
    uint64_t state;
};

/* A sequence of its own for each purpose, so that one more draw here changes nothing there. */
struct draw draw_of(uint64_t seed, uint64_t purpose, uint64_t index);
uint64_t draw_next(struct draw *draw);
/* 0..bound-1; `bound` > 0. */
unsigned draw_below(struct draw *draw, unsigned bound);
/* least..most */
unsigned draw_between(struct draw *draw, unsigned least, unsigned most);

#endif
