/* sio.c - Socket.IO packets, protocol 5 (and 4 on Engine.IO 3). */
/* SPDX-License-Identifier: MIT */
#include "codec/sio.h"

#include "codec/json.h"

#include <assert.h>

const char *sio_error_text(int error)
{
    switch (error) {
    case SIO_ERR_EMPTY:
        return "empty packet";
    case SIO_ERR_TYPE:
        return "unknown packet type";
    case SIO_ERR_ATTACHMENTS:
        return "bad number of attachments";
    case SIO_ERR_ACK:
        return "bad acknowledgement id";
    case SIO_ERR_JSON:
        return "not JSON";
    case SIO_ERR_PAYLOAD:
        return "payload does not fit the packet type";
    case SIO_ERR_RESERVED:
        return "reserved event name";
    default:
        return "no error";
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_binary(enum sio_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static void skip(struct slice *text, size_t len)
{
    *text = slice_make(text->ptr + len, text->len - len);
}

static size_t digit_run(struct slice text)
{
    size_t len = 0;
    while (len < text.len && is_digit(text.ptr[len]))
        len++;
    return len;
}

/* "<n>-" */
static int take_attachments(struct slice *text, struct sio_packet *packet)
{
    size_t len = digit_run(*text);
    unsigned count = 0;

    for (size_t i = 0; i < len && count <= SIO_MAX_ATTACHMENTS; i++)
        count = count * 10 + (unsigned)(text->ptr[i] - '0');
    if (count == 0 || count > SIO_MAX_ATTACHMENTS || len == text->len ||
        text->ptr[len] != '-')
        return SIO_ERR_ATTACHMENTS;
    packet->attachments = count;
    skip(text, len + 1);
    return 0;
}

/* "/name," where the comma may be missing when nothing follows. Old clients put a query
 * behind the name: "/name?token=1,". */
static void take_namespace(int revision, struct slice *text, struct sio_packet *packet)
{
    packet->nsp = slice_of("/");
    if (text->len == 0 || text->ptr[0] != '/')
        return;

    const char *comma = memchr(text->ptr, ',', text->len);
    size_t len = comma == NULL ? text->len : (size_t)(comma - text->ptr);
    struct slice name = slice_make(text->ptr, len);
    skip(text, comma == NULL ? len : len + 1);

    const char *mark = revision == 3 ? memchr(name.ptr, '?', name.len) : NULL;
    if (mark != NULL) {
        size_t name_len = (size_t)(mark - name.ptr);
        packet->nsp_query = slice_make(mark + 1, name.len - name_len - 1);
        name.len = name_len;
    }
    packet->nsp = name;
}

static int take_ack(struct slice *text, struct sio_packet *packet)
{
    size_t len = digit_run(*text);

    if (len > SIO_MAX_ACK_DIGITS)
        return SIO_ERR_ACK;
    packet->has_ack = len > 0;
    if (len > 0)
        packet->ack = slice_make(text->ptr, len);
    skip(text, len);
    return 0;
}

static int check_event(struct sio_packet *packet)
{
    struct json_member first;
    size_t at = 0;

    if (!json_next(packet->json, &at, &first))
        return SIO_ERR_PAYLOAD;
    if (first.kind == JSON_NUMBER)
        return 0;
    if (first.kind != JSON_STRING)
        return SIO_ERR_PAYLOAD;
    packet->event = json_string_raw(first.value);
    return sio_event_is_reserved(packet->event) ? SIO_ERR_RESERVED : 0;
}

/* The shapes the reference parser accepts, the same for both revisions. */
static int check_payload(struct sio_packet *packet, enum json_kind kind)
{
    switch (packet->type) {
    case SIO_CONNECT:
        return kind == JSON_OBJECT ? 0 : SIO_ERR_PAYLOAD;
    case SIO_CONNECT_ERROR:
        return kind == JSON_OBJECT || kind == JSON_STRING ? 0 : SIO_ERR_PAYLOAD;
    case SIO_EVENT:
    case SIO_BINARY_EVENT:
        return kind == JSON_ARRAY ? check_event(packet) : SIO_ERR_PAYLOAD;
    case SIO_ACK:
    case SIO_BINARY_ACK:
        return kind == JSON_ARRAY ? 0 : SIO_ERR_PAYLOAD;
    case SIO_DISCONNECT:
        break;
    }
    return SIO_ERR_PAYLOAD;
}

/* What stands here instead of JSON is most often a broken acknowledgement id. */
static int json_error(struct slice text)
{
    switch (text.ptr[0]) {
    case '[':
    case '{':
    case '"':
    case ' ':
        return SIO_ERR_JSON;
    default:
        return SIO_ERR_ACK;
    }
}

/* White space of JSON and nothing else. */
static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(" \t\r\n", text.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static int take_json(struct slice text, struct sio_packet *packet)
{
    enum json_kind kind;

    if (text.len == 0)
        return is_binary(packet->type) ? SIO_ERR_PAYLOAD : 0;
    ssize_t used = json_scan(text, &kind, &packet->json);
    if (used < 0 || !is_blank(slice_make(text.ptr + used, text.len - (size_t)used)))
        return json_error(text);
    return check_payload(packet, kind);
}

int sio_decode(int revision, struct slice text, struct sio_packet *packet)
{
    int error = 0;

    *packet = (struct sio_packet){.nsp = slice_of("/")};
    if (text.len == 0)
        return SIO_ERR_EMPTY;
    if (text.ptr[0] < '0' || text.ptr[0] > '6')
        return SIO_ERR_TYPE;
    packet->type = (enum sio_type)(text.ptr[0] - '0');
    skip(&text, 1);

    if (is_binary(packet->type))
        error = take_attachments(&text, packet);
    if (error != 0)
        return error;
    take_namespace(revision, &text, packet);
    error = take_ack(&text, packet);
    return error != 0 ? error : take_json(text, packet);
}

bool sio_event_is_reserved(struct slice raw_name)
{
    static const char *const names[] = {"connect",     "connect_error",
                                        "disconnect",  "disconnecting",
                                        "newListener", "removeListener"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_raw_is(raw_name, names[i]))
            return true;
    }
    return false;
}

bool sio_encode(struct buf *out, const struct sio_packet *packet)
{
    assert(packet->attachments <= SIO_MAX_ATTACHMENTS);
    buf_putc(out, (char)('0' + packet->type));
    if (is_binary(packet->type)) {
        buf_u64(out, packet->attachments);
        buf_putc(out, '-');
    }
    if (packet->nsp.len > 0 && !slice_is(packet->nsp, "/")) {
        buf_slice(out, packet->nsp);
        buf_putc(out, ',');
    }
    if (packet->has_ack)
        buf_slice(out, packet->ack);
    return buf_slice(out, packet->json);
}
