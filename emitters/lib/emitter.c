/* emitter.c - one run of one task: what its producer hands in. */
/* SPDX-License-Identifier: MIT */
#include "emitters/lib/emitter_inside.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "codec/json.h"

#include <assert.h>
#include <stdlib.h>

/* ---- making ---- */

static void name_producer(struct emitter *emitter, struct slice wanted)
{
    if (wanted.len > 0) {
        emitter->options.producer = wanted;
        return;
    }
    random_hex(emitter->producer, sizeof(emitter->producer) - 1);
    emitter->options.producer = slice_of(emitter->producer);
}

/* All slices of the options as copies in one buffer, so that they live as long. */
static void copy_texts(struct emitter *emitter)
{
    struct emitter_options *o = &emitter->options;
    struct slice *const slices[] = {&o->task.site, &o->task.task_id, &o->producer,
                                    &o->request};
    size_t total = 1;
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        total += slices[i]->len;
    buf_init(&emitter->texts, total);
    if (buf_reserve(&emitter->texts, total) == NULL)
        abort();
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
        size_t at = emitter->texts.len;
        buf_slice(&emitter->texts, *slices[i]);
        slices[i]->ptr = emitter->texts.data + at;
    }
}

static void set_defaults(struct emitter_options *options)
{
    if (options->max_unsent_bytes == 0)
        options->max_unsent_bytes = EMITTER_MAX_UNSENT_BYTES;
    if (options->max_text_bytes == 0)
        options->max_text_bytes = EMITTER_MAX_TEXT_BYTES;
    if (options->opens_as != RUN_QUEUED)
        options->opens_as = RUN_RUNNING;
}

struct emitter *emitter_new(struct loop *loop, struct emitter_sink *sink,
                            const struct emitter_options *options)
{
    struct emitter *emitter = mem_new(sizeof(*emitter));
    assert(site_is_native(options->task.site));
    assert(task_id_is_native(options->task.task_id));
    emitter->loop = loop;
    emitter->sink = sink;
    emitter->options = *options;
    emitter->claim_epoch = options->claim_epoch;
    emitter->next_counter = 1;
    set_defaults(&emitter->options);
    name_producer(emitter, options->producer);
    copy_texts(emitter);
    buf_init(&emitter->scratch, 16U << 20);
    buf_init(&emitter->end_members, 8192);
    size_t limit = emitter->options.max_text_bytes;
    spoken_init(&emitter->reasoning, limit, options->earlier_reasoning);
    spoken_init(&emitter->text, limit, options->earlier_text);
    emitter->options.earlier_reasoning = emitter->options.earlier_text =
        slice_make(NULL, 0); /* copied, the caller's may go */
    outbox_init(&emitter->outbox);
    turn_task_init(&emitter->pump, emitter_pump);
    timer_init(&emitter->window, loop, emitter_on_window);
    timer_init(&emitter->retry, loop, emitter_on_retry);
    timer_init(&emitter->lease, loop, emitter_on_lease);
    emitter->was_settled = true;
    emitter->phase = sink->ops->open != NULL ? PHASE_UNOPENED : PHASE_OPEN;
    emitter_wake(emitter);
    return emitter;
}

void emitter_free(struct emitter *emitter)
{
    if (emitter == NULL)
        return;
    emitter_let_go(emitter);
    turn_cancel(&emitter->pump);
    timer_release(&emitter->window);
    timer_release(&emitter->retry);
    timer_release(&emitter->lease);
    outbox_release(&emitter->outbox);
    spoken_release(&emitter->reasoning);
    spoken_release(&emitter->text);
    buf_release(&emitter->scratch);
    buf_release(&emitter->end_members);
    buf_release(&emitter->texts);
    free(emitter);
}

/* ---- handing in ---- */

static bool refuse(struct emitter *emitter)
{
    emitter->stats.refused++;
    return false;
}

static bool is_closed(const struct emitter *emitter)
{
    return emitter->is_finished || emitter->phase == PHASE_OVER;
}

static void now_iso(char at[CLOCK_ISO_SIZE])
{
    clock_iso(clock_wall_ms(), at);
}

