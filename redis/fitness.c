/* fitness.c - is this Redis fit to hold tasks? */
/* SPDX-License-Identifier: MIT */
#include "redis/fitness.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 5000

/* A question on its way outlives who asked it: a link has no way to call answers back. */
struct look {
    struct fitness *fitness; /* NULL: nobody wants to know any more */
};

struct fitness {
    struct link *link;
    struct fitness_options options;
    struct timer timer;
    struct look *look; /* the one on its way */
    enum fitness_state state;
    enum fitness_state told;
    bool is_old;
    bool wants_config; /* INFO is forbidden, or does not tell */
    char version[24];
    char policy[32];
    uint64_t limit_bytes; /* maxmemory */
};

const char *fitness_state_name(enum fitness_state state)
{
    static const char *const names[FITNESS_STATES] = {
        [FITNESS_UNASKED] = "unasked",     [FITNESS_GOOD] = "good",
        [FITNESS_UNCHECKED] = "unchecked", [FITNESS_OLD] = "old",
        [FITNESS_EVICTS] = "evicts",       [FITNESS_FULL] = "full",
    };
    return names[state];
}

/* ---- what was answered ---- */

static void keep(char *out, size_t size, struct slice text)
{
    (void)snprintf(out, size, "%.*s", (int)text.len, text.len == 0 ? "" : text.ptr);
}

static bool is_old(const char *version)
{
    char *end;
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    return major < 6 || (major == 6 && minor < 2);
}

static bool evicts(const struct fitness *fitness)
{
    return fitness->policy[0] != '\0' && strcmp(fitness->policy, "noeviction") != 0;
}

static void conclude(struct fitness *fitness, enum fitness_state state)
{
    if (fitness->is_old)
        state = FITNESS_OLD;
    else if (fitness->limit_bytes > 0 && evicts(fitness))
        state = FITNESS_EVICTS;
    fitness->state = state;
    if (fitness->told == state)
        return;
    fitness->told = state;
    if (fitness->options.on_change != NULL)
        fitness->options.on_change(fitness->options.ctx, state);
}

static void send_question(struct fitness *fitness);

static void take_info(struct fitness *fitness, const struct reply *info)
{
    struct slice version = reply_info(info, "redis_version");
    struct slice policy = reply_info(info, "maxmemory_policy");
    bool has_limit = reply_info(info, "maxmemory").len > 0;
    uint64_t used = reply_info_u64(info, "used_memory");
    /* What Redis does not count when it compares: buffers of replicas and of the file. */
    uint64_t apart = reply_info_u64(info, "mem_not_counted_for_evict");

    if (version.len > 0) {
        keep(fitness->version, sizeof(fitness->version), version);
        fitness->is_old = is_old(fitness->version);
    }
    if (policy.len == 0 || !has_limit) {
        fitness->wants_config = true;
        send_question(fitness);
        return;
    }
    keep(fitness->policy, sizeof(fitness->policy), policy);
    fitness->limit_bytes = reply_info_u64(info, "maxmemory");
    if (fitness->limit_bytes > 0 && used > fitness->limit_bytes + apart)
        conclude(fitness, FITNESS_FULL);
    else
        conclude(fitness, FITNESS_GOOD);
}

/* Pairs of name and value. */
static void take_config(struct fitness *fitness, const struct reply *reply)
{
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        struct slice name = reply_text(reply_at(reply, i));
        const struct reply *value = reply_at(reply, i + 1);
        if (slice_is(name, "maxmemory"))
            fitness->limit_bytes = reply_u64(value);
        else if (slice_is(name, "maxmemory-policy"))
            keep(fitness->policy, sizeof(fitness->policy), reply_text(value));
    }
    conclude(fitness, fitness->policy[0] == '\0' ? FITNESS_UNCHECKED : FITNESS_GOOD);
}

static void on_answer(void *ctx, const struct reply *reply)
{
    struct look *look = ctx;
    struct fitness *fitness = look->fitness;

    free(look);
    if (fitness == NULL)
        return;
    fitness->look = NULL;
    if (reply == NULL)
        return; /* the next connection is asked */
    if (fitness->wants_config) {
        take_config(fitness, reply); /* an error is an empty list */
    } else if (reply_kind(reply) == REPLY_TEXT) {
        take_info(fitness, reply);
    } else {
        fitness->wants_config = true;
        send_question(fitness);
    }
}

