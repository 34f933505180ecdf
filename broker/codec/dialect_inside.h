/* dialect_inside.h - what the dialects of a run share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_DIALECT_INSIDE_H
#define THINKWIRE_CODEC_DIALECT_INSIDE_H

#include "codec/dialect.h"
#include "codec/json.h"

/* Everything that is written while one call is served. */
struct teller {
    struct buf *out;
    struct dialect_state *state;
    const struct dialect_run *run;
};

/* How a form says things; `raw` is the inside of a JSON string. A NULL says nothing. */
struct dialect_ops {
    void (*start)(const struct teller *t);
    void (*open)(const struct teller *t);  /* state->open was just set, */
    void (*close)(const struct teller *t); /* is still set */
    void (*delta)(const struct teller *t, enum dialect_part part, struct slice raw);
    void (*usage)(const struct teller *t, struct slice event);
    void (*tool)(const struct teller *t, struct slice tool_calls); /* an array */
    void (*continued)(const struct teller *t, struct slice event);
    void (*done)(const struct teller *t, struct slice event);
    void (*stopped)(const struct teller *t, struct slice event);
    void (*failed)(const struct teller *t, struct slice code, struct slice message);
    bool tells_reasoning; /* openai: only with its option */
};
extern const struct dialect_ops dialect_openai;
extern const struct dialect_ops dialect_chat;
extern const struct dialect_ops dialect_ai_sdk;
extern const struct dialect_ops dialect_ag_ui;

/* A member of an event, raw: of a string the inside. `otherwise` when absent. */
struct slice dialect_text_of(struct slice event, const char *key,
                             const char *otherwise);
struct slice dialect_number_of(struct slice event, const char *key);
/* ,"key":"<raw>" */
void dialect_put(struct buf *out, const char *key, struct slice raw);

#endif
