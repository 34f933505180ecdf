/* topic.c - the ordered memory of one task or room. */
/* SPDX-License-Identifier: MIT */
#include "log/topic.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "log/internal.h"

#include <assert.h>
#include <stdlib.h>

/* Between user and task id in a key; neither has control characters. */
#define USER_END '\x1f'
/* Far above zero: ids of this broker begin anywhere, and the position before their first is
 * still a positive number. Below 2^53, where nobody will get to. */
#define FIRST_POS (UINT64_C(1) << 48)
/* Likewise: older events are put before those that were loaded. */
#define FIRST_BYTE (UINT64_C(1) << 48)

/* ---- the run ---- */

static void accumulated_init(struct accumulated *acc, const struct topic *topic)
{
    memset(acc, 0, sizeof(*acc));
    /* One event more than the bus lets a run grow: the bus ends the run, not we. */
    buf_init(&acc->utf8, topic->hub->limits.retain_text_bytes + EVENT_MAX_BYTES);
}

static void accumulated_release(struct accumulated *acc)
{
    buf_release(&acc->utf8);
}

static void accumulated_copy_stamp(struct accumulated *acc, struct slice stamp)
{
    if (stamp.len == 0 || stamp.len >= sizeof(acc->timestamp))
        return;
    memcpy(acc->timestamp, stamp.ptr, stamp.len);
    acc->timestamp[stamp.len] = '\0';
}

static void accumulate(struct run *run, const struct topic_event *event)
{
    struct accumulated *acc =
        event->type == EVENT_REASONING ? &run->reasoning : &run->text;

    if (acc->merged == 0) {
        acc->first_seq = event->id.seq;
        accumulated_copy_stamp(acc, event->timestamp);
    }
    acc->last_seq = event->id.seq;
    acc->merged++;
    json_unescape(&acc->utf8, event->text);
}

static void run_begin(struct topic *topic, struct event_id id, bool keeps_text)
{
    struct run *run = &topic->run;

    if (!keeps_text) {
        accumulated_release(&run->reasoning);
        accumulated_release(&run->text);
        accumulated_init(&run->reasoning, topic);
        accumulated_init(&run->text, topic);
        run->text_epoch = id.epoch;
    } else {
        /* Earlier text belongs to no id of the new run: it stands before its first. */
        run->reasoning.first_seq = run->reasoning.last_seq = 0;
        run->text.first_seq = run->text.last_seq = 0;
    }
    run->epoch = id.epoch;
    run->is_local = id.is_local;
    run->is_opaque = false;
    run->state = RUN_RUNNING;
    run->last_seq = id.seq - 1;
    run->first_pos = topic->next_pos;
    run->origin_pos = topic->next_pos - id.seq;
    run->started_ms = clock_wall_ms();
    run->text_started_ms = 0;
    run->finished_ms = 0;
}

static void run_advance(struct run *run, const struct topic_event *event)
{
    uint64_t now = clock_wall_ms();

    run->last_seq = event->id.seq;
    run->state = run_state_after(event->type);
    run->is_opaque = run->is_opaque || event->is_opaque;
    if (event->is_delta)
        accumulate(run, event);
    if (event->type == EVENT_TEXT && run->text_started_ms == 0)
        run->text_started_ms = now;
    if (run_state_is_final(run->state))
        run->finished_ms = now;
}

/* Frappe's events have no id: they get the next one of this broker. A run that had ended
 * begins anew, the numbers go on; so they do when the topic was forgotten in between: an id
 * that was given once never means another event. */
static struct event_id local_id(const struct topic *topic)
{
    const struct run *run = &topic->run;
    uint64_t last = run->is_local ? run->last_seq : topic->hub->local_seq;

    return (struct event_id){topic->hub->nonce, last + 1, true};
}

static bool id_follows(const struct run *run, struct event_id id)
{
    if (id.epoch == run->epoch && id.is_local == run->is_local)
        return id.seq == run->last_seq + 1;
    return id.seq == 1;
}

