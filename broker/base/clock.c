/* clock.c - wall time, monotonic time and randomness, in one place. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* 9999-12-31T23:59:59.999Z: the last moment that four digits of year can say. */
#define LAST_WALL_MS 253402300799999u

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;
    if (clock_gettime(id, &now) != 0)
        abort();
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000u;
}

uint64_t clock_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

static void put_digits(char *out, unsigned value, unsigned width)
{
    while (width > 0) {
        out[--width] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Every event carries a timestamp, so this is by hand rather than gmtime and snprintf.
 * Years are counted from March, in eras of 400 years, so that the leap day comes last. */
static void put_date(char *out, uint64_t days_since_1970)
{
    uint64_t days = days_since_1970 + 719468; /* since 0000-03-01 */
    uint64_t era = days / 146097;
    unsigned day_of_era = (unsigned)(days % 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) /
        365;
    unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * from_march + 2) / 5 + 1;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    unsigned year = (unsigned)(era * 400) + year_of_era + (month <= 2 ? 1 : 0);

    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
}

void clock_iso(uint64_t wall_ms, char out[CLOCK_ISO_SIZE])
{
    static const char shape[CLOCK_ISO_SIZE] = "0000-00-00T00:00:00.000Z";
    uint64_t ms = wall_ms > LAST_WALL_MS ? LAST_WALL_MS : wall_ms;
    unsigned ms_of_day = (unsigned)(ms % 86400000u);

    for (size_t i = 0; i < CLOCK_ISO_SIZE; i++)
        out[i] = shape[i];
    put_date(out, ms / 86400000u);
    put_digits(out + 11, ms_of_day / 3600000u, 2);
    put_digits(out + 14, ms_of_day / 60000u % 60, 2);
    put_digits(out + 17, ms_of_day / 1000u % 60, 2);
    put_digits(out + 20, ms_of_day % 1000u, 3);
}

void random_bytes(void *out, size_t len)
{
    char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}

void random_hex(char *out, size_t digits)
{
    /* Drawn into the room of the digits, and spread from the end. */
    unsigned char *bytes = (unsigned char *)out;

    random_bytes(bytes, digits / 2);
    out[digits] = '\0';
    for (size_t i = digits / 2; i-- > 0;) {
        unsigned char byte = bytes[i];
        out[2 * i + 1] = "0123456789abcdef"[byte & 15];
        out[2 * i] = "0123456789abcdef"[byte >> 4];
    }
}

uint32_t random_below(uint32_t bound)
{
    assert(bound > 0);
    /* Below this the lowest residues would come up once more than the others. */
    uint32_t reject_below = (uint32_t)-bound % bound;
    uint32_t value;

    do {
        random_bytes(&value, sizeof(value));
    } while (value < reject_below);
    return value % bound;
}
