/* ask.c - many generations at once, watched to their ends, stopped when asked. */
/* SPDX-License-Identifier: MIT */

/*
 *   bench_ask --port P [--readers-port P] [--stops-port P] [--tasks 500] [--first 0]
 *             [--at-once N] [--words 50] [--stop-at 0] [--deadline-ms 60000]
 *             [--fault-every 0] [--fault-models wcut,edown]
 *
 * Each task is watched over SSE from before it is submitted until its end. The stand-in
 * provider answers `<task>:0 <task>:1 ...`, so what is told is compared with what was said: a
 * word that begins otherwise is foreign, an answer that is not the whole of it is wrong. Every
 * so many tasks meet a fault: their model is one of those named, the first letter of which
 * says what must come of it: w, the whole answer all the same; e, an error.
 *
 * Words may carry the moment at which the provider wrote them (`<task>:0@<ms> `): then their
 * lag, and by how much the gap between two words is another one at the reader than it was at
 * the provider, are measured.
 *
 * With --stop-at a task is stopped through --stops-port once it has told so many words.
 * One JSON line at the end.
 */
#include "marker.h"
#include "reader.h"
#include "samples.h"
#include "sock.h"
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MODELS_MAX 16u
#define MODEL_SIZE 16u
/* A server may close a connection after so many requests that another had better be used. */
#define LINE_REQUESTS 500u

enum run_end { END_NONE, END_COMPLETION, END_ERROR, END_STOPPED };

struct run {
    struct reader reader;
    unsigned task;
    const char *model;
    struct text told;
    unsigned words;
    bool is_submitted;
    bool is_stopping;
    bool is_over;
    enum run_end end;
    uint64_t submitted_ns;
    uint64_t first_ns;
    uint64_t stopped_ns; /* when that was asked for */
    uint64_t seen_ns;    /* the last stamped word */
    double sent_ms;
};

/* Requests over one kept-alive connection, one after the other. */
struct line {
    int fd;
    uint16_t port;
    int status; /* that is well */
    unsigned asked;
    bool is_busy;
    struct text in;
    struct run **queue;
    unsigned from;
    unsigned to;
    void (*write)(const struct run *run, uint16_t port, struct text *out);
};

struct ask {
    struct reader_plan plan;
    struct run *runs;
    unsigned count;
    unsigned opened;
    unsigned over;
    unsigned at_once;
    unsigned words;
    unsigned stop_at;
    unsigned fault_every;
    char models[MODELS_MAX][MODEL_SIZE];
    unsigned model_count;
    struct line submits;
    struct line stops;
    int epoll;
    uint64_t deadline_ns;
    double clock_ms; /* of the system, when the monotonic one was 0 */
    unsigned whole;
    unsigned wrong;
    unsigned explained;  /* errors that had to come */
    unsigned unexpected; /* ends that are not what was said, without a reason */
    unsigned foreign;
    unsigned refused;
    unsigned unended;
    unsigned met_fault;
    unsigned tokens;
    struct samples first;
    struct samples stop;
    struct samples lag;
    struct samples gap_sent;
    struct samples gap_seen;
    struct samples gap_off;
};

static struct ask ask;

/* ---- requests ---- */

