/* first.c - time to the first token: asked of the provider directly, and through a worker. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_first --provider P --broker P --redis P [--runs 1000] [--model fast]
 *
 * One request after the other, by turns: one to the provider with libcurl over a connection
 * that is kept alive, as the worker's are; one as a task of the broker. The task is watched
 * from outside at two places: on its live channel in Redis, where the worker's events appear
 * first, and by an SSE reader. A JSON line for each tells its moments in milliseconds of the
 * system's clock, as the stand-in provider's list of calls does; who puts the two together
 * knows what was spent where:
 *
 *   direct   asked ........................ -> provider has it, writes -> seen
 *   through  posted -> queued (in Redis) -> provider has it, writes -> told (in Redis) -> seen
 */
#include "marker.h"
#include "sock.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct direct {
    CURL *curl;
    char needle[32]; /* the first token */
    double seen_ms;
};

/* A connection that is read until some words have come. */
struct line {
    int fd;
    struct text in;
};

struct first {
    struct direct direct;
    struct line redis; /* subscribed */
    struct line web;   /* submits */
    struct line sse;
    uint16_t provider;
    uint16_t broker;
    const char *model;
};

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- directly ---- */

static size_t on_body(char *bytes, size_t one, size_t count, void *ctx)
{
    struct direct *direct = ctx;
    if (direct->seen_ms == 0.0 &&
        memmem(bytes, one * count, direct->needle, strlen(direct->needle)))
        direct->seen_ms = now_ms();
    return one * count;
}

static void direct_open(struct first *first)
{
    char url[64];
    CURL *curl = curl_easy_init();
    if (!curl)
        die("libcurl does not start");
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/chat/completions",
                   first->provider);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &first->direct);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    first->direct.curl = curl;
}

static void direct_run(struct first *first, struct curl_slist *headers, unsigned n)
{
    struct direct *direct = &first->direct;
    char body[256];
    (void)snprintf(direct->needle, sizeof(direct->needle), "d%u:0", n);
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"%s\",\"stream\":true,\"stream_options\":{"
                   "\"include_usage\":true},\"messages\":[{\"role\":\"user\","
                   "\"content\":\"d%u\"}]}",
                   first->model, n);
    direct->seen_ms = 0.0;
    curl_easy_setopt(direct->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(direct->curl, CURLOPT_POSTFIELDS, body);
    double asked = now_ms();
    CURLcode code = curl_easy_perform(direct->curl);
    if (code != CURLE_OK || direct->seen_ms == 0.0)
        die("the provider: %s",
            code == CURLE_OK ? "no first token" : curl_easy_strerror(code));
    printf("{\"phase\":\"direct\",\"key\":\"d%u\",\"asked\":%.4f,\"seen\":%.4f}\n", n,
           asked, direct->seen_ms);
}

/* ---- through broker and worker ---- */

static void line_say(struct line *line, const char *bytes, size_t length)
{
    struct text out = {0};
    text_add(&out, bytes, length);
    if (!sock_flush(line->fd, &out) || out.length > 0)
        die("send: %s", strerror(errno));
    text_release(&out);
}

