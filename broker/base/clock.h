/* clock.h - wall time, monotonic time and randomness, in one place. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_CLOCK_H
#define THINKWIRE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since 1970 UTC. */
uint64_t clock_wall_ms(void);
/* Monotonic milliseconds. */
uint64_t clock_mono_ms(void);
/* Monotonic nanoseconds. */
uint64_t clock_mono_ns(void);

#define CLOCK_ISO_SIZE 25
/* "2026-11-20T23:00:00.123Z"; `out` holds CLOCK_ISO_SIZE bytes with the NUL. */
void clock_iso(uint64_t wall_ms, char out[CLOCK_ISO_SIZE]);

/* From getrandom(2); aborts when the kernel has none. */
void random_bytes(void *out, size_t len);
/* `digits` (an even number) random digits 0-9 a-f and a NUL: a name that nobody guesses. */
void random_hex(char *out, size_t digits);
/* Uniform in 0..bound-1; `bound` > 0. */
uint32_t random_below(uint32_t bound);

#endif
