/* fuzz_stream.c - provider streams: the same values however the bytes are cut. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "emitters/worker/stream.h"
#include "fuzz.h"

#define LIMIT_BYTES 512

struct heard {
    struct buf told;
    bool is_over;
};

static void hear(void *ctx, const struct stream_value *value)
{
    struct heard *heard = ctx;

    must(!heard->is_over);
    must(utf8_is_valid(value->text.ptr, value->text.len));
    must(value->kind > STREAM_TOOL || value->text.len > 0);
    heard->is_over = value->kind == STREAM_DONE || value->kind == STREAM_FAILED;
    must((value->failure != NULL) == (value->kind == STREAM_FAILED));
    buf_printf(&heard->told, "%d %d %d %zu ", (int)value->kind, (int)value->finish,
               value->failure == NULL ? 0 : (int)value->failure->class,
               value->text.len);
    buf_slice(&heard->told, value->text);
    if (value->failure != NULL) {
        must(utf8_is_valid(value->failure->message, strlen(value->failure->message)));
        buf_puts(&heard->told, value->failure->message);
    }
}

static void parse(struct slice body, enum provider_api api, size_t piece,
                  struct buf *out)
{
    struct heard heard = {.is_over = false};
    struct stream *stream = stream_new(api, LIMIT_BYTES, hear, &heard);

    buf_init(&heard.told, (body.len + 10) * 200);
    for (size_t at = 0; at < body.len; at += piece) {
        size_t left = body.len - at;
        stream_feed(stream, slice_make(body.ptr + at, left < piece ? left : piece));
    }
    stream_end(stream);
    must(heard.is_over && stream_is_over(stream));
    must(!heard.told.failed);
    stream_free(stream);
    *out = heard.told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = fuzz_input(data, size);
    enum provider_api api;
    struct buf whole;
    struct buf pieces;

    if (size < 2)
        return 0;
    api = (enum provider_api)(data[0] % 3);
    body = slice_make(body.ptr + 1, body.len - 1);
    parse(body, api, size, &whole);
    for (size_t piece = 1; piece <= 9; piece += 4) {
        parse(body, api, piece, &pieces);
        must(slice_equal(buf_view(&whole), buf_view(&pieces)));
        buf_release(&pieces);
    }
    buf_release(&whole);
    return 0;
}
