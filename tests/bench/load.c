/* load.c - the load client: many readers in one cheap process. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_load --kind ws|socketio|sse|nchan|raw --port P --readers N [--tasks T]
 *              [--events E] [--warmup W] [--from now] [--form string|object]
 *              [--deadline-ms D] [--settle-ms S] [--opening 64]
 *
 * Reader i watches task i % T and expects W + E events of it. What happened is told in JSON
 * lines on stdout: {"phase":"ready"} when all have joined, "warm" after the warm-up,
 * "result" S ms after the last delivery (so that duplicates can still come), or when stdin
 * ends, or at the deadline. At most --opening connections are begun and not yet joined: more
 * than the default may overflow a server's backlog. Without --events it holds its connections until then.
 */
#include "reader.h"
#include "sock.h"
#include "tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct load {
    struct reader_plan plan;
    struct tally tally;
    struct reader *readers;
    unsigned count;
    unsigned tasks;
    unsigned opening; /* at once */
    unsigned opened;  /* connections begun so far */
    unsigned ready;
    unsigned closed;
    bool said_ready;
    bool said_warm;
    bool is_told_to_end; /* stdin ended */
    int epoll;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t settle_ns;
};

static void load_data(struct reader *reader, const char *text, size_t length,
                      uint64_t at_ns)
{
    struct load *load = reader->owner;
    struct marker marker;
    const char *end = text + length;
    unsigned index = (unsigned)(reader - load->readers);
    while (marker_next(&text, end, &marker))
        tally_delivery(&load->tally, index, reader->task, &marker, at_ns);
}

static void load_watch(struct load *load, struct reader *reader, int operation,
                       uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = reader};
    if (epoll_ctl(load->epoll, operation, reader->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void load_open_more(struct load *load)
{
    while (load->opened < load->count &&
           load->opened - load->ready - load->closed < load->opening) {
        struct reader *reader = &load->readers[load->opened];
        reader->owner = load;
        reader_open(reader, &load->plan, load->opened % load->tasks);
        load_watch(load, reader, EPOLL_CTL_ADD, EPOLLOUT);
        load->opened++;
    }
}

static void load_visit(struct load *load, struct reader *reader)
{
    enum reader_state before = reader->state;
    if (before == READER_CLOSED)
        return;
    if (before == READER_CONNECTING) {
        reader_connected(reader);
        if (reader->state != READER_CLOSED)
            load_watch(load, reader, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        reader_readable(reader);
    }
    if (reader->state == READER_READY && before != READER_READY)
        load->ready++;
    if (reader->state == READER_CLOSED) {
        load->closed++;
        if (before == READER_READY)
            load->ready--;
    }
}

static void load_take(struct load *load, struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            load_visit(load, events[i].data.ptr);
            continue;
        }
        char byte[64];
        if (read(STDIN_FILENO, byte, sizeof(byte)) <= 0)
            load->is_told_to_end = true;
    }
}

static void load_say_progress(struct load *load)
{
    if (!load->said_ready && load->ready == load->count) {
        load->said_ready = true;
        printf("{\"phase\":\"ready\",\"readers\":%u,\"connect_ms\":%.1f}\n",
               load->count, (double)(now_ns() - load->start_ns) / 1e6);
        fflush(stdout);
    }
    if (load->said_ready && !load->said_warm && load->tally.warmup > 0 &&
        tally_is_warm(&load->tally)) {
        load->said_warm = true;
        printf("{\"phase\":\"warm\"}\n");
        fflush(stdout);
    }
}

static void load_result(struct load *load)
{
    struct tally *tally = &load->tally;
    uint64_t messages = 0;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < load->opened; i++) {
        messages += load->readers[i].messages;
        bytes += load->readers[i].bytes;
    }
    tally_sort(tally);
    printf("{\"phase\":\"result\",\"readers\":%u,\"ready\":%u,\"closed\":%u,"
           "\"deliveries\":%zu,\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"foreign\":%" PRIu64 ",\"messages\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"last_ms\":%.1f",
           load->count, load->ready, load->closed, tally->timed, tally_lost(tally),
           tally->duplicates, tally->reordered, tally->foreign, messages, bytes,
           (double)(tally->last_seen_ns - load->start_ns) / 1e6);
    printf(",\"wall_ms\":%.3f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           (double)(tally->last_seen_ns - tally->first_sent_ns) / 1e6,
           (double)tally_percentile(tally, 500) / 1e3,
           (double)tally_percentile(tally, 900) / 1e3,
           (double)tally_percentile(tally, 990) / 1e3,
           (double)tally_percentile(tally, 999) / 1e3,
           (double)tally_percentile(tally, 1000) / 1e3);
    fflush(stdout);
}

/* False when the run is over. */
static bool load_goes_on(const struct load *load)
{
    uint64_t now = now_ns();
    if (load->is_told_to_end || now >= load->deadline_ns)
        return false;
    if (load->opened == load->count && load->closed == load->count)
        return false;
    if (load->tally.events == 0 || !tally_is_complete(&load->tally))
        return true;
    return now < load->tally.last_seen_ns + load->settle_ns;
}

static void load_run(struct load *load)
{
    struct epoll_event events[256];
    while (load_goes_on(load)) {
        load_open_more(load);
        int count = epoll_wait(load->epoll, events, 256, 50);
        if (count < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        load_take(load, events, count);
        load_say_progress(load);
    }
}

static void load_setup(struct load *load, int argc, char **argv)
{
    load->plan = (struct reader_plan){
        .dialect = dialect_named(arg_text(argc, argv, "--kind", "ws")),
        .port = (uint16_t)arg_number(argc, argv, "--port", 0),
        .from = arg_text(argc, argv, "--from", ""),
        .object_form = strcmp(arg_text(argc, argv, "--form", "string"), "object") == 0,
        .on_data = load_data,
    };
    load->count = (unsigned)arg_number(argc, argv, "--readers", 1);
    load->tasks = (unsigned)arg_number(argc, argv, "--tasks", 1);
    load->opening = (unsigned)arg_number(argc, argv, "--opening", 64);
    if (load->plan.port == 0 || load->tasks == 0 || load->tasks > 65536)
        die("--port is needed; --tasks from 1 to 65536");
    load->start_ns = now_ns();
    load->deadline_ns =
        load->start_ns + arg_number(argc, argv, "--deadline-ms", 60000) * 1000000u;
    load->settle_ns = arg_number(argc, argv, "--settle-ms", 200) * 1000000u;
    load->readers = calloc(load->count, sizeof(*load->readers));
    if (!load->readers)
        abort();
    tally_init(&load->tally, load->count,
               (unsigned)arg_number(argc, argv, "--warmup", 0),
               (unsigned)arg_number(argc, argv, "--events", 0));
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        die("stdin must be a pipe: its end ends the run");
}

int main(int argc, char **argv)
{
    static struct load load;
    sock_raise_limit();
    load_setup(&load, argc, argv);
    load_run(&load);
    load_result(&load);
    for (unsigned i = 0; i < load.opened; i++) {
        if (load.readers[i].state != READER_CLOSED)
            reader_close(&load.readers[i]);
    }
    free(load.readers);
    tally_release(&load.tally);
    close(load.epoll);
    return 0;
}
