/* told.c - what a reader makes of what it is told, and whether it may be told so. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "emitters/torture/reader.h"
#include "schema/run.h"

#include <stdio.h>

#define TEXT_BYTES  ((size_t)16 << 20)
#define WORDS_BYTES 512

static struct slice member(struct slice object, const char *name)
{
    struct json_member m;

    if (object.len == 0 || !json_get(object, name, &m) || m.kind == JSON_NULL)
        return (struct slice){0};
    return m.kind == JSON_STRING ? json_string_raw(m.value) : m.value;
}

static void violation(struct reader *reader, const char *what, struct slice data)
{
    struct slice id = member(data, "id");
    struct slice type = member(data, "type");
    struct buf words;

    buf_init(&words, WORDS_BYTES);
    buf_printf(&words, "%s: %.*s %.*s", what, (int)type.len, type.len ? type.ptr : "",
               (int)id.len, id.len ? id.ptr : "");
    buf_printf(&words, ", after %llu-%llu", (unsigned long long)reader->place.epoch,
               (unsigned long long)reader->place.seq);
    reader->house->on_violation(reader->house->ctx, reader, buf_text(&words));
    buf_release(&words);
}

static void note(struct reader *reader, const char *what, struct slice more)
{
    struct buf words;

    buf_init(&words, WORDS_BYTES);
    buf_printf(&words, "%s %.*s", what, (int)(more.len > 200 ? 200 : more.len),
               more.len ? more.ptr : "");
    reader->house->on_note(reader->house->ctx, reader, buf_text(&words));
    buf_release(&words);
}

/* ---- joining ---- */

static void begin_anew(struct reader *reader, bool is_anchored)
{
    fold_begin(&reader->fold, is_anchored);
    reader->place = (struct reader_place){0};
    reader->end_epoch = 0;
}

void told_joining(struct reader *reader)
{
    reader->tally.joins++;
    if (reader->since[0] == '\0')
        begin_anew(reader, reader->from == FROM_SNAPSHOT);
}

void told_resync(struct reader *reader)
{
    reader->tally.resyncs++;
    begin_anew(reader, true);
    if (reader->kind != READER_SSE)
        reader->since[0] = '\0';
}

/* Nobody knows the task, or not any more: whoever comes again comes anew. */
static void told_lost_place(struct reader *reader)
{
    reader->tally.errors++;
    reader->since[0] = '\0';
    reader_close(reader, 100);
}

static void take_subscribed(struct reader *reader, struct slice data)
{
    struct event_id id = {0};
    struct slice state = member(data, "state");

    reader->is_joined = true;
    reader->level_epoch = 0;
    if (event_id_parse(member(data, "id"), &id) && reader->from == FROM_NOW &&
        run_state_is_final(run_state_of(state)))
        reader->level_epoch = id.epoch;
    note(reader, "joined, state", state);
}

/* ---- events ---- */

/* Ids of a run rise by one; behind a merged event some were told inside of it. False when
 * they do not. */
static bool take_id(struct reader *reader, struct slice data)
{
    struct reader_place *place = &reader->place;
    bool is_merged = member(data, "merged").len > 0;
    struct slice text = member(data, "id");
    struct event_id id;

    if (!event_id_parse(text, &id)) {
        place->is_loose = true;
        return true;
    }
    if (place->epoch != 0 && id.epoch != place->epoch) {
        violation(reader, "another run without a resync", data);
        return false;
    }
    if (place->epoch != 0 && id.seq <= place->seq) {
        violation(reader, "doubled", data);
        return false;
    }
    if (place->epoch != 0 && !place->is_loose && !is_merged &&
        id.seq != place->seq + 1) {
        violation(reader, "lost", data);
        return false;
    }
    *place = (struct reader_place){id.epoch, id.seq, is_merged};
    if (reader->kind != READER_SSE && reader->kind != READER_LONG_POLL)
        snprintf(reader->since, sizeof(reader->since), "%.*s", (int)text.len, text.ptr);
    return true;
}

static void take_delta(struct reader *reader, enum story_kind kind, struct slice data)
{
    enum verdict verdict;
    struct buf text;

    buf_init(&text, TEXT_BYTES);
    json_unescape(&text, member(data, "text"));
    verdict = fold_take(&reader->fold, &reader->house->book, reader->task, kind,
                        buf_view(&text));
    buf_release(&text);
    if (verdict != VERDICT_GOOD)
        violation(reader, verdict_name(verdict), data);
}

