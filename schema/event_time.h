/* event_time.h - the one spelling of time in events. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_SCHEMA_EVENT_TIME_H
#define THINKWIRE_SCHEMA_EVENT_TIME_H

#include "base/slice.h"

/* Exactly "YYYY-MM-DDTHH:MM:SS.mmmZ" (ISO 8601, UTC, milliseconds), a day that exists,
 * no leap second. */
bool event_time_is_iso(struct slice text);

#endif
