/* fuzz_sio.c - Socket.IO packets: decoded, encoded, decoded again. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "codec/sio.h"
#include "fuzz.h"

static void try_packet(const struct sio_packet *packet)
{
    struct sio_packet again;
    struct buf out;

    must(packet->attachments <= SIO_MAX_ATTACHMENTS);
    must(packet->nsp.len > 0 && packet->nsp.ptr[0] == '/');
    must(packet->json.len == 0 || json_check(packet->json));
    must(!sio_event_is_reserved(packet->event));

    buf_init(&out, packet->nsp.len + packet->ack.len + packet->json.len + 10);
    must(sio_encode(&out, packet));
    must(sio_decode(4, buf_view(&out), &again) == 0);
    must(again.type == packet->type && again.attachments == packet->attachments);
    must(slice_equal(again.nsp, packet->nsp));
    must(again.has_ack == packet->has_ack && slice_equal(again.ack, packet->ack));
    must(slice_equal(again.json, packet->json));
    must(slice_equal(again.event, packet->event));
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int revision = 3; revision <= 4; revision++) {
        struct sio_packet packet;
        int error = sio_decode(revision, fuzz_input(data, size), &packet);
        must(error <= 0 && error >= SIO_ERR_RESERVED);
        if (error == 0)
            try_packet(&packet);
    }
    return 0;
}