/* ---- asking ---- */

static void send_question(struct fitness *fitness)
{
    static const char *const config[] = {"CONFIG", "GET", "maxmemory*"};
    static const char *const info[] = {"INFO", "memory"};
    /* The version comes with all sections; once is enough. */
    size_t count = fitness->version[0] == '\0' ? 1 : 2;
    const char *const *words = fitness->wants_config ? config : info;
    struct slice argv[3];

    if (fitness->wants_config)
        count = 3;
    for (size_t i = 0; i < count; i++)
        argv[i] = slice_of(words[i]);
    fitness->look = mem_new(sizeof(*fitness->look));
    fitness->look->fitness = fitness;
    link_command(fitness->link, argv, count, on_answer, fitness->look);
}

void fitness_ask(struct fitness *fitness)
{
    if (fitness->look == NULL && link_is_up(fitness->link))
        send_question(fitness);
}

static void on_timer(struct timer *timer)
{
    fitness_ask(LIST_ENTRY(timer, struct fitness, timer));
}

static void forget_look(struct fitness *fitness)
{
    if (fitness->look != NULL)
        fitness->look->fitness = NULL;
    fitness->look = NULL;
}

void fitness_begin(struct fitness *fitness)
{
    forget_look(fitness);
    fitness->state = FITNESS_UNASKED;
    fitness->is_old = false;
    fitness->wants_config = false;
    fitness->version[0] = '\0';
    fitness->policy[0] = '\0';
    fitness->limit_bytes = 0;
    fitness_ask(fitness);
}

struct fitness *fitness_new(struct loop *loop, struct link *link,
                            const struct fitness_options *options)
{
    struct fitness *fitness = mem_new(sizeof(*fitness));

    fitness->link = link;
    fitness->options = *options;
    timer_init(&fitness->timer, loop, on_timer);
    timer_start(&fitness->timer, LOOK_MS, LOOK_MS);
    return fitness;
}

void fitness_free(struct fitness *fitness)
{
    if (fitness == NULL)
        return;
    forget_look(fitness);
    timer_release(&fitness->timer);
    free(fitness);
}

/* ---- what is known ---- */

enum fitness_state fitness_state(const struct fitness *fitness)
{
    return fitness->state;
}

bool fitness_is_unfit(const struct fitness *fitness)
{
    return fitness->state == FITNESS_OLD || fitness->state == FITNESS_EVICTS;
}

const char *fitness_trouble(const struct fitness *fitness)
{
    switch (fitness->state) {
    case FITNESS_OLD:
        return "Redis 6.2 or newer is needed";
    case FITNESS_EVICTS:
        return "Redis may throw tasks away: set maxmemory-policy noeviction";
    case FITNESS_FULL:
        return "Redis has reached its maxmemory and refuses writes";
    case FITNESS_UNASKED:
    case FITNESS_GOOD:
    case FITNESS_UNCHECKED:
        break;
    }
    return NULL;
}

void fitness_explain(const struct fitness *fitness, struct buf *out)
{
    const char *target = link_target(fitness->link);

    switch (fitness->state) {
    case FITNESS_OLD:
        buf_printf(out, "the Redis at %s is version %s; 6.2 or newer is needed", target,
                   fitness->version);
        return;
    case FITNESS_EVICTS:
        buf_printf(out,
                   "the Redis at %s has maxmemory %llu and maxmemory-policy %s: when "
                   "its memory is full it throws tasks away that are still read. Set "
                   "`maxmemory-policy noeviction` in its redis.conf and, while it "
                   "runs, with `redis-cli CONFIG SET maxmemory-policy noeviction`",
                   target, (unsigned long long)fitness->limit_bytes, fitness->policy);
        return;
    case FITNESS_FULL:
        buf_printf(
            out,
            "the Redis at %s has reached its maxmemory of %llu bytes and refuses "
            "writes: raise it (`redis-cli CONFIG SET maxmemory ...`) or lower "
            "--retain-finished-ms and --retain-text-bytes",
            target, (unsigned long long)fitness->limit_bytes);
        return;
    case FITNESS_UNCHECKED:
        buf_printf(out,
                   "the Redis at %s allows neither INFO nor CONFIG GET: make sure "
                   "that its maxmemory-policy is noeviction",
                   target);
        return;
    case FITNESS_UNASKED:
    case FITNESS_GOOD:
        return;
    }
}