bool topic_append(struct topic *topic, const struct topic_event *given)
{
    struct topic_event event = *given;
    struct run *run = &topic->run;
    bool is_opaque_id = event.id.epoch == 0;

    if (is_opaque_id)
        event.id = local_id(topic);
    else if (!id_follows(run, event.id))
        return false;
    if (!hub_make_room(topic->hub, topic, event.body.len * 2 + sizeof(struct entry)))
        return false;
    if (event.id.epoch != run->epoch || event.id.is_local != run->is_local ||
        (is_opaque_id && run_state_is_final(run->state)))
        run_begin(topic, event.id, false);
    if (is_opaque_id && event.id.seq > topic->hub->local_seq)
        topic->hub->local_seq = event.id.seq;
    window_push(topic, &event);
    run_advance(run, &event);
    topic->is_erased = false;
    counter_add(event.is_opaque ? topic->hub->opaque : topic->hub->appended, 1);
    hub_touch(topic->hub, topic);
    hub_mark(topic->hub, topic);
    return true;
}

/* What an event may cost: itself, its copy in the accumulated text, and that buffers double. */
bool topic_reserve(struct topic *topic, size_t count, size_t bytes)
{
    const struct run *run = &topic->run;
    size_t each = sizeof(struct entry) + 2 * sizeof(struct entry *) + 64;
    size_t doubled = run->text.utf8.cap + run->reasoning.utf8.cap +
                     topic->cap * sizeof(struct entry *);

    return hub_make_room(topic->hub, topic, count * each + bytes * 3 + doubled);
}

void topic_open_run(struct topic *topic, uint64_t epoch, enum run_state state,
                    uint64_t started_ms, bool keeps_text)
{
    if (topic->run.epoch == epoch && !topic->run.is_local)
        return;
    run_begin(topic, (struct event_id){epoch, 1, false}, keeps_text);
    topic->run.state = state;
    topic->run.started_ms = started_ms;
    topic->is_erased = false;
    hub_touch(topic->hub, topic);
    hub_mark(topic->hub, topic);
}

static void accumulated_set(struct accumulated *acc, struct slice words)
{
    buf_reset(&acc->utf8);
    (void)buf_slice(&acc->utf8, words);
    acc->merged = words.len > 0 ? 1 : 0;
    if (words.len == 0)
        acc->timestamp[0] = '\0';
}

void topic_rewrite(struct topic *topic, struct slice text, struct slice reasoning)
{
    accumulated_set(&topic->run.text, text);
    accumulated_set(&topic->run.reasoning, reasoning);
    topic->run.text_epoch = topic->run.epoch;
    hub_touch(topic->hub, topic);
    hub_mark(topic->hub, topic);
}

void topic_charge(struct topic *topic, size_t bytes)
{
    topic->beside_bytes = bytes;
    hub_touch(topic->hub, topic);
}

void topic_mark_opaque(struct topic *topic)
{
    topic->run.is_opaque = true;
}

static void accumulated_copy(struct accumulated *to, const struct accumulated *from)
{
    struct buf utf8 = to->utf8;

    *to = *from;
    to->utf8 = utf8;
    buf_reset(&to->utf8);
    buf_slice(&to->utf8, buf_view(&from->utf8));
}

void topic_restore(struct topic *topic, const struct run *run)
{
    struct run *mine = &topic->run;
    struct run copy = *run;

    /* What Frappe's channel brought is all there is when the bus knows nothing. */
    if (run->state == RUN_UNKNOWN)
        return;
    topic_reset(topic);
    copy.reasoning = mine->reasoning;
    copy.text = mine->text;
    accumulated_copy(&copy.reasoning, &run->reasoning);
    accumulated_copy(&copy.text, &run->text);
    /* All events of the run get a position, also those that are fetched later: none that
     * was another's before, or a reader that stands there would not see that it is lost. */
    topic->next_pos += run->last_seq;
    topic->base_pos = topic->next_pos;
    topic->live_pos = topic->next_pos;
    copy.origin_pos = topic->next_pos - run->last_seq - 1;
    copy.first_pos = copy.origin_pos + 1;
    if (copy.text_epoch == 0)
        copy.text_epoch = copy.epoch;
    *mine = copy;
    topic->is_erased = false;
    hub_touch(topic->hub, topic);
}

