/* eio_request.c - requests and upgrades: the checks in their order, the handshake. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_inside.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* What a query says. */
struct asked {
    enum { TRANSPORT_UNKNOWN, TRANSPORT_POLLING, TRANSPORT_WEBSOCKET } transport;
    int revision; /* 4, 3, or 0: none that we speak */
    bool has_sid;
    bool is_b64;
    bool is_jsonp;
    char sid[EIO_ID_SIZE]; /* empty when it cannot be one of ours */
};

/* Error codes of the protocol; the numbers go over the wire. */
enum refusal_code {
    UNKNOWN_TRANSPORT,
    UNKNOWN_SID,
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNSUPPORTED_VERSION
};

struct refusal {
    enum refusal_code code;
    unsigned http_status; /* of a plain request; an upgrade is always answered 400 */
    const char *message;  /* static text without characters that JSON would escape */
};

#define SERVER_FULL_STATUS 503
#define OPEN_BYTES         256

static const struct refusal unknown_transport = {UNKNOWN_TRANSPORT, 400,
                                                 "Transport unknown"};
static const struct refusal unknown_sid = {UNKNOWN_SID, 400, "Session ID unknown"};
static const struct refusal bad_method = {BAD_HANDSHAKE_METHOD, 400,
                                          "Bad handshake method"};
static const struct refusal bad_request = {BAD_REQUEST, 400, "Bad request"};
static const struct refusal no_jsonp = {BAD_REQUEST, 400, "JSONP is not supported"};
static const struct refusal server_full = {FORBIDDEN, SERVER_FULL_STATUS,
                                           "Too many sessions"};
static const struct refusal bad_version = {UNSUPPORTED_VERSION, 400,
                                           "Unsupported protocol version"};

/* ---- the query ---- */

static int revision_of(const struct eio_options *options, struct slice value)
{
    if (slice_is(value, "4"))
        return 4;
    return slice_is(value, "3") && options->allow_eio3 ? 3 : 0;
}

static void read_parameter(struct asked *asked, const struct eio_options *options,
                           struct slice name, struct slice value)
{
    if (slice_is(name, "EIO")) {
        asked->revision = revision_of(options, value);
    } else if (slice_is(name, "transport")) {
        asked->transport = slice_is(value, "polling")     ? TRANSPORT_POLLING
                           : slice_is(value, "websocket") ? TRANSPORT_WEBSOCKET
                                                          : TRANSPORT_UNKNOWN;
    } else if (slice_is(name, "sid")) {
        bool is_ours =
            value.len == EIO_ID_SIZE - 1 && memchr(value.ptr, '\0', value.len) == NULL;
        asked->has_sid = value.len > 0;
        asked->sid[0] = '\0';
        if (is_ours)
            memcpy(asked->sid, value.ptr, value.len);
    } else if (slice_is(name, "b64")) {
        asked->is_b64 = value.len > 0;
    } else if (slice_is(name, "j")) {
        asked->is_jsonp = true;
    }
}

static bool names_sid(struct slice query)
{
    for (size_t i = 0; i + 5 < query.len; i++)
        if (memcmp(query.ptr + i, "sid=", 4) == 0 && query.ptr[i + 4] != '&' &&
            (i == 0 || query.ptr[i - 1] == '&'))
            return true;
    return false;
}

/* The last one of several equal names wins. */
static struct asked read_query(const struct eio_server *server, struct slice query)
{
    const struct eio_options *options = &server->options;
    struct asked asked = {0};
    struct slice name;
    struct slice value;
    struct buf scratch;
    size_t at = 0;

    if (options->missing_eio_is_3 && options->allow_eio3)
        asked.revision = 3;
    buf_init(&scratch, query.len);
    while (http_query_next(query, &at, &scratch, &name, &value))
        read_parameter(&asked, options, name, value);
    buf_release(&scratch);
    if (!asked.has_sid && names_sid(query))
        asked.has_sid = true; /* one that does not decode is nobody's */
    return asked;
}

/* ---- the checks ---- */

