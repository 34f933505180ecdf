/* report.h - the rows of telemetry that a run leaves. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_REPORT_H
#define THINKWIRE_WORKER_REPORT_H

#include "generation.h"

/*
 * `openai_call` for each run, and `error` for each that failed; base/telemetry.h writes them.
 * Never what users or models said.
 */

/* Fits worker_options.on_report. `ctx` is a struct telemetry, or NULL. */
void report_rows(void *ctx, const struct generation_report *report);

#endif
