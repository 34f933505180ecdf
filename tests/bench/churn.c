/* churn.c - readers whose connections are cut again and again, and who come back. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_churn --port P [--ws N] [--sse N] [--socketio N] [--recovery N] [--tasks T]
 *               [--events E] [--warmup W] [--cut-ms 15000] [--away-ms 2000] [--seed S]
 *               [--deadline-ms D] [--settle-ms S] [--give-up-ms 10000]
 *
 * Each TCP connection is reset about every --cut-ms (give or take a quarter, drawn from the
 * seed), unread bytes and all; its reader stays away for about --away-ms, comes back and
 * goes on behind the last event it has seen: `since` (/ws, object-form Socket.IO, SSE) or
 * pid and offset (--recovery). Cutting begins when the warm-up has been delivered. JSON
 * lines on stdout as bench_load's; "live" are events sent while their reader was joined,
 * "missed" the others, counted from the moment it began to come back. What has not come when
 * nothing new came to anyone for --give-up-ms is lost.
 */
#include "reader.h"
#include "samples.h"
#include "sock.h"
#include "tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define OPENING_MAX 64u
#define KINDS       4u
/* After a connection that failed. */
#define RETRY_MS 100u

static const char *const kind_names[KINDS] = {"ws", "sse", "socketio", "recovery"};

struct client {
    struct reader reader;
    struct place place;
    uint64_t due_ns;   /* of the next cut, or of coming back; 0 = none yet */
    uint64_t ready_ns; /* when it was joined the last time */
    uint64_t back_ns;  /* when it began to come back the last time */
    bool is_away;
};

struct churn {
    struct reader_plan plans[KINDS];
    struct tally tally;
    struct samples live;
    struct samples missed;
    struct samples rejoin; /* from the new connection to being joined */
    struct client *clients;
    unsigned count;
    unsigned opened;
    unsigned opening; /* first connections that have not joined yet */
    unsigned tasks;
    uint64_t seed;
    uint64_t cut_ns;
    uint64_t away_ns;
    uint64_t cuts;
    uint64_t failures; /* connections that ended without our cutting them */
    bool said_ready;
    bool is_cutting;
    bool is_told_to_end;
    int epoll;
    uint64_t deadline_ns;
    uint64_t settle_ns;
    uint64_t give_up_ns;
};

static struct churn churn;

static void churn_data(struct reader *reader, const char *text, size_t length,
                       uint64_t at_ns)
{
    struct client *client = reader->owner;
    struct marker marker;
    const char *end = text + length;
    unsigned index = (unsigned)(client - churn.clients);
    while (marker_next(&text, end, &marker)) {
        size_t timed = churn.tally.timed;
        tally_delivery(&churn.tally, index, reader->task, &marker, at_ns);
        if (churn.tally.timed == timed)
            continue;
        if (marker.sent_ns >= client->ready_ns)
            samples_add(&churn.live, at_ns - marker.sent_ns);
        else if (at_ns > client->back_ns)
            samples_add(&churn.missed, at_ns - client->back_ns);
    }
}

