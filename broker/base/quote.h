/* quote.h - quoted text for diagnostics and error bodies, safe for a terminal and for JSON. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_QUOTE_H
#define THINKWIRE_BASE_QUOTE_H

#include "base/buf.h"

/* For the few short strings this room itself prints; the hot path has codec/json.h.
 * Appends `text` as a JSON string with its quotes: invalid UTF-8 becomes U+FFFD, control
 * characters (also DEL and U+0080..9F, which move a terminal's cursor) become \u escapes. */
bool quote_json(struct buf *out, struct slice text);

#endif
