/* store_points.c - the points of a task: where its runs ended, and where continues began. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "redis/store_inside.h"

static uint64_t number_in(struct slice object, const char *name)
{
    struct json_member member;
    uint64_t number = 0;

    return json_get(object, name, &member) && json_u64(member.value, &number) ? number
                                                                              : 0;
}

static struct slice text_in(struct slice object, const char *name)
{
    struct json_member member;

    return json_get(object, name, &member) && member.kind == JSON_STRING
               ? json_string_raw(member.value)
               : slice_make("", 0);
}

/* As add_point() of common.lua wrote it. */
static struct task_point read_point(struct slice object)
{
    uint64_t epoch = 0;

    (void)json_u64(text_in(object, "epoch"), &epoch);
    return (struct task_point){
        .number = number_in(object, "n"),
        .kind = text_in(object, "kind"),
        .epoch = epoch,
        .at_ms = number_in(object, "at"),
        .length = number_in(object, "length"),
        .from = number_in(object, "from"),
    };
}

static size_t read_points(struct slice json, struct task_point points[TASK_POINTS_MAX])
{
    struct json_member list;
    struct json_member item;
    size_t count = 0;
    size_t at = 0;

    if (!json_check(json) || !json_get(json, "points", &list) ||
        list.kind != JSON_ARRAY)
        return 0;
    while (count < TASK_POINTS_MAX && json_next(list.value, &at, &item)) {
        if (item.kind == JSON_OBJECT)
            points[count++] = read_point(item.value);
    }
    return count;
}

/* [state, erased, list] */
static void finish_points(struct call *call, const struct reply *reply)
{
    struct task_point points[TASK_POINTS_MAX];
    struct task_points found = {.points = points};
    task_pointed *done = (task_pointed *)call->done;

    if (reply == NULL || reply_kind(reply) != REPLY_LIST || reply_count(reply) != 3) {
        done(call->ctx, NULL);
        return;
    }
    if (reply_text(reply_at(reply, 1)).len == 0)
        found.state = run_state_of(reply_text(reply_at(reply, 0)));
    if (found.state != RUN_UNKNOWN)
        found.count = read_points(reply_text(reply_at(reply, 2)), points);
    done(call->ctx, &found);
}

void store_points(struct store *store, const struct task_key *task, task_pointed *done,
                  void *ctx)
{
    /* It writes nothing: a Redis that is full runs it, too. */
    struct call *call = call_new(store, task, finish_points);

    call->done = (void (*)(void))done;
    call->ctx = ctx;
    call_arg(call, slice_of("EVAL"));
    call_arg(call, slice_make(script_points.text, script_points.len));
    call_arg_u64(call, 2);
    call_arg_key(call, "run");
    call_arg_key(call, "points");
    call_command(call);
}
