/* sessions.c - Socket.IO sessions in Redis: one script, a hash for a name. */
/* SPDX-License-Identifier: MIT */
#include "redis/sessions.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "redis/scripts.h"

#include <stdio.h>
#include <stdlib.h>

#define OWNER_SIZE 17 /* session.lua knows its length */
/* Half of the hash is still beyond guessing, and short. */
#define NAME_BYTES 16
#define KEY_SIZE   128

struct sessions {
    struct link *link;
    char *prefix;
    char owner[OWNER_SIZE];
    struct list claims;
    struct list keeps;
};

struct claim {
    struct list node;
    struct sessions *sessions; /* NULL: it was freed, the claim was answered */
    sessions_claimed *done;
    void *ctx;
};

/* A record that somebody wants to know of; likewise. */
struct keep {
    struct list node;
    struct sessions *sessions;
    sessions_kept *done;
    void *ctx;
};

struct sessions *sessions_new(struct link *link, const char *prefix)
{
    struct sessions *sessions = mem_new(sizeof(*sessions));
    uint64_t owner;

    random_bytes(&owner, sizeof(owner));
    (void)snprintf(sessions->owner, OWNER_SIZE, "%016llx", (unsigned long long)owner);
    sessions->link = link;
    sessions->prefix = mem_text(slice_of(prefix));
    list_init(&sessions->claims);
    list_init(&sessions->keeps);
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions == NULL)
        return;
    while (!list_is_empty(&sessions->claims)) {
        struct claim *claim = LIST_ENTRY(sessions->claims.next, struct claim, node);
        list_remove(&claim->node);
        claim->sessions = NULL; /* its memory goes when the link has told it */
        claim->done(claim->ctx, SESSIONS_AWAY, (struct slice){0});
    }
    while (!list_is_empty(&sessions->keeps)) {
        struct keep *keep = LIST_ENTRY(sessions->keeps.next, struct keep, node);
        list_remove(&keep->node);
        keep->sessions = NULL;
        keep->done(keep->ctx, false);
    }
    free(sessions->prefix);
    free(sessions);
}

bool sessions_is_up(const struct sessions *sessions)
{
    return link_is_up(sessions->link);
}

static struct slice key_of(const struct sessions *sessions, struct slice pid,
                           char key[KEY_SIZE])
{
    unsigned char digest[SHA256_BYTES];
    int len =
        snprintf(key, KEY_SIZE - 2 * NAME_BYTES, "%.80s:session:", sessions->prefix);

    sha256(digest, pid.ptr, pid.len);
    for (size_t i = 0; i < NAME_BYTES; i++)
        len += snprintf(key + len, 3, "%02x", digest[i]);
    return slice_make(key, (size_t)len);
}

/* ---- asking ---- */

/* A replica that was a master: the name may lead to the new one by now. */
static void look_for_replica(struct sessions *sessions, const struct reply *reply)
{
    struct slice text = reply == NULL ? (struct slice){0} : reply_text(reply);

    if (reply != NULL && reply_kind(reply) == REPLY_ERROR && text.len >= 8 &&
        memcmp(text.ptr, "READONLY", 8) == 0)
        link_drop(sessions->link, "the server is a read-only replica");
}

struct errand_args {
    const char *verb;
    struct slice pid;
    uint64_t ttl_ms;
    struct slice record;
};

/* The script is short enough to go as it is, and then NOSCRIPT needs no care. */
static void run(struct sessions *sessions, const struct errand_args *args,
                link_done *done, void *ctx)
{
    char key[KEY_SIZE];
    char ttl[24];
    struct slice argv[8] = {
        slice_of("EVAL"),        slice_make(script_session.text, script_session.len),
        slice_of("1"),           key_of(sessions, args->pid, key),
        slice_of(args->verb),    slice_of(sessions->owner),
        (struct slice){NULL, 0}, args->record};

    (void)snprintf(ttl, sizeof(ttl), "%llu",
                   (unsigned long long)(args->ttl_ms > 0 ? args->ttl_ms : 1));
    argv[6] = slice_of(ttl);
    if (argv[7].ptr == NULL)
        argv[7] = slice_of("");
    link_command(sessions->link, argv, 8, done, ctx);
}

static void on_kept(void *ctx, const struct reply *reply)
{
    struct keep *keep = ctx;

    if (keep->sessions != NULL) {
        look_for_replica(keep->sessions, reply);
        list_remove(&keep->node);
        keep->done(keep->ctx, reply != NULL && reply_kind(reply) != REPLY_ERROR);
    }
    free(keep);
}

bool sessions_keep(struct sessions *sessions, const struct sessions_record *record,
                   sessions_kept *done, void *ctx)
{
    const struct errand_args args = {"keep", record->pid, record->ttl_ms, record->text};
    struct keep *keep;

    if (record->text.len > SESSIONS_MAX_BYTES || !sessions_is_up(sessions))
        return false;
    if (done == NULL) {
        run(sessions, &args, NULL, NULL);
        return true;
    }
    keep = mem_new(sizeof(*keep));
    keep->sessions = sessions;
    keep->done = done;
    keep->ctx = ctx;
    list_init(&keep->node);
    list_push_back(&sessions->keeps, &keep->node);
    run(sessions, &args, on_kept, keep);
    return true;
}

void sessions_drop(struct sessions *sessions, struct slice pid)
{
    const struct errand_args args = {.verb = "drop", .pid = pid};

    if (sessions_is_up(sessions))
        run(sessions, &args, NULL, NULL);
}

/* ---- claiming ---- */

static enum sessions_answer read_answer(const struct reply *reply, struct slice *record)
{
    static const struct {
        const char *word;
        enum sessions_answer answer;
    } words[] = {
        {"NONE", SESSIONS_NONE},
        {"MINE", SESSIONS_MINE},
        {"OTHERS", SESSIONS_OTHERS},
        {"TAKEN", SESSIONS_TAKEN},
    };

    *record = (struct slice){0};
    if (reply == NULL || reply_kind(reply) != REPLY_LIST || reply_count(reply) != 2)
        return SESSIONS_AWAY;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!slice_is(reply_text(reply_at(reply, 0)), words[i].word))
            continue;
        *record = reply_text(reply_at(reply, 1));
        return words[i].answer;
    }
    return SESSIONS_AWAY;
}

static void on_claimed(void *ctx, const struct reply *reply)
{
    struct claim *claim = ctx;
    struct slice record;
    enum sessions_answer answer = read_answer(reply, &record);

    if (claim->sessions != NULL) {
        look_for_replica(claim->sessions, reply);
        list_remove(&claim->node);
        claim->done(claim->ctx, answer, record);
    }
    free(claim);
}

void sessions_claim(struct sessions *sessions, struct slice pid, uint64_t ttl_ms,
                    sessions_claimed *done, void *ctx)
{
    const struct errand_args args = {.verb = "claim", .pid = pid, .ttl_ms = ttl_ms};
    struct claim *claim = mem_new(sizeof(*claim));

    claim->sessions = sessions;
    claim->done = done;
    claim->ctx = ctx;
    list_init(&claim->node);
    list_push_back(&sessions->claims, &claim->node);
    run(sessions, &args, on_claimed, claim);
}
