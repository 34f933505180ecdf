/* submit.h - a request for a generation: read, judged, opened as a queued run, waited for. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_API_SUBMIT_H
#define THINKWIRE_API_SUBMIT_H

#include "api/api.h"
#include "codec/json.h"

/*
 *   body --form_read()--> struct submission --api_submit()--> queued run, job for a worker
 *                                                |
 *                                                `--> epoch --api_await()--> how it ended
 *
 * Every endpoint that makes a model speak goes this way: /v1/tasks here, the chat endpoints
 * beside it. Whoever wants to stream subscribes to the task as any other reader does.
 */

/* Why a request is refused: an HTTP status, and what http_respond_error() takes. */
struct api_fault {
    unsigned status; /* 0 = none */
    const char *code;
    char message[160];
    const char *field; /* static, or NULL */
};
void api_fault_set(struct api_fault *fault, unsigned status, const char *code,
                   const char *field, const char *message);
void api_fault_respond(const struct api_fault *fault, struct http_exchange *x);

/* ---- what is asked ---- */

/* Slices are borrowed for the call. An empty one: not said. */
struct submission {
    struct slice site; /* native */
    struct slice
        task_id;      /* native; empty: one is made. An open run of it is left alone */
    bool is_continue; /* of task_id: its request and its text are kept, and what is
                           * said here replaces what that request said */
    struct slice from_point; /* JSON number: a continue from there (struct task_point),
                              * not from the end of the text */
    struct slice message;    /* UTF-8: a conversation of one message... */
    const char *message_field; /* ...and what the client calls it, NULL = "message" */
    struct slice messages;     /* ...or OpenAI's messages, a JSON array */
    struct slice partial; /* UTF-8: what a client has of the answer: a continue without
                            * a task that is known here */
    struct slice model;   /* UTF-8, as all that follow */
    struct slice mode;    /* "chat", "agent", "autonomous" */
    struct slice max_tokens;  /* JSON number */
    struct slice temperature; /* JSON number */
    struct slice options;     /* JSON object: further members for the provider */
    struct slice conversation_id;
    struct slice request_id;
    struct slice user;     /* who asks, for log and telemetry */
    struct slice scenario; /* a fault to play; the caller knows whether it may be */
    bool uses_memory;
    bool is_live; /* every delta leaves at once (chat endpoints) */
};

/* The members that requests of all endpoints have in common: message or messages, model,
 * mode, max_tokens (max_completion_tokens), temperature, stream, task_id, conversation_id,
 * useMemory (use_memory), options; OpenAI's further ones (top_p, stop, tools, ...) are put
 * into options. Others are passed over; null is as absent. */
#define FORM_MEMBERS 33
struct form {
    struct submission submission; /* slices point into the body and into `bytes` */
    bool has_stream;              /* `stream` was given... */
    bool is_stream;               /* ...and is true */
    struct json_pick members[FORM_MEMBERS];
    struct buf bytes;
    struct buf options;
};
/* False with a fault: 400 for what is no JSON object, 422 with the field's name for the
 * rest. Released in both cases. Bounds are api_submit()'s. */
bool form_read(struct form *form, struct slice body, struct api_fault *fault);
void form_release(struct form *form);
/* A member that form.c has in its table. False: absent, or null. */
bool form_get(const struct form *form, const char *name, struct json_member *member);
/* One more such string, decoded; empty when absent. False: it is no string. */
bool form_text(struct form *form, const char *name, struct slice *text,
               struct api_fault *fault);

/* ---- submitting ---- */

struct submitted {
    struct api_fault fault; /* status 0: it is queued */
    struct task_key task;
    uint64_t epoch; /* also with a fault: of the run that is open */
};
/* `done` exactly once, perhaps before this returns; what it is given is valid in the call.
 *
 *   422 INVALID_VALUE        a member is wrong or out of bounds, with its field
 *   422 NO_PARTIAL           "No partial response to continue from"
 *   422 UNKNOWN_POINT        there is no such point, or it is too long ago
 *   404 UNKNOWN_TASK         a continue of what nobody knows
 *   409 TASK_OPEN            a run of the task is still open
 *   503 UNAVAILABLE          the bus cannot be reached
 */
typedef void api_submitted(void *ctx, const struct submitted *submitted);
void api_submit(struct api *api, const struct submission *submission,
                api_submitted *done, void *ctx);

/* ---- waiting for the end ---- */

struct api_outcome {
    /* RUN_COMPLETED, RUN_FAILED, RUN_STOPPED; RUN_UNKNOWN: nothing more can be told. */
    enum run_state state;
    bool was_erased; /* RUN_UNKNOWN because of that; else this broker is about to end */
    struct slice text;      /* UTF-8, of the whole chain of continues */
    struct slice reasoning; /* UTF-8 */
    struct slice end;       /* the terminal event: JSON with finish_reason, tokens_in,
                             * tokens_out, cost_usd, model where they are known; of an error
                             * code and message. May be empty */
};
struct api_await;
/* `done` is called at most once, on the loop and not from inside this call. NULL: too many
 * tasks, `done` will not be called. If Redis loses the run its producer tells it again
 * under a newer epoch, and that one's end counts. */
struct api_await *api_await(struct api *api, const struct task_key *task,
                            uint64_t epoch,
                            void (*done)(void *ctx, const struct api_outcome *outcome),
                            void *ctx);
/* Before `done`: it will not be called. The run goes on. */
void api_await_cancel(struct api_await *await);

/* The HTTP status for an error that ended a run: RATE_LIMIT 429, OPENAI_TIMEOUT 504, .. */
unsigned api_status_of_code(struct slice code);

#endif
