/* run.c - names, ids and native forms of tasks and runs. */
/* SPDX-License-Identifier: MIT */
#include "schema/run.h"

#include "base/mem.h"

#include <stdlib.h>

/* ---- tasks ---- */

static bool is_native_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

bool site_is_native(struct slice site)
{
    if (site.len > 128)
        return false;
    for (size_t i = 0; i < site.len; i++)
        if (!is_native_char(site.ptr[i]))
            return false;
    return true;
}

bool task_id_is_native(struct slice task_id)
{
    if (task_id.len == 0 || task_id.len > 128)
        return false;
    for (size_t i = 0; i < task_id.len; i++)
        if (!is_native_char(task_id.ptr[i]) && task_id.ptr[i] != ':')
            return false;
    return true;
}

/* One allocation holds both names: the site stands at its beginning. */
struct task_key task_key_copy(const struct task_key *key)
{
    size_t site_len = key->site.len;
    size_t id_len = key->task_id.len;
    char *bytes = mem_new(site_len + id_len + 1);

    if (site_len > 0)
        memcpy(bytes, key->site.ptr, site_len);
    if (id_len > 0)
        memcpy(bytes + site_len, key->task_id.ptr, id_len);
    return (struct task_key){slice_make(bytes, site_len),
                             slice_make(bytes + site_len, id_len)};
}

void task_key_release(struct task_key *copy)
{
    free((void *)(uintptr_t)copy->site.ptr); /* was ours before it was a slice's */
    *copy = (struct task_key){0};
}

/* ---- states ---- */

static const char *const STATE_NAMES[] = {
    [RUN_UNKNOWN] = "unknown",     [RUN_QUEUED] = "queued", [RUN_RUNNING] = "running",
    [RUN_COMPLETED] = "completed", [RUN_FAILED] = "error",  [RUN_STOPPED] = "stopped",
};
#define STATE_COUNT (sizeof(STATE_NAMES) / sizeof(STATE_NAMES[0]))

const char *run_state_name(enum run_state state)
{
    return (size_t)state < STATE_COUNT ? STATE_NAMES[state] : "unknown";
}

enum run_state run_state_of(struct slice name)
{
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (slice_is(name, STATE_NAMES[i]))
            return (enum run_state)i;
    return RUN_UNKNOWN;
}

enum run_state run_state_after(enum event_type type)
{
    switch (type) {
    case EVENT_QUEUED:
        return RUN_QUEUED;
    case EVENT_COMPLETION:
        return RUN_COMPLETED;
    case EVENT_STOPPED:
        return RUN_STOPPED;
    case EVENT_ERROR:
        return RUN_FAILED;
    case EVENT_OTHER:
    case EVENT_REASONING:
    case EVENT_TEXT:
    case EVENT_STATUS:
    case EVENT_TOOL_CALL:
    case EVENT_TOOL_RESULT:
    case EVENT_USAGE:
    case EVENT_CONTINUE_STARTED:
        break;
    }
    return RUN_RUNNING;
}

/* ---- event ids ---- */

/* Without snprintf(): every event that is sent carries its id. */
static char *put_number(char *at, uint64_t value, unsigned base)
{
    char digits[20]; /* of 2^64 - 1 in base 10 */
    size_t from = sizeof(digits);

    do {
        digits[--from] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    memcpy(at, digits + from, sizeof(digits) - from);
    return at + sizeof(digits) - from;
}

size_t event_id_format(struct event_id id, char out[EVENT_ID_SIZE])
{
    char *at = out;

    if (id.epoch != 0) {
        if (id.is_local)
            *at++ = '~';
        at = put_number(at, id.epoch, id.is_local ? 16 : 10);
        *at++ = '-';
        at = put_number(at, id.seq, 10);
    }
    *at = '\0';
    return (size_t)(at - out);
}

static int digit_of(char c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (base == 16 && c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* One spelling per number: no leading zeros. At most 19 decimal or 16 hexadecimal digits,
 * which cannot overflow. */
static bool parse_number(struct slice text, unsigned base, uint64_t *out)
{
    uint64_t value = 0;
    size_t max = base == 16 ? 16 : 19;
    if (text.len == 0 || text.len > max || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i], base);
        if (digit < 0)
            return false;
        value = value * base + (uint64_t)digit;
    }
    *out = value;
    return true;
}

bool event_id_parse(struct slice text, struct event_id *id)
{
    struct event_id parsed = {0, 0, false};
    if (text.len == 0)
        return false;
    if (text.ptr[0] == '~') {
        parsed.is_local = true;
        text = slice_make(text.ptr + 1, text.len - 1);
    }
    const char *dash = text.len == 0 ? NULL : memchr(text.ptr, '-', text.len);
    if (dash == NULL)
        return false;
    size_t split = (size_t)(dash - text.ptr);
    struct slice epoch = slice_make(text.ptr, split);
    struct slice seq = slice_make(dash + 1, text.len - split - 1);
    if (!parse_number(epoch, parsed.is_local ? 16 : 10, &parsed.epoch) ||
        !parse_number(seq, 10, &parsed.seq) || parsed.epoch == 0)
        return false;
    *id = parsed;
    return true;
}

/* ---- answers ---- */

const char *publish_status_name(enum publish_status status)
{
    switch (status) {
    case PUBLISH_OK:
        return "OK";
    case PUBLISH_FENCED:
        return "FENCED";
    case PUBLISH_ENDED:
        return "ENDED";
    case PUBLISH_GAP:
        return "GAP";
    case PUBLISH_UNKNOWN_RUN:
        return "UNKNOWN_RUN";
    case PUBLISH_TOO_LARGE:
        return "TOO_LARGE";
    case PUBLISH_UNAVAILABLE:
        return "UNAVAILABLE";
    case PUBLISH_REJECTED:
        return "REJECTED";
    }
    return "UNAVAILABLE";
}

const char *stop_status_name(enum stop_status status)
{
    switch (status) {
    case STOP_ACCEPTED:
        return "accepted";
    case STOP_NO_PRODUCER:
        return "no_producer";
    case STOP_ALREADY_FINISHED:
        return "already_finished";
    case STOP_UNKNOWN_TASK:
        return "unknown_task";
    case STOP_STALE_EPOCH:
        return "stale_epoch";
    case STOP_DENIED:
        return "denied";
    case STOP_UNAVAILABLE:
        return "unavailable";
    }
    return "unavailable";
}
