/* reply.c - what Redis answered, without showing hiredis to anybody. */
/* SPDX-License-Identifier: MIT */
#include "redis/link.h"

#include <hiredis/hiredis.h>

/* `struct reply` has no members of its own: it is the parser's reply under a name of ours. */
static const redisReply *inside(const struct reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

enum reply_kind reply_kind(const struct reply *reply)
{
    switch (inside(reply)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return REPLY_TEXT;
    case REDIS_REPLY_INTEGER:
        return REPLY_NUMBER;
    case REDIS_REPLY_ARRAY:
        return REPLY_LIST;
    case REDIS_REPLY_ERROR:
        return REPLY_ERROR;
    default:
        return REPLY_NIL;
    }
}

struct slice reply_text(const struct reply *reply)
{
    enum reply_kind kind = reply_kind(reply);

    if (kind != REPLY_TEXT && kind != REPLY_ERROR)
        return slice_make(NULL, 0);
    return slice_make(inside(reply)->str, inside(reply)->len);
}

static uint64_t digits_u64(struct slice digits)
{
    uint64_t number = 0;

    if (digits.len > 19)
        return 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    return number;
}

uint64_t reply_u64(const struct reply *reply)
{
    if (reply_kind(reply) == REPLY_TEXT)
        return digits_u64(reply_text(reply));
    if (reply_kind(reply) != REPLY_NUMBER || inside(reply)->integer < 0)
        return 0;
    return (uint64_t)inside(reply)->integer;
}

size_t reply_count(const struct reply *reply)
{
    return reply_kind(reply) == REPLY_LIST ? inside(reply)->elements : 0;
}

const struct reply *reply_at(const struct reply *reply, size_t i)
{
    if (i >= reply_count(reply))
        return NULL;
    return (const struct reply *)(const void *)inside(reply)->element[i];
}

struct slice reply_info(const struct reply *reply, const char *field)
{
    struct slice rest = reply_text(reply);
    size_t name = strlen(field);

    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t line = end == NULL ? rest.len : (size_t)(end - rest.ptr);
        size_t step = end == NULL ? line : line + 1;
        if (line > name && memcmp(rest.ptr, field, name) == 0 &&
            rest.ptr[name] == ':') {
            bool has_return = rest.ptr[line - 1] == '\r';
            return slice_make(rest.ptr + name + 1, line - name - 1 - has_return);
        }
        rest = slice_make(rest.ptr + step, rest.len - step);
    }
    return slice_make(NULL, 0);
}

uint64_t reply_info_u64(const struct reply *reply, const char *field)
{
    return digits_u64(reply_info(reply, field));
}