static void line_open(struct line *line)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
    line->fd = sock_connect_local(line->port, 0);
    line->asked = 0;
    if (epoll_ctl(ask.epoll, EPOLL_CTL_ADD, line->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    struct pollfd ready = {.fd = line->fd, .events = POLLOUT};
    if (poll(&ready, 1, 10000) != 1)
        die("port %u does not take connections", line->port);
}

static void line_go_on(struct line *line)
{
    struct text out = {0};
    if (line->is_busy || line->from == line->to)
        return;
    if (line->asked == LINE_REQUESTS) {
        close(line->fd);
        line->fd = -1;
    }
    if (line->fd < 0) {
        line_open(line);
    }
    line->write(line->queue[line->from++], line->port, &out);
    line->asked++;
    line->is_busy = true;
    if (!sock_flush(line->fd, &out) || out.length > 0)
        die("a request: %s", strerror(errno));
    text_release(&out);
}

static void line_ask(struct line *line, struct run *run)
{
    line->queue[line->to++] = run;
    line_go_on(line);
}

static void line_readable(struct line *line)
{
    ssize_t n = recv(line->fd, text_reserve(&line->in, 65536), 65536, 0);
    int status = 0;
    ssize_t body = 0;
    if (n == 0 && !line->is_busy) { /* a server closes what is idle for long */
        close(line->fd);
        line->fd = -1;
        return;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("the connection of requests is gone: %s",
            n == 0 ? "closed" : strerror(errno));
    line->in.length += n > 0 ? (size_t)n : 0;
    ssize_t head = http_head(line->in.bytes, line->in.length, &status, &body);
    if (head < 0 || (head > 0 && body < 0))
        die("an answer was not understood");
    if (head == 0 || line->in.length < (size_t)(head + body))
        return;
    if (status != line->status && ask.refused++ == 0)
        fprintf(stderr, "bench: refused: %.*s\n", (int)line->in.length, line->in.bytes);
    text_consume(&line->in, (size_t)(head + body));
    line->is_busy = false;
    line_go_on(line);
}

static void write_submit(const struct run *run, uint16_t port, struct text *out)
{
    char name[TASK_NAME_LENGTH + 1];
    struct text body = {0};
    task_name(run->task, name);
    text_printf(&body,
                "{\"task_id\":\"%s\",\"model\":\"%s\",\"messages\":[{\"role\":\"user\","
                "\"content\":\"%s\"}]}",
                name, run->model, name);
    text_printf(out,
                "POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                port, body.length);
    text_add(out, body.bytes, body.length);
    text_release(&body);
}

static void write_stop(const struct run *run, uint16_t port, struct text *out)
{
    char name[TASK_NAME_LENGTH + 1];
    task_name(run->task, name);
    text_printf(out,
                "POST /v1/tasks/%s/stop HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                "Content-Length: 0\r\n\r\n",
                name, port);
}

/* ---- what is told ---- */

static void note_stamp(struct run *run, double sent_ms, uint64_t at_ns)
{
    double lag_ms = (double)at_ns / 1e6 + ask.clock_ms - sent_ms;
    samples_add(&ask.lag, lag_ms > 0 ? (uint64_t)(lag_ms * 1e6) : 0);
    if (run->seen_ns != 0) {
        double sent = (sent_ms - run->sent_ms) * 1e6;
        double seen = (double)(at_ns - run->seen_ns);
        samples_add(&ask.gap_sent, sent > 0 ? (uint64_t)sent : 0);
        samples_add(&ask.gap_seen, (uint64_t)seen);
        samples_add(&ask.gap_off, (uint64_t)(seen > sent ? seen - sent : sent - seen));
    }
    run->seen_ns = at_ns;
    run->sent_ms = sent_ms;
}

/* A delta: its words without their stamps are kept. */
static void take_text(struct run *run, const char *text, size_t length, uint64_t at_ns)
{
    const char *end = text + length;
    if (run->first_ns == 0)
        run->first_ns = at_ns;
    while (text < end) {
        const char *stop = text;
        while (stop < end && *stop != ' ' && *stop != '@')
            stop++;
        text_add(&run->told, text, (size_t)(stop - text));
        text = stop;
        if (text < end && *text == '@') {
            note_stamp(run, strtod(text + 1, NULL),
                       at_ns); /* a space or a quote follows */
            text = memchr(text, ' ', (size_t)(end - text));
            text = text ? text : end;
        }
        if (text < end) {
            text_add(&run->told, " ", 1);
            run->words++;
            text++;
        }
    }
}

static const char *find(const char *text, const char *end, const char *words)
{
    return text < end ? memmem(text, (size_t)(end - text), words, strlen(words)) : NULL;
}

static enum run_end end_of(const char *text, const char *end)
{
    if (find(text, end, "\"type\":\"completion\""))
        return END_COMPLETION;
    if (find(text, end, "\"type\":\"error\""))
        return END_ERROR;
    return find(text, end, "\"type\":\"stopped\"") ? END_STOPPED : END_NONE;
}

static void run_stop(struct run *run)
{
    run->is_stopping = true;
    run->stopped_ns = now_ns();
    line_ask(&ask.stops, run);
}

static void take_event(struct run *run, const char *text, const char *end,
                       uint64_t at_ns)
{
    static const char member[] = "\"text\":\"";
    const char *said;
    if (find(text, end, "\"type\":\"text\"")) {
        said = find(text, end, member);
        const char *quote = said ? memchr(said + sizeof(member) - 1, '"',
                                          (size_t)(end - said) - (sizeof(member) - 1))
                                 : NULL;
        if (!quote)
            die("an event of type text without text");
        said += sizeof(member) - 1;
        take_text(run, said, (size_t)(quote - said), at_ns);
        if (ask.stop_at > 0 && run->words >= ask.stop_at && !run->is_stopping)
            run_stop(run);
        return;
    }
    enum run_end how = end_of(text, end);
    if (how == END_NONE || run->end != END_NONE)
        return;
    run->end = how;
    if (how == END_STOPPED && run->is_stopping)
        samples_add(&ask.stop, at_ns - run->stopped_ns);
}

static void on_data(struct reader *reader, const char *text, size_t length,
                    uint64_t at_ns)
{
    const char *end = text + length;
    while (text < end) {
        const char *stop = memmem(text, (size_t)(end - text), "\n\n", 2);
        const char *next = stop ? stop + 2 : end;
        take_event(reader->owner, text, next, at_ns);
        text = next;
    }
}

/* ---- a run ---- */

static void watch(struct run *run, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = run};
    if (epoll_ctl(ask.epoll, operation, run->reader.fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void run_begin(struct run *run, unsigned index, unsigned task)
{
    bool is_bad = ask.fault_every > 0 && ask.model_count > 0 &&
                  index % ask.fault_every == ask.fault_every - 1;
    run->task = task;
    run->model = ask.stop_at > 0 ? "endless" : "m";
    if (is_bad) {
        run->model = ask.models[index / ask.fault_every % ask.model_count];
        ask.met_fault++;
    }
    run->reader.owner = run;
    reader_open(&run->reader, &ask.plan, task);
    watch(run, EPOLL_CTL_ADD, EPOLLOUT);
}

/* Whether the whole answer was told; words that are not the task's are counted. */
static bool is_whole(const struct run *run)
{
    char name[TASK_NAME_LENGTH + 1];
    char word[32];
    size_t at = 0;
    unsigned n = 0;
    bool is_right = true;
    task_name(run->task, name);
    while (at < run->told.length) {
        const char *bytes = run->told.bytes + at;
        const char *stop = memchr(bytes, ' ', run->told.length - at);
        size_t length = stop ? (size_t)(stop - bytes) : run->told.length - at;
        int size = snprintf(word, sizeof(word), "%s:%u", name, n++);
        is_right &= length == (size_t)size && memcmp(bytes, word, length) == 0;
        if (length > TASK_NAME_LENGTH && memcmp(bytes, name, TASK_NAME_LENGTH) != 0)
            ask.foreign++;
        at += length + 1;
    }
    ask.tokens += n;
    return is_right && n == ask.words;
}

static void run_judge(struct run *run)
{
    bool whole = is_whole(run);
    bool is_explained = run->model[0] == 'e';
    if (run->first_ns > run->submitted_ns)
        samples_add(&ask.first, run->first_ns - run->submitted_ns);
    if (run->end == END_NONE)
        ask.unended++;
    else if (ask.stop_at > 0)
        ask.unexpected += run->end != END_STOPPED;
    else if (is_explained && run->end == END_ERROR)
        ask.explained++;
    else if (is_explained || run->end != END_COMPLETION)
        ask.unexpected++;
    else if (whole)
        ask.whole++;
    else
        ask.wrong++;
}

static void run_finish(struct run *run)
{
    run->is_over = true;
    ask.over++;
    run_judge(run);
    reader_close(&run->reader);
    text_release(&run->told);
}

static void run_visit(struct run *run)
{
    struct reader *reader = &run->reader;
    if (run->is_over)
        return;
    if (reader->state == READER_CONNECTING) {
        reader_connected(reader);
        if (reader->state != READER_CLOSED)
            watch(run, EPOLL_CTL_MOD, EPOLLIN);
    } else {
        reader_readable(reader);
    }
    if (reader->state == READER_READY && !run->is_submitted) {
        run->is_submitted = true;
        run->submitted_ns = now_ns();
        line_ask(&ask.submits, run);
    }
    if (run->end != END_NONE || reader->state == READER_CLOSED)
        run_finish(run);
}

/* ---- all of them ---- */

static void ask_turn(unsigned first)
{
    struct epoll_event events[256];
    while (ask.opened < ask.count && ask.opened - ask.over < ask.at_once) {
        run_begin(&ask.runs[ask.opened], ask.opened, first + ask.opened);
        ask.opened++;
    }
    int count = epoll_wait(ask.epoll, events, 256, 100);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        void *who = events[i].data.ptr;
        if (who == &ask.submits || who == &ask.stops)
            line_readable(who);
        else
            run_visit(who);
    }
}

static void read_models(const char *list)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (length == 0 || length >= MODEL_SIZE || ask.model_count == MODELS_MAX)
            die("--fault-models: up to %u short names", MODELS_MAX);
        memcpy(ask.models[ask.model_count++], list, length);
        list += length + (list[length] == ',');
    }
}

static double clock_difference_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 -
           (double)now_ns() / 1e6;
}

static void line_setup(struct line *line, uint16_t port, int status,
                       void (*write)(const struct run *, uint16_t, struct text *))
{
    *line = (struct line){.port = port, .status = status, .write = write};
    line->queue = calloc(ask.count + 1, sizeof(struct run *));
    if (!line->queue)
        abort();
    line_open(line);
}

static void ask_setup(int argc, char **argv)
{
    uint16_t port = (uint16_t)arg_number(argc, argv, "--port", 0);
    ask.count = (unsigned)arg_number(argc, argv, "--tasks", 500);
    ask.at_once = (unsigned)arg_number(argc, argv, "--at-once", ask.count);
    ask.words = (unsigned)arg_number(argc, argv, "--words", 50);
    ask.stop_at = (unsigned)arg_number(argc, argv, "--stop-at", 0);
    ask.fault_every = (unsigned)arg_number(argc, argv, "--fault-every", 0);
    read_models(arg_text(argc, argv, "--fault-models", ""));
    if (port == 0 || ask.at_once == 0)
        die("--port is needed; --at-once from 1");
    ask.plan = (struct reader_plan){
        .dialect = dialect_named("sse"),
        .port = (uint16_t)arg_number(argc, argv, "--readers-port", port),
        .from = "start",
        .on_data = on_data};
    ask.runs = calloc(ask.count + 1, sizeof(*ask.runs));
    ask.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!ask.runs || ask.epoll < 0)
        abort();
    ask.clock_ms = clock_difference_ms();
    line_setup(&ask.submits, port, 202, write_submit);
    line_setup(&ask.stops, (uint16_t)arg_number(argc, argv, "--stops-port", port), 200,
               write_stop);
    ask.deadline_ns =
        now_ns() + arg_number(argc, argv, "--deadline-ms", 60000) * 1000000u;
}

