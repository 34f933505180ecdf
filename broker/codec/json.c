/* json.c - a strict JSON scanner for the hot path; trees are json-c's work. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"

#include "base/utf8.h"
#include "codec/json_run.h"

#include <assert.h>

struct scanner {
    const char *at;
    const char *end;
};

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline void skip_space(struct scanner *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

static inline bool take(struct scanner *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind a backslash. */
static bool scan_escape(struct scanner *s)
{
    if (s->at == s->end)
        return false;
    char c = *s->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    if (s->end - s->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        if (!is_hex(*s->at++))
            return false;
    }
    return true;
}

static bool scan_string(struct scanner *s)
{
    if (!take(s, '"'))
        return false;
    for (;;) {
        s->at += json_plain_run(s->at, (size_t)(s->end - s->at));
        if (s->at == s->end)
            return false;
        unsigned char c = (unsigned char)*s->at;
        if (c >= 0x80) {
            uint32_t code_point;
            s->at += utf8_next(s->at, (size_t)(s->end - s->at), &code_point);
            if (code_point == UTF8_INVALID)
                return false;
            continue;
        }
        s->at++;
        if (c == '"')
            return true;
        if (c != '\\' || !scan_escape(s))
            return false;
    }
}

/* At least one digit. */
static bool scan_digits(struct scanner *s)
{
    const char *from = s->at;
    while (s->at < s->end && is_digit(*s->at))
        s->at++;
    return s->at > from;
}

