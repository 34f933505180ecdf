/* join.c - late joiners of a long run, one after the other, each timed. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_join --kind ws|socketio|sse|nchan --port P [--task 0] [--words 20000] [--joins K]
 *              [--live L] [--from snapshot] [--form string|object] [--deadline-ms D]
 *
 * Each joiner is connected and greeted first; the clock runs from the subscription to the
 * last byte that completes words 0 … N-1 in order. It stays until L more words have come, so
 * that a seam between snapshot and live would be seen. One JSON line tells all of them.
 */
#include "marker.h"
#include "reader.h"
#include "sock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Loopback's segments are as large as the window that a socket starts with. What does not fit
 * the rest of it waits for the receiver's next word, 40 or 200 ms later: a stall no network with
 * ordinary segments has, and no server's doing. A larger buffer keeps it out of the figures. */
#define RECEIVE_BYTES (1 << 20)

struct join {
    unsigned words;   /* wanted */
    unsigned live;    /* wanted after them */
    unsigned until;   /* it leaves when this is the next */
    unsigned next;    /* the word that comes next */
    unsigned strange; /* words out of order, doubled or missing before them */
    unsigned merged;  /* events that stand for several */
    uint64_t done_ns;
};

static unsigned count_merged(const char *text, size_t length)
{
    static const char key[] = "\"merged\":";
    unsigned count = 0;
    const char *end = text + length;
    for (const char *at = text; at < end; at += sizeof(key) - 1) {
        at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1);
        if (!at)
            break;
        count++;
    }
    return count;
}

static void join_data(struct reader *reader, const char *text, size_t length,
                      uint64_t at_ns)
{
    struct join *join = reader->owner;
    unsigned word = 0;
    join->merged += count_merged(text, length);
    for (const char *at = text; word_next(&at, text + length, &word);) {
        if (word != join->next)
            join->strange++;
        join->next = word + 1;
    }
    if (join->next >= join->words && join->done_ns == 0) {
        join->done_ns = at_ns;
        join->until = join->next + join->live;
    }
}

static void join_once(const struct reader_plan *plan, unsigned task, struct join *join,
                      struct reader *reader, uint64_t deadline_ns)
{
    reader->owner = join;
    reader_open(reader, plan, task);
    while (reader->state != READER_CLOSED && join->next < join->until &&
           now_ns() < deadline_ns) {
        bool is_new = reader->state == READER_CONNECTING;
        struct pollfd poll_fd = {.fd = reader->fd, .events = is_new ? POLLOUT : POLLIN};
        int ready = poll(&poll_fd, 1, 100);
        if (ready < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        if (ready <= 0)
            continue;
        if (is_new)
            reader_connected(reader);
        else
            reader_readable(reader);
    }
}

int main(int argc, char **argv)
{
    struct reader_plan plan = {
        .dialect = dialect_named(arg_text(argc, argv, "--kind", "ws")),
        .port = (uint16_t)arg_number(argc, argv, "--port", 0),
        .from = arg_text(argc, argv, "--from", "snapshot"),
        .object_form = strcmp(arg_text(argc, argv, "--form", "object"), "object") == 0,
        .on_data = join_data,
        .receive_bytes = RECEIVE_BYTES,
    };
    unsigned task = (unsigned)arg_number(argc, argv, "--task", 0);
    unsigned words = (unsigned)arg_number(argc, argv, "--words", 20000);
    unsigned live = (unsigned)arg_number(argc, argv, "--live", 0);
    uint64_t joins = arg_number(argc, argv, "--joins", 1);
    uint64_t deadline_ns =
        now_ns() + arg_number(argc, argv, "--deadline-ms", 20000) * 1000000u;
    if (plan.port == 0)
        die("--port is needed");
    printf("{\"joins\":[");
    for (uint64_t i = 0; i < joins; i++) {
        struct reader reader = {0};
        struct join join = {.words = words, .live = live, .until = UINT_MAX};
        join_once(&plan, task, &join, &reader, deadline_ns);
        printf("%s{\"us\":%.1f,\"words\":%u,\"strange\":%u,\"messages\":%" PRIu64
               ",\"merged\":%u,\"bytes\":%" PRIu64 "}",
               i ? "," : "",
               join.next >= join.until ? (double)(join.done_ns - reader.asked_ns) / 1e3
                                       : -1.0,
               join.next, join.strange, reader.messages, join.merged, reader.bytes);
        reader_close(&reader);
    }
    printf("]}\n");
    return 0;
}
