/* ceiling.c - the least that one send per event can cost: send() in a loop, nothing else. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_ceiling --readers N [--tasks T]
 *
 * Prints {"port":P}, accepts N connections (bench_load --kind raw, whose i-th watches task
 * i % T) and then obeys lines on stdin: `FIRST EVENTS RATE` sends events FIRST … of every
 * task to its readers, RATE events per second in all (0 = back to back), and answers
 * {"sent":n}. The end of stdin ends it.
 *
 * No parsing, no log, no queue: what a broker that sends each event to each reader on its
 * own can approach but not beat.
 */
#include "marker.h"
#include "sock.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct ceiling {
    int *fds;
    unsigned readers;
    unsigned tasks;
};

static void wait_until(uint64_t due_ns)
{
    struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000u),
                           .tv_nsec = (long)(due_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        continue;
}

static uint64_t ceiling_send(const struct ceiling *ceiling, unsigned task, unsigned seq)
{
    struct text payload = {0};
    struct text frame = {0};
    struct marker marker = {task, seq, now_ns()};
    uint64_t sent = 0;
    marker_frame(&payload, &marker);
    ws_encode(&frame, payload.bytes, payload.length);
    for (unsigned i = task; i < ceiling->readers; i += ceiling->tasks) {
        /* Blocking sockets: a frame is sent whole or its reader is gone. */
        if (send(ceiling->fds[i], frame.bytes, frame.length, MSG_NOSIGNAL) ==
            (ssize_t)frame.length)
            sent++;
    }
    text_release(&payload);
    text_release(&frame);
    return sent;
}

static void ceiling_run(const struct ceiling *ceiling, unsigned first, unsigned events,
                        uint64_t rate)
{
    uint64_t start = now_ns();
    uint64_t interval = rate > 0 ? 1000000000u / rate : 0;
    uint64_t sent = 0;
    uint64_t turn = 0;
    for (unsigned seq = first; seq < first + events; seq++) {
        for (unsigned task = 0; task < ceiling->tasks; task++, turn++) {
            if (interval > 0)
                wait_until(start + turn * interval);
            sent += ceiling_send(ceiling, task, seq);
        }
    }
    printf("{\"sent\":%" PRIu64 "}\n", sent);
    fflush(stdout);
}

static void ceiling_accept(struct ceiling *ceiling)
{
    uint16_t port = 0;
    int listener = sock_listen_local(&port);
    printf("{\"port\":%u}\n", port);
    fflush(stdout);
    /* The listener does not block, so that a missing reader cannot hang the benchmark. */
    uint64_t deadline = now_ns() + 30000000000u;
    for (unsigned i = 0; i < ceiling->readers; i++) {
        while ((ceiling->fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
            if (now_ns() > deadline)
                die("ceiling: %u of %u readers came", i, ceiling->readers);
            wait_until(now_ns() + 1000000u);
        }
    }
    close(listener);
}

int main(int argc, char **argv)
{
    struct ceiling ceiling = {
        .readers = (unsigned)arg_number(argc, argv, "--readers", 1),
        .tasks = (unsigned)arg_number(argc, argv, "--tasks", 1),
    };
    if (ceiling.readers == 0 || ceiling.tasks == 0)
        die("--readers and --tasks from 1");
    prctl(PR_SET_TIMERSLACK, 1UL);
    sock_raise_limit();
    ceiling.fds = calloc(ceiling.readers, sizeof(int));
    if (!ceiling.fds)
        abort();
    ceiling_accept(&ceiling);
    char line[128];
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t wanted[3]; /* FIRST EVENTS RATE */
        char *at = line;
        for (int i = 0; i < 3; i++) {
            char *word = at;
            wanted[i] = strtoull(word, &at, 10);
            if (at == word)
                die("ceiling: a line is FIRST EVENTS RATE");
        }
        ceiling_run(&ceiling, (unsigned)wanted[0], (unsigned)wanted[1], wanted[2]);
    }
    for (unsigned i = 0; i < ceiling.readers; i++)
        close(ceiling.fds[i]);
    free(ceiling.fds);
    return 0;
}
