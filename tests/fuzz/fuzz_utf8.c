/* fuzz_utf8.c - repair gives valid UTF-8 and leaves valid UTF-8 alone. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);
    bool is_valid = utf8_is_valid(input.ptr, input.len);
    struct buf repaired;
    struct buf rebuilt;
    size_t points = 0;

    buf_init(&repaired, size * 3 + 1);
    buf_init(&rebuilt, size * 3 + 1);
    must(utf8_repair(&repaired, input.ptr, input.len));
    must(utf8_is_valid(repaired.data, repaired.len));
    must(slice_equal(buf_view(&repaired), input) == is_valid);

    for (size_t at = 0; at < size; points++) {
        uint32_t code_point;
        size_t len = utf8_next(input.ptr + at, size - at, &code_point);
        must(len > 0 && len <= size - at);
        must(utf8_put(&rebuilt, code_point));
        at += len;
    }
    must(slice_equal(buf_view(&rebuilt), buf_view(&repaired)));
    must(utf8_length(repaired.data, repaired.len) == points);
    must(utf8_utf16_length(repaired.data, repaired.len) >= points);
    buf_release(&repaired);
    buf_release(&rebuilt);
    return 0;
}
