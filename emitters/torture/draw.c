/* draw.c - numbers drawn from a seed: the same on every machine. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/draw.h"

uint64_t draw_next(struct draw *draw)
{
    uint64_t z = (draw->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct draw draw_of(uint64_t seed, uint64_t purpose, uint64_t index)
{
    struct draw draw = {seed};

    draw.state = draw_next(&draw) ^ purpose * UINT64_C(0xd1342543de82ef95);
    draw.state = draw_next(&draw) ^ index * UINT64_C(0xaf251af3b0f025b5);
    return draw;
}

unsigned draw_below(struct draw *draw, unsigned bound)
{
    return (unsigned)(draw_next(draw) % bound);
}

unsigned draw_between(struct draw *draw, unsigned least, unsigned most)
{
    return least + draw_below(draw, most - least + 1);
}
