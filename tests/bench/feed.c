/* feed.c - the ways an event gets in: Redis channel, broker over HTTP, Nchan. */
/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include "sock.h"
#include "wire.h"

#include <string.h>

static void message(struct text *out, const struct feed_request *request,
                    unsigned index)
{
    unsigned seq = request->first + index;
    if (request->words > 0) {
        word_message(out, seq, request->words);
        return;
    }
    struct marker marker = {request->task, seq, now_ns()};
    marker_message(out, &marker);
}

/* ---- Frappe's channel: PUBLISH events {...} ---- */

static void frappe_encode(struct text *out, const struct feed_request *request)
{
    struct text json = {0};
    char name[TASK_NAME_LENGTH + 1];
    task_name(request->task, name);
    text_printf(&json,
                "{\"namespace\":\"\",\"room\":\"task_progress:%s\","
                "\"event\":\"ai_progress\",\"message\":",
                name);
    message(&json, request, 0);
    text_add(&json, "}", 1);
    text_printf(out, "*3\r\n$7\r\nPUBLISH\r\n$6\r\nevents\r\n$%zu\r\n", json.length);
    text_add(out, json.bytes, json.length);
    text_add(out, "\r\n", 2);
    text_release(&json);
}

/* PUBLISH answers one integer: how many subscribers it reached. Zero is a refusal here:
 * somebody should have listened. */
static ssize_t frappe_answer(const char *bytes, size_t length, bool *accepted)
{
    const char *end = memmem(bytes, length, "\r\n", 2);
    if (!end)
        return length > 1024 ? -1 : 0;
    *accepted = bytes[0] == ':' && bytes[1] != '0';
    return end + 2 - bytes;
}

/* ---- POST ---- */

/* The task's name stands between the two halves of the path. */
static void post(struct text *out, const struct feed_request *request,
                 const char *const path[2], const struct text *body)
{
    char name[TASK_NAME_LENGTH + 1];
    task_name(request->task, name);
    text_printf(out, "POST %s%s%s", path[0], name, path[1]);
    text_printf(out, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: %zu\r\n\r\n",
                request->port, body->length);
    text_add(out, body->bytes, body->length);
}

static ssize_t http_answer(const char *bytes, size_t length, bool *accepted)
{
    int status = 0;
    ssize_t body_length = 0;
    ssize_t head = http_head(bytes, length, &status, &body_length);
    if (head <= 0)
        return head;
    if (body_length < 0) /* all that we publish to tell the length */
        return -1;
    if (length < (size_t)(head + body_length))
        return 0;
    *accepted = status >= 200 && status < 300;
    return head + body_length;
}

static void http_encode(struct text *out, const struct feed_request *request)
{
    struct text body = {0};
    for (unsigned i = 0; i < request->count; i++) {
        message(&body, request, i);
        text_add(&body, "\n", 1);
    }
    static const char *const path[2] = {"/v1/tasks/", "/events"};
    post(out, request, path, &body);
    text_release(&body);
}

/* Nchan passes on bytes, so it gets the frame that the Socket.IO server would make. */
static void nchan_encode(struct text *out, const struct feed_request *request)
{
    struct text body = {0};
    struct marker marker = {request->task, request->first, now_ns()};
    if (request->words > 0)
        message(&body, request, 0);
    else
        marker_frame(&body, &marker);
    static const char *const path[2] = {"/pub/", ""};
    post(out, request, path, &body);
    text_release(&body);
}

static const struct feed feeds[] = {
    {"frappe", false, frappe_encode, frappe_answer},
    {"http", true, http_encode, http_answer},
    {"nchan", false, nchan_encode, http_answer},
};

const struct feed *feed_named(const char *name)
{
    for (size_t i = 0; i < sizeof(feeds) / sizeof(feeds[0]); i++) {
        if (strcmp(feeds[i].name, name) == 0)
            return &feeds[i];
    }
    die("no feed is named \"%s\"", name);
}
