/* event_time.c - the one spelling of time in events. */
/* SPDX-License-Identifier: MIT */
#include "schema/event_time.h"

/* `9` stands for any digit. */
static bool has_shape(struct slice s, const char *shape)
{
    if (s.len != strlen(shape))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        bool digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (shape[i] == '9' ? !digit : s.ptr[i] != shape[i])
            return false;
    }
    return true;
}

static int digits(struct slice s, size_t at, size_t count)
{
    int value = 0;
    for (size_t i = at; i < at + count; i++)
        value = value * 10 + (s.ptr[i] - '0');
    return value;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool event_time_is_iso(struct slice text)
{
    if (!has_shape(text, "9999-99-99T99:99:99.999Z"))
        return false;
    int month = digits(text, 5, 2);
    int day = digits(text, 8, 2);
    if (month < 1 || month > 12 || day < 1)
        return false;
    if (day > days_in(digits(text, 0, 4), month))
        return false;
    return digits(text, 11, 2) < 24 && digits(text, 14, 2) < 60 &&
           digits(text, 17, 2) < 60;
}
