/* reader.c - one client of a broker: its connection. */
/* SPDX-License-Identifier: MIT */
#include "emitters/torture/reader.h"

#include "base/list.h"
#include "emitters/torture/frames.h"
#include "emitters/torture/process.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define PURPOSE_READER_LIFE 20
#define READ_BYTES          65536
#define BUFFER_BYTES        ((size_t)64 << 20)
#define SMALL_SOCKET_BYTES  4096

const char *reader_kind_name(enum reader_kind kind)
{
    static const char *const names[] = {"SSE",
                                        "/ws",
                                        "long poll",
                                        "Socket.IO websocket",
                                        "Socket.IO polling",
                                        "Socket.IO string form"};

    return names[kind];
}

static bool is_framed(const struct reader *reader)
{
    return reader->kind == READER_WS || reader->kind == READER_SIO_WEBSOCKET ||
           reader->kind == READER_SIO_STRING;
}

/* ---- life ---- */

static void on_ready(struct watch *watch, bool is_readable, bool is_writable);

void reader_init(struct reader *reader, struct house *house,
                 const struct reader_plan *plan)
{
    *reader = (struct reader){.watch = {.fd = -1, .on_ready = on_ready},
                              .house = house,
                              .index = plan->index,
                              .task = plan->task,
                              .kind = plan->kind};
    reader->draw = draw_of(plan->seed, PURPOSE_READER_LIFE, plan->index);
    reader->has_small_socket = plan->index % 3 == 0;
    buf_init(&reader->in, BUFFER_BYTES);
    buf_init(&reader->out, BUFFER_BYTES);
    buf_init(&reader->message, BUFFER_BYTES);
    buf_init(&reader->to_post, BUFFER_BYTES);
}

void reader_release(struct reader *reader)
{
    watch_close(&reader->watch);
    dialect_release(reader);
    buf_release(&reader->in);
    buf_release(&reader->out);
    buf_release(&reader->message);
    buf_release(&reader->to_post);
}

static void forget_connection(struct reader *reader)
{
    buf_reset(&reader->in);
    buf_reset(&reader->out);
    buf_reset(&reader->message);
    buf_reset(&reader->to_post);
    reader->phase = READER_AWAY;
    reader->is_joined = false;
    reader->is_posting = false;
    reader->will_be_cut = false;
    reader->sid[0] = '\0';
    if (reader->kind == READER_SIO_STRING) {
        fold_begin(&reader->fold, false);
        reader->known_losses = reader->house->losses;
    }
}

void reader_close(struct reader *reader, unsigned wait_ms)
{
    watch_close(&reader->watch);
    forget_connection(reader);
    reader->retry_at_ms =
        reader->house->now_ms + wait_ms + draw_below(&reader->draw, 100);
}

static void want(struct reader *reader)
{
    watch_want(reader->house->set, &reader->watch, reader->stalled_until_ms == 0,
               reader->out.len > 0);
}

static void connect_somewhere(struct reader *reader)
{
    struct house *house = reader->house;
    uint16_t port = house->broker_ports[draw_below(&reader->draw, house->broker_count)];
    int size = SMALL_SOCKET_BYTES;
    int fd = port_connect(port);

    if (fd < 0) {
        reader->retry_at_ms = house->now_ms + 20 + draw_below(&reader->draw, 100);
        return;
    }
    if (reader->has_small_socket)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    watch_open(house->set, &reader->watch, fd);
    reader->phase = READER_HEAD;
    dialect_connected(reader);
    want(reader);
}

void reader_tick(struct reader *reader)
{
    uint64_t now = reader->house->now_ms;

    if (reader->stalled_until_ms != 0 && reader->stalled_until_ms <= now) {
        reader->stalled_until_ms = 0;
        want(reader);
    }
    if (reader->phase == READER_AWAY && reader->retry_at_ms <= now)
        connect_somewhere(reader);
}

/* ---- reading ---- */

static void is_no_answer(struct reader *reader, const char *what)
{
    reader->house->on_violation(reader->house->ctx, reader, what);
    reader_close(reader, 1000);
}

/* What is refused (a draining broker, a session of a broker that is gone) is asked again. */
static void take_head(struct reader *reader, const struct http_answer *answer)
{
    if (answer->status != (is_framed(reader) ? 101U : 200U)) {
        reader_close(reader, answer->status == 204 ? 300 : 50);
        return;
    }
    reader->phase = READER_BODY;
    reader->is_chunked = answer->is_chunked;
    reader->body_left = answer->length;
    if (is_framed(reader))
        (void)dialect_body(reader, (struct slice){0});
}

static ssize_t step_fixed(struct reader *reader, struct slice bytes)
{
    size_t len = reader->body_left;

    if (bytes.len < len)
        return 0;
    reader->phase = READER_HEAD;
    if (!dialect_body(reader, slice_make(bytes.ptr, len)))
        return -1;
    if (reader->phase != READER_AWAY)
        dialect_answer_over(reader);
    return (ssize_t)len;
}