static bool scan_number(struct scanner *s)
{
    (void)take(s, '-');
    if (!take(s, '0') && !scan_digits(s))
        return false;
    if (take(s, '.') && !scan_digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

static bool scan_scalar(struct scanner *s)
{
    switch (*s->at) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

static bool scan_key(struct scanner *s)
{
    skip_space(s);
    if (!scan_string(s))
        return false;
    skip_space(s);
    return take(s, ':');
}

/* The open containers, one bit each: 1 is an object; the innermost is the lowest bit. No
 * recursion, so a peer's nesting never reaches our stack. */
struct nesting {
    uint64_t bits;
    unsigned depth;
    unsigned most;
};

static inline bool in_object(const struct nesting *open)
{
    return (open->bits & 1) != 0;
}

static bool enter(struct scanner *s, struct nesting *open)
{
    if (open->depth == open->most)
        return false;
    open->bits = open->bits << 1 | (*s->at == '{' ? 1u : 0u);
    open->depth++;
    s->at++;
    return true;
}

static inline void leave(struct nesting *open)
{
    open->bits >>= 1;
    open->depth--;
}

/* Behind a value: closes what ends here. Sets `more` when a comma asks for another. */
static bool scan_after_value(struct scanner *s, struct nesting *open, bool *more)
{
    *more = false;
    while (open->depth > 0) {
        skip_space(s);
        if (take(s, ',')) {
            *more = true;
            return !in_object(open) || scan_key(s);
        }
        if (!take(s, in_object(open) ? '}' : ']'))
            return false;
        leave(open);
    }
    return true;
}

/* At most `most` containers inside one another. */
static bool scan_nested(struct scanner *s, unsigned most)
{
    struct nesting open = {.most = most};
    bool more = true;

    while (more) {
        skip_space(s);
        if (s->at == s->end)
            return false;
        if (*s->at != '[' && *s->at != '{') {
            if (!scan_scalar(s) || !scan_after_value(s, &open, &more))
                return false;
            continue;
        }
        if (!enter(s, &open))
            return false;
        skip_space(s);
        if (take(s, in_object(&open) ? '}' : ']')) {
            leave(&open);
            if (!scan_after_value(s, &open, &more))
                return false;
        } else if (in_object(&open) && !scan_key(s)) {
            return false;
        }
    }
    return true;
}

static bool scan_value(struct scanner *s)
{
    return scan_nested(s, JSON_MAX_DEPTH);
}

static enum json_kind kind_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static struct scanner scanner_at(struct slice text, size_t at)
{
    if (text.len == 0)
        return (struct scanner){"", ""};
    return (struct scanner){text.ptr + at, text.ptr + text.len};
}

bool json_check(struct slice text)
{
    struct scanner s = scanner_at(text, 0);

    if (!scan_value(&s))
        return false;
    skip_space(&s);
    return s.at == s.end;
}

ssize_t json_scan(struct slice text, enum json_kind *kind, struct slice *value)
{
    struct scanner s = scanner_at(text, 0);

    skip_space(&s);
    const char *from = s.at;
    if (!scan_value(&s))
        return -1;
    *kind = kind_of(*from);
    *value = slice_make(from, (size_t)(s.at - from));
    return s.at - text.ptr;
}

/* Behind the opening bracket of a container that has something in it. */
static bool step_in(struct scanner *s)
{
    skip_space(s);
    if (!take(s, '{') && !take(s, '['))
        return false;
    skip_space(s);
    return s->at < s->end && *s->at != ']' && *s->at != '}';
}

/* Behind the comma. */
static bool step_on(struct scanner *s)
{
    skip_space(s);
    return take(s, ',');
}

static struct slice slice_between(const char *from, const char *to)
{
    return slice_make(from, (size_t)(to - from));
}

/* A string is a key when a colon follows: so the walk need not look back at the bracket,
 * which a peer can push far away with white space. */
static bool scan_member(struct scanner *s, struct json_member *member)
{
    skip_space(s);
    const char *from = s->at;
    member->key = slice_make(NULL, 0);
    if (s->at < s->end && *s->at == '"') {
        if (!scan_string(s))
            return false;
        member->kind = JSON_STRING;
        member->value = slice_between(from, s->at);
        struct scanner behind = *s;
        skip_space(&behind);
        if (!take(&behind, ':'))
            return true;
        member->key = slice_between(from + 1, s->at - 1);
        *s = behind;
        skip_space(s);
        from = s->at;
    }
    if (!scan_value(s))
        return false;
    member->kind = kind_of(*from);
    member->value = slice_between(from, s->at);
    return true;
}

bool json_next(struct slice container, size_t *at, struct json_member *member)
{
    struct scanner s =
        scanner_at(container, *at <= container.len ? *at : container.len);

    if (!(*at == 0 ? step_in(&s) : step_on(&s)) || !scan_member(&s, member))
        return false;
    *at = (size_t)(s.at - container.ptr);
    return true;
}

bool json_get(struct slice object, const char *key, struct json_member *member)
{
    struct scanner s = scanner_at(object, 0);
    size_t at = 0;

    skip_space(&s);
    if (s.at == s.end || *s.at != '{')
        return false;
    while (json_next(object, &at, member)) {
        if (json_raw_is(member->key, key))
            return true;
    }
    return false;
}

bool json_has_raw(struct slice object, struct slice raw_key)
{
    struct json_member member;
    size_t at = 0;

    while (json_next(object, &at, &member)) {
        if (slice_equal(member.key, raw_key))
            return true;
    }
    return false;
}

/* ---- checked and picked in one pass ---- */

static void note_member(const struct json_member *member, struct json_pick *picks,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!picks[i].is_there && json_raw_is(member->key, picks[i].name)) {
            picks[i].is_there = true;
            picks[i].member = *member;
            return;
        }
    }
}

/* One member of an object, strictly: scan_member() walks what is known to be good. */
static bool check_member(struct scanner *s, struct json_member *member)
{
    skip_space(s);
    const char *from = s->at;
    if (!scan_string(s))
        return false;
    member->key = slice_between(from + 1, s->at - 1);
    skip_space(s);
    if (!take(s, ':'))
        return false;
    skip_space(s);
    from = s->at;
    if (!scan_nested(s, JSON_MAX_DEPTH - 1))
        return false;
    member->kind = kind_of(*from);
    member->value = slice_between(from, s->at);
    return true;
}

static bool pick_members(struct scanner *s, struct json_pick *picks, size_t count)
{
    struct json_member member;

    s->at++; /* the brace */
    skip_space(s);
    if (take(s, '}'))
        return true;
    do {
        if (!check_member(s, &member))
            return false;
        note_member(&member, picks, count);
        skip_space(s);
    } while (take(s, ','));
    return take(s, '}');
}

bool json_pick(struct slice text, enum json_kind *kind, struct json_pick *picks,
               size_t count)
{
    struct scanner s = scanner_at(text, 0);

    for (size_t i = 0; i < count; i++)
        picks[i].is_there = false;
    skip_space(&s);
    if (s.at == s.end)
        return false;
    *kind = kind_of(*s.at);
    if (*kind == JSON_OBJECT ? !pick_members(&s, picks, count) : !scan_value(&s))
        return false;
    skip_space(&s);
    return s.at == s.end;
}

struct slice json_string_raw(struct slice value)
{
    assert(value.len >= 2 && value.ptr[0] == '"');
    return slice_make(value.ptr + 1, value.len - 2);
}

/* The end of the string that begins at `at`: behind its closing quote. */
static size_t string_end(struct slice text, size_t at)
{
    for (at++; at < text.len; at++) {
        at += json_plain_run(text.ptr + at, text.len - at);
        if (at == text.len)
            break;
        if (text.ptr[at] == '"')
            return at + 1;
        if (text.ptr[at] == '\\')
            at++;
    }
    return text.len;
}

bool json_minify(struct buf *out, struct slice text)
{
    size_t from = 0;
    size_t at = 0;

    while (at < text.len) {
        if (text.ptr[at] == '"') {
            at = string_end(text, at);
        } else if (!is_space(text.ptr[at])) {
            at++;
        } else {
            buf_append(out, text.ptr + from, at - from);
            while (at < text.len && is_space(text.ptr[at]))
                at++;
            from = at;
        }
    }
    if (from < text.len)
        buf_append(out, text.ptr + from, text.len - from);
    return !out->failed;
}

bool json_u64(struct slice value, uint64_t *number)
{
    const uint64_t highest = UINT64_C(1) << 53;
    uint64_t sum = 0;

    if (value.len == 0 || value.len > 16 || (value.len > 1 && value.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (!is_digit(value.ptr[i]))
            return false;
        sum = sum * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    *number = sum;
    return sum <= highest;
}
