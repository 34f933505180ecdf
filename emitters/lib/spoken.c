/* spoken.c - the accumulated text of one kind, and characters cut in two. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/emitter_inside.h"

#include "base/utf8.h"

void spoken_init(struct spoken *spoken, size_t limit_bytes, struct slice earlier)
{
    *spoken = (struct spoken){.earlier_len = earlier.len};
    buf_init(&spoken->utf8, limit_bytes + earlier.len);
    buf_slice(&spoken->utf8, earlier);
}

void spoken_release(struct spoken *spoken)
{
    buf_release(&spoken->utf8);
}

/* Bytes at the end that begin a character but do not finish it: 0..3. */
static size_t cut_length(struct slice s)
{
    for (size_t back = 1; back <= 3 && back <= s.len; back++) {
        unsigned char c = (unsigned char)s.ptr[s.len - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t whole = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        bool begins = c >= 0xC2 && c <= 0xF4;
        return begins && whole > back ? back : 0;
    }
    return 0;
}

static bool take_repaired(struct spoken *spoken, struct slice bytes, struct buf *out)
{
    size_t before = out->len;
    if (!utf8_repair(out, bytes.ptr, bytes.len) ||
        spoken->utf8.len + (out->len - before) > spoken->utf8.limit_bytes) {
        out->len = before;
        return false;
    }
    return buf_append(&spoken->utf8, out->data + before, out->len - before);
}

bool spoken_take(struct spoken *spoken, struct slice delta, struct buf *out)
{
    bool good = true;
    struct buf joined;
    if (spoken->tail_len == 0 && cut_length(delta) == 0)
        return take_repaired(spoken, delta, out);
    buf_init(&joined, delta.len + sizeof(spoken->tail));
    buf_append(&joined, spoken->tail, spoken->tail_len);
    buf_slice(&joined, delta);
    size_t cut = cut_length(buf_view(&joined));
    good = take_repaired(spoken, slice_make(joined.data, joined.len - cut), out);
    if (good && cut > 0)
        memcpy(spoken->tail, joined.data + joined.len - cut, cut);
    if (good)
        spoken->tail_len = cut;
    buf_release(&joined);
    return good;
}

bool spoken_close(struct spoken *spoken, struct buf *out)
{
    struct slice tail = slice_make(spoken->tail, spoken->tail_len);
    spoken->tail_len = 0;
    return tail.len == 0 || take_repaired(spoken, tail, out);
}

struct slice spoken_all(const struct spoken *spoken)
{
    return buf_view(&spoken->utf8);
}

struct slice spoken_share(const struct spoken *spoken)
{
    size_t skip = spoken->earlier_len;
    if (spoken->utf8.len == skip)
        return slice_make(NULL, 0);
    return slice_make(spoken->utf8.data + skip, spoken->utf8.len - skip);
}
