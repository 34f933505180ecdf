/* eio_poll.c - the polling transport: the held GET, the POST, payloads. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

#include <assert.h>

#define NO_STORE "Cache-Control: no-store\r\n"
#define TEXT     "Content-Type: text/plain; charset=UTF-8\r\n" NO_STORE
#define OCTETS   "Content-Type: application/octet-stream\r\n" NO_STORE
#define HTML     "Content-Type: text/html\r\n" NO_STORE
/* Old Internet Explorers take a payload for an attack by script. */
#define NO_FILTER "X-XSS-Protection: 0\r\n"

static bool contains(struct slice text, const char *word)
{
    return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

void eio_poll_respond(struct http_exchange *x, bool is_octets, struct slice payload)
{
    struct slice agent = http_header(x->request, "user-agent");
    bool is_explorer = contains(agent, ";MSIE") || contains(agent, "; MSIE") ||
                       contains(agent, "Trident/");

    x->on_closed = NULL;
    if (is_octets)
        http_respond(x, 200, is_explorer ? OCTETS NO_FILTER : OCTETS, payload);
    else
        http_respond(x, 200, is_explorer ? TEXT NO_FILTER : TEXT, payload);
}

static void respond_empty(struct http_exchange *x, unsigned status)
{
    http_respond(x, status, HTML, slice_make(NULL, 0));
}

/* ---- GET ---- */

static void on_poll_closed(struct http_exchange *x)
{
    struct eio_session *session = x->owner_data;

    session->poll = NULL;
    eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
}

/* A close packet: the client opens a session elsewhere. */
static void on_poll_retired(struct http_exchange *x)
{
    eio_session_end(x->owner_data, EIO_RETIRED, EIO_GOODBYE_ORDERLY);
}

void eio_poll_get(struct eio_session *session, struct http_exchange *x)
{
    if (session->poll != NULL) { /* overlap: the protocol allows one GET at a time */
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
        respond_empty(x, 400);
        return;
    }
    x->owner_data = session;
    x->on_closed = on_poll_closed;
    x->on_retire = on_poll_retired;
    session->poll = x;
    session->wants_drain = true;
    eio_session_mark(session);
}

/* Whether the next answer needs the binary payload of Engine.IO 3: it does when one of its
 * packets is binary and the client can take it. */
static bool wants_octets(const struct eio_session *session)
{
    struct eio_packet packet;
    size_t at = 0;

    if (session->revision != 3 || session->is_b64)
        return false;
    for (unsigned i = 0; i < session->server->options.max_poll_packets; i++) {
        if (!eio_queue_next(&session->queue, &at, &packet))
            return false;
        if (packet.is_binary)
            return true;
    }
    return false;
}

void eio_poll_fill(struct eio_session *session)
{
    struct eio_answer *answer = &session->answer;
    unsigned limit = session->server->options.max_poll_packets;
    struct eio_packet packet;
    unsigned taken = 0;
    size_t at = 0;
    size_t end = 0;

    if (session->poll == NULL || session->queue.count == 0)
        return;
    if (answer->packets == 0)
        answer->is_octets = wants_octets(session);
    while (answer->packets < limit && answer->payload.len < EIO_WINDOW_BYTES &&
           eio_queue_next(&session->queue, &at, &packet)) {
        bool must_wait = packet.is_binary && session->revision == 3 &&
                         !session->is_b64 && !answer->is_octets;
        if (must_wait)
            break; /* this answer began as text: binary goes with the next */
        eio_answer_put(answer, &packet);
        taken++;
        end = at;
    }
    eio_queue_drop(&session->queue, taken, end);
}

/* What was queued since the window was asked for goes first and in text form, even if the
 * answer then holds more packets than the window told. */
void eio_poll_put_shared(struct eio_session *session, const struct bytes *frames,
                         unsigned packets)
{
    struct eio_queue *queue = &session->queue;
    struct eio_packet packet;
    size_t at = 0;

    assert(session->poll != NULL); /* the window was open */
    while (eio_queue_next(queue, &at, &packet))
        eio_answer_put(&session->answer, &packet);
    eio_queue_drop(queue, queue->count, at);
    eio_answer_put_frames(&session->answer, frames, packets);
    eio_session_mark(session);
}

/* Sends the answer; a new GET may come in before this returns. */
static void respond(struct eio_session *session)
{
    struct eio_answer answer = session->answer;
    struct http_exchange *x = session->poll;

    session->poll = NULL;
    eio_answer_init(&session->answer, session->revision, answer.payload.limit_bytes);
    eio_poll_respond(x, answer.is_octets, buf_view(&answer.payload));
    eio_answer_release(&answer);
}

void eio_poll_finish(struct eio_session *session)
{
    const struct eio_packet noop = {.type = EIO_NOOP};

    if (session->answer.payload.failed) {
        eio_session_overflow(session);
        return;
    }
    /* A probing client waits for its GET to end before it says `5`. */
    if (session->answer.packets == 0 && session->is_probed)
        eio_answer_put(&session->answer, &noop);
    if (session->answer.packets > 0)
        respond(session);
}

void eio_poll_end(struct eio_session *session, enum eio_type last)
{
    const struct eio_packet packet = {.type = last};

    if (session->answer.payload.failed)
        eio_answer_release(&session->answer);
    eio_answer_put(&session->answer, &packet);
    respond(session);
}

/* ---- POST ---- */

static bool is_octet_stream(const struct http_request *request)
{
    return contains(http_header(request, "content-type"), "application/octet-stream");
}

/* Hands each packet of the body on; false when it does not decode. */
static bool take_payload(struct eio_session *session,
                         const struct http_request *request)
{
    struct buf *scratch = &session->server->scratch;
    struct eio_packet packet;
    size_t at = 0;
    int found = 0;

    do {
        found = eio_decode_payload(session->revision, request->body,
                                   is_octet_stream(request), &at, scratch, &packet);
        if (found < 0)
            return false;
        if (found == 1)
            eio_session_packet(session, &packet);
    } while (found == 1 && session->is_open);
    return true;
}

void eio_poll_body(struct eio_session *session, const struct http_request *request,
                   enum http_body_phase phase)
{
    if (phase == HTTP_BODY_DROPPED) {
        if (session->posting == request)
            session->posting = NULL;
    } else if (session->posting == NULL) {
        session->posting = request;
    } else {
        /* When it is whole it is answered 400: nobody knows its session then. */
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
    }
}

void eio_poll_post(struct eio_session *session, struct http_exchange *x)
{
    const struct http_request *request = x->request;

    if (session->posting != NULL && session->posting != request) {
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
        respond_empty(x, 400);
        return;
    }
    session->posting = NULL;
    if (request->body.len > session->server->options.max_payload_bytes) {
        respond_empty(x, 413); /* as the transport does: the session survives */
        return;
    }
    if (session->revision != 3 && is_octet_stream(request)) {
        eio_session_end(session, "transport error", EIO_GOODBYE_CLOSE);
        respond_empty(x, 400);
        return;
    }
    if (!take_payload(session, request)) {
        eio_session_end(session, "parse error", EIO_GOODBYE_CLOSE);
        respond_empty(x, 400);
        return;
    }
    http_respond(x, 200, HTML, slice_of("ok"));
}
