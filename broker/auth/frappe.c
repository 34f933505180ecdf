/* frappe.c - asking the backend of a site who somebody is and what they may see. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_QUESTIONS  1000
#define DEFAULT_CACHED     2000
#define LINES_PER_SECOND   5

/* ---- what operators see ---- */

static bool is_worth_a_line(enum refusal refusal)
{
    return refusal != REFUSED_CREDENTIALS && refusal != REFUSED_CLOSING;
}

/* The HTTP client's words where they tell more than the reason does. */
static const char *detail_of(const struct answer *answer)
{
    bool helps = answer->refusal == REFUSED_UNREACHABLE ||
                 answer->refusal == REFUSED_BROKEN || answer->refusal == REFUSED_UNSENT;
    return helps && answer->detail != NULL ? answer->detail : "-";
}

void frappe_complain(struct frappe *frappe, const struct question *question,
                     const struct answer *answer)
{
    struct buf scratch;
    struct slice base = slice_of("-");
    counter_add(frappe->refused[answer->refusal], 1);
    if (!is_worth_a_line(answer->refusal) ||
        !diag_gate_pass(&frappe->gate, LINES_PER_SECOND, loop_now_ms(frappe->loop)))
        return;
    buf_init(&scratch, QUESTION_MAX_BYTES);
    if (question != NULL)
        base = question_shown_base(question, &scratch);
    diag(answer->refusal == REFUSED_FORBIDDEN ? DIAG_INFO : DIAG_WARN,
         "backend question refused",
         DIAG_S("about", question == NULL ? "-" : question_text(question->kind)),
         DIAG_S("reason", refusal_text(answer->refusal)),
         DIAG_N("status", answer->status), DIAG_SLICE("base", base),
         DIAG_SLICE("site", question == NULL ? slice_of("-") : question->site),
         DIAG_S("detail", detail_of(answer)),
         DIAG_N("suppressed", frappe->gate.suppressed));
    frappe->gate.suppressed = 0;
    buf_release(&scratch);
}

static struct counter *add(struct counters *counters, const char *name,
                           const char *label, const char *help)
{
    return counters_add(counters, COUNTER_TOTAL, name, label, help);
}

static void count(struct frappe *frappe, struct counters *counters)
{
    static const char questions[] = "auth_questions_total";
    static const char help[] = "Questions about users and rights: put to a backend, "
                               "answered from memory, or joined to an equal one";
    char label[40];
    frappe->by_backend = add(counters, questions, "by=\"backend\"", help);
    frappe->by_cache = add(counters, questions, "by=\"cache\"", help);
    frappe->by_flight = add(counters, questions, "by=\"flight\"", help);
    frappe->denied = add(counters, "auth_denied_total", NULL,
                         "Documents, types and tasks the backend said no about");
    frappe->under_way = counters_add(counters, COUNTER_GAUGE, "auth_questions", NULL,
                                     "Questions the backend has not answered yet");
    frappe->took_ms = counters_add_histogram(counters, "auth_question_milliseconds",
                                             "Time until a backend's answer");
    for (enum refusal i = REFUSED_NOT + 1; i < REFUSED_COUNT; i++) {
        (void)snprintf(label, sizeof(label), "reason=\"%s\"", refusal_text(i));
        frappe->refused[i] = add(counters, "auth_refused_total", label,
                                 "Questions without a good answer, so refused");
    }
}

/* ---- asking ---- */

static void refuse(struct frappe *frappe, const struct question *question,
                   enum refusal reason, const struct asker *asker)
{
    struct answer answer = {.refusal = reason, .error = "Unauthorized"};
    frappe_complain(frappe, question, &answer);
    asker_tell(asker, &answer);
}

