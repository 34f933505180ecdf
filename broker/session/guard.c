/* guard.c - may this reader watch that task (--task-guard). */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "session/internal.h"

#include <stdlib.h>

/*
 *   backend   the site's backend is asked, each time
 *   own       a task is its user's once an event to the user's own room has named it
 *
 * With `own` a reader follows what was sent to its own room, which nobody can ask for in
 * another's name, and what everybody in the task's room hears is added when the task is
 * known to be its own. Until then the task is one that nobody knows: a reader cannot tell a
 * task of somebody else from none.
 */

bool guard_is_somebody(struct slice user)
{
    return user.len > 0 && !slice_is(user, "Guest");
}

bool guard_keeps_out(const struct session_set *set, struct slice user)
{
    return set->options.frappe.guard == TASK_GUARD_OWN && !guard_is_somebody(user);
}

static bool owns(const struct session_set *set, const struct task_key *task,
                 struct slice user)
{
    const struct topic *own = subscription_own_topic(set->hub, task, user, false);

    return own != NULL && topic_run(own)->state != RUN_UNKNOWN;
}

bool guard_would_deny(const struct session_set *set, const struct task_key *task,
                      struct slice user)
{
    return set->options.frappe.guard == TASK_GUARD_OWN && !owns(set, task, user);
}

void guard_ask(struct session_set *set, const struct guard_asker *asker,
               const struct task_key *task, auth_permitted *done, void *ctx)
{
    struct auth_question question = {{NULL, 0}, task->task_id};

    switch (set->options.frappe.guard) {
    case TASK_GUARD_OFF:
        done(ctx, true);
        break;
    case TASK_GUARD_OWN:
        done(ctx, owns(set, task, asker->user));
        break;
    case TASK_GUARD_BACKEND:
        auth_permit(set->options.auth, &asker->credentials, &question, done, ctx);
        break;
    }
}

/* ---- who asks, kept for later questions ---- */

struct guard_pass {
    struct guard_asker asker;
    size_t size;
    char bytes[];
};

static struct slice put(char **at, struct slice text)
{
    char *start = *at;

    if (text.len > 0)
        memcpy(start, text.ptr, text.len);
    *at += text.len;
    return text.ptr == NULL ? text : slice_make(start, text.len);
}

struct guard_pass *guard_pass_new(const struct credentials *from)
{
    size_t size = from->site.len + from->origin.len + from->host.len +
                  from->cookie.len + from->authorization.len;
    struct guard_pass *pass = mem_new(sizeof(*pass) + size);
    char *at = pass->bytes;

    pass->size = size;
    pass->asker.credentials = (struct credentials){
        .site = put(&at, from->site),
        .origin = put(&at, from->origin),
        .host = put(&at, from->host),
        .cookie = put(&at, from->cookie),
        .authorization = put(&at, from->authorization),
        .is_tls = from->is_tls,
    };
    return pass;
}

struct guard_asker *guard_pass_asker(struct guard_pass *pass)
{
    return &pass->asker;
}

void guard_pass_free(struct guard_pass *pass)
{
    if (pass == NULL)
        return;
    explicit_bzero(pass->bytes, pass->size);
    free(pass);
}

/* ---- a request that is no reader (session.h) ---- */

struct guard_call {
    struct session_set *set;
    struct task_key task; /* a copy */
    void (*done)(void *ctx, bool allowed);
    void *ctx;
};

static void call_end(void *ctx, bool allowed)
{
    struct guard_call *call = ctx;

    call->done(call->ctx, allowed);
    task_key_release(&call->task);
    free(call);
}

static void call_known(void *ctx, struct identity *identity, const char *error)
{
    struct guard_call *call = ctx;

    (void)error;
    call_end(call, identity != NULL &&
                       owns(call->set, &call->task, slice_of(identity->user)));
}

void session_guard(struct session_set *set, const struct http_request *request,
                   const struct task_key *task, void (*done)(void *ctx, bool allowed),
                   void *ctx)
{
    struct guard_asker asker = {.credentials = credentials_of(request, task->site)};
    struct guard_call *call;

    if (set->options.frappe.guard != TASK_GUARD_OWN) {
        guard_ask(set, &asker, task, done, ctx);
        return;
    }
    call = mem_new(sizeof(*call));
    *call = (struct guard_call){
        .set = set, .task = task_key_copy(task), .done = done, .ctx = ctx};
    if (request_may_be_known(set, request))
        auth_identify(set->options.auth, &asker.credentials, call_known, call);
    else
        call_end(call, false);
}
