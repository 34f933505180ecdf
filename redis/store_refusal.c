/* store_refusal.c - why Redis would not write. */
/* SPDX-License-Identifier: MIT */
#include "redis/store_inside.h"

static const struct refusal_row {
    const char *name;
    const char *text;
    /* Anywhere in the error: Redis 6.2 wraps what went wrong in a script in words of its own. */
    const char *marks[2];
} rows[STORE_REFUSALS] = {
    [STORE_REFUSED_FULL] = {"full",
                            "Redis has reached its maxmemory and refuses writes",
                            {"OOM command not allowed"}},
    [STORE_REFUSED_READONLY] = {"readonly",
                                "Redis is a read-only replica",
                                {"READONLY"}},
    [STORE_REFUSED_REPLICAS] = {"replicas",
                                "Redis has too few replicas (min-replicas-to-write)",
                                {"NOREPLICAS"}},
    [STORE_REFUSED_DISK] = {"disk",
                            "Redis cannot save to its disk and refuses writes",
                            {"MISCONF"}},
    [STORE_REFUSED_DENIED] = {"denied",
                              "Redis does not allow this user what is needed (its ACL)",
                              {"NOPERM", "The user executing the script can't"}},
    [STORE_REFUSED_OTHER] = {"other", "Redis answered with an error", {NULL}},
};

const char *store_refusal_name(enum store_refusal refusal)
{
    return rows[refusal].name;
}

const char *store_refusal_text(enum store_refusal refusal)
{
    return rows[refusal].text;
}

static bool has_mark(struct slice text, const char *mark)
{
    return mark != NULL && text.len > 0 &&
           memmem(text.ptr, text.len, mark, strlen(mark)) != NULL;
}

enum store_refusal store_refusal_of(const struct reply *reply)
{
    struct slice text = reply_text(reply);

    for (size_t i = 0; i < STORE_REFUSED_OTHER; i++)
        if (has_mark(text, rows[i].marks[0]) || has_mark(text, rows[i].marks[1]))
            return (enum store_refusal)i;
    return STORE_REFUSED_OTHER;
}

void store_on_refused(struct store *store,
                      void (*told)(void *ctx, enum store_refusal refusal), void *ctx)
{
    store->on_refused = told;
    store->on_refused_ctx = ctx;
}