void topic_restore_entry(struct topic *topic, const struct topic_event *event)
{
    struct run *run = &topic->run;

    if (event->id.epoch != run->epoch || event->id.seq > run->last_seq)
        return;
    if (topic->next_pos == topic->base_pos)
        run->origin_pos = topic->next_pos - event->id.seq;
    run->first_pos = run->origin_pos + 1;
    if (run->origin_pos + event->id.seq != topic->next_pos)
        return;
    run->is_opaque = run->is_opaque || event->is_opaque;
    window_push(topic, event);
    topic->live_pos = topic->next_pos;
    hub_touch(topic->hub, topic);
}

void topic_ready(struct topic *topic)
{
    /* It was just read: that answers who wanted what is newer. */
    topic->newer_asked += topic->wants_newer ? 1 : 0;
    topic->newer_known = topic->newer_asked;
    topic->wants_newer = false;
    /* A window that could not be restored up to the head is no window. */
    if (topic->run.origin_pos + topic->run.last_seq + 1 != topic->next_pos) {
        window_clear(topic);
        topic->run.origin_pos = topic->next_pos - topic->run.last_seq - 1;
        topic->run.first_pos = topic->run.origin_pos + 1;
    }
    topic->phase = TOPIC_READY;
    hub_mark(topic->hub, topic);
}

/* Drops entries and accumulated text; the topic stays as a tombstone. */
static void forget(struct topic *topic)
{
    window_clear(topic);
    free(topic->ring);
    topic->ring = NULL;
    topic->cap = 0;
    if (topic->run.is_local)
        topic->hub->local_seq++; /* no later id follows the ones that are gone */
    accumulated_release(&topic->run.reasoning);
    accumulated_release(&topic->run.text);
    memset(&topic->run, 0, sizeof(topic->run));
    accumulated_init(&topic->run.reasoning, topic);
    accumulated_init(&topic->run.text, topic);
    topic->run.origin_pos = topic->next_pos - 1;
    topic->run.first_pos = topic->next_pos;
    burst_forget(topic->hub, topic);
    hub_touch(topic->hub, topic);
}

void topic_reset(struct topic *topic)
{
    /* One position is skipped, so that a reader that stood at the head is told too. */
    window_clear(topic);
    topic->next_pos++;
    topic->base_pos = topic->next_pos;
    topic->live_pos = topic->next_pos;
    topic->generation = ++topic->hub->generation;
    forget(topic);
    hub_mark(topic->hub, topic);
}

void topic_erase(struct topic *topic)
{
    topic_reset(topic);
    topic->is_erased = true;
}

void topic_expire(struct topic *topic)
{
    forget(topic);
    topic->is_erased = true;
    /* Only who still had something to read is told. */
    hub_mark(topic->hub, topic);
}

/* ---- life ---- */

void topic_user_task_name(struct buf *out, struct slice user, struct slice task_id)
{
    buf_slice(out, user);
    buf_putc(out, USER_END);
    buf_slice(out, task_id);
}

struct topic *topic_new(struct hub *hub, enum topic_kind kind, struct slice key,
                        size_t site_len)
{
    struct topic *topic = calloc(1, sizeof(*topic));

    if (topic == NULL || (topic->key = malloc(key.len)) == NULL)
        abort();
    memcpy(topic->key, key.ptr, key.len);
    topic->key_len = key.len;
    topic->hub = hub;
    topic->kind = kind;
    topic->phase = hub->feed == NULL || kind != TOPIC_TASK ? TOPIC_READY : TOPIC_COLD;
    topic->site = slice_make(topic->key + 1, site_len);
    topic->name = slice_make(topic->key + 1 + site_len + 1, key.len - site_len - 2);
    if (kind == TOPIC_USER_TASK) {
        const char *end = memrchr(topic->name.ptr, USER_END, topic->name.len);
        topic->name.len -= (size_t)(end + 1 - topic->name.ptr);
        topic->name.ptr = end + 1;
    }
    topic->base_pos = FIRST_POS;
    topic->next_pos = FIRST_POS;
    topic->live_pos = FIRST_POS;
    topic->appended_bytes = FIRST_BYTE;
    topic->generation = ++hub->generation;
    topic->run.first_pos = FIRST_POS;
    topic->run.origin_pos = FIRST_POS - 1;
    list_init(&topic->readers);
    list_init(&topic->dirty);
    list_init(&topic->by_age);
    list_init(&topic->idle);
    list_init(&topic->wide);
    list_init(&topic->visited);
    accumulated_init(&topic->run.reasoning, topic);
    accumulated_init(&topic->run.text, topic);
    return topic;
}

