/* json.h - a strict JSON scanner and escaper for the hot path; trees are json-c's work. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_CODEC_JSON_H
#define THINKWIRE_CODEC_JSON_H

#include "base/buf.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * RFC 8259, strict: no NaN, no comments, no trailing commas, valid UTF-8 only, no raw
 * control characters in strings. Raw JSON that passed json_check() may be handed to any
 * client as it is. Depth is bounded, time is linear, nothing is allocated.
 */
enum json_kind {
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

#define JSON_MAX_DEPTH 64

/* One value with surrounding white space must fill `text` exactly. */
bool json_check(struct slice text);
/* Scans one value at the start of `text` (leading white space allowed): its length with
 * that white space, or -1. Trailing bytes are not looked at. */
ssize_t json_scan(struct slice text, enum json_kind *kind, struct slice *value);

/* Walks the members of an object, or the items of an array (key empty), that passed
 * json_check(). *at starts at 0. */
struct json_member {
    struct slice key;   /* raw, between the quotes */
    struct slice value; /* raw; for a string with its quotes */
    enum json_kind kind;
};
bool json_next(struct slice container, size_t *at, struct json_member *member);
/* The first member called `key` (plain ASCII, compared raw and, when it has escapes,
 * decoded). */
bool json_get(struct slice object, const char *key, struct json_member *member);
/* Whether `object` has a member whose key is written just so, escapes and all. */
bool json_has_raw(struct slice object, struct slice raw_key);

/* json_check(), and in the same pass the first member of each name, as json_get() finds it,
 * when `text` is an object. For what comes often and of which little is wanted. False leaves
 * the picks without meaning. */
struct json_pick {
    const char *name; /* plain ASCII */
    bool is_there;
    struct json_member member; /* only when it is there */
};
bool json_pick(struct slice text, enum json_kind *kind, struct json_pick *picks,
               size_t count);

/* True when the inside of a string (`raw`, escaped) says `ascii`, however it is written. */
bool json_raw_is(struct slice raw, const char *ascii);

/* The inside of a string value, still escaped; `value` must be a JSON_STRING. */
struct slice json_string_raw(struct slice value);
/* Appends the inside of a string (`raw`, escaped) as UTF-8. Lone surrogates become U+FFFD. */
bool json_unescape(struct buf *out, struct slice raw);
/* Appends UTF-8 escaped, without quotes: only what JSON requires plus U+2028/2029. Invalid
 * UTF-8 becomes U+FFFD. */
bool json_escape(struct buf *out, struct slice utf8);
/* json_escape() between quotes. */
bool json_quote(struct buf *out, struct slice utf8);
/* Appends `text` (that passed json_check) without insignificant white space. */
bool json_minify(struct buf *out, struct slice text);
/* A JSON number without fraction in 0..2^53; false otherwise. */
bool json_u64(struct slice value, uint64_t *number);

#endif
