/* eio_answer.c - one polling answer while packets are put into it. */
/* SPDX-License-Identifier: MIT */
#include "engine/eio_answer.h"

#include <assert.h>

#define SEPARATOR '\x1e'

void eio_answer_init(struct eio_answer *answer, int revision, size_t limit_bytes)
{
    buf_init(&answer->payload, limit_bytes);
    answer->packets = 0;
    answer->revision = (unsigned char)revision;
    answer->is_octets = false;
}

void eio_answer_release(struct eio_answer *answer)
{
    buf_release(&answer->payload);
    answer->packets = 0;
    answer->is_octets = false;
}

/* Engine.IO 3, binary payload: 0 or 1 for text or binary, the decimal digits of the length
 * as byte values, 0xff, the type (a character in text, a byte value in binary), data. */
static void put_octets(struct buf *out, const struct eio_packet *packet)
{
    char digits[24];
    size_t len = packet->data.len + 1;
    size_t start = sizeof(digits);

    do {
        digits[--start] = (char)(len % 10);
        len /= 10;
    } while (len > 0);
    buf_putc(out, packet->is_binary ? 1 : 0);
    buf_append(out, digits + start, sizeof(digits) - start);
    buf_putc(out, '\xff');
    buf_putc(out, (char)(packet->is_binary ? packet->type : '0' + packet->type));
    buf_slice(out, packet->data);
}

void eio_answer_put(struct eio_answer *answer, const struct eio_packet *packet)
{
    if (answer->is_octets)
        put_octets(&answer->payload, packet);
    else
        eio_encode(&answer->payload,
                   answer->revision == 3 ? FRAMING_EIO3 : FRAMING_EIO4,
                   answer->revision, 0, packet);
    answer->packets++;
}

void eio_answer_put_frames(struct eio_answer *answer, const struct bytes *frames,
                           unsigned packets)
{
    assert(!answer->is_octets);
    if (answer->revision != 3 && answer->payload.len > 0)
        buf_putc(&answer->payload, SEPARATOR);
    buf_append(&answer->payload, frames->data, frames->len);
    answer->packets += packets;
}