/* What stands in the scratch buffer becomes the next event. */
static bool add_composed(struct emitter *emitter)
{
    struct event event;
    const char *field;
    struct buf *scratch = &emitter->scratch;
    if (scratch->failed || event_check(buf_view(scratch), &event, &field) != EVENT_OK)
        return refuse(emitter);
    outbox_add_event(&emitter->outbox, &event);
    emitter->is_finished = event_type_is_terminal(event.type);
    emitter->stats.emitted++;
    emitter_wake(emitter);
    return true;
}

static bool end_with_error(struct emitter *emitter, const char *code,
                           const char *message)
{
    emitter->reasoning.tail_len = 0;
    emitter->text.tail_len = 0;
    return emitter_fail(emitter, code, slice_of(message));
}

bool emitter_overflow(struct emitter *emitter)
{
    if (is_closed(emitter))
        return refuse(emitter);
    emitter->stats.has_overflowed = true;
    outbox_drop_items(&emitter->outbox);
    return end_with_error(
        emitter, "EMITTER_OVERFLOW",
        "The far end was away for longer than the emitter could remember.");
}

/* A run that cannot go on without a hole ends, with what was already numbered. */
static void check_bound(struct emitter *emitter)
{
    size_t bound = emitter->options.max_unsent_bytes + emitter->allowance_bytes;
    if (!emitter->is_finished && outbox_bytes(&emitter->outbox) > bound)
        emitter_overflow(emitter);
}

static bool too_much_text(struct emitter *emitter)
{
    end_with_error(emitter, "RUN_TOO_LARGE",
                   "The run passed the bound on accumulated text.");
    return refuse(emitter);
}

static void queue_spoken(struct emitter *emitter, enum event_type type,
                         struct spoken *spoken, const char *at)
{
    struct slice utf8 = buf_view(&emitter->scratch);
    if (utf8.len == 0)
        return;
    if (spoken->first_at[0] == 0)
        memcpy(spoken->first_at, at, CLOCK_ISO_SIZE);
    if (outbox_add_delta(&emitter->outbox, type, utf8, at))
        emitter->stats.merged++;
    check_bound(emitter);
    emitter_wake(emitter);
}

static bool say(struct emitter *emitter, enum event_type type, struct slice delta,
                const char *at)
{
    struct spoken *spoken = type == EVENT_TEXT ? &emitter->text : &emitter->reasoning;
    if (is_closed(emitter))
        return refuse(emitter);
    buf_reset(&emitter->scratch);
    if (!spoken_take(spoken, delta, &emitter->scratch))
        return too_much_text(emitter);
    emitter->stats.emitted++;
    queue_spoken(emitter, type, spoken, at);
    return true;
}

bool emitter_reasoning(struct emitter *emitter, struct slice delta)
{
    char at[CLOCK_ISO_SIZE];
    now_iso(at);
    return say(emitter, EVENT_REASONING, delta, at);
}

bool emitter_text(struct emitter *emitter, struct slice delta)
{
    char at[CLOCK_ISO_SIZE];
    now_iso(at);
    return say(emitter, EVENT_TEXT, delta, at);
}

/* Characters still cut at the end of a run. */
static void close_tails(struct emitter *emitter)
{
    char at[CLOCK_ISO_SIZE];
    now_iso(at);
    buf_reset(&emitter->scratch);
    if (spoken_close(&emitter->reasoning, &emitter->scratch))
        queue_spoken(emitter, EVENT_REASONING, &emitter->reasoning, at);
    buf_reset(&emitter->scratch);
    if (!is_closed(emitter) && spoken_close(&emitter->text, &emitter->scratch))
        queue_spoken(emitter, EVENT_TEXT, &emitter->text, at);
}

bool emitter_complete(struct emitter *emitter)
{
    char at[CLOCK_ISO_SIZE];
    if (is_closed(emitter))
        return refuse(emitter);
    close_tails(emitter);
    if (is_closed(emitter))
        return refuse(emitter);
    now_iso(at);
    buf_reset(&emitter->scratch);
    compose_completion(&emitter->scratch, emitter, at, false);
    if (emitter->scratch.failed || emitter->scratch.len > EVENT_MAX_BYTES) {
        /* Then without run_text, which is but the end of text. */
        buf_reset(&emitter->scratch);
        compose_completion(&emitter->scratch, emitter, at, true);
    }
    if (emitter->scratch.failed || emitter->scratch.len > EVENT_MAX_BYTES)
        return end_with_error(emitter, "RUN_TOO_LARGE",
                              "The completion is larger than an event may be.");
    return add_composed(emitter);
}