/* A completion carries the whole of both kinds by itself. */
static bool carries_all(const struct story *story, struct slice data)
{
    static const char *const names[STORY_KINDS] = {"reasoning", "text"};
    bool is_same = true;

    for (int kind = 0; kind < STORY_KINDS; kind++) {
        struct buf text;
        buf_init(&text, TEXT_BYTES);
        json_unescape(&text, member(data, names[kind]));
        is_same = is_same && slice_equal(buf_view(&text), buf_view(&story->told[kind]));
        buf_release(&text);
    }
    return is_same;
}

static void take_end(struct reader *reader, enum outcome outcome, struct slice data)
{
    const struct story *story = reader->fold.story;
    size_t lengths[STORY_KINDS];

    if (reader->end_epoch != 0)
        violation(reader, "a second terminal event", data);
    reader->end_epoch = reader->place.epoch;
    reader->end_outcome = outcome;
    reader->tally.ends++;
    note(reader, outcome_name(outcome), member(data, "id"));
    if (story == NULL || (outcome != OUTCOME_COMPLETION && outcome != OUTCOME_ERROR))
        return;
    oracle_least(story, &(struct run_facts){0}, outcome, lengths);
    if (!fold_reaches(&reader->fold, lengths))
        violation(reader, "the end came, and text is missing", data);
    else if (outcome == OUTCOME_COMPLETION && !carries_all(story, data))
        violation(reader, "a completion without the whole text", data);
}

static void take_native(struct reader *reader, struct slice data)
{
    struct slice type = member(data, "type");
    enum outcome outcome = outcome_of(type, member(data, "code"));

    if (!take_id(reader, data))
        return;
    if (reader->end_epoch != 0 && outcome == OUTCOME_NONE) {
        violation(reader, "told after the end", data);
        return;
    }
    if (slice_is(member(data, "partial"), "true") && slice_is(type, "text"))
        take_delta(reader, STORY_TEXT, data);
    else if (slice_is(member(data, "partial"), "true") && slice_is(type, "reasoning"))
        take_delta(reader, STORY_REASONING, data);
    else if (outcome != OUTCOME_NONE)
        take_end(reader, outcome, data);
}

/* Frappe's form promises order and no double within one connection; what was lost with a
 * connection, or while nobody knew the task, stays lost. And of a run that Redis has lost all
 * is published once more: from then on nothing can be said of this connection. */
static void take_string(struct reader *reader, struct slice data)
{
    bool is_delta = slice_is(member(data, "partial"), "true");
    struct slice type = member(data, "type");
    enum story_kind kind = slice_is(type, "text") ? STORY_TEXT : STORY_REASONING;
    enum verdict verdict;
    struct buf text;

    if (!is_delta) {
        if (outcome_of(type, member(data, "code")) != OUTCOME_NONE)
            fold_begin(&reader->fold, false);
        return;
    }
    buf_init(&text, TEXT_BYTES);
    json_unescape(&text, member(data, "text"));
    verdict = fold_take(&reader->fold, &reader->house->book, reader->task, kind,
                        buf_view(&text));
    if (verdict == VERDICT_CROSSED || verdict == VERDICT_LOST ||
        reader->known_losses != reader->house->losses) {
        fold_begin(&reader->fold, false);
        verdict = fold_take(&reader->fold, &reader->house->book, reader->task, kind,
                            buf_view(&text));
    }
    buf_release(&text);
    if (verdict == VERDICT_DOUBLED || verdict == VERDICT_REORDERED)
        reader->house->on_violation(reader->house->ctx, reader, verdict_name(verdict));
}

void told(struct reader *reader, struct slice name, struct slice data)
{
    if (slice_is(name, "ai_progress")) {
        reader->tally.events++;
        if (reader->kind == READER_SIO_STRING)
            take_string(reader, data);
        else
            take_native(reader, data);
    } else if (slice_is(name, "subscribed")) {
        take_subscribed(reader, data);
    } else if (slice_is(name, "resync")) {
        note(reader, "resync", member(data, "reason"));
        told_resync(reader);
    } else if (slice_is(name, "task_error") ||
               (slice_is(name, "error") && !slice_is(member(data, "re"), "stop"))) {
        note(reader, "error", member(data, "code"));
        told_lost_place(reader);
    }
}
