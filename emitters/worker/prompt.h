/* prompt.h - the body of a request to a provider. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_PROMPT_H
#define THINKWIRE_WORKER_PROMPT_H

#include "base/buf.h"
#include "failure.h"

/*
 * The same messages become the body for each of the three APIs. A message is either text of
 * ours or a client's own object, as it stands in OpenAI's `messages`: Chat Completions gets it
 * untouched; the other two get its role and content, parts of text renamed as they must be.
 * They have no word for roles `tool` and `function` in that form: those go as a user's words.
 * Anthropic's first system messages become `system`; a later one goes as a user's words, the
 * only way to have an instruction last. Pure.
 */
#define PROMPT_MAX_MESSAGES 1000

struct prompt_message {
    const char *role;  /* "system", "user", "assistant", ... static */
    struct slice text; /* UTF-8, when `json` is empty */
    struct slice json; /* an object that prompt_read() has checked */
};

struct prompt {
    struct prompt_message *messages; /* owned */
    size_t count;
};

void prompt_release(struct prompt *prompt);
/* Texts are borrowed as long as the prompt is used. */
void prompt_add(struct prompt *prompt, const char *role, struct slice text);
/* Adds the messages of a client (JSON that passed json_check(); borrowed). False with words
 * and the field that is wrong ("messages[2].role") in `error`, and nothing added. */
bool prompt_read(struct prompt *prompt, struct slice messages, struct buf *error);

/* Appends partial answer and instruction (S2), shaped by where the partial was cut (S12); of
 * the partial only the last `limit` code points (S10), 0 = all. True when it was shortened. */
bool prompt_continue(struct prompt *prompt, struct slice partial, size_t limit);

/* Chat Completions had one word for the longest answer, and its newer models refuse it. */
enum prompt_max_tokens { PROMPT_MAX_TOKENS, PROMPT_MAX_COMPLETION_TOKENS };

struct prompt_options {
    enum provider_api api;
    struct slice model; /* UTF-8 */
    bool is_stream;
    bool wants_usage;    /* stream_options; Chat Completions only */
    uint64_t max_tokens; /* 0 = the provider's choice (Anthropic: 4096) */
    enum prompt_max_tokens max_tokens_name; /* of Chat Completions */
    struct slice temperature; /* a JSON number; empty = the provider's choice */
    /* Objects whose members are added as they are: of the provider's configuration, and of
     * the client (top_p, tools, ...). Members this builder writes are passed over, as is in
     * the second what the first has said. Empty or checked JSON. */
    struct slice extra;
    struct slice client_extra;
};
/* Appends the JSON body; false when `out` is full. */
bool prompt_body(struct buf *out, const struct prompt *prompt,
                 const struct prompt_options *options);
/* "/responses", "/chat/completions", "/messages": behind the base URL. */
const char *prompt_path(enum provider_api api);

#endif
