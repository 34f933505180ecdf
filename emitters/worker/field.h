/* field.h - members of provider JSON, tolerantly read. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_FIELD_H
#define THINKWIRE_WORKER_FIELD_H

#include "codec/json.h"

/* For objects that passed json_check(). A member that is absent or of another kind answers
 * false: providers leave out, send null, or send something else, and none of it is fatal. */

/* A string; `raw` is its inside, still escaped. False for an empty one. */
bool field_text(struct slice object, const char *key, struct slice *raw);
bool field_object(struct slice object, const char *key, struct slice *value);
bool field_array(struct slice object, const char *key, struct slice *value);
/* A whole number, or `otherwise`. */
uint64_t field_u64(struct slice object, const char *key, uint64_t otherwise);
/* A string that says exactly `ascii`. */
bool field_is(struct slice object, const char *key, const char *ascii);

#endif
