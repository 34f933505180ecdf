/* fuzz_eio.c - Engine.IO messages and payloads: decoded, encoded, decoded again. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/eio.h"
#include "fuzz.h"

/* What a decoder hands out can be encoded for every transport. */
static void try_packet(int revision, const struct eio_packet *packet)
{
    struct buf out;

    must(packet->type <= EIO_NOOP);
    must(packet->is_binary || utf8_is_valid(packet->data.ptr, packet->data.len));
    buf_init(&out, packet->data.len * 2 + 100);
    must(eio_encode(&out, FRAMING_WS, revision, 0, packet));
    buf_reset(&out);

    /* Binary of revision 3 may have any type, which the payloads of revision 4 cannot say;
     * a separator inside the data would cut the packet there. */
    struct buf scratch;
    struct eio_packet again;
    size_t at = 0;
    bool has_separator = !packet->is_binary && packet->data.len > 0 &&
                         memchr(packet->data.ptr, 0x1e, packet->data.len) != NULL;
    buf_init(&scratch, packet->data.len + 100);
    if (revision == 3 || !has_separator) {
        must(eio_encode(&out, revision == 3 ? FRAMING_EIO3 : FRAMING_EIO4, revision, 0,
                        packet));
        must(eio_decode_payload(revision, buf_view(&out), false, &at, &scratch,
                                &again) == 1);
        must(again.type == packet->type && again.is_binary == packet->is_binary);
        must(slice_equal(again.data, packet->data));
        must(eio_decode_payload(revision, buf_view(&out), false, &at, &scratch,
                                &again) == 0);
    }
    buf_release(&scratch);
    buf_release(&out);
}

static void try_payload(int revision, struct slice payload, bool is_octets)
{
    struct buf scratch;
    struct eio_packet packet;
    size_t at = 0;
    int result;

    buf_init(&scratch, payload.len);
    while ((result = eio_decode_payload(revision, payload, is_octets, &at, &scratch,
                                        &packet)) == 1)
        try_packet(revision, &packet);
    must(result == 0 || (result >= EIO_ERR_BINARY && result <= EIO_ERR_EMPTY));
    buf_release(&scratch);
}

static void try_message(int revision, struct slice message, bool is_binary)
{
    struct buf scratch;
    struct eio_packet packet;

    buf_init(&scratch, message.len);
    if (eio_decode_message(revision, message, is_binary, &scratch, &packet) == 0)
        try_packet(revision, &packet);
    buf_release(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);

    for (int revision = 3; revision <= 4; revision++) {
        for (int binary = 0; binary < 2; binary++) {
            try_message(revision, input, binary == 1);
            try_payload(revision, input, binary == 1);
        }
    }
    return 0;
}
