/* ask.c - what is to be generated: the request that is kept with a run. */
/* SPDX-License-Identifier: MIT */
#include "ask.h"

#include "base/mem.h"
#include "codec/json.h"
#include "field.h"

#include <stdlib.h>

static const char *const modes[] = {"chat", "agent", "autonomous"};

const char *ask_mode_name(enum ask_mode mode)
{
    return modes[mode];
}

/* A string member as UTF-8 with a NUL behind it; "" when there is none. */
static char *text_of(struct slice object, const char *key)
{
    struct slice raw = slice_make("", 0);
    struct buf text;

    (void)field_text(object, key, &raw);
    buf_init(&text, raw.len + 1);
    (void)json_unescape(&text, raw);
    char *copy = mem_text(buf_view(&text));
    buf_release(&text);
    return copy;
}

static bool flag_of(struct slice object, const char *key)
{
    struct json_member member;

    return json_get(object, key, &member) && member.kind == JSON_TRUE;
}

static struct slice number_of(struct slice object, const char *key)
{
    struct json_member member;

    if (!json_get(object, key, &member) || member.kind != JSON_NUMBER)
        return slice_make(NULL, 0);
    return member.value;
}

static void read_members(struct ask *ask, struct slice object)
{
    ask->model = text_of(object, "model");
    ask->partial = text_of(object, "partial");
    ask->request_id = text_of(object, "request_id");
    ask->conversation_id = text_of(object, "conversation_id");
    ask->user = text_of(object, "user");
    ask->scenario = text_of(object, "scenario");
    ask->temperature = number_of(object, "temperature");
    (void)field_object(object, "options", &ask->options);
    ask->max_tokens = field_u64(object, "max_tokens", 0);
    ask->uses_memory = flag_of(object, "memory");
    ask->is_live = flag_of(object, "live");
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (field_is(object, "mode", modes[i]))
            ask->mode = (enum ask_mode)i;
    }
}

bool ask_read(struct ask *ask, struct slice json, struct buf *error)
{
    struct json_member member;

    buf_init(&ask->json, json.len + 1);
    (void)buf_slice(&ask->json, json);
    struct slice object = buf_view(&ask->json);
    enum json_kind kind = JSON_NULL;
    struct slice value;
    if (!json_check(object) || json_scan(object, &kind, &value) < 0 ||
        kind != JSON_OBJECT || !json_get(value, "messages", &member) ||
        member.kind != JSON_ARRAY) {
        (void)buf_puts(error, "the request of this run has no messages");
        buf_release(&ask->json);
        return false;
    }
    ask->messages = member.value;
    read_members(ask, value);
    return true;
}

void ask_release(struct ask *ask)
{
    buf_release(&ask->json);
    free(ask->model);
    free(ask->partial);
    free(ask->request_id);
    free(ask->conversation_id);
    free(ask->user);
    free(ask->scenario);
    *ask = (struct ask){0};
}
