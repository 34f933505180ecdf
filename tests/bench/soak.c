/* soak.c - many readers of every transport under constant churn, and who writes for them. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_soak --port P [--readers 2000] [--seconds 600] [--slots 50] [--rate 100]
 *              [--seed S]
 *
 * `slots` tasks are live at any time. Each gets its share of --rate events per second, ends
 * with a completion after about sixty, and a new task takes its slot. Events go in by
 * POST /v1/tasks/{id}/events on one connection.
 *
 * A reader visits a task from its first retained event on, until it ends or the reader has
 * had enough; now and then its connection is cut and it goes on behind what it has seen.
 * Then it visits another task; some take one that has ended already. Whatever it
 * sees must go on exactly where it was: 0, 1, 2, … and, before a completion, all of it.
 * A visit that hears nothing for thirty seconds is stuck. One JSON line at the end, after
 * all have left.
 */
#include "feed.h"
#include "reader.h"
#include "samples.h"
#include "sock.h"
#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define KINDS       5u
#define EVENTS_TASK 60u /* about */
#define VISIT_NS    UINT64_C(20000000000)
#define AWAY_NS     UINT64_C(1000000000)
#define STUCK_NS    UINT64_C(30000000000)
/* Task numbers are those of marker.h; they are not used twice. */
#define TASKS_MAX 65536u
/* A server may close a connection after so many requests that another had better be used. */
#define FEED_REQUESTS 1000u
/* Unanswered at most: what waits unread at the server stays below its bound for a head. */
#define FEED_WINDOW 50u
/* Begun per turn, so that the start is no storm (that has a row of its own). */
#define OPEN_PER_TURN 8
/* Of the tasks that have ended, the last are visited too: a broker keeps them for a while. */
#define RECENT 8u

static const char *const kind_names[KINDS] = {"ws", "sse", "socketio", "polling",
                                              "longpoll"};

enum visit_end { VISIT_CUT, VISIT_LEAVE };

struct visitor {
    struct reader reader;
    struct place place;
    unsigned next;      /* number of the event that comes next */
    bool is_away;       /* else connected */
    bool has_ended;     /* the completion was seen */
    enum visit_end end; /* what is due at `due_ns` */
    uint64_t due_ns;
    uint64_t heard_ns;
};

struct slot {
    unsigned task;
    unsigned next;   /* number of its next event */
    unsigned length; /* how many it will have */
};

struct soak {
    struct reader_plan plans[KINDS];
    struct visitor *visitors;
    unsigned count;
    unsigned opened;
    struct slot *slots;
    unsigned slot_count;
    unsigned *lengths; /* of each task so far; 0 = it is still live */
    unsigned tasks;
    unsigned recent[RECENT]; /* the last that have ended */
    unsigned ended;
    uint64_t seed;
    int epoll;
    uint16_t port;
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t interval_ns; /* between events */
    uint64_t published;
    uint64_t answered;
    uint64_t refused;
    int feed_fd;
    uint64_t feed_until; /* `published` at which another connection is used */
    struct text feed_out;
    struct text feed_in;
    uint64_t visits;
    uint64_t cuts;
    uint64_t ends;
    uint64_t deliveries;
    uint64_t lost;
    uint64_t duplicates;
    uint64_t foreign;
    uint64_t stuck;
    uint64_t resyncs;
    uint64_t failures;
};

static struct soak soak;

/* ---- what readers see ---- */

static void visitor_takes(struct visitor *visitor, const struct marker *marker)
{
    soak.deliveries++;
    if (marker->task != visitor->reader.task) {
        soak.foreign++;
    } else if (marker->seq < visitor->next) {
        soak.duplicates++;
    } else {
        soak.lost += marker->seq - visitor->next;
        visitor->next = marker->seq + 1;
    }
}

static void soak_data(struct reader *reader, const char *text, size_t length,
                      uint64_t at_ns)
{
    static const char completion[] = "\"type\":\"completion\"";
    struct visitor *visitor = reader->owner;
    struct marker marker;
    const char *end = text + length;
    bool is_last = memmem(text, length, completion, sizeof(completion) - 1) != NULL;
    visitor->heard_ns = at_ns;
    /* What follows a resync replaces what was there. */
    if (visitor->place.resyncs > 0) {
        soak.resyncs += visitor->place.resyncs;
        visitor->place.resyncs = 0;
        visitor->next = 0;
    }
    while (marker_next(&text, end, &marker))
        visitor_takes(visitor, &marker);
    if (!is_last || visitor->has_ended)
        return;
    visitor->has_ended = true;
    visitor->end = VISIT_LEAVE;
    visitor->due_ns = at_ns;
    soak.ends++;
    if (visitor->next < soak.lengths[reader->task])
        soak.lost += soak.lengths[reader->task] - visitor->next;
}

/* ---- visits ---- */

