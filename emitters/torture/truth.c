/* truth.c - what Redis holds of a task, asked of Redis itself. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/truth.h"

#include "codec/json.h"
#include "emitters/torture/producer.h"
#include "emitters/torture/resp.h"
#include "schema/run.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES ((size_t)64 << 20)
#define ASK_MS       1000

/* ---- the log ---- */

struct log_walk {
    struct truth *truth;
    struct event_id last;
    int run;                  /* what this epoch tells of itself; -1 = nothing yet */
    struct event_id open_end; /* an epoch that just stopped ... */
    int open_run;             /* ... and whose it was */
    bool has_ended;
    enum outcome outcome;
};

static void fault(struct log_walk *walk, const char *what, struct event_id id)
{
    if (walk->truth->fault[0] == '\0')
        snprintf(walk->truth->fault, sizeof(walk->truth->fault), "%s: %llu-%llu", what,
                 (unsigned long long)id.epoch, (unsigned long long)id.seq);
}

static struct slice member(struct slice object, const char *name)
{
    struct json_member m;

    if (!json_get(object, name, &m))
        return (struct slice){0};
    return m.kind == JSON_STRING ? json_string_raw(m.value) : m.value;
}

/* Who finds that Redis has lost a part of its run opens it again: what is left of the first
 * goes without an end, if the next tells the same run. */
static void learn_run(struct log_walk *walk, struct slice json)
{
    struct story_mark mark;

    if (walk->run >= 0 || !story_mark_read(member(json, "text"), &mark))
        return;
    walk->run = (int)mark.run;
    if (walk->open_run >= 0 && walk->open_run != walk->run)
        fault(walk, "its log holds a run without an end", walk->open_end);
    walk->open_run = -1;
}

static void begin_epoch(struct log_walk *walk)
{
    if (walk->last.epoch != 0 && !walk->has_ended) {
        walk->open_end = walk->last;
        walk->open_run = walk->run;
    }
    walk->has_ended = false;
    walk->run = -1;
}

static void take_entry(struct log_walk *walk, struct slice id_text, struct slice json)
{
    struct event_id id = {0};
    enum outcome outcome;

    if (!event_id_parse(id_text, &id) || !json_check(json)) {
        fault(walk, "its log holds what is no event", id);
        return;
    }
    if (id.epoch != walk->last.epoch) {
        begin_epoch(walk);
    } else if (walk->has_ended) {
        fault(walk, "its log holds an event behind the end", id);
    } else if (id.seq != walk->last.seq + 1) {
        fault(walk, "its log holds a hole", id);
    }
    learn_run(walk, json);
    outcome = outcome_of(member(json, "type"), member(json, "code"));
    walk->has_ended = walk->has_ended || outcome != OUTCOME_NONE;
    walk->outcome = outcome;
    walk->last = id;
}

/* Entries are lists of an id and a list of "e" and the event. */
static bool take_log(struct log_walk *walk, struct slice answer, size_t *at)
{
    struct resp_item list;

    if (!resp_next(answer, at, &list))
        return false;
    for (long long i = 0; i < list.number; i++) {
        struct resp_item items[5];
        for (int k = 0; k < 5; k++) {
            if (!resp_next(answer, at, &items[k]))
                return false;
        }
        take_entry(walk, items[1].text, items[4].text);
    }
    return true;
}

/* ---- texts ---- */

static void take_text(struct truth *truth, const struct story *story,
                      enum story_kind kind, struct slice text)
{
    const struct buf *told = &story->told[kind];
    struct story_mark mark;

    truth->lengths[kind] = text.len;
    if (text.len > told->len ||
        (text.len > 0 && memcmp(text.ptr, told->data, text.len) != 0))
        truth->is_prefix = false;
    if (!truth->has_run && story_mark_read(text, &mark)) {
        truth->has_run = true;
        truth->run = mark.run;
    }
}

static bool is_final(struct slice state)
{
    return run_state_is_final(run_state_of(state));
}

bool truth_of(struct slice answer, const struct story *story, struct truth *truth)
{
    struct log_walk walk = {.truth = truth, .run = -1, .open_run = -1};
    struct resp_item items[5];
    size_t at = 0;

    *truth = (struct truth){.is_prefix = true};
    for (int i = 0; i < 5; i++) {
        if (!resp_next(answer, &at, &items[i]) || items[i].kind == '-')
            return false;
    }
    truth->epoch = strtoull(items[1].text.len == 0 ? "0" : items[1].text.ptr, NULL, 10);
    take_text(truth, story, STORY_TEXT, items[3].text);
    take_text(truth, story, STORY_REASONING, items[4].text);
    if (!take_log(&walk, answer, &at))
        return false;
    if (walk.last.epoch == truth->epoch)
        truth->outcome = walk.outcome;
    if (is_final(items[2].text) != (truth->outcome != OUTCOME_NONE))
        fault(&walk, "its state and its log do not agree", walk.last);
    return true;
}

static void put_command(struct buf *out, const char *const words[4], const char *task,
                        const char *what)
{
    char key[TASK_NAME_SIZE + 32];
    const char *given[4];
    size_t count = 0;

    snprintf(key, sizeof(key), "tw:{/%s}:%s", task, what);
    for (; count < 4 && words[count] != NULL; count++)
        given[count] = words[count][0] == '\0' ? key : words[count];
    resp_command(out, given, count);
}

bool truth_read(uint16_t port, const struct story *story, struct truth *truth)
{
    /* "" stands for the key. */
    static const char *const look[4] = {"HMGET", "", "epoch", "state"};
    static const char *const get[4] = {"GET", ""};
    static const char *const range[4] = {"XRANGE", "", "-", "+"};
    char task[TASK_NAME_SIZE];
    struct buf commands;
    struct buf answer;
    bool is_good;

    task_name(story->task, task);
    buf_init(&commands, 4096);
    buf_init(&answer, ANSWER_BYTES);
    resp_command(&commands, (const char *const[]){"MULTI"}, 1);
    put_command(&commands, look, task, "run");
    put_command(&commands, get, task, "text");
    put_command(&commands, get, task, "reasoning");
    put_command(&commands, range, task, "log");
    resp_command(&commands, (const char *const[]){"EXEC"}, 1);
    is_good = resp_ask(port, buf_view(&commands), 6, ASK_MS, &answer);
    if (is_good) {
        /* Behind OK, four times QUEUED, and the list's head. */
        struct slice all = buf_view(&answer);
        struct resp_item item;
        size_t at = 0;
        for (int i = 0; i < 6 && is_good; i++)
            is_good = resp_next(all, &at, &item) && item.kind != '-';
        is_good =
            is_good && truth_of(slice_make(all.ptr + at, all.len - at), story, truth);
    }
    buf_release(&commands);
    buf_release(&answer);
    return is_good;
}
