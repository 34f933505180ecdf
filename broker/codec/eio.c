/* eio.c - Engine.IO packets and polling payloads, revisions 4 and 3. */
/* SPDX-License-Identifier: MIT */
#include "codec/eio.h"

#include "base/utf8.h"
#include "codec/ws.h"

#include <assert.h>

#define SEPARATOR         '\x1e'
#define MAX_LENGTH_DIGITS 10

const char *eio_error_text(int error)
{
    switch (error) {
    case EIO_ERR_EMPTY:
        return "empty packet";
    case EIO_ERR_TYPE:
        return "unknown packet type";
    case EIO_ERR_BASE64:
        return "bad base64";
    case EIO_ERR_LENGTH:
        return "bad length";
    case EIO_ERR_UTF8:
        return "invalid UTF-8";
    case EIO_ERR_BINARY:
        return "binary not allowed here";
    default:
        return "no error";
    }
}

static struct slice rest_of(struct slice text, size_t at)
{
    return at == text.len ? slice_make("", 0)
                          : slice_make(text.ptr + at, text.len - at);
}

/* ---- one packet ---- */

static int set_type(struct eio_packet *packet, int type)
{
    if (type < EIO_OPEN || type > EIO_NOOP)
        return EIO_ERR_TYPE;
    packet->type = (enum eio_type)type;
    return 0;
}

static int decode_base64(struct slice text, struct buf *scratch,
                         struct eio_packet *packet)
{
    buf_reset(scratch);
    if (!base64_decode(scratch, text))
        return EIO_ERR_BASE64;
    packet->is_binary = true;
    packet->data = scratch->len == 0 ? slice_make("", 0) : buf_view(scratch);
    return 0;
}

/* `b<base64>` in revision 4, `b4<base64>` in revision 3. */
static int decode_b(int revision, struct slice text, struct buf *scratch,
                    struct eio_packet *packet)
{
    packet->type = EIO_MESSAGE;
    if (revision == 4)
        return decode_base64(rest_of(text, 1), scratch, packet);
    if (text.len < 2)
        return EIO_ERR_TYPE;
    int error = set_type(packet, text.ptr[1] - '0');
    return error != 0 ? error : decode_base64(rest_of(text, 2), scratch, packet);
}

static int decode_text(int revision, struct slice text, struct buf *scratch,
                       struct eio_packet *packet)
{
    if (text.len == 0)
        return EIO_ERR_EMPTY;
    if (text.ptr[0] == 'b')
        return decode_b(revision, text, scratch, packet);
    packet->is_binary = false;
    packet->data = rest_of(text, 1);
    if (!utf8_is_valid(text.ptr, text.len))
        return EIO_ERR_UTF8;
    return set_type(packet, text.ptr[0] - '0');
}

static int decode_binary(int revision, struct slice data, struct eio_packet *packet)
{
    packet->is_binary = true;
    packet->type = EIO_MESSAGE;
    packet->data = rest_of(data, 0);
    if (revision == 4)
        return 0;
    if (data.len == 0)
        return EIO_ERR_EMPTY;
    packet->data = rest_of(data, 1);
    return set_type(packet, (unsigned char)data.ptr[0]);
}

int eio_decode_message(int revision, struct slice message, bool is_binary,
                       struct buf *scratch, struct eio_packet *packet)
{
    if (is_binary)
        return decode_binary(revision, message, packet);
    return decode_text(revision, message, scratch, packet);
}

/* ---- payloads ---- */

/* Past the end is told by *at = len + 1, so that a separator at the very end is still seen
 * to be followed by an empty packet. */
static int next_separated(struct slice payload, size_t *at, struct buf *scratch,
                          struct eio_packet *packet)
{
    if (*at > payload.len)
        return 0;
    struct slice rest = rest_of(payload, *at);
    const char *separator = memchr(rest.ptr, SEPARATOR, rest.len);
    size_t len = separator == NULL ? rest.len : (size_t)(separator - rest.ptr);
    *at += len + 1;
    int error = decode_text(4, slice_make(rest.ptr, len), scratch, packet);
    return error == 0 ? 1 : error;
}

/* Decimal digits with an offset (ASCII '0' or plain 0), then `end`. */
static bool read_length(struct slice payload, size_t *at, unsigned zero, unsigned end,
                        size_t *length)
{
    size_t sum = 0;

    for (size_t digits = 0; *at < payload.len; digits++) {
        unsigned byte = (unsigned char)payload.ptr[(*at)++];
        if (byte == end) {
            *length = sum;
            return digits > 0;
        }
        unsigned digit = byte - zero; /* wraps below zero: no digit either */
        if (digit > 9 || digits == MAX_LENGTH_DIGITS)
            return false;
        sum = sum * 10 + digit;
    }
    return false;
}

