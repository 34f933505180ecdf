/* fuzz_h1.c - HTTP/1 request heads: any bytes, in any pieces. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "fuzz.h"
#include "transport/h1.h"

#include <stdlib.h>

static void must_be_inside(struct slice s, const char *data, size_t len)
{
    must(s.ptr == NULL || (s.ptr >= data && s.ptr + s.len <= data + len));
}

static void check_head(const struct h1_head *head, const char *data, size_t len)
{
    must_be_inside(head->path, data, len);
    must_be_inside(head->query, data, len);
    must(head->path.len > 0);
    must(utf8_is_valid(head->path.ptr, head->path.len));
    must(memchr(head->path.ptr, '\0', head->path.len) == NULL);
    must(head->header_count <= H1_MAX_HEADERS);
    for (size_t i = 0; i < head->header_count; i++) {
        must_be_inside(head->headers[i].name, data, len);
        must_be_inside(head->headers[i].value, data, len);
        must(head->headers[i].name.len > 0);
    }
    (void)h1_has_token(head->query, "close");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);
    struct h1_head head;
    const char *why = NULL;
    size_t scanned = 0;
    size_t again = 0;

    size_t len = h1_head_length(input, &scanned);
    must(len <= input.len);
    /* The same answer when the bytes trickle in. */
    size_t found = 0;
    for (size_t part = 0; part <= input.len && found == 0; part++)
        found = h1_head_length(slice_make(input.ptr, part), &again);
    must(found == len);
    if (len == 0)
        return 0;
    char *copy = malloc(len);
    memcpy(copy, input.ptr, len);
    unsigned status = h1_parse(copy, len, &head, &why);
    must(status == 0 || (status >= 400 && status < 600 && why != NULL));
    if (status == 0)
        check_head(&head, copy, len);
    free(copy);
    return 0;
}
