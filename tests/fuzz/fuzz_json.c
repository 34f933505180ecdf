/* fuzz_json.c - the scanner, the walk, and strings there and back. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/json.h"
#include "fuzz.h"

static void try_string(struct slice raw)
{
    struct buf text;
    struct buf escaped;
    struct buf again;

    /* Never longer than it was, but for broken escapes: three bytes for two. */
    buf_init(&text, raw.len * 3 + 3);
    buf_init(&escaped, raw.len * 18 + 18);
    buf_init(&again, raw.len * 18 + 18);
    must(json_unescape(&text, raw));
    must(json_quote(&escaped, buf_view(&text)));
    must(json_check(buf_view(&escaped)));
    must(json_unescape(&again, json_string_raw(buf_view(&escaped))));
    must(slice_equal(buf_view(&again), buf_view(&text)) ||
         !utf8_is_valid(text.data, text.len));
    buf_release(&text);
    buf_release(&escaped);
    buf_release(&again);
}

/* Each member is JSON itself, whatever the container is. */
static void try_walk(struct slice container)
{
    struct json_member member;
    size_t at = 0;

    while (json_next(container, &at, &member)) {
        must(at <= container.len);
        must(json_check(member.value));
        if (member.kind == JSON_STRING)
            try_string(json_string_raw(member.value));
    }
    if (json_get(container, "task_id", &member))
        must(json_check(member.value));
}

/* One pass finds what a check and then a search find. */
static void try_pick(struct slice input, bool is_json)
{
    struct json_pick pick = {.name = "a"};
    struct json_member member;
    enum json_kind kind;

    must(json_pick(input, &kind, &pick, 1) == is_json);
    if (!is_json)
        return;
    must(json_get(input, "a", &member) == pick.is_there);
    if (pick.is_there)
        must(slice_equal(member.value, pick.member.value) &&
             member.kind == pick.member.kind);
}

static void try_minified(struct slice input)
{
    struct buf small;
    struct buf smaller;

    buf_init(&small, input.len);
    buf_init(&smaller, input.len);
    must(json_minify(&small, input));
    must(json_check(buf_view(&small)));
    must(json_minify(&smaller, buf_view(&small)));
    must(slice_equal(buf_view(&small), buf_view(&smaller)));
    buf_release(&small);
    buf_release(&smaller);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);
    bool is_json = json_check(input);
    enum json_kind kind;
    struct slice value;
    uint64_t number;

    if (json_scan(input, &kind, &value) >= 0)
        must(json_check(value));
    else
        must(!is_json);
    if (is_json) {
        must(utf8_is_valid(input.ptr, input.len));
        try_minified(input);
    }
    try_pick(input, is_json);
    try_walk(input);
    try_string(input);
    (void)json_u64(input, &number);
    (void)json_raw_is(input, "connect");
    return 0;
}