static void tell_samples(const char *name, struct samples *samples)
{
    printf(",\"%s\":", name);
    samples_print(samples);
    samples_release(samples);
}

static void tell_stops(void)
{
    char name[TASK_NAME_LENGTH + 1];
    printf(",\"stops\":{");
    for (unsigned i = 0; i < ask.count && ask.stop_at > 0; i++) {
        task_name(ask.runs[i].task, name);
        printf("%s\"%s\":%.4f", i > 0 ? "," : "", name,
               (double)ask.runs[i].stopped_ns / 1e6 + ask.clock_ms);
    }
    putchar('}');
}

static void ask_tell(uint64_t began_ns)
{
    printf(
        "{\"phase\":\"result\",\"tasks\":%u,\"met_fault\":%u,\"whole\":%u,\"wrong\":%u,"
        "\"explained\":%u,\"unexpected\":%u,\"foreign\":%u,\"refused\":%u,"
        "\"unended\":%u,\"tokens\":%u,\"seconds\":%.1f",
        ask.count, ask.met_fault, ask.whole, ask.wrong, ask.explained, ask.unexpected,
        ask.foreign, ask.refused, ask.unended, ask.tokens,
        (double)(now_ns() - began_ns) / 1e9);
    tell_samples("first", &ask.first);
    tell_samples("stop", &ask.stop);
    tell_samples("lag", &ask.lag);
    tell_samples("gap_sent", &ask.gap_sent);
    tell_samples("gap_seen", &ask.gap_seen);
    tell_samples("gap_off", &ask.gap_off);
    tell_stops();
    puts("}");
}

int main(int argc, char **argv)
{
    sock_raise_limit();
    ask_setup(argc, argv);
    unsigned first = (unsigned)arg_number(argc, argv, "--first", 0);
    uint64_t began_ns = now_ns();
    while (ask.over < ask.count && now_ns() < ask.deadline_ns)
        ask_turn(first);
    for (unsigned i = 0; i < ask.opened; i++) {
        if (!ask.runs[i].is_over)
            run_finish(&ask.runs[i]);
    }
    ask_tell(began_ns);
    free(ask.runs);
    free(ask.submits.queue);
    free(ask.stops.queue);
    text_release(&ask.submits.in);
    text_release(&ask.stops.in);
    return 0;
}