void topic_free(struct topic *topic)
{
    window_clear(topic);
    accumulated_release(&topic->run.reasoning);
    accumulated_release(&topic->run.text);
    free(topic->ring);
    free(topic->key);
    free(topic);
}

/* ---- readers ---- */

void reader_init(struct reader *reader, void (*wake)(struct reader *))
{
    list_init(&reader->node);
    reader->topic = NULL;
    reader->pos = 0;
    reader->wake = wake;
}

void reader_attach(struct reader *reader, struct topic *topic, uint64_t pos)
{
    assert(reader->topic == NULL);
    reader->topic = topic;
    reader->pos = pos;
    list_push_back(&topic->readers, &reader->node);
    topic->reader_count++;
    hub_keep(topic);
    hub_watch(topic->hub, topic);
    hub_mark(topic->hub, topic);
}

void reader_detach(struct reader *reader)
{
    if (reader->topic == NULL)
        return;
    list_remove(&reader->node);
    reader->topic->reader_count--;
    hub_touch(reader->topic->hub, reader->topic);
    reader->topic = NULL;
}

enum reader_lag reader_lag(const struct reader *reader)
{
    const struct topic *topic = reader->topic;

    if (reader->pos < topic->base_pos)
        return READER_LOST;
    return reader->pos < topic->next_pos ? READER_BEHIND : READER_LEVEL;
}

uint64_t reader_lag_bytes(const struct reader *reader)
{
    const struct entry *entry = topic_entry(reader->topic, reader->pos);

    return entry == NULL ? 0 : reader->topic->appended_bytes - entry->bytes_before;
}

/* ---- questions ---- */

const struct entry *topic_entry(const struct topic *topic, uint64_t pos)
{
    if (pos < topic->base_pos || pos >= topic->next_pos)
        return NULL;
    return topic->ring[pos & (topic->cap - 1)];
}

uint64_t topic_base(const struct topic *topic)
{
    return topic->base_pos;
}

uint64_t topic_next(const struct topic *topic)
{
    return topic->next_pos;
}

uint64_t topic_live(const struct topic *topic)
{
    return topic->live_pos;
}

uint64_t topic_after(const struct topic *topic, struct event_id id)
{
    const struct run *run = &topic->run;
    uint64_t pos = run->origin_pos + id.seq + 1;

    if (id.epoch == 0 || id.epoch != run->epoch || id.is_local != run->is_local ||
        id.seq > run->last_seq)
        return 0;
    return pos >= topic->base_pos ? pos : 0;
}

/* Within a topic arrival numbers rise with the positions. */
uint64_t topic_after_order(const struct topic *topic, uint64_t order)
{
    uint64_t low = topic->base_pos;
    uint64_t high = topic->next_pos;

    if (topic->dropped_order > order)
        return 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (topic_entry(topic, middle)->order > order)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void topic_each_reader(struct topic *topic,
                       bool (*visit)(struct reader *reader, void *ctx), void *ctx)
{
    LIST_FOR_EACH(node, next, &topic->readers)
    {
        if (!visit(LIST_ENTRY(node, struct reader, node), ctx))
            return;
    }
}

struct slice topic_site(const struct topic *topic)
{
    return topic->site;
}

struct slice topic_name(const struct topic *topic)
{
    return topic->name;
}

enum topic_kind topic_kind(const struct topic *topic)
{
    return topic->kind;
}

enum topic_phase topic_phase(const struct topic *topic)
{
    return topic->phase;
}

const struct run *topic_run(const struct topic *topic)
{
    return &topic->run;
}

struct event_id topic_last_id(const struct topic *topic)
{
    const struct run *run = &topic->run;

    return (struct event_id){run->epoch, run->last_seq, run->is_local};
}

bool topic_was_erased(const struct topic *topic)
{
    return topic->is_erased;
}

uint32_t topic_generation(const struct topic *topic)
{
    return topic->generation;
}

size_t topic_reader_count(const struct topic *topic)
{
    return topic->reader_count;
}

struct hub *topic_hub(const struct topic *topic)
{
    return topic->hub;
}

void topic_set_feed_data(struct topic *topic, void *data)
{
    topic->feed_data = data;
}

void *topic_feed_data(const struct topic *topic)
{
    return topic->feed_data;
}
