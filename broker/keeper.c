/* keeper.c - Socket.IO sessions kept in the bus' Redis, for the brokers beside this one. */
/* SPDX-License-Identifier: MIT */
#include "keeper.h"

#include "base/mem.h"
#include "redis/sessions.h"

#include <stdlib.h>

struct keeper {
    struct session_keeper slots;
    struct link *link;
    struct sessions *sessions;
};

static bool is_up(void *ctx)
{
    const struct keeper *keeper = ctx;

    return sessions_is_up(keeper->sessions);
}

static bool keep(void *ctx, const struct session_record *record,
                 void (*done)(void *done_ctx, bool is_taken), void *done_ctx)
{
    const struct keeper *keeper = ctx;
    const struct sessions_record given = {record->pid, record->text, record->ttl_ms};

    return sessions_keep(keeper->sessions, &given, done, done_ctx);
}

static void drop(void *ctx, struct slice pid)
{
    const struct keeper *keeper = ctx;

    sessions_drop(keeper->sessions, pid);
}

struct claim_call {
    void (*done)(void *ctx, enum keeper_answer answer, struct slice record);
    void *ctx;
};

static void on_claimed(void *ctx, enum sessions_answer answer, struct slice record)
{
    static const enum keeper_answer answers[] = {
        [SESSIONS_NONE] = KEEPER_NONE,     [SESSIONS_MINE] = KEEPER_MINE,
        [SESSIONS_OTHERS] = KEEPER_OTHERS, [SESSIONS_TAKEN] = KEEPER_TAKEN,
        [SESSIONS_AWAY] = KEEPER_AWAY,
    };
    struct claim_call *call = ctx;

    call->done(call->ctx, answers[answer], record);
    free(call);
}

static void claim(void *ctx, struct slice pid, uint64_t ttl_ms,
                  void (*done)(void *done_ctx, enum keeper_answer answer,
                               struct slice record),
                  void *done_ctx)
{
    const struct keeper *keeper = ctx;
    struct claim_call *call = mem_new(sizeof(*call));

    *call = (struct claim_call){done, done_ctx};
    sessions_claim(keeper->sessions, pid, ttl_ms, on_claimed, call);
}

struct keeper *keeper_new(struct loop *loop, const struct settings *settings,
                          bool *is_ok, struct buf *error)
{
    const struct link_options options = {.name = "thinkwired-sessions"};
    struct keeper *keeper;

    *is_ok = true;
    if (strcmp(settings->bus, "memory") == 0 ||
        (enum recovery)settings->recovery == RECOVERY_OFF)
        return NULL;
    keeper = mem_new(sizeof(*keeper));
    keeper->link = link_new(loop, settings->bus, &options, error);
    if (keeper->link == NULL) {
        *is_ok = false;
        free(keeper);
        return NULL;
    }
    keeper->sessions = sessions_new(keeper->link, settings->redis_prefix);
    keeper->slots = (struct session_keeper){is_up, keep, drop, claim, keeper};
    return keeper;
}

void keeper_free(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    sessions_free(keeper->sessions);
    link_free(keeper->link);
    free(keeper);
}

const struct session_keeper *keeper_slots(const struct keeper *keeper)
{
    return keeper == NULL ? NULL : &keeper->slots;
}
