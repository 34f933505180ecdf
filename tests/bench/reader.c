/* reader.c - one subscribed connection of the load client, in any of its dialects. */
/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include "sock.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void reader_open(struct reader *reader, const struct reader_plan *plan, unsigned task)
{
    *reader = (struct reader){
        .plan = plan, .task = task, .owner = reader->owner, .place = reader->place};
    reader->fd = sock_connect_local(plan->port, plan->receive_bytes);
}

void reader_close(struct reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    reader->state = READER_CLOSED;
    text_release(&reader->in);
    text_release(&reader->message);
    text_release(&reader->out);
}

void reader_cut(struct reader *reader)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reader->fd >= 0)
        setsockopt(reader->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    reader_close(reader);
}

bool reader_last_text(const char *text, size_t length, const char *key, char *out)
{
    const char *end = text + length;
    const char *found = NULL;
    size_t size = strlen(key);
    for (const char *at = text;
         (at = memmem(at, (size_t)(end - at), key, size)) != NULL; at += size)
        found = at + size;
    const char *stop = found ? memchr(found, '"', (size_t)(end - found)) : NULL;
    if (!stop || stop - found >= PLACE_SIZE)
        return false;
    memcpy(out, found, (size_t)(stop - found));
    out[stop - found] = '\0';
    return true;
}

/* What a client of the benchmark sends is small: a full socket means a stuck server. */
static void reader_flush(struct reader *reader)
{
    if (!sock_flush(reader->fd, &reader->out) || reader->out.length > 0)
        reader_close(reader);
}

void reader_connected(struct reader *reader)
{
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(reader->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        fprintf(stderr, "bench: connect: %s\n", strerror(error));
        reader_close(reader);
        return;
    }
    reader->state = READER_UPGRADING;
    reader->plan->dialect->on_connected(reader);
    reader_flush(reader);
}

static void reader_message(struct reader *reader, const char *text, size_t length,
                           uint64_t at_ns)
{
    if (!reader->plan->dialect->on_text(reader, text, length))
        return;
    reader->messages++;
    reader->plan->on_data(reader, text, length, at_ns);
}

static void reader_frame(struct reader *reader, const struct ws_frame *frame,
                         uint64_t at_ns)
{
    switch (frame->opcode) {
    case WS_PING:
        ws_encode_masked(&reader->out, WS_PONG, frame->payload, frame->length);
        return;
    case WS_PONG:
        return;
    case WS_CLOSE:
        reader_close(reader);
        return;
    default:
        break;
    }
    if (frame->is_final && reader->message.length == 0) {
        reader_message(reader, frame->payload, frame->length, at_ns);
        return;
    }
    text_add(&reader->message, frame->payload, frame->length);
    if (frame->is_final) {
        reader_message(reader, reader->message.bytes, reader->message.length, at_ns);
        reader->message.length = 0;
    }
}

/* Answers what was used up, -1 at a violation. */
static ssize_t reader_head(struct reader *reader, const char *bytes, size_t length)
{
    int status = 0;
    ssize_t body_length = 0;
    ssize_t head = http_head(bytes, length, &status, &body_length);
    if (head <= 0)
        return head;
    if (status != (reader->plan->dialect->body == BODY_FRAMES ? 101 : 200)) {
        fprintf(stderr, "bench: %s reader refused with status %d\n",
                reader->plan->dialect->name, status);
        return -1;
    }
    reader->state = READER_JOINING;
    reader->plan->dialect->on_upgraded(reader);
    return head;
}

static ssize_t reader_body(struct reader *reader, const char *bytes, size_t length,
                           uint64_t at_ns)
{
    ssize_t used = chunked_decode(bytes, length, &reader->chunk_left, &reader->message);
    struct text *message = &reader->message;
    size_t whole = message->length;
    while (whole >= 2 && memcmp(message->bytes + whole - 2, "\n\n", 2) != 0)
        whole--;
    if (used < 0 || whole < 2)
        return used;
    reader_message(reader, message->bytes, whole, at_ns);
    text_consume(message, whole);
    return used;
}

/* A whole answer, told its length; 204 says that there is nothing more to wait for. */
static ssize_t reader_answer(struct reader *reader, const char *bytes, size_t length,
                             uint64_t at_ns)
{
    int status = 0;
    ssize_t body_length = 0;
    ssize_t head = http_head(bytes, length, &status, &body_length);
    if (head <= 0)
        return head;
    if (status != 200 || body_length < 0) {
        if (status != 204)
            fprintf(stderr, "bench: %s reader refused with status %d\n",
                    reader->plan->dialect->name, status);
        return -1;
    }
    if (length - (size_t)head < (size_t)body_length)
        return 0;
    reader_message(reader, bytes + head, (size_t)body_length, at_ns);
    return head + body_length;
}

/* One head, frame, answer or run of chunks; 0 = more is needed. */
static ssize_t reader_step(struct reader *reader, const char *bytes, size_t length,
                           uint64_t at_ns)
{
    enum body body = reader->plan->dialect->body;
    if (body == BODY_ANSWERS)
        return reader_answer(reader, bytes, length, at_ns);
    if (reader->state == READER_UPGRADING)
        return reader_head(reader, bytes, length);
    if (body == BODY_CHUNKS)
        return reader_body(reader, bytes, length, at_ns);
    struct ws_frame frame;
    ssize_t used = ws_decode(bytes, length, &frame);
    if (used > 0)
        reader_frame(reader, &frame, at_ns);
    return used;
}

/* Answers how much was used up; closes the reader at a violation. */
static size_t reader_feed(struct reader *reader, const char *bytes, size_t length,
                          uint64_t at_ns)
{
    size_t used = 0;
    while (used < length) {
        ssize_t step = reader_step(reader, bytes + used, length - used, at_ns);
        if (step < 0)
            reader_close(reader);
        if (step <= 0 || reader->state == READER_CLOSED)
            break;
        used += (size_t)step;
    }
    return used;
}

void reader_readable(struct reader *reader)
{
    /* One buffer for all, so that reading a thousand sockets stays in the cache; only an
     * incomplete tail is kept per reader. */
    static char scratch[256 * 1024];
    ssize_t n = recv(reader->fd, scratch, sizeof(scratch), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        reader_close(reader);
        return;
    }
    uint64_t at_ns = now_ns();
    size_t length = (size_t)n;
    reader->bytes += length;
    if (reader->in.length == 0) {
        size_t used = reader_feed(reader, scratch, length, at_ns);
        if (reader->state != READER_CLOSED)
            text_add(&reader->in, scratch + used, length - used);
    } else {
        text_add(&reader->in, scratch, length);
        size_t used = reader_feed(reader, reader->in.bytes, reader->in.length, at_ns);
        if (reader->state != READER_CLOSED)
            text_consume(&reader->in, used);
    }
    if (reader->state != READER_CLOSED && reader->out.length > 0)
        reader_flush(reader);
}