/* Bytes that hold `units` UTF-16 units. */
static int bytes_of_units(struct slice text, size_t units, size_t *bytes)
{
    size_t at = 0;

    while (units > 0) {
        uint32_t code_point;
        if (at == text.len)
            return EIO_ERR_LENGTH;
        at += utf8_next(text.ptr + at, text.len - at, &code_point);
        if (code_point == UTF8_INVALID)
            return EIO_ERR_UTF8;
        size_t width = code_point > 0xffff ? 2 : 1;
        if (width > units)
            return EIO_ERR_LENGTH; /* the length cuts a surrogate pair in two */
        units -= width;
    }
    *bytes = at;
    return 0;
}

static int next_prefixed(struct slice payload, size_t *at, struct buf *scratch,
                         struct eio_packet *packet)
{
    while (*at < payload.len) {
        size_t units = 0;
        size_t bytes = 0;
        if (!read_length(payload, at, '0', ':', &units))
            return EIO_ERR_LENGTH;
        if (units == 0)
            continue; /* as the reference does */
        struct slice rest = rest_of(payload, *at);
        int error = bytes_of_units(rest, units, &bytes);
        if (error != 0)
            return error;
        *at += bytes;
        error = decode_text(3, slice_make(rest.ptr, bytes), scratch, packet);
        return error == 0 ? 1 : error;
    }
    return 0;
}

static int next_octets(struct slice payload, size_t *at, struct buf *scratch,
                       struct eio_packet *packet)
{
    size_t bytes = 0;

    if (*at >= payload.len)
        return 0;
    unsigned kind = (unsigned char)payload.ptr[(*at)++];
    if (kind > 1 || !read_length(payload, at, 0, 0xff, &bytes))
        return EIO_ERR_LENGTH;
    struct slice rest = rest_of(payload, *at);
    if (bytes > rest.len)
        return EIO_ERR_LENGTH;
    *at += bytes;
    struct slice data = slice_make(rest.ptr, bytes);
    int error = kind == 1 ? decode_binary(3, data, packet)
                          : decode_text(3, data, scratch, packet);
    return error == 0 ? 1 : error;
}

/* The contract of eio.h: six values that belong together only here.
 * NOLINTNEXTLINE(readability-function-size) */
int eio_decode_payload(int revision, struct slice payload, bool is_octets, size_t *at,
                       struct buf *scratch, struct eio_packet *packet)
{
    if (payload.len == 0)
        return EIO_ERR_EMPTY;
    if (revision == 4)
        return is_octets ? EIO_ERR_BINARY
                         : next_separated(payload, at, scratch, packet);
    if (is_octets)
        return next_octets(payload, at, scratch, packet);
    return next_prefixed(payload, at, scratch, packet);
}

/* ---- encoding ---- */

static bool encode_ws(struct buf *out, int revision, const struct eio_packet *packet)
{
    char digit = (char)('0' + packet->type);
    char byte = (char)packet->type;

    if (!packet->is_binary)
        return ws_frame_parts(out, WS_TEXT, slice_make(&digit, 1), packet->data);
    if (revision == 4)
        return ws_frame(out, WS_BINARY, packet->data);
    return ws_frame_parts(out, WS_BINARY, slice_make(&byte, 1), packet->data);
}

static bool encode_eio4(struct buf *out, size_t start, const struct eio_packet *packet)
{
    if (out->len > start)
        buf_putc(out, SEPARATOR);
    if (packet->is_binary) {
        buf_putc(out, 'b');
        return base64_encode(out, packet->data);
    }
    buf_putc(out, (char)('0' + packet->type));
    return buf_slice(out, packet->data);
}

static bool encode_eio3(struct buf *out, const struct eio_packet *packet)
{
    struct slice data = packet->data;
    char digit = (char)('0' + packet->type);

    if (packet->is_binary) {
        buf_u64(out, 2 + (data.len + 2) / 3 * 4);
        buf_puts(out, ":b");
        buf_putc(out, digit);
        return base64_encode(out, data);
    }
    buf_u64(out, 1 + utf8_utf16_length(data.ptr, data.len));
    buf_putc(out, ':');
    buf_putc(out, digit);
    return buf_slice(out, data);
}

bool eio_encode(struct buf *out, enum framing framing, int revision, size_t start,
                const struct eio_packet *packet)
{
    /* Revision 4 has no type in binary packets: they are messages. */
    assert(!packet->is_binary || revision == 3 || packet->type == EIO_MESSAGE);
    if (framing == FRAMING_WS)
        return encode_ws(out, revision, packet);
    if (framing == FRAMING_EIO4)
        return encode_eio4(out, start, packet);
    assert(framing == FRAMING_EIO3);
    return encode_eio3(out, packet);
}