static ssize_t step_chunk(struct reader *reader, struct slice bytes)
{
    struct slice data;
    ssize_t used = http_chunk_read(bytes, &data);

    if (used <= 0)
        return used;
    if (data.len == 0)
        reader_close(reader, 300); /* the stream is over */
    else if (!dialect_body(reader, data))
        return -1;
    return used;
}

static ssize_t step_frame(struct reader *reader, struct slice bytes)
{
    struct ws_part part;
    ssize_t used = ws_part_read(bytes, &part);

    if (used <= 0)
        return used;
    if (part.opcode == 8) {
        reader_close(reader, 50);
    } else if (part.opcode == 9) {
        ws_part_write(&reader->out, 10, part.payload);
    } else if (part.opcode <= 1) {
        buf_slice(&reader->message, part.payload);
        if (part.is_last && !dialect_body(reader, buf_view(&reader->message)))
            return -1;
        if (part.is_last)
            buf_reset(&reader->message);
    }
    return used;
}

static ssize_t step(struct reader *reader, struct slice bytes)
{
    struct http_answer answer;
    ssize_t used;

    if (reader->phase == READER_HEAD) {
        used = http_answer_read(bytes, &answer);
        if (used > 0)
            take_head(reader, &answer);
        return used;
    }
    if (is_framed(reader))
        return step_frame(reader, bytes);
    return reader->is_chunked ? step_chunk(reader, bytes) : step_fixed(reader, bytes);
}

static void take(struct reader *reader)
{
    size_t used = 0;

    while (reader->phase != READER_AWAY) {
        struct slice rest = slice_make(reader->in.data + used, reader->in.len - used);
        bool may_be_empty = reader->phase == READER_BODY && !is_framed(reader) &&
                            !reader->is_chunked && reader->body_left == 0;
        if (rest.len == 0 && !may_be_empty)
            break;
        ssize_t n = step(reader, rest);
        if (n < 0) {
            is_no_answer(reader, "was told something that is no answer of a broker");
            return;
        }
        if (n == 0 && !may_be_empty)
            break;
        used += (size_t)n;
    }
    if (reader->phase != READER_AWAY)
        buf_consume(&reader->in, used);
}

static void receive(struct reader *reader)
{
    size_t most = READ_BYTES;
    char *room = buf_reserve(&reader->in, READ_BYTES);
    bool is_cut_now;
    ssize_t n;

    if (reader->will_be_cut && reader->bytes_until_cut < most)
        most = reader->bytes_until_cut + 1;
    n = room == NULL ? 0 : recv(reader->watch.fd, room, most, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        reader_close(reader, 20);
        return;
    }
    is_cut_now = reader->will_be_cut && (size_t)n > reader->bytes_until_cut;
    if (is_cut_now)
        n--;
    reader->bytes_until_cut -= reader->will_be_cut ? (size_t)n : 0;
    reader->in.len += (size_t)n;
    take(reader);
    if (is_cut_now && reader->phase != READER_AWAY) {
        reader->tally.cuts++;
        reader_close(reader, 0);
    }
}

static void flush(struct reader *reader)
{
    ssize_t n = send(reader->watch.fd, reader->out.data, reader->out.len, MSG_NOSIGNAL);

    if (n > 0)
        buf_consume(&reader->out, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        reader_close(reader, 20);
}

static void on_ready(struct watch *watch, bool is_readable, bool is_writable)
{
    struct reader *reader = LIST_ENTRY(watch, struct reader, watch);

    if (is_writable && reader->out.len > 0)
        flush(reader);
    if (is_readable && reader->phase != READER_AWAY && reader->stalled_until_ms == 0)
        receive(reader);
    if (reader->phase != READER_AWAY && reader->out.len > 0)
        flush(reader);
    if (reader->phase != READER_AWAY)
        want(reader);
}

/* ---- faults ---- */

void reader_cut_after(struct reader *reader, size_t bytes)
{
    reader->will_be_cut = reader->phase != READER_AWAY;
    reader->bytes_until_cut = bytes;
}

void reader_stall(struct reader *reader, uint64_t until_ms)
{
    reader->stalled_until_ms = until_ms;
    want(reader);
}

int reader_leave(struct reader *reader)
{
    int fd = reader->watch.fd < 0 ? -1 : dup(reader->watch.fd);

    watch_close(&reader->watch);
    forget_connection(reader);
    reader->retry_at_ms = reader->house->now_ms;
    return fd;
}

void reader_renew(struct reader *reader, enum reader_from from)
{
    bool is_poll = reader->kind == READER_LONG_POLL;

    reader_close(reader, 0);
    reader->stalled_until_ms = 0;
    reader->since[0] = '\0';
    /* Between two polls of one who has no place yet, `now` would be another one. */
    reader->from = is_poll && from == FROM_NOW ? FROM_START : from;
}
