/* flight.c - one question on its way to a backend, and everybody who waits for it. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "base/mem.h"

#include <stdlib.h>

/* A 403 of a Frappe in developer mode carries a traceback of some tens of KB. */
#define RESPONSE_MAX_BYTES (256U << 10)

/*
 *   fetch the secret (v17) --> ask --> told
 *            ^                  |
 *            '------------------'  once, when the backend does not know us: it makes the
 *                                  secret at the first question after it lost it
 *
 * One timer covers it all.
 */
struct flight {
    struct list node;
    struct frappe *frappe;
    struct question *question;
    struct list waiters;
    struct timer timeout;
    struct errand *errand;         /* the secret is being fetched */
    struct http_client_call *call; /* the backend is being asked */
    uint64_t started_ms;
    bool is_second;
};

/* The context of a fetch: outlives its flight, which may be over before the secret comes. */
struct errand {
    struct flight *flight;
};

struct waiter {
    struct list node;
    struct asker asker;
};

void asker_tell(const struct asker *asker, const struct answer *answer)
{
    if (asker->identified != NULL)
        asker->identified(asker->ctx, answer->identity,
                          answer->identity != NULL ? NULL : answer->error);
    else
        asker->permitted(asker->ctx, answer->is_allowed);
}

/* ---- ending ---- */

static void tell_all(struct list *waiters, const struct answer *answer)
{
    while (!list_is_empty(waiters)) {
        struct waiter *waiter = LIST_ENTRY(waiters->next, struct waiter, node);
        struct asker asker = waiter->asker;
        list_remove(&waiter->node);
        free(waiter);
        asker_tell(&asker, answer);
    }
}

static void let_go(struct flight *flight)
{
    struct http_client_call *call = flight->call;
    timer_release(&flight->timeout);
    if (flight->errand != NULL)
        flight->errand->flight = NULL;
    flight->call = NULL; /* so that on_done knows that nobody listens */
    if (call != NULL)
        http_client_cancel(call);
}

static void count_end(struct frappe *frappe, const struct flight *flight,
                      const struct answer *answer)
{
    frappe->flight_count--;
    frappe->under_way->value = frappe->flight_count;
    histogram_observe(frappe->took_ms,
                      (double)(loop_now_ms(frappe->loop) - flight->started_ms));
    if (answer->refusal == REFUSED_NOT && flight->question->kind != ASK_IDENTITY &&
        !answer->is_allowed)
        counter_add(frappe->denied, 1);
}

/* Everybody who joined is told. `answer`'s reference is taken. Neither the flight nor its
 * `frappe` may be looked at afterwards. */
static void flight_end(struct flight *flight, struct answer *answer)
{
    struct frappe *frappe = flight->frappe;
    struct list waiters;
    let_go(flight);
    map_remove(frappe->flights_by_key, flight->question->key);
    list_remove(&flight->node);
    count_end(frappe, flight, answer);
    if (answer->refusal == REFUSED_NOT) {
        answer_cache_keep(frappe->cache, flight->question, answer);
    } else {
        frappe_complain(frappe, flight->question, answer);
        question_free(flight->question);
    }
    list_init(&waiters);
    LIST_FOR_EACH(it, tmp, &flight->waiters)
    {
        frappe->waiter_count--;
    }
    list_splice(&waiters, &flight->waiters);
    free(flight);
    /* Whoever is told may free `frappe`: from here on only what is ours. */
    tell_all(&waiters, answer);
    identity_unref(answer->identity);
}

void flights_end(struct frappe *frappe)
{
    while (!list_is_empty(&frappe->flights)) {
        struct answer answer = {.refusal = REFUSED_CLOSING, .error = "Unauthorized"};
        flight_end(LIST_ENTRY(frappe->flights.next, struct flight, node), &answer);
    }
}

static void on_timeout(struct timer *timer)
{
    struct flight *flight = LIST_ENTRY(timer, struct flight, timeout);
    struct answer answer = {.refusal = REFUSED_TIMEOUT, .error = "Unauthorized"};
    flight_end(flight, &answer);
}

/* ---- asking ---- */

static void fetch_secret(struct flight *flight);

static void on_done(void *ctx, const struct http_client_result *result)
{
    struct flight *flight = ctx;
    struct answer answer = {0};
    if (flight->call == NULL)
        return;
    flight->call = NULL;
    bool is_stranger =
        answer_read(&answer, &flight->frappe->rules, flight->question, result);
    if (is_stranger && !flight->is_second && flight->frappe->secret != NULL) {
        flight->is_second = true;
        fetch_secret(flight);
        return;
    }
    flight_end(flight, &answer);
}

static void ask(struct flight *flight, struct slice secret)
{
    struct frappe *frappe = flight->frappe;
    struct request request;
    request_init(&request, &frappe->rules, flight->question, secret);
    struct http_client_request http = {
        .url = buf_text(&request.url),
        .headers = request.headers,
        .header_count = request.header_count,
        /* Our own timer is first; this one only replaces the client's default. */
        .connect_timeout_ms = frappe->timeout_ms + 1000,
        .response_limit_bytes = RESPONSE_MAX_BYTES,
        .on_done = on_done,
        .ctx = flight,
    };
    /* libcurl copies the URL and the headers and does not wipe its copies. */
    flight->call = http_client_start(frappe->client, &http);
    request_wipe(&request);
}

static void on_secret(void *ctx, struct slice secret)
{
    struct errand *errand = ctx;
    struct flight *flight = errand->flight;
    free(errand);
    if (flight == NULL)
        return;
    flight->errand = NULL;
    ask(flight, secret);
}

static void fetch_secret(struct flight *flight)
{
    struct frappe *frappe = flight->frappe;
    if (frappe->secret == NULL || !frappe->rules.dialect->knows_secret) {
        ask(flight, slice_make(NULL, 0));
        return;
    }
    flight->errand = mem_new(sizeof(*flight->errand));
    flight->errand->flight = flight;
    frappe->secret(frappe->secret_ctx, on_secret, flight->errand);
}

/* ---- setting out ---- */

struct flight *flight_new(struct frappe *frappe, struct question *question)
{
    struct flight *flight = mem_new(sizeof(*flight));
    flight->frappe = frappe;
    flight->question = question;
    flight->started_ms = loop_now_ms(frappe->loop);
    list_init(&flight->waiters);
    timer_init(&flight->timeout, frappe->loop, on_timeout);
    timer_start(&flight->timeout, frappe->timeout_ms, 0);
    list_push_back(&frappe->flights, &flight->node);
    map_set(frappe->flights_by_key, question->key, flight);
    counter_add(frappe->by_backend, 1);
    frappe->flight_count++;
    frappe->under_way->value = frappe->flight_count;
    fetch_secret(flight);
    return flight;
}

void flight_join(struct flight *flight, const struct asker *asker)
{
    struct waiter *waiter = mem_new(sizeof(*waiter));
    waiter->asker = *asker;
    list_push_back(&flight->waiters, &waiter->node);
    flight->frappe->waiter_count++;
}
