/* publish.c - the publisher: paced or back to back, always pipelined. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_publish --via frappe|http|nchan --port P [--tasks T] [--first F] [--events E]
 *                 [--rate R] [--batch B] [--window W] [--words N] [--deadline-ms D]
 *
 * Publishes events F … F+E-1 of each of T tasks, one event of every task before the next of
 * any. R events per second in all, evenly spaced (0 = as fast as it goes, with at most W
 * requests unanswered; 0 = no such bound). One JSON line tells how it went.
 */
#include "feed.h"
#include "sock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct publisher {
    const struct feed *feed;
    int fd;
    struct feed_request request; /* task and first change, the rest is the plan */
    unsigned tasks;
    unsigned first;
    uint64_t requests; /* in all */
    uint64_t window;
    uint64_t interval_ns; /* between requests; 0 = none */
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t sent;
    uint64_t answered;
    uint64_t refused;
    uint64_t late_max_ns; /* behind the schedule, at worst */
    struct text out;
    struct text in;
};

/* When the next request may leave; UINT64_MAX = not before an answer has come. */
static uint64_t publisher_due(const struct publisher *publisher)
{
    if (publisher->sent == publisher->requests)
        return UINT64_MAX;
    if (publisher->window > 0 &&
        publisher->sent - publisher->answered >= publisher->window)
        return UINT64_MAX;
    /* What the kernel does not take now must not be stamped as sent now. */
    if (publisher->out.length > 0)
        return UINT64_MAX;
    return publisher->start_ns + publisher->sent * publisher->interval_ns;
}

static void publisher_send_due(struct publisher *publisher)
{
    for (;;) {
        uint64_t now = now_ns();
        uint64_t due = publisher_due(publisher);
        if (due > now)
            return;
        if (publisher->interval_ns > 0 && now - due > publisher->late_max_ns)
            publisher->late_max_ns = now - due;
        /* Back to back, a handful of events share a write as a pipelining client would. */
        unsigned together =
            publisher->interval_ns > 0 || publisher->window > 0 ? 1 : 32;
        for (unsigned i = 0; i < together && publisher->sent < publisher->requests;
             i++) {
            struct feed_request *request = &publisher->request;
            request->task = (unsigned)(publisher->sent % publisher->tasks);
            request->first =
                publisher->first +
                (unsigned)(publisher->sent / publisher->tasks) * request->count;
            publisher->feed->encode(&publisher->out, request);
            publisher->sent++;
        }
        if (!sock_flush(publisher->fd, &publisher->out))
            die("%s: the connection is gone", publisher->feed->name);
    }
}

static void publisher_take_answers(struct publisher *publisher)
{
    struct text *in = &publisher->in;
    ssize_t n = recv(publisher->fd, text_reserve(in, 65536), 65536, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("%s: the connection is gone", publisher->feed->name);
    if (n < 0)
        return;
    in->length += (size_t)n;
    size_t used = 0;
    while (used < in->length) {
        bool accepted = false;
        ssize_t size =
            publisher->feed->answer(in->bytes + used, in->length - used, &accepted);
        if (size < 0)
            die("%s: an answer was not understood", publisher->feed->name);
        if (size == 0)
            break;
        if (!accepted && publisher->refused++ == 0)
            fprintf(stderr, "bench: refused: %.*s\n", (int)(size > 200 ? 200 : size),
                    in->bytes + used);
        publisher->answered++;
        used += (size_t)size;
    }
    text_consume(in, used);
}

static void publisher_wait(struct publisher *publisher)
{
    struct pollfd poll_fd = {.fd = publisher->fd, .events = POLLIN};
    if (publisher->out.length > 0)
        poll_fd.events |= POLLOUT;
    uint64_t now = now_ns();
    uint64_t until = publisher_due(publisher);
    if (until > publisher->deadline_ns)
        until = publisher->deadline_ns;
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000u),
                               .tv_nsec = (long)(left % 1000000000u)};
    if (ppoll(&poll_fd, 1, &timeout, NULL) < 0 && errno != EINTR)
        die("poll: %s", strerror(errno));
    if (poll_fd.revents & POLLOUT && !sock_flush(publisher->fd, &publisher->out))
        die("%s: the connection is gone", publisher->feed->name);
    if (poll_fd.revents & (POLLIN | POLLHUP | POLLERR))
        publisher_take_answers(publisher);
}

static void publisher_connect(struct publisher *publisher)
{
    publisher->fd = sock_connect_local(publisher->request.port, 0);
    struct pollfd poll_fd = {.fd = publisher->fd, .events = POLLOUT};
    int error = ETIMEDOUT;
    socklen_t size = sizeof(error);
    if (poll(&poll_fd, 1, 5000) == 1)
        getsockopt(publisher->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        die("connect to port %u: %s", publisher->request.port, strerror(error));
}

static void publisher_setup(struct publisher *publisher, int argc, char **argv)
{
    *publisher = (struct publisher){
        .feed = feed_named(arg_text(argc, argv, "--via", "frappe")),
        .tasks = (unsigned)arg_number(argc, argv, "--tasks", 1),
        .first = (unsigned)arg_number(argc, argv, "--first", 0),
        .window = arg_number(argc, argv, "--window", 0),
        .request = {.count = (unsigned)arg_number(argc, argv, "--batch", 1),
                    .words = (unsigned)arg_number(argc, argv, "--words", 0),
                    .port = (uint16_t)arg_number(argc, argv, "--port", 0)},
    };
    uint64_t events = arg_number(argc, argv, "--events", 1);
    uint64_t rate = arg_number(argc, argv, "--rate", 0);
    unsigned batch = publisher->request.count;
    if (publisher->request.port == 0 || publisher->tasks == 0 || batch == 0 ||
        events % batch != 0)
        die("--port is needed, --tasks from 1, --events a multiple of --batch");
    if (batch > 1 && !publisher->feed->takes_batches)
        die("%s publishes one event at a time", publisher->feed->name);
    publisher->requests = events / batch * publisher->tasks;
    publisher->interval_ns = rate > 0 ? UINT64_C(1000000000) * batch / rate : 0;
    publisher->deadline_ns =
        now_ns() + arg_number(argc, argv, "--deadline-ms", 60000) * 1000000u;
}

int main(int argc, char **argv)
{
    struct publisher publisher;
    prctl(PR_SET_TIMERSLACK, 1UL); /* else every wait is up to 50 us longer */
    publisher_setup(&publisher, argc, argv);
    publisher_connect(&publisher);
    publisher.start_ns = now_ns();
    while (publisher.answered < publisher.requests &&
           now_ns() < publisher.deadline_ns) {
        publisher_send_due(&publisher);
        publisher_wait(&publisher);
    }
    printf("{\"requests\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"wall_ms\":%.3f,\"late_max_us\":%.1f}\n",
           publisher.sent, publisher.answered, publisher.refused,
           (double)(now_ns() - publisher.start_ns) / 1e6,
           (double)publisher.late_max_ns / 1e3);
    close(publisher.fd);
    text_release(&publisher.out);
    text_release(&publisher.in);
    return publisher.answered == publisher.requests && publisher.refused == 0 ? 0 : 1;
}
