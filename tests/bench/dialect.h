/* dialect.h - what the dialects share; readers see reader.h alone. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DIALECT_H
#define BENCH_DIALECT_H

#include "reader.h"

bool text_has(const char *text, size_t length, const char *needle);
bool text_starts(const char *text, size_t length, const char *prefix);

/* How the reader asks to begin: "since" what it has seen, else "from" as the plan says;
 * false when it leaves that to the server. */
bool dialect_begin(const struct reader *reader, const char **how, const char **where);
/* Remembers the id of the last event in `text`; told to start anew, it counts that. */
void dialect_note_place(struct reader *reader, const char *text, size_t length);
void dialect_refused(struct reader *reader, const char *text, size_t length);

/* 420["task_subscribe",…] */
void socketio_subscription(const struct reader *reader, struct text *out);

/* dialect_poll.c: one request after the other on one connection. */
void polling_connected(struct reader *reader);
bool polling_text(struct reader *reader, const char *text, size_t length);
void longpoll_connected(struct reader *reader);
bool longpoll_text(struct reader *reader, const char *text, size_t length);

#endif
