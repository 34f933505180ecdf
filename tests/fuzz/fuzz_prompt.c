/* fuzz_prompt.c - prompts, cut points and repeats: bodies are JSON, nothing is lost. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/json.h"
#include "emitters/worker/cut.h"
#include "emitters/worker/prompt.h"
#include "emitters/worker/trim.h"
#include "fuzz.h"

static void look_at_bodies(const struct prompt *prompt, struct slice extra)
{
    for (unsigned api = 0; api <= API_ANTHROPIC; api++) {
        struct prompt_options options = {.api = (enum provider_api)api,
                                         .model = slice_of("m"),
                                         .is_stream = true,
                                         .wants_usage = true,
                                         .client_extra = extra};
        struct buf out;
        buf_init(&out, 1000000);
        must(prompt_body(&out, prompt, &options));
        must(json_check(buf_view(&out)));
        buf_release(&out);
    }
}

static void try_json(struct slice text)
{
    struct prompt prompt = {0};
    struct buf error;

    if (!json_check(text))
        return;
    buf_init(&error, 1000);
    if (prompt_read(&prompt, text, &error))
        look_at_bodies(&prompt, (struct slice){0});
    else
        must(error.len > 0 && prompt.count == 0);
    if (text.ptr[0] == '{') {
        prompt_add(&prompt, "user", slice_of("q"));
        look_at_bodies(&prompt, text);
    }
    prompt_release(&prompt);
    buf_release(&error);
}

static size_t trimmed(struct slice said, struct slice more, size_t piece,
                      struct buf *out)
{
    struct trim trim;

    buf_init(out, more.len + 1);
    trim_init(&trim, said, piece % 2 == 0);
    for (size_t at = 0; at < more.len; at += piece) {
        size_t left = more.len - at;
        trim_feed(&trim, slice_make(more.ptr + at, left < piece ? left : piece), out);
    }
    trim_end(&trim, out);
    trim_release(&trim);
    must(!out->failed && out->len + trim.trimmed_bytes == more.len);
    must(out->len == 0 ||
         memcmp(out->data, more.ptr + more.len - out->len, out->len) == 0);
    return trim.trimmed_bytes;
}

static void try_repeat(struct slice text, size_t cut)
{
    struct slice said = slice_make(text.ptr, cut);
    struct slice more = slice_make(text.ptr + cut, text.len - cut);
    struct buf out;

    size_t first = trimmed(said, more, more.len + 1 + more.len % 2, &out);
    bool is_odd = (more.len + 1 + more.len % 2) % 2 != 0;
    buf_release(&out);
    for (size_t piece = is_odd ? 1 : 2; piece < 9; piece += 2) {
        must(trimmed(said, more, piece, &out) == first);
        buf_release(&out);
    }
}

static void try_continue(struct slice text, size_t limit)
{
    struct prompt prompt = {0};
    struct slice tail = cut_tail(text, limit);

    must(utf8_is_valid(tail.ptr, tail.len));
    must(utf8_length(tail.ptr, tail.len) <= limit || limit >= text.len);
    (void)cut_is_incomplete(text);
    prompt_continue(&prompt, text, limit);
    look_at_bodies(&prompt, (struct slice){0});
    prompt_release(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_input(data, size);

    if (size < 2)
        return 0;
    size_t number = data[0];
    text = slice_make(text.ptr + 1, text.len - 1);
    try_json(text);
    if (!utf8_is_valid(text.ptr, text.len))
        return 0;
    try_continue(text, number);
    size_t cut = number < text.len ? number : text.len;
    if (utf8_is_valid(text.ptr, cut))
        try_repeat(text, cut);
    return 0;
}
