/* kept.h - how much of a task emitters let Redis keep. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_LIB_KEPT_H
#define THINKWIRE_LIB_KEPT_H

/* The defaults of the broker's --retain-... rows: it uses its own when it publishes for
 * somebody, here the publisher decides. A run in which nothing happens for a day goes. */
#define KEPT_BY_DEFAULT                                                                \
    {                                                                                  \
        .retain_events = 2000, .retain_bytes = 1U << 20,                               \
        .retain_text_bytes = 4U << 20, .retain_finished_ms = 600000,                   \
        .retain_running_ms = 86400000                                                  \
    }

#endif
