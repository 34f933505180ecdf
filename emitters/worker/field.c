/* field.c - members of provider JSON, tolerantly read. */
/* SPDX-License-Identifier: MIT */
#include "field.h"

static bool field_get(struct slice object, const char *key, enum json_kind kind,
                      struct slice *value)
{
    struct json_member member;

    if (!json_get(object, key, &member) || member.kind != kind)
        return false;
    *value = member.value;
    return true;
}

bool field_text(struct slice object, const char *key, struct slice *raw)
{
    struct slice value;

    if (!field_get(object, key, JSON_STRING, &value))
        return false;
    *raw = json_string_raw(value);
    return raw->len > 0;
}

bool field_object(struct slice object, const char *key, struct slice *value)
{
    return field_get(object, key, JSON_OBJECT, value);
}

bool field_array(struct slice object, const char *key, struct slice *value)
{
    return field_get(object, key, JSON_ARRAY, value);
}

uint64_t field_u64(struct slice object, const char *key, uint64_t otherwise)
{
    struct slice value;
    uint64_t number;

    if (!field_get(object, key, JSON_NUMBER, &value) || !json_u64(value, &number))
        return otherwise;
    return number;
}

bool field_is(struct slice object, const char *key, const char *ascii)
{
    struct slice raw;

    return field_text(object, key, &raw) && json_raw_is(raw, ascii);
}
