/* confirm.c - a terminal event is on a replica before its producer is told that it is safe. */
/* SPDX-License-Identifier: MIT */
#include "redis/confirm.h"

#include "base/diag.h"
#include "base/list.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* Past wait_ms: for connecting, and for the way. */
#define GRACE_MS   500
#define TOLD_MS    10000
#define REPLID_MAX 64

enum phase {
    PHASE_IDLE,
    PHASE_LOOK,    /* the writer's link tells of replicas */
    PHASE_CONNECT, /* our own comes up */
    PHASE_WAIT
};

struct ticket {
    struct list node;
    confirm_done *done;
    void *ctx;
};

struct confirm {
    struct loop *loop;
    struct link *writer;
    struct link *own; /* NULL: there were no replicas so far */
    char *url;
    char *channel;
    struct confirm_options options;
    enum phase phase;
    uint64_t round; /* its number: answers to older ones are dropped */
    struct list waiting;
    struct list tickets; /* of this round */
    struct list errands;
    struct timer deadline;
    char replid[REPLID_MAX]; /* of the writer's master */
    uint64_t acks;           /* what WAIT answered */
    uint64_t told_ms;        /* when diagnostics heard of CONFIRM_LATE */
    unsigned depth;
    bool is_freed;
};

/* A question on its way; a link cannot call answers back. */
struct errand {
    struct confirm *confirm; /* NULL: gone */
    struct list node;
    uint64_t round;
};

static void enter(struct confirm *confirm)
{
    confirm->depth++;
}

static void leave(struct confirm *confirm)
{
    if (--confirm->depth > 0 || !confirm->is_freed)
        return;
    free(confirm->url);
    free(confirm->channel);
    free(confirm);
}

/* ---- telling ---- */

static void tell_late(struct confirm *confirm, size_t count)
{
    uint64_t now = loop_now_ms(confirm->loop);

    if (confirm->options.is_quiet ||
        (confirm->told_ms != 0 && now - confirm->told_ms < TOLD_MS))
        return;
    confirm->told_ms = now;
    diag(DIAG_WARN, "redis replicas are late: ends of runs are on the master alone",
         DIAG_S("redis", link_target(confirm->writer)),
         DIAG_N("waited_ms", confirm->options.wait_ms), DIAG_N("runs", count));
}

static size_t tell_all(struct list *tickets, enum confirm_outcome outcome)
{
    size_t count = 0;

    LIST_FOR_EACH(node, next, tickets)
    {
        struct ticket *ticket = LIST_ENTRY(node, struct ticket, node);
        list_remove(node);
        ticket->done(ticket->ctx, outcome);
        free(ticket);
        count++;
    }
    return count;
}

static void begin_round(struct confirm *confirm);

/* The caller has entered: those who are told may free the confirm. */
static void finish_round(struct confirm *confirm, enum confirm_outcome outcome,
                         bool is_counted)
{
    struct list tickets;

    timer_stop(&confirm->deadline);
    confirm->phase = PHASE_IDLE;
    confirm->round++;
    list_init(&tickets);
    list_splice(&tickets, &confirm->tickets);
    size_t count = tell_all(&tickets, outcome);
    if (confirm->is_freed)
        return;
    if (outcome == CONFIRM_LATE)
        tell_late(confirm, count);
    if (is_counted && confirm->options.on_round != NULL)
        confirm->options.on_round(confirm->options.ctx, outcome, count);
    if (!confirm->is_freed)
        begin_round(confirm);
}

/* ---- questions ---- */

/* The answer to an errand of this round enters the confirm; NULL: nobody is interested. */
static struct confirm *errand_home(struct errand *errand)
{
    struct confirm *confirm = errand->confirm;
    bool is_late = confirm == NULL || confirm->round != errand->round;

    list_remove(&errand->node);
    free(errand);
    if (is_late)
        return NULL;
    enter(confirm);
    return confirm;
}

static void send_errand(struct confirm *confirm, struct link *link, const char *words,
                        link_done *done)
{
    struct errand *errand = mem_new(sizeof(*errand));
    struct slice argv[4];
    struct slice rest = slice_of(words);
    size_t argc = 0;

    while (argc < 4 && rest.len > 0) {
        const char *end = memchr(rest.ptr, ' ', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.ptr);
        argv[argc++] = slice_make(rest.ptr, len);
        size_t taken = end == NULL ? len : len + 1;
        rest = slice_make(rest.ptr + taken, rest.len - taken);
    }
    errand->confirm = confirm;
    errand->round = confirm->round;
    list_push_back(&confirm->errands, &errand->node);
    link_command(link, argv, argc, done, errand);
}

/* Of the master, as far as it is kept. */
static struct slice replid_of(const struct reply *info)
{
    struct slice replid = reply_info(info, "master_replid");

    return slice_make(replid.ptr,
                      replid.len < REPLID_MAX ? replid.len : REPLID_MAX - 1);
}

static bool has(struct slice text, const char *words)
{
    return text.len > 0 && memmem(text.ptr, text.len, words, strlen(words)) != NULL;
}

/* ---- WAIT ---- */

static void on_waited(void *ctx, const struct reply *reply)
{
    struct confirm *confirm = errand_home(ctx);

    if (confirm == NULL)
        return;
    confirm->acks = reply == NULL ? 0 : reply_u64(reply);
    leave(confirm);
}

