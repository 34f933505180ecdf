/* fuzz_event.c - the strict and the tolerant reading of events, and ids there and back. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "fuzz.h"
#include "schema/run.h"

static void inside(struct slice whole, struct slice part)
{
    must(part.len == 0 ||
         (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void try_parts(struct slice input, const struct event *event)
{
    inside(input, event->json);
    inside(input, event->type_name);
    inside(input, event->task_id);
    inside(input, event->text);
    inside(input, event->timestamp);
    must(event->type == event_type_of(event->type_name));
}

static void try_event(struct slice input)
{
    struct event strict;
    struct event loose;
    const char *field;
    enum event_fault fault = event_check(input, &strict, &field);
    bool is_object = event_view(input, &loose);

    if (is_object)
        try_parts(input, &loose);
    must(!loose.is_delta);
    if (fault != EVENT_OK) {
        must(!strict.is_delta);
        return;
    }
    /* What the strict one takes, the tolerant one reads alike. */
    must(is_object && json_check(input) && field == NULL);
    try_parts(input, &strict);
    must(strict.type == loose.type && slice_equal(strict.text, loose.text));
    must(strict.task_id.ptr == NULL || task_id_is_native(strict.task_id));
    must(!strict.is_delta || strict.text.ptr != NULL);
}

static void try_id(struct slice input)
{
    struct event_id id;
    struct event_id again;
    char text[EVENT_ID_SIZE];

    if (!event_id_parse(input, &id))
        return;
    size_t len = event_id_format(id, text);
    must(slice_equal(input, slice_make(text, len)));
    must(event_id_parse(slice_make(text, len), &again) && event_id_equal(id, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = fuzz_input(data, size);

    try_event(input);
    try_id(input);
    return 0;
}
