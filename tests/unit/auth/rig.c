/* rig.c - an auth, a scripted backend, and those who ask. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include "base/mem.h"
#include "kit.h"

#define WATCHDOG_MS 20000

static void on_watchdog(struct timer *timer)
{
    (void)timer;
    fprintf(stderr, "the test waited in vain\n");
    abort();
}

void rig_run(struct rig *rig)
{
    rig->is_running = true;
    loop_run(rig->loop);
    rig->is_running = false;
}

/* A loop that is stopped while it does not run would stop when it does. */
void rig_stop(struct rig *rig)
{
    if (rig->is_running)
        loop_stop(rig->loop);
}

static void send_answer(struct scripted_peer *peer, const struct saying *saying)
{
    struct buf bytes;
    size_t len = strlen(saying->body);
    buf_init(&bytes, 1U << 20);
    buf_printf(&bytes,
               "HTTP/1.1 %u Whatever\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               saying->status, len + (saying->breaks_off ? 10 : 0), saying->body);
    scripted_send(peer, buf_text(&bytes));
    buf_release(&bytes);
}

static void on_request(void *ctx, struct scripted_peer *peer, struct slice request)
{
    struct rig *rig = ctx;
    size_t index = rig->request_count++;
    if (index >= RIG_MAX_REQUESTS)
        abort();
    rig->requests[index] = mem_text(request);
    if (index >= rig->saying_count)
        index = rig->saying_count - 1;
    const struct saying *saying = &rig->sayings[index];
    if (saying->status == 0)
        rig->held[rig->held_count++] = peer;
    else
        send_answer(peer, saying);
    if (saying->breaks_off)
        scripted_close(peer);
    if (rig->stop_at_requests != 0 && rig->request_count >= rig->stop_at_requests)
        rig_stop(rig);
}

void rig_say(struct rig *rig, size_t index, unsigned status, const char *body)
{
    rig->sayings[index] = (struct saying){.status = status, .body = body};
    rig->saying_count = index + 1;
}

void rig_start(struct rig *rig, unsigned version, const char *body)
{
    memset(rig, 0, sizeof(*rig));
    rig->loop = loop_new();
    rig->client = http_client_new(rig->loop, NULL);
    rig->backend = scripted_new(rig->loop, NULL, on_request, rig);
    rig->counters = counters_new();
    rig->options = (struct auth_frappe_options){
        .version = version,
        .web_base = "",
        .task_method = "",
        .timeout_ms = WATCHDOG_MS / 2,
        .cache_ms = WATCHDOG_MS,
        .max_questions = 1000,
    };
    (void)snprintf(rig->origin, sizeof(rig->origin), "http://127.0.0.1:%u",
                   scripted_port(rig->backend));
    rig_say(rig, 0, 200, body);
    timer_init(&rig->watchdog, rig->loop, on_watchdog);
    timer_start(&rig->watchdog, WATCHDOG_MS, 0);
}

void rig_auth(struct rig *rig)
{
    if (rig->auth == NULL)
        rig->auth =
            auth_frappe_new(rig->loop, rig->client, &rig->options, rig->counters);
}

void rig_end(struct rig *rig)
{
    auth_free(rig->auth);
    http_client_free(rig->client);
    scripted_free(rig->backend);
    counters_free(rig->counters);
    timer_release(&rig->watchdog);
    loop_free(rig->loop);
    for (size_t i = 0; i < rig->request_count; i++)
        free(rig->requests[i]);
}

/* ---- asking ---- */

static void told(struct reply *reply)
{
    struct rig *rig = reply->rig;
    reply->times++;
    if (reply->frees_auth) {
        auth_free(rig->auth);
        rig->auth = NULL;
    }
    if (rig->waiting > 0 && --rig->waiting == 0)
        rig_stop(rig);
}

void told_identity(void *ctx, struct identity *identity, const char *error)
{
    struct reply *reply = ctx;
    assert_true((identity == NULL) != (error == NULL));
    (void)snprintf(reply->error, sizeof(reply->error), "%s", error ? error : "");
    if (identity != NULL) {
        (void)snprintf(reply->user, sizeof(reply->user), "%s", identity->user);
        reply->is_system_user = identity->is_system_user;
        reply->is_trusted = identity->is_trusted;
    }
    told(reply);
}

void told_permission(void *ctx, bool allowed)
{
    struct reply *reply = ctx;
    reply->is_allowed = allowed;
    told(reply);
}

struct credentials rig_credentials(const struct rig *rig, const char *cookie,
                                   const char *authorization)
{
    return (struct credentials){
        .site = slice_of("site1.local"),
        .origin = slice_of(rig->origin),
        .host = slice_of(rig->origin + strlen("http://")),
        .cookie = slice_of(cookie),
        .authorization = slice_of(authorization),
    };
}

void rig_identify(struct rig *rig, const char *cookie, const char *authorization,
                  struct reply *reply)
{
    struct credentials credentials = rig_credentials(rig, cookie, authorization);
    rig_auth(rig);
    bool frees_auth = reply->frees_auth;
    *reply = (struct reply){.rig = rig, .frees_auth = frees_auth};
    rig->waiting++;
    auth_identify(rig->auth, &credentials, told_identity, reply);
}

void rig_who(struct rig *rig, const char *cookie, const char *authorization,
             struct reply *reply)
{
    rig_identify(rig, cookie, authorization, reply);
    rig_wait(rig);
    assert_int_equal(reply->times, 1);
}

void rig_permit(struct rig *rig, const char *cookie,
                const struct auth_question *question, struct reply *reply)
{
    struct credentials credentials = rig_credentials(rig, cookie, NULL);
    rig_auth(rig);
    *reply = (struct reply){.rig = rig};
    rig->waiting++;
    auth_permit(rig->auth, &credentials, question, told_permission, reply);
}

bool rig_may(struct rig *rig, const char *cookie, const char *doctype, const char *name)
{
    struct auth_question question = {slice_of(doctype), slice_of(name)};
    struct reply reply;
    rig_permit(rig, cookie, &question, &reply);
    rig_wait(rig);
    assert_int_equal(reply.times, 1);
    return reply.is_allowed;
}

/* ---- waiting ---- */

void rig_wait(struct rig *rig)
{
    if (rig->waiting > 0)
        rig_run(rig);
    assert_int_equal(rig->waiting, 0);
}

void rig_wait_requests(struct rig *rig, size_t count)
{
    rig->stop_at_requests = count;
    if (rig->request_count < count)
        rig_run(rig);
    rig->stop_at_requests = 0;
    assert_int_equal(rig->request_count, count);
}

struct alarm {
    struct timer timer;
    struct rig *rig;
};

static void on_alarm(struct timer *timer)
{
    rig_stop(LIST_ENTRY(timer, struct alarm, timer)->rig);
}

void rig_pass_ms(struct rig *rig, uint64_t ms)
{
    struct alarm alarm = {.rig = rig};
    timer_init(&alarm.timer, rig->loop, on_alarm);
    timer_start(&alarm.timer, ms, 0);
    rig_run(rig);
    timer_release(&alarm.timer);
}

void rig_release(struct rig *rig, unsigned status, const char *body)
{
    struct saying saying = {.status = status, .body = body};
    for (size_t i = 0; i < rig->held_count; i++)
        send_answer(rig->held[i], &saying);
    rig->held_count = 0;
}

/* ---- looking ---- */

/* Cuts `text` at the end of its line, in place. */
static const char *one_line(char *text)
{
    char *end = strstr(text, "\r\n");
    if (end != NULL)
        *end = '\0';
    return text;
}

/* Copies come from a small ring, so that several may be looked at together. */
static char *scratch_copy(const char *text)
{
    static char ring[8][4096];
    static size_t next;
    char *copy = ring[next++ % 8];
    (void)snprintf(copy, sizeof(ring[0]), "%s", text);
    return copy;
}

const char *rig_line(struct rig *rig, size_t request)
{
    assert_true(request < rig->request_count);
    return one_line(scratch_copy(rig->requests[request]));
}

const char *rig_header(struct rig *rig, size_t request, const char *name)
{
    char line[64];
    assert_true(request < rig->request_count);
    (void)snprintf(line, sizeof(line), "\r\n%s: ", name);
    const char *found = strcasestr(rig->requests[request], line);
    return found == NULL ? NULL : one_line(scratch_copy(found + strlen(line)));
}

long rig_count(struct rig *rig, const char *name)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "thinkwire_%s ", name);
    return (long)kit_counted(rig->counters, line);
}
