/* dialect.h - one run, told to a reader in the words of another protocol, over SSE. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_DIALECT_H
#define THINKWIRE_CODEC_DIALECT_H

#include "base/buf.h"

#include <stdint.h>

/*
 *      dialect_start() --> dialect_snapshot()? --> dialect_event()* --> dialect_is_over()
 *
 *   openai   chat.completion.chunk and [DONE]            (OpenAI Chat Completions)
 *   chat     token, usage, done                          (requirements C1, C7)
 *   ai-sdk   UI message stream, version 1                (Vercel AI SDK 5 and later)
 *   ag-ui    RUN_STARTED ... RUN_FINISHED or RUN_ERROR   (AG-UI)
 *
 * The state of one reader is a few dozen bytes; it makes every stream valid by itself wherever
 * the reader joins: parts are opened before their first delta and closed before the next
 * begins, a join in the middle gets what was before as one large delta, and all ends once.
 *
 * A resync cannot take back what was told. But what was told is nearly always the beginning
 * of what is true: the state knows how much was told and its hash, dialect_snapshot() tells
 * only the rest, and where the text really is another one the stream ends with an error.
 *
 * Beside reasoning, text, usage, continue_started and the three ends, `tool_call` events have a
 * word in openai, when they carry `tool_calls`, an array as in a chunk's delta. A completion may
 * carry finish_reason; it and `stopped` tokens_in and tokens_out, for readers who joined after
 * `usage`.
 *
 * Everything is appended to `out`: whole SSE blocks. Pure: no I/O, no clock.
 */
enum dialect_form { FORM_OPENAI, FORM_CHAT, FORM_AI_SDK, FORM_AG_UI };
#define DIALECT_FORMS 4
/* By its name in `?format=`. */
bool dialect_form_of(struct slice name, enum dialect_form *form);

enum dialect_option {
    DIALECT_USAGE = 1, /* openai: a last chunk with usage (stream_options) */
    DIALECT_REASONING =
        2,             /* openai: reasoning as delta.reasoning_content; else left out */
    DIALECT_AGENT = 4, /* openai: acknowledgement first, final_response last (R2) */
    DIALECT_CONTINUED = 8 /* openai: continue_started is told (S1), and the stream is of
                              this run's share alone */
};

/* Of the run that is read, as it was when the reader joined: the epoch stays in the ids of the
 * stream also when its producer had to open the run anew. Only the model may become known
 * later. Borrowed during a call. */
struct dialect_run {
    struct slice task_id; /* native form */
    uint64_t epoch;
    uint64_t created_s; /* since 1970 */
    struct slice model; /* UTF-8; may be empty */
};

enum dialect_part { PART_NONE, PART_REASONING, PART_TEXT };

struct dialect_told {
    uint64_t len; /* bytes of UTF-8 */
    uint64_t hash;
};

/* Opaque; embedded in whoever keeps it. */
struct dialect_state {
    uint8_t form;
    uint8_t options;
    uint8_t open; /* enum dialect_part */
    bool is_started;
    bool is_over;
    bool has_usage;
    uint32_t parts;              /* opened so far */
    struct dialect_told told[3]; /* by enum dialect_part */
    uint64_t tokens_in;
    uint64_t tokens_out;
};

void dialect_init(struct dialect_state *state, enum dialect_form form,
                  unsigned options);
/* The beginning of the stream, at once and before anything is known of the answer. */
void dialect_start(struct buf *out, struct dialect_state *state,
                   const struct dialect_run *run);
/* What the run has said so far, for a join or a resync: UTF-8, from its beginning. */
void dialect_snapshot(struct buf *out, struct dialect_state *state,
                      const struct dialect_run *run, struct slice reasoning,
                      struct slice text);
/* One canonical event, also a merged one, in order and none twice; JSON that passed
 * json_check(). Types that the dialect has no word for tell nothing. */
void dialect_event(struct buf *out, struct dialect_state *state,
                   const struct dialect_run *run, struct slice event);
/* The stream ends here for a reason that is no event: GONE, UNKNOWN_TASK, ... */
void dialect_fail(struct buf *out, struct dialect_state *state,
                  const struct dialect_run *run, const char *code, const char *message);
/* The end was told: the connection may close, and later events tell nothing. */
bool dialect_is_over(const struct dialect_state *state);

/* ---- one answer instead of a stream (R13, R16) ---- */

struct dialect_answer {
    struct slice text;       /* UTF-8 */
    struct slice reasoning;  /* UTF-8; empty = left out */
    struct slice tool_calls; /* a JSON array; empty = left out */
    const char *finish_reason;
    uint64_t tokens_in;
    uint64_t tokens_out;
};
/* A chat.completion object. */
bool dialect_openai_answer(struct buf *out, const struct dialect_run *run,
                           const struct dialect_answer *answer);
/* {"error":{"message","type","param","code"}}: OpenAI's body of a refusal. */
bool dialect_openai_error(struct buf *out, const char *type, const char *code,
                          struct slice message);

#endif