static void watch(struct visitor *visitor, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = visitor};
    if (epoll_ctl(soak.epoll, operation, visitor->reader.fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void visitor_plan(struct visitor *visitor, uint64_t now)
{
    visitor->end = chance(&soak.seed) % 2 ? VISIT_CUT : VISIT_LEAVE;
    visitor->due_ns = now + chance_about(&soak.seed, VISIT_NS);
    visitor->heard_ns = now;
}

static void visitor_connect(struct visitor *visitor, unsigned task)
{
    visitor->is_away = false;
    reader_open(&visitor->reader, visitor->reader.plan, task);
    watch(visitor, EPOLL_CTL_ADD, EPOLLOUT);
    visitor_plan(visitor, now_ns());
}

/* A live task; one visit in ten is to one that has ended. */
static void visitor_begin(struct visitor *visitor)
{
    const struct slot *slot = &soak.slots[chance(&soak.seed) % soak.slot_count];
    unsigned task = slot->task;
    if (soak.ended >= RECENT && chance(&soak.seed) % 10 == 0)
        task = soak.recent[chance(&soak.seed) % RECENT];
    visitor->place = (struct place){0};
    visitor->next = 0;
    visitor->has_ended = false;
    soak.visits++;
    visitor_connect(visitor, task);
}

static void visitor_part(struct visitor *visitor, bool is_cut)
{
    if (is_cut)
        reader_cut(&visitor->reader);
    else
        reader_close(&visitor->reader);
    visitor->is_away = true;
    visitor->due_ns = now_ns() + chance_about(&soak.seed, AWAY_NS);
}

static void visitor_on_time(struct visitor *visitor, uint64_t now)
{
    if (!visitor->is_away && now > visitor->heard_ns + STUCK_NS) {
        fprintf(stderr, "bench: a %s reader of task %u is stuck at %u\n",
                visitor->reader.plan->dialect->name, visitor->reader.task,
                visitor->next);
        soak.stuck++;
        visitor->end = VISIT_LEAVE;
        visitor_part(visitor, false);
        return;
    }
    if (now < visitor->due_ns)
        return;
    if (!visitor->is_away) {
        bool is_cut = visitor->end == VISIT_CUT;
        soak.cuts += is_cut;
        visitor_part(visitor, is_cut);
    } else if (visitor->end == VISIT_CUT) {
        visitor_connect(visitor, visitor->reader.task);
    } else {
        visitor_begin(visitor);
    }
}

static void visitor_visit(struct visitor *visitor)
{
    struct reader *reader = &visitor->reader;
    if (reader->state == READER_CLOSED)
        return;
    if (reader->state == READER_CONNECTING) {
        reader_connected(reader);
        if (reader->state != READER_CLOSED)
            watch(visitor, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        reader_readable(reader);
    }
    if (reader->state != READER_CLOSED)
        return;
    /* An answer of 204 or the end of a stream whose task has ended is the usual way. */
    if (!visitor->has_ended) {
        bool is_over = soak.lengths[reader->task] > 0 &&
                       visitor->next >= soak.lengths[reader->task];
        soak.failures += !is_over;
        visitor->end = is_over ? VISIT_LEAVE : VISIT_CUT;
    }
    visitor_part(visitor, false);
}

/* ---- what is published ---- */

static void slot_renew(struct slot *slot)
{
    if (soak.tasks == TASKS_MAX)
        die("more than %u tasks: too long a run", TASKS_MAX);
    *slot = (struct slot){.task = soak.tasks++,
                          .length = (unsigned)chance_about(&soak.seed, EVENTS_TASK)};
}

static void soak_post(const char *body, size_t length, unsigned task)
{
    char name[TASK_NAME_LENGTH + 1];
    task_name(task, name);
    text_printf(&soak.feed_out,
                "POST /v1/tasks/%s/events HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                "Content-Length: %zu\r\n\r\n",
                name, soak.port, length);
    text_add(&soak.feed_out, body, length);
    soak.published++;
}

static void slot_publish(struct slot *slot)
{
    static const char completion[] =
        "{\"type\":\"completion\",\"partial\":false,\"text\":\"\",\"reasoning\":\"\"}";
    struct text body = {0};
    struct marker marker = {slot->task, slot->next++, now_ns()};
    if (slot->next <= slot->length) {
        marker_message(&body, &marker);
        soak_post(body.bytes, body.length, slot->task);
    } else {
        soak.lengths[slot->task] = slot->length;
        soak.recent[soak.ended++ % RECENT] = slot->task;
        soak_post(completion, sizeof(completion) - 1, slot->task);
        slot_renew(slot);
    }
    text_release(&body);
}

static void feed_open(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    soak.feed_fd = sock_connect_local(soak.port, 0);
    soak.feed_until = soak.published + FEED_REQUESTS;
    if (epoll_ctl(soak.epoll, EPOLL_CTL_ADD, soak.feed_fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void soak_publish_due(void)
{
    uint64_t due = (now_ns() - soak.start_ns) / soak.interval_ns;
    if (soak.published == soak.feed_until && soak.answered == soak.published) {
        close(soak.feed_fd);
        feed_open();
    }
    if (due > soak.feed_until)
        due = soak.feed_until;
    while (soak.published < due && soak.published - soak.answered < FEED_WINDOW)
        slot_publish(&soak.slots[chance(&soak.seed) % soak.slot_count]);
    if (!sock_flush(soak.feed_fd, &soak.feed_out))
        die("publishing: %s", strerror(errno));
}

static void soak_take_answers(void)
{
    static const struct feed *feed;
    struct text *in = &soak.feed_in;
    size_t used = 0;
    if (!feed)
        feed = feed_named("http");
    ssize_t n = recv(soak.feed_fd, text_reserve(in, 65536), 65536, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("the publishing connection is gone: %s",
            n == 0 ? "closed" : strerror(errno));
    in->length += n > 0 ? (size_t)n : 0;
    while (used < in->length) {
        bool accepted = false;
        ssize_t size = feed->answer(in->bytes + used, in->length - used, &accepted);
        if (size < 0)
            die("an answer to a publish was not understood");
        if (size == 0)
            break;
        soak.answered++;
        if (!accepted && soak.refused++ == 0)
            fprintf(stderr, "bench: refused: %.*s\n", (int)size, in->bytes + used);
        used += (size_t)size;
    }
    text_consume(in, used);
}

/* ---- the run ---- */

static void soak_turn(void)
{
    struct epoll_event events[256];
    int count = epoll_wait(soak.epoll, events, 256, 5);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            visitor_visit(events[i].data.ptr);
        else
            soak_take_answers();
    }
    uint64_t now = now_ns();
    for (unsigned i = 0; i < soak.opened; i++)
        visitor_on_time(&soak.visitors[i], now);
    for (int i = 0; i < OPEN_PER_TURN && soak.opened < soak.count; i++)
        visitor_begin(&soak.visitors[soak.opened++]);
    soak_publish_due();
}

static void soak_setup_readers(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        soak.plans[kind] =
            (struct reader_plan){.dialect = dialect_named(kind_names[kind]),
                                 .port = soak.port,
                                 .from = "start",
                                 .object_form = true,
                                 .on_data = soak_data};
    for (unsigned i = 0; i < soak.count; i++) {
        struct visitor *visitor = &soak.visitors[i];
        visitor->reader.plan = &soak.plans[i % KINDS];
        visitor->reader.owner = visitor;
        visitor->reader.place = &visitor->place;
    }
}

static void soak_setup(int argc, char **argv)
{
    soak.port = (uint16_t)arg_number(argc, argv, "--port", 0);
    soak.count = (unsigned)arg_number(argc, argv, "--readers", 2000);
    soak.slot_count = (unsigned)arg_number(argc, argv, "--slots", 50);
    uint64_t rate = arg_number(argc, argv, "--rate", 100);
    if (soak.port == 0 || soak.slot_count == 0 || rate == 0)
        die("--port is needed; --slots and --rate from 1");
    soak.seed = arg_number(argc, argv, "--seed", 1) + UINT64_C(0x9e3779b97f4a7c15);
    soak.interval_ns = UINT64_C(1000000000) / rate;
    soak.visitors = calloc(soak.count + 1, sizeof(*soak.visitors));
    soak.slots = calloc(soak.slot_count, sizeof(*soak.slots));
    soak.lengths = calloc(TASKS_MAX, sizeof(*soak.lengths));
    if (!soak.visitors || !soak.slots || !soak.lengths)
        abort();
    for (unsigned i = 0; i < soak.slot_count; i++)
        slot_renew(&soak.slots[i]);
    soak_setup_readers();
    soak.epoll = epoll_create1(EPOLL_CLOEXEC);
    feed_open();
    soak.start_ns = now_ns();
    soak.end_ns =
        soak.start_ns + arg_number(argc, argv, "--seconds", 600) * 1000000000u;
}

static void soak_leave(void)
{
    for (unsigned i = 0; i < soak.opened; i++) {
        if (soak.visitors[i].reader.state != READER_CLOSED)
            reader_close(&soak.visitors[i].reader);
    }
    close(soak.feed_fd);
    close(soak.epoll);
    text_release(&soak.feed_out);
    text_release(&soak.feed_in);
    free(soak.visitors);
    free(soak.slots);
    free(soak.lengths);
}

int main(int argc, char **argv)
{
    sock_raise_limit();
    soak_setup(argc, argv);
    while (now_ns() < soak.end_ns)
        soak_turn();
    soak_leave();
    printf("{\"phase\":\"result\",\"readers\":%u,\"deliveries\":%" PRIu64
           ",\"visits\":%" PRIu64 ",\"cuts\":%" PRIu64 ",\"ends\":%" PRIu64
           ",\"tasks\":%u,\"published\":%" PRIu64 ",\"refused\":%" PRIu64,
           soak.count, soak.deliveries, soak.visits, soak.cuts, soak.ends, soak.tasks,
           soak.published, soak.refused);
    printf(",\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"foreign\":%" PRIu64
           ",\"stuck\":%" PRIu64 ",\"resyncs\":%" PRIu64 ",\"failures\":%" PRIu64 "}\n",
           soak.lost, soak.duplicates, soak.foreign, soak.stuck, soak.resyncs,
           soak.failures);
    return 0;
}
