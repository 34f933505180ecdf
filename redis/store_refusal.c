/* store_refusal.c - why Redis would not write. */
/* SPDX-License-Identifier: MIT */
#include "redis/store_inside.h"

static const struct refusal_row {
    const char
        *mark; /* Redis 6.2 wraps what went wrong in a script in words of its own */
    const char *name;
    const char *text;
} rows[STORE_REFUSALS] = {
    [STORE_REFUSED_FULL] = {"OOM command not allowed", "full",
                            "Redis has reached its maxmemory and refuses writes"},
    [STORE_REFUSED_READONLY] = {"READONLY", "readonly", "Redis is a read-only replica"},
    [STORE_REFUSED_REPLICAS] = {"NOREPLICAS", "replicas",
                                "Redis has too few replicas (min-replicas-to-write)"},
    [STORE_REFUSED_DISK] = {"MISCONF", "disk",
                            "Redis cannot save to its disk and refuses writes"},
    [STORE_REFUSED_DENIED] = {"NOPERM", "denied",
                              "Redis does not allow this user to run the scripts"},
    [STORE_REFUSED_OTHER] = {NULL, "other", "Redis answered with an error"},
};

const char *store_refusal_name(enum store_refusal refusal)
{
    return rows[refusal].name;
}

const char *store_refusal_text(enum store_refusal refusal)
{
    return rows[refusal].text;
}

enum store_refusal store_refusal_of(const struct reply *reply)
{
    struct slice text = reply_text(reply);

    for (size_t i = 0; i < STORE_REFUSED_OTHER; i++)
        if (text.len > 0 &&
            memmem(text.ptr, text.len, rows[i].mark, strlen(rows[i].mark)) != NULL)
            return (enum store_refusal)i;
    return STORE_REFUSED_OTHER;
}

void store_on_refused(struct store *store,
                      void (*told)(void *ctx, enum store_refusal refusal), void *ctx)
{
    store->on_refused = told;
    store->on_refused_ctx = ctx;
}