static bool has_control_characters(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

/* The open session of that id. One whose heartbeat is overdue ends here: its timer may not
 * have had its turn yet. */
static struct eio_session *find_session(struct eio_server *server,
                                        const struct asked *asked)
{
    struct eio_session *session = map_get(server->sessions, slice_of(asked->sid));

    if (session == NULL || !eio_beat_is_overdue(session))
        return session;
    counter_add(server->counters.ping_timeouts, 1);
    eio_session_end(session, "ping timeout", EIO_GOODBYE_CLOSE);
    return NULL;
}

static const struct refusal *check_first(const struct http_request *request,
                                         const struct asked *asked)
{
    if (asked->transport == TRANSPORT_UNKNOWN)
        return &unknown_transport;
    if (has_control_characters(http_header(request, "origin")))
        return &bad_request;
    return asked->is_jsonp ? &no_jsonp : NULL;
}

/* What the application says, with its own message. */
static const struct refusal *check_application(const struct eio_server *server,
                                               const struct http_request *request,
                                               struct refusal *own)
{
    const char *message = NULL;

    if (server->app->allow != NULL)
        message = server->app->allow(server->app_ctx, request);
    if (message == NULL)
        return NULL;
    *own = (struct refusal){FORBIDDEN, 403, message};
    return own;
}

static const struct refusal *check_handshake(const struct eio_server *server,
                                             const struct http_request *request,
                                             const struct asked *asked,
                                             struct refusal *own)
{
    const struct refusal *refusal = check_application(server, request, own);

    if (refusal != NULL)
        return refusal;
    if (asked->revision == 0)
        return &bad_version;
    if (map_size(server->sessions) >= server->options.max_sessions)
        return &server_full;
    return NULL;
}

static void count_refusal(struct eio_server *server, const struct refusal *refusal,
                          const struct http_request *request)
{
    struct diag_gate *gate = &server->diag_gate;

    counter_add(server->counters.refused[refusal->code], 1);
    if (!diag_gate_pass(gate, EIO_DIAG_BURST, loop_now_ms(server->loop)))
        return;
    diag(DIAG_INFO, "engine.io request refused", DIAG_S("message", refusal->message),
         DIAG_N("code", refusal->code), DIAG_SLICE("peer", request->peer),
         DIAG_SLICE("request", request->id), DIAG_N("suppressed", gate->suppressed));
    gate->suppressed = 0;
}

/* ---- HTTP ---- */

static void refuse(struct eio_server *server, struct http_exchange *x,
                   const struct refusal *refusal)
{
    char body[256];
    int len = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}",
                       (int)refusal->code, refusal->message);

    count_refusal(server, refusal, x->request);
    if (len < 0 || (size_t)len >= sizeof(body))
        len = 0;
    http_respond(x, refusal->http_status, "Content-Type: application/json\r\n",
                 slice_make(body, (size_t)len));
}

/* The open packet; `json` backs its data. */
static struct eio_packet open_packet(const struct eio_session *session,
                                     const char *upgrades, char json[OPEN_BYTES])
{
    const struct eio_options *options = &session->server->options;
    int len = snprintf(
        json, OPEN_BYTES,
        "{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%llu,"
        "\"pingTimeout\":%llu,\"maxPayload\":%zu}",
        session->sid, upgrades, (unsigned long long)options->ping_interval_ms,
        (unsigned long long)options->ping_timeout_ms, options->max_payload_bytes);

    return (struct eio_packet){.type = EIO_OPEN, .data = slice_make(json, (size_t)len)};
}

static void open_polling(struct eio_server *server, struct http_exchange *x,
                         const struct asked *asked)
{
    char sid[EIO_ID_SIZE];
    char json[OPEN_BYTES];
    struct eio_packet packet;
    struct eio_answer answer;

    eio_make_id(server, sid);
    struct eio_session *session =
        eio_session_new(server, sid, asked->revision, handshake_copy(x->request));
    session->is_b64 = asked->is_b64;
    counter_add(server->counters.opened_polling, 1);
    packet = open_packet(session, "\"websocket\"", json);
    eio_answer_init(&answer, asked->revision, (size_t)OPEN_BYTES * 2);
    eio_answer_put(&answer, &packet);
    eio_poll_respond(x, false, buf_view(&answer.payload));
    eio_answer_release(&answer);
    server->app->on_open(server->app_ctx, session);
}

static void handshake(struct eio_server *server, struct http_exchange *x,
                      const struct asked *asked)
{
    const struct refusal *refusal = NULL;
    struct refusal own;

    if (x->request->method != HTTP_GET)
        refusal = &bad_method;
    else if (asked->transport == TRANSPORT_WEBSOCKET)
        refusal = &bad_request; /* no Upgrade header */
    else
        refusal = check_handshake(server, x->request, asked, &own);
    if (refusal != NULL)
        refuse(server, x, refusal);
    else
        open_polling(server, x, asked);
}

static void farewell(struct eio_server *server, struct http_exchange *x,
                     struct eio_farewell *kept)
{
    const struct eio_packet noop = {.type = EIO_NOOP};
    const struct eio_packet close = {.type = EIO_CLOSE};
    struct eio_answer answer;

    eio_answer_init(&answer, kept->revision, 64);
    eio_answer_put(&answer, &noop);
    eio_answer_put(&answer, &close);
    eio_farewell_forget(server, kept);
    eio_poll_respond(x, false, buf_view(&answer.payload));
    eio_answer_release(&answer);
}

