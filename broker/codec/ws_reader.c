/* ws_reader.c - WebSocket frames of a client, read (RFC 6455 section 5). */
/* SPDX-License-Identifier: MIT */
#include "codec/ws.h"

#define FIN           0x80u
#define RESERVED_BITS 0x70u
#define OPCODE_BITS   0x0fu
#define MASKED        0x80u
#define LEN_BITS      0x7fu
#define LEN_16        126u
#define LEN_64        127u
#define KEY_BYTES     4u
#define CONTROL_BIT   0x08u
#define CONTINUATION  0u

/* ---- heads ---- */

static unsigned opcode_of(const struct ws_reader *reader)
{
    return reader->head[0] & OPCODE_BITS;
}

static bool is_control(const struct ws_reader *reader)
{
    return (opcode_of(reader) & CONTROL_BIT) != 0;
}

/* How many bytes tell the length, behind the first two. */
static size_t length_size(const struct ws_reader *reader)
{
    unsigned len = reader->head[1] & LEN_BITS;

    return len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0;
}

static bool is_known(unsigned opcode)
{
    return opcode == CONTINUATION || opcode == WS_TEXT || opcode == WS_BINARY ||
           opcode == WS_CLOSE || opcode == WS_PING || opcode == WS_PONG;
}

/* What is wrong with the first two bytes, or NULL. */
static const char *judge_start(const struct ws_reader *reader)
{
    unsigned opcode = opcode_of(reader);

    if ((reader->head[0] & RESERVED_BITS) != 0)
        return "reserved bits without an extension";
    if (!is_known(opcode))
        return "reserved opcode";
    if ((reader->head[1] & MASKED) == 0)
        return "frame without a mask";
    if (is_control(reader)) {
        if ((reader->head[0] & FIN) == 0)
            return "fragmented control frame";
        return (reader->head[1] & LEN_BITS) > WS_CONTROL_MAX_BYTES
                   ? "control frame too long"
                   : NULL;
    }
    if (opcode == CONTINUATION && reader->message == 0)
        return "continuation of nothing";
    if (opcode != CONTINUATION && reader->message != 0)
        return "message inside a message";
    return NULL;
}

/* The whole head is here. */
static const char *judge_length(struct ws_reader *reader)
{
    size_t bytes = length_size(reader);
    uint64_t len = reader->head[1] & LEN_BITS;

    if (bytes > 0) {
        len = 0;
        for (size_t i = 0; i < bytes; i++)
            len = len << 8 | reader->head[2 + i];
        if (len < LEN_16 || (bytes == 8 && len <= 0xffff))
            return "length not in its shortest form";
        if (len >> 63 != 0)
            return "length above 2^63";
    }
    reader->left = len;
    reader->key_at = 0;
    reader->control_len = 0;
    reader->is_in_payload = true;
    return NULL;
}

/* Takes bytes of the head up to `len` in all; true when they are there. */
static bool fill_head(struct ws_reader *reader, struct ws_bytes *input, size_t len)
{
    while (reader->head_len < len && input->len > 0) {
        reader->head[reader->head_len++] = (unsigned char)*input->ptr++;
        input->len--;
    }
    return reader->head_len >= len;
}

static enum ws_read broken(struct ws_reader *reader, struct ws_part *part,
                           const char *problem)
{
    reader->is_broken = true;
    *part = (struct ws_part){.problem = problem};
    return WS_READ_BROKEN;
}

/* ---- payloads ---- */

/* Takes what there is of the payload, unmasked. */
static struct slice take_payload(struct ws_reader *reader, struct ws_bytes *input)
{
    const unsigned char *key =
        reader->head + 2 + length_size(reader); /* the last four of the head */
    size_t len = reader->left < input->len ? (size_t)reader->left : input->len;
    struct slice payload = slice_make(input->ptr, len);

    for (size_t i = 0; i < len; i++)
        input->ptr[i] = (char)((unsigned char)input->ptr[i] ^
                               key[(reader->key_at + i) % KEY_BYTES]);
    reader->key_at = (uint8_t)((reader->key_at + len) % KEY_BYTES);
    reader->left -= len;
    input->len -= len;
    if (len > 0)
        input->ptr += len;
    return payload;
}

static void end_frame(struct ws_reader *reader)
{
    reader->is_in_payload = false;
    reader->head_len = 0;
}

static enum ws_read read_control(struct ws_reader *reader, struct ws_bytes *input,
                                 struct ws_part *part)
{
    struct slice payload = take_payload(reader, input);

    if (payload.len > 0)
        memcpy(reader->control + reader->control_len, payload.ptr, payload.len);
    reader->control_len = (uint8_t)(reader->control_len + payload.len);
    if (reader->left > 0)
        return WS_READ_MORE;
    *part = (struct ws_part){
        .opcode = (enum ws_opcode)opcode_of(reader),
        .payload = slice_make(reader->control, reader->control_len),
        .is_first = true,
        .is_last = true,
    };
    end_frame(reader);
    return WS_READ_CONTROL;
}

static enum ws_read read_message(struct ws_reader *reader, struct ws_bytes *input,
                                 struct ws_part *part, bool is_new_frame)
{
    bool is_final = (reader->head[0] & FIN) != 0;
    bool is_first = is_new_frame && opcode_of(reader) != CONTINUATION;

    if (is_first)
        reader->message = (uint8_t)opcode_of(reader);
    struct slice payload = take_payload(reader, input);
    *part = (struct ws_part){
        .opcode = (enum ws_opcode)reader->message,
        .payload = payload,
        .left = reader->left,
        .is_first = is_first,
        .is_last = is_final && reader->left == 0,
    };
    if (reader->left == 0)
        end_frame(reader);
    if (part->is_last)
        reader->message = 0;
    return WS_READ_MESSAGE;
}

enum ws_read ws_read(struct ws_reader *reader, struct ws_bytes *input,
                     struct ws_part *part)
{
    const char *problem = NULL;
    bool is_new_frame = !reader->is_in_payload;

    if (reader->is_broken)
        return broken(reader, part, "after a protocol error");
    if (is_new_frame) {
        if (!fill_head(reader, input, 2))
            return WS_READ_MORE;
        problem = judge_start(reader);
        if (problem != NULL)
            return broken(reader, part, problem);
        if (!fill_head(reader, input, 2 + length_size(reader) + KEY_BYTES))
            return WS_READ_MORE;
        problem = judge_length(reader);
        if (problem != NULL)
            return broken(reader, part, problem);
    } else if (input->len == 0) {
        return WS_READ_MORE;
    }
    if (is_control(reader))
        return read_control(reader, input, part);
    return read_message(reader, input, part, is_new_frame);
}

/* ---- the close frame ---- */

/* RFC 6455 section 7.4: 1004 to 1006 and 1015 are never sent, 1016 to 2999 are not given
 * out yet. */
static bool may_be_sent(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

bool ws_close_read(struct slice payload, unsigned *code)
{
    *code = 0;
    if (payload.len == 0)
        return true;
    if (payload.len == 1)
        return false;
    *code =
        (unsigned)(unsigned char)payload.ptr[0] << 8 | (unsigned char)payload.ptr[1];
    return may_be_sent(*code);
}