static void on_checked(void *ctx, const struct reply *reply)
{
    struct confirm *confirm = errand_home(ctx);

    if (confirm == NULL)
        return;
    if (reply == NULL) {
        finish_round(confirm, CONFIRM_LOST, true);
        leave(confirm);
        return;
    }
    if (!slice_is(replid_of(reply), confirm->replid)) {
        link_drop(confirm->own, "it leads to another master than its neighbour");
        finish_round(confirm, CONFIRM_LOST, true);
    } else {
        finish_round(confirm, confirm->acks > 0 ? CONFIRM_DONE : CONFIRM_LATE, true);
    }
    leave(confirm);
}

static void send_wait(struct confirm *confirm)
{
    const struct slice publish[3] = {slice_of("PUBLISH"), slice_of(confirm->channel),
                                     slice_of("")};
    char words[48];

    confirm->phase = PHASE_WAIT;
    confirm->acks = 0;
    (void)snprintf(words, sizeof(words), "WAIT 1 %llu",
                   (unsigned long long)confirm->options.wait_ms);
    link_command(confirm->own, publish, 3, NULL, NULL);
    send_errand(confirm, confirm->own, words, on_waited);
    send_errand(confirm, confirm->own, "INFO replication", on_checked);
}

static void on_own_up(void *ctx)
{
    struct confirm *confirm = ctx;

    if (confirm->phase == PHASE_CONNECT)
        send_wait(confirm);
}

static void connect_own(struct confirm *confirm)
{
    const struct link_options options = {.name = "thinkwire-wait",
                                         .is_quiet = true,
                                         .connect_timeout_ms = confirm->options.wait_ms,
                                         .on_up = on_own_up,
                                         .ctx = confirm};
    struct buf error;

    confirm->phase = PHASE_CONNECT;
    if (confirm->own == NULL) {
        buf_init(&error, 512);
        confirm->own = link_new(confirm->loop, confirm->url, &options, &error);
        buf_release(&error);
    }
    /* The URL was good when the confirm was made. */
    if (confirm->own != NULL && link_is_up(confirm->own))
        send_wait(confirm);
}

/* ---- are there replicas? ---- */

static void on_looked(void *ctx, const struct reply *reply)
{
    struct confirm *confirm = errand_home(ctx);

    if (confirm == NULL)
        return;
    struct slice info = reply == NULL ? slice_make(NULL, 0) : reply_text(reply);
    if (reply == NULL || has(info, "role:slave")) {
        finish_round(confirm, CONFIRM_LOST, true);
    } else if (reply_kind(reply) == REPLY_ERROR || !has(info, "state=online")) {
        finish_round(confirm, CONFIRM_DONE, false);
    } else {
        struct slice replid = replid_of(reply);
        (void)snprintf(confirm->replid, REPLID_MAX, "%.*s", (int)replid.len,
                       replid.len == 0 ? "" : replid.ptr);
        connect_own(confirm);
    }
    leave(confirm);
}

static void begin_round(struct confirm *confirm)
{
    if (confirm->phase != PHASE_IDLE || list_is_empty(&confirm->waiting))
        return;
    list_splice(&confirm->tickets, &confirm->waiting);
    confirm->phase = PHASE_LOOK;
    timer_start(&confirm->deadline, confirm->options.wait_ms + GRACE_MS, 0);
    send_errand(confirm, confirm->writer, "INFO replication", on_looked);
}

/* Without a connection of our own the master is blamed for nothing: it took the event, and it
 * answers. A silence on either link may be its end. */
static void on_deadline(struct timer *timer)
{
    struct confirm *confirm = LIST_ENTRY(timer, struct confirm, deadline);
    bool is_alive = confirm->phase == PHASE_CONNECT && link_is_up(confirm->writer);

    enter(confirm);
    finish_round(confirm, is_alive ? CONFIRM_LATE : CONFIRM_LOST, true);
    leave(confirm);
}

/* ---- the outside ---- */

void confirm_ask(struct confirm *confirm, confirm_done *done, void *ctx)
{
    struct ticket *ticket = mem_new(sizeof(*ticket));

    ticket->done = done;
    ticket->ctx = ctx;
    list_push_back(&confirm->waiting, &ticket->node);
    begin_round(confirm);
}

struct confirm *confirm_new(struct loop *loop, struct link *writer, const char *url,
                            const struct confirm_options *options)
{
    struct confirm *confirm = mem_new(sizeof(*confirm));
    struct buf channel;

    confirm->loop = loop;
    confirm->writer = writer;
    confirm->url = mem_text(slice_of(url));
    confirm->options = *options;
    buf_init(&channel, 1024);
    buf_printf(&channel, "%s:confirm", options->prefix);
    confirm->channel = mem_text(buf_view(&channel));
    buf_release(&channel);
    confirm->options.prefix = NULL; /* not ours */
    list_init(&confirm->waiting);
    list_init(&confirm->tickets);
    list_init(&confirm->errands);
    timer_init(&confirm->deadline, loop, on_deadline);
    return confirm;
}

void confirm_free(struct confirm *confirm)
{
    if (confirm == NULL || confirm->is_freed)
        return;
    enter(confirm);
    confirm->is_freed = true;
    timer_release(&confirm->deadline);
    LIST_FOR_EACH(node, next, &confirm->errands)
    {
        LIST_ENTRY(node, struct errand, node)->confirm = NULL;
        list_remove(node);
    }
    link_free(confirm->own);
    confirm->own = NULL;
    (void)tell_all(&confirm->tickets, CONFIRM_LOST);
    (void)tell_all(&confirm->waiting, CONFIRM_LOST);
    leave(confirm);
}