/* Takes in what has come; what was asked for is looked for in all of it. */
static void line_read(struct line *line)
{
    ssize_t n = recv(line->fd, text_reserve(&line->in, 65536), 65536, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("a connection is gone: %s", n == 0 ? "closed" : strerror(errno));
    line->in.length += n > 0 ? (size_t)n : 0;
}

static bool line_has(const struct line *line, const char *words)
{
    return line->in.length > 0 &&
           memmem(line->in.bytes, line->in.length, words, strlen(words)) != NULL;
}

static void line_until(struct line *line, const char *words)
{
    while (!line_has(line, words)) {
        struct pollfd one = {.fd = line->fd, .events = POLLIN};
        if (poll(&one, 1, PATIENCE_MS) != 1)
            die("waited in vain for %s", words);
        line_read(line);
    }
}

/* The connection stands when its first words can be sent. */
static void line_open(struct line *line, uint16_t port)
{
    struct pollfd one = {.events = POLLOUT};
    line->fd = sock_connect_local(port, 0);
    one.fd = line->fd;
    if (poll(&one, 1, PATIENCE_MS) != 1)
        die("port %u does not take connections", port);
}

static void redis_say(struct first *first, const char *verb, const char *channel)
{
    char words[128];
    int length = snprintf(words, sizeof(words), "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                          strlen(verb), verb, strlen(channel), channel);
    first->redis.in.length = 0;
    line_say(&first->redis, words, (size_t)length);
    line_until(&first->redis, ":");
    first->redis.in.length = 0;
}

static void sse_join(struct first *first, const char *task)
{
    char words[128];
    int length = snprintf(words, sizeof(words),
                          "GET /v1/tasks/%s/events?from=start HTTP/1.1\r\n"
                          "Host: 127.0.0.1\r\n\r\n",
                          task);
    first->sse.in.length = 0;
    line_open(&first->sse, first->broker);
    line_say(&first->sse, words, (size_t)length);
    line_until(&first->sse, "event: subscribed");
}

static void submit(struct first *first, const char *task)
{
    struct text body = {0};
    struct text words = {0};
    text_printf(&body,
                "{\"task_id\":\"%s\",\"model\":\"%s\",\"messages\":[{\"role\":\"user\","
                "\"content\":\"%s\"}]}",
                task, first->model, task);
    text_printf(&words,
                "POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                body.length);
    text_add(&words, body.bytes, body.length);
    first->web.in.length = 0;
    line_say(&first->web, words.bytes, words.length);
    text_release(&body);
    text_release(&words);
}

struct moments {
    double posted;
    double queued; /* in Redis */
    double told;   /* its first token, in Redis */
    double seen;   /* by the reader */
};

/* Redis escapes nothing of ours: the event's JSON is there as it is. */
static void watch(struct first *first, const char *token, struct moments *moments)
{
    struct pollfd all[3] = {{.fd = first->redis.fd, .events = POLLIN},
                            {.fd = first->sse.fd, .events = POLLIN},
                            {.fd = first->web.fd, .events = POLLIN}};
    while (moments->told == 0.0 || moments->seen == 0.0) {
        if (poll(all, 3, PATIENCE_MS) <= 0)
            die("no first token through the worker");
        double now = now_ms();
        if (all[0].revents) {
            line_read(&first->redis);
            if (moments->queued == 0.0 && line_has(&first->redis, "\"queued\""))
                moments->queued = now;
            if (moments->told == 0.0 && line_has(&first->redis, token))
                moments->told = now;
        }
        if (all[1].revents) {
            line_read(&first->sse);
            if (moments->seen == 0.0 && line_has(&first->sse, token))
                moments->seen = now;
        }
        if (all[2].revents)
            line_read(&first->web);
    }
}

static void through_run(struct first *first, unsigned n)
{
    char task[TASK_NAME_LENGTH + 1];
    char token[TASK_NAME_LENGTH + 4];
    char channel[64];
    struct moments moments = {0};
    task_name(n, task);
    (void)snprintf(token, sizeof(token), "%s:0 ", task);
    (void)snprintf(channel, sizeof(channel), "tw:{/%s}:live", task);
    redis_say(first, "SUBSCRIBE", channel);
    sse_join(first, task);
    moments.posted = now_ms();
    submit(first, task);
    watch(first, token, &moments);
    line_until(&first->web, "HTTP/1.1 202");
    line_until(&first->sse, "\"completion\"");
    line_until(&first->redis, "\"completion\"");
    close(first->sse.fd);
    redis_say(first, "UNSUBSCRIBE", channel);
    printf("{\"phase\":\"through\",\"key\":\"%s\",\"posted\":%.4f,\"queued\":%.4f,"
           "\"told\":%.4f,\"seen\":%.4f}\n",
           task, moments.posted, moments.queued, moments.told, moments.seen);
}

int main(int argc, char **argv)
{
    struct first first = {
        .provider = (uint16_t)arg_number(argc, argv, "--provider", 0),
        .broker = (uint16_t)arg_number(argc, argv, "--broker", 0),
        .model = arg_text(argc, argv, "--model", "fast"),
    };
    unsigned runs = (unsigned)arg_number(argc, argv, "--runs", 1000);
    uint16_t redis = (uint16_t)arg_number(argc, argv, "--redis", 0);
    if (first.provider == 0 || first.broker == 0 || redis == 0)
        die("--provider, --broker and --redis are needed");
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    direct_open(&first);
    line_open(&first.redis, redis);
    for (unsigned n = 0; n < runs; n++) {
        direct_run(&first, headers, n);
        line_open(&first.web, first.broker);
        through_run(&first, n);
        close(first.web.fd);
    }
    puts("{\"phase\":\"result\"}");
    curl_slist_free_all(headers);
    curl_easy_cleanup(first.direct.curl);
    return 0;
}