static void unknown_session(struct eio_server *server, struct http_exchange *x,
                            const struct asked *asked)
{
    struct eio_farewell *kept = eio_farewell_find(server, asked->sid);
    bool is_next_get = kept != NULL && x->request->method == HTTP_GET &&
                       asked->transport == TRANSPORT_POLLING &&
                       asked->revision == kept->revision;

    if (is_next_get)
        farewell(server, x, kept);
    else
        refuse(server, x, &unknown_sid);
}

void eio_request_http(void *ctx, struct http_exchange *x)
{
    struct eio_server *server = ctx;
    struct asked asked = read_query(server, x->request->query);
    const struct refusal *refusal = check_first(x->request, &asked);
    struct eio_session *session = NULL;

    x->is_bound = true; /* the next poll must come here too */
    if (refusal != NULL) {
        refuse(server, x, refusal);
        return;
    }
    if (!asked.has_sid) {
        handshake(server, x, &asked);
        return;
    }
    session = find_session(server, &asked);
    if (session == NULL)
        unknown_session(server, x, &asked);
    else if (session->is_websocket || asked.transport != TRANSPORT_POLLING ||
             asked.revision != session->revision)
        refuse(server, x, &bad_request);
    else if (x->request->method == HTTP_GET)
        eio_poll_get(session, x);
    else if (x->request->method == HTTP_POST)
        eio_poll_post(session, x);
    else
        http_respond(x, 500, "", slice_make(NULL, 0)); /* the session survives */
}

void eio_request_body(void *ctx, const struct http_request *request,
                      enum http_body_phase phase)
{
    struct eio_server *server = ctx;
    struct asked asked = read_query(server, request->query);
    struct eio_session *session = asked.has_sid ? find_session(server, &asked) : NULL;

    if (session != NULL && !session->is_websocket && request->method == HTTP_POST &&
        asked.transport == TRANSPORT_POLLING && asked.revision == session->revision)
        eio_poll_body(session, request, phase);
}

/* ---- WebSocket ---- */

/* From the accepted upgrade request to its pipe. */
struct upgrade_token {
    struct sio_handshake *handshake; /* of a new session; NULL: an upgrade of `sid` */
    int revision;
    char sid[EIO_ID_SIZE];
};

static const struct refusal *check_upgrade(struct eio_server *server,
                                           const struct http_request *request,
                                           const struct asked *asked,
                                           struct refusal *own)
{
    const struct refusal *refusal = check_first(request, asked);
    const struct eio_session *session = NULL;

    if (refusal != NULL)
        return refusal;
    if (asked->transport != TRANSPORT_WEBSOCKET)
        return &bad_request;
    if (!asked->has_sid)
        return check_handshake(server, request, asked, own);
    session = find_session(server, asked);
    if (session == NULL)
        return &unknown_sid;
    return asked->revision != session->revision ? &bad_request : NULL;
}

unsigned eio_request_accept(void *ctx, const struct http_request *request, void **token,
                            const char **body, const char **content_type)
{
    struct eio_server *server = ctx;
    struct asked asked = read_query(server, request->query);
    struct upgrade_token *kept = NULL;
    struct refusal own;
    const struct refusal *refusal = check_upgrade(server, request, &asked, &own);

    if (refusal != NULL) {
        count_refusal(server, refusal, request);
        *body = refusal->message;
        *content_type = "text/html";
        return refusal->http_status == SERVER_FULL_STATUS ? SERVER_FULL_STATUS : 400;
    }
    kept = mem_new(sizeof(*kept));
    kept->revision = asked.revision;
    memcpy(kept->sid, asked.sid, sizeof(kept->sid));
    if (!asked.has_sid)
        kept->handshake = handshake_copy(request);
    *token = kept;
    return 0;
}

static void open_websocket(struct eio_server *server, struct pipe *pipe,
                           struct upgrade_token *token)
{
    char sid[EIO_ID_SIZE];
    char json[OPEN_BYTES];
    struct eio_packet packet;

    eio_make_id(server, sid);
    struct eio_session *session =
        eio_session_new(server, sid, token->revision, token->handshake);
    token->handshake = NULL;
    counter_add(server->counters.opened_websocket, 1);
    eio_socket_attach(session, pipe);
    packet = open_packet(session, "", json);
    eio_session_queue(session, &packet);
    server->app->on_open(server->app_ctx, session);
}

/* A second WebSocket while one probes, or after the upgrade, is closed; the first one does
 * not notice. */
static void open_probe(struct eio_server *server, struct pipe *pipe, const char *sid)
{
    struct eio_session *session = map_get(server->sessions, slice_of(sid));

    if (session == NULL || session->is_websocket || session->probe != NULL)
        eio_socket_drop(pipe);
    else
        eio_probe_attach(session, pipe);
}

void eio_request_open(void *ctx, struct pipe *pipe, void *token)
{
    struct eio_server *server = ctx;
    struct upgrade_token *kept = token;

    if (kept->handshake != NULL)
        open_websocket(server, pipe, kept);
    else
        open_probe(server, pipe, kept->sid);
    free(kept);
}