static void watch(struct client *client, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(churn.epoll, operation, client->reader.fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void client_open(struct client *client, unsigned task)
{
    client->is_away = false;
    client->back_ns = now_ns();
    client->due_ns = 0;
    client->ready_ns = UINT64_MAX; /* what comes with the greeting was missed */
    reader_open(&client->reader, client->reader.plan, task);
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

static void client_leave(struct client *client, uint64_t away_ns)
{
    reader_cut(&client->reader);
    client->is_away = true;
    client->due_ns = now_ns() + away_ns;
}

static void client_joined(struct client *client)
{
    client->ready_ns = now_ns();
    if (!churn.is_cutting) {
        churn.opening--;
        return;
    }
    samples_add(&churn.rejoin, client->ready_ns - client->back_ns);
    client->due_ns = client->ready_ns + chance_about(&churn.seed, churn.cut_ns);
}

static void client_visit(struct client *client)
{
    struct reader *reader = &client->reader;
    enum reader_state before = reader->state;
    if (before == READER_CLOSED)
        return;
    if (before == READER_CONNECTING) {
        reader_connected(reader);
        if (reader->state != READER_CLOSED)
            watch(client, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        reader_readable(reader);
    }
    if (reader->state == READER_READY && before != READER_READY)
        client_joined(client);
    if (reader->state != READER_CLOSED)
        return;
    if (!churn.is_cutting && before != READER_READY)
        die("a reader could not join");
    churn.failures++;
    client_leave(client, RETRY_MS * UINT64_C(1000000));
}

/* A linear walk: two thousand clients a hundred times a second are nothing. */
static void churn_act_on_time(void)
{
    uint64_t now = now_ns();
    for (unsigned i = 0; churn.is_cutting && i < churn.count; i++) {
        struct client *client = &churn.clients[i];
        if (client->due_ns == 0 || now < client->due_ns)
            continue;
        if (client->is_away) {
            client_open(client, client->reader.task);
        } else {
            churn.cuts++;
            client_leave(client, chance_about(&churn.seed, churn.away_ns));
        }
    }
}

static void churn_open_more(void)
{
    for (; churn.opened < churn.count && churn.opening < OPENING_MAX; churn.opening++) {
        struct client *client = &churn.clients[churn.opened];
        client_open(client, churn.opened % churn.tasks);
        churn.opened++;
    }
}

static void churn_begin_cutting(void)
{
    uint64_t now = now_ns();
    churn.is_cutting = true;
    for (unsigned i = 0; i < churn.count; i++)
        churn.clients[i].due_ns = now + chance(&churn.seed) % churn.cut_ns;
    printf("{\"phase\":\"warm\"}\n");
    fflush(stdout);
}

static void churn_say_progress(void)
{
    if (!churn.said_ready && churn.opened == churn.count && churn.opening == 0) {
        churn.said_ready = true;
        printf("{\"phase\":\"ready\",\"readers\":%u}\n", churn.count);
        fflush(stdout);
    }
    if (churn.said_ready && !churn.is_cutting && tally_is_warm(&churn.tally))
        churn_begin_cutting();
}

static void churn_take(struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            client_visit(events[i].data.ptr);
            continue;
        }
        char byte[64];
        if (read(STDIN_FILENO, byte, sizeof(byte)) <= 0)
            churn.is_told_to_end = true;
    }
}

static bool churn_goes_on(void)
{
    uint64_t now = now_ns();
    if (churn.is_told_to_end || now >= churn.deadline_ns)
        return false;
    if (tally_is_complete(&churn.tally))
        return now < churn.tally.last_seen_ns + churn.settle_ns;
    return churn.tally.timed == 0 || now < churn.tally.last_seen_ns + churn.give_up_ns;
}

static void churn_run(void)
{
    struct epoll_event events[256];
    while (churn_goes_on()) {
        churn_open_more();
        int count = epoll_wait(churn.epoll, events, 256, 10);
        if (count < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        churn_take(events, count);
        churn_say_progress();
        churn_act_on_time();
    }
}

static void churn_result(void)
{
    const struct tally *tally = &churn.tally;
    unsigned resyncs = 0;
    struct samples all = {tally->latency_ns, tally->timed, tally->timed};
    for (unsigned i = 0; i < churn.count; i++)
        resyncs += churn.clients[i].place.resyncs;
    printf("{\"phase\":\"result\",\"readers\":%u,\"deliveries\":%zu,\"lost\":%" PRIu64
           ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"foreign\":%" PRIu64
           ",\"cuts\":%" PRIu64 ",\"failures\":%" PRIu64 ",\"resyncs\":%u",
           churn.count, tally->timed, tally_lost(tally), tally->duplicates,
           tally->reordered, tally->foreign, churn.cuts, churn.failures, resyncs);
    printf(",\"live\":");
    samples_print(&churn.live);
    printf(",\"missed\":");
    samples_print(&churn.missed);
    printf(",\"rejoin\":");
    samples_print(&churn.rejoin);
    printf(",\"all\":");
    samples_print(&all);
    printf("}\n");
    fflush(stdout);
}

static void churn_clients(int argc, char **argv)
{
    unsigned counts[KINDS];
    char option[32];
    for (unsigned kind = 0; kind < KINDS; kind++) {
        snprintf(option, sizeof(option), "--%s", kind_names[kind]);
        counts[kind] = (unsigned)arg_number(argc, argv, option, 0);
        churn.count += counts[kind];
        churn.plans[kind] = (struct reader_plan){
            .dialect = dialect_named(kind_names[kind]),
            .port = (uint16_t)arg_number(argc, argv, "--port", 0),
            /* The first join: nothing has been published yet. Who is cut before its first
             * event begins there again. */
            .from = "start",
            .object_form = strcmp(kind_names[kind], "socketio") == 0,
            .on_data = churn_data};
    }
    churn.clients = calloc(churn.count ? churn.count : 1, sizeof(*churn.clients));
    if (!churn.clients)
        abort();
    unsigned next = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned i = 0; i < counts[kind]; i++, next++) {
            struct reader *reader = &churn.clients[next].reader;
            reader->plan = &churn.plans[kind];
            reader->owner = &churn.clients[next];
            reader->place = &churn.clients[next].place;
        }
    }
}

static void churn_setup(int argc, char **argv)
{
    churn_clients(argc, argv);
    churn.tasks = (unsigned)arg_number(argc, argv, "--tasks", 1);
    if (churn.plans[0].port == 0 || churn.count == 0 || churn.tasks == 0)
        die("--port and some readers are needed, --tasks from 1");
    churn.seed = arg_number(argc, argv, "--seed", 1) + UINT64_C(0x9e3779b97f4a7c15);
    churn.cut_ns = arg_number(argc, argv, "--cut-ms", 15000) * 1000000u;
    churn.away_ns = arg_number(argc, argv, "--away-ms", 2000) * 1000000u;
    churn.deadline_ns =
        now_ns() + arg_number(argc, argv, "--deadline-ms", 120000) * 1000000u;
    churn.settle_ns = arg_number(argc, argv, "--settle-ms", 1000) * 1000000u;
    churn.give_up_ns = arg_number(argc, argv, "--give-up-ms", 10000) * 1000000u;
    tally_init(&churn.tally, churn.count,
               (unsigned)arg_number(argc, argv, "--warmup", 1),
               (unsigned)arg_number(argc, argv, "--events", 120));
    churn.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(churn.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        die("stdin must be a pipe: its end ends the run");
}

int main(int argc, char **argv)
{
    sock_raise_limit();
    churn_setup(argc, argv);
    churn_run();
    churn_result();
    for (unsigned i = 0; i < churn.opened; i++) {
        if (churn.clients[i].reader.state != READER_CLOSED)
            reader_close(&churn.clients[i].reader);
    }
    free(churn.clients);
    samples_release(&churn.live);
    samples_release(&churn.missed);
    samples_release(&churn.rejoin);
    tally_release(&churn.tally);
    close(churn.epoll);
    return 0;
}