void emitter_end_with(struct emitter *emitter, struct slice members)
{
    buf_reset(&emitter->end_members);
    if (members.len > 0) {
        (void)buf_putc(&emitter->end_members, ',');
        (void)buf_slice(&emitter->end_members, members);
    }
}

bool emitter_fail(struct emitter *emitter, const char *code, struct slice message)
{
    char at[CLOCK_ISO_SIZE];
    if (is_closed(emitter))
        return refuse(emitter);
    close_tails(emitter);
    if (is_closed(emitter))
        return refuse(emitter);
    now_iso(at);
    buf_reset(&emitter->scratch);
    compose_error(&emitter->scratch, code, message, emitter->options.task.task_id, at);
    if (emitter->end_members.len > 0) {
        emitter->scratch.len--; /* the brace */
        (void)buf_slice(&emitter->scratch, buf_view(&emitter->end_members));
        (void)buf_putc(&emitter->scratch, '}');
    }
    return add_composed(emitter);
}

bool emitter_stopped(struct emitter *emitter)
{
    char at[CLOCK_ISO_SIZE];
    if (is_closed(emitter))
        return refuse(emitter);
    close_tails(emitter);
    if (is_closed(emitter))
        return refuse(emitter);
    struct slice all = spoken_all(&emitter->text);
    now_iso(at);
    buf_reset(&emitter->scratch);
    compose_stopped(&emitter->scratch, emitter, utf8_length(all.ptr, all.len), at);
    return add_composed(emitter);
}

/* The text of an event that is a delta, into its accumulated text. */
static bool speak_event(struct emitter *emitter, const struct event *event,
                        bool is_plain, const char *at)
{
    struct buf utf8;
    bool good;
    struct spoken *spoken =
        event->type == EVENT_TEXT ? &emitter->text : &emitter->reasoning;
    buf_init(&utf8, EVENT_MAX_BYTES);
    json_unescape(&utf8, event->text);
    if (is_plain) {
        good = say(emitter, event->type, buf_view(&utf8), at);
    } else {
        buf_reset(&emitter->scratch);
        good = spoken_take(spoken, buf_view(&utf8), &emitter->scratch);
        if (good && spoken->first_at[0] == 0)
            memcpy(spoken->first_at, at, CLOCK_ISO_SIZE);
        if (!good)
            too_much_text(emitter);
    }
    buf_release(&utf8);
    return good;
}

bool emitter_event(struct emitter *emitter, struct slice json)
{
    struct event event;
    const char *field;
    char at[CLOCK_ISO_SIZE];
    struct slice task_id = emitter->options.task.task_id;
    if (is_closed(emitter) || event_check(json, &event, &field) != EVENT_OK)
        return refuse(emitter);
    if (event.task_id.ptr != NULL && !slice_equal(event.task_id, task_id))
        return refuse(emitter);
    now_iso(at);
    if (event.timestamp.ptr != NULL)
        memcpy(at, event.timestamp.ptr, CLOCK_ISO_SIZE - 1);
    if (is_plain_delta(&event))
        return speak_event(emitter, &event, true, at);
    if (event.is_delta && !speak_event(emitter, &event, false, at))
        return false;
    if (event_type_is_terminal(event.type))
        close_tails(emitter);
    if (is_closed(emitter))
        return refuse(emitter);
    buf_reset(&emitter->scratch);
    compose_event(&emitter->scratch, &event, task_id, at);
    bool good = add_composed(emitter);
    check_bound(emitter);
    return good;
}

/* ---- looking ---- */

bool emitter_is_settled(const struct emitter *emitter)
{
    return emitter->phase == PHASE_OVER || (list_is_empty(&emitter->outbox.items) &&
                                            list_is_empty(&emitter->outbox.batches));
}

bool emitter_is_over(const struct emitter *emitter)
{
    return emitter->phase == PHASE_OVER;
}

uint64_t emitter_epoch(const struct emitter *emitter)
{
    return emitter->epoch;
}

const struct emitter_stats *emitter_stats(const struct emitter *emitter)
{
    return &emitter->stats;
}