/* Cached, or on its way already. */
static bool is_known(struct frappe *frappe, const struct question *question,
                     const struct asker *asker)
{
    struct answer answer;
    struct flight *flight;
    if (answer_cache_find(frappe->cache, question, &answer)) {
        counter_add(frappe->by_cache, 1);
        if (answer.identity != NULL)
            identity_ref(answer.identity); /* who is told may free the cache */
        asker_tell(asker, &answer);
        identity_unref(answer.identity);
        return true;
    }
    flight = map_get(frappe->flights_by_key, question->key);
    if (flight == NULL || frappe->waiter_count >= WAITERS_MAX)
        return false;
    counter_add(frappe->by_flight, 1);
    flight_join(flight, asker);
    return true;
}

static void ask(struct frappe *frappe, const struct credentials *credentials,
                enum question_kind kind, const struct auth_question *about,
                const struct asker *asker)
{
    struct answer refused = {0};
    struct question *question = NULL;
    if (frappe->is_closing) {
        refuse(frappe, NULL, REFUSED_CLOSING, asker);
        return;
    }
    question = question_new(&frappe->rules, credentials, kind, about, &refused);
    if (question == NULL) {
        frappe_complain(frappe, NULL, &refused);
        asker_tell(asker, &refused);
        return;
    }
    if (is_known(frappe, question, asker)) {
        question_free(question);
        return;
    }
    if (frappe->flight_count >= frappe->max_questions ||
        frappe->waiter_count >= WAITERS_MAX) {
        refuse(frappe, question, REFUSED_BUSY, asker);
        question_free(question);
        return;
    }
    flight_join(flight_new(frappe, question), asker);
}

static void frappe_identify(struct auth *auth, const struct credentials *credentials,
                            auth_identified *done, void *ctx)
{
    struct frappe *frappe = LIST_ENTRY(auth, struct frappe, auth);
    struct asker asker = {.identified = done, .ctx = ctx};
    ask(frappe, credentials, ASK_IDENTITY, NULL, &asker);
}

static void frappe_permit(struct auth *auth, const struct credentials *credentials,
                          const struct auth_question *question, auth_permitted *done,
                          void *ctx)
{
    struct frappe *frappe = LIST_ENTRY(auth, struct frappe, auth);
    struct asker asker = {.permitted = done, .ctx = ctx};
    enum question_kind kind = question->name.ptr == NULL ? ASK_DOCTYPE : ASK_DOCUMENT;
    if (question->doctype.ptr == NULL)
        kind = ASK_TASK;
    if (kind == ASK_TASK && frappe->rules.task_method[0] == '\0') {
        done(ctx, false); /* nobody to ask: a guard that is not set up keeps shut */
        return;
    }
    ask(frappe, credentials, kind, question, &asker);
}

/* ---- life ---- */

static void frappe_free(struct auth *auth)
{
    struct frappe *frappe = LIST_ENTRY(auth, struct frappe, auth);
    frappe->is_closing = true;
    flights_end(frappe);
    answer_cache_free(frappe->cache);
    map_free(frappe->flights_by_key);
    rules_release(&frappe->rules);
    free(frappe);
}

struct auth *auth_frappe_new(struct loop *loop, struct http_client *client,
                             const struct auth_frappe_options *options,
                             struct counters *counters)
{
    static const struct auth_ops ops = {frappe_identify, frappe_permit, frappe_free};
    struct frappe *frappe = mem_new(sizeof(*frappe));
    size_t max_cached = options->max_cached != 0 ? options->max_cached : DEFAULT_CACHED;
    frappe->auth.ops = &ops;
    frappe->loop = loop;
    frappe->client = client;
    rules_init(&frappe->rules, options);
    frappe->timeout_ms =
        options->timeout_ms != 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    frappe->max_questions =
        options->max_questions != 0 ? options->max_questions : DEFAULT_QUESTIONS;
    frappe->secret = options->secret;
    frappe->secret_ctx = options->secret_ctx;
    frappe->cache = answer_cache_new(loop, options->cache_ms, max_cached);
    frappe->flights_by_key = map_new();
    list_init(&frappe->flights);
    count(frappe, counters);
    return &frappe->auth;
}
