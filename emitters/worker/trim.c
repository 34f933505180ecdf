/* trim.c - the beginning of a continuation that only repeats what was said. */
/* SPDX-License-Identifier: MIT */
#include "trim.h"

#include "base/utf8.h"

#define SPACES_MAX    64
#define OVERLAP_MIN   12
#define TWO_WORDS_MIN 8
#define WHOLE_MIN     4

void trim_init(struct trim *trim, struct slice said, bool is_restart)
{
    trim->said = said;
    trim->spaces = 0;
    trim->whole = 0;
    trim->is_whole = said.len > 0;
    trim->repeated = 0;
    trim->is_restart = is_restart;
    trim->is_decided = said.len == 0;
    trim->trimmed_bytes = 0;
    trim->alive = 0;
    buf_init(&trim->held, said.len + SPACES_MAX + 2);
}

void trim_release(struct trim *trim)
{
    buf_release(&trim->held);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct slice window_of(const struct trim *trim)
{
    size_t len = trim->said.len < TRIM_WINDOW ? trim->said.len : TRIM_WINDOW;

    return slice_make(trim->said.ptr + trim->said.len - len, len);
}

/* Long enough not to be chance. */
static bool is_repeat(const struct trim *trim, size_t len)
{
    struct slice part = slice_make(trim->said.ptr + trim->said.len - len, len);
    size_t length = utf8_length(part.ptr, part.len);

    if (len == trim->said.len && length >= (trim->is_restart ? 1 : WHOLE_MIN))
        return true;
    while (part.len > 0 && is_space(part.ptr[part.len - 1]))
        part.len--;
    bool has_blank = part.len > 0 && memchr(part.ptr, ' ', part.len) != NULL;
    return length >= OVERLAP_MIN || (length >= TWO_WORDS_MIN && has_blank);
}

static void note_repeat(struct trim *trim, size_t len)
{
    if (len > trim->repeated && is_repeat(trim, len))
        trim->repeated = len;
}

/* The first character that is no white space: every place that begins so is a candidate. */
static void begin(struct trim *trim, char c)
{
    struct slice window = window_of(trim);

    for (size_t i = 0; i < window.len; i++) {
        if (window.ptr[i] == c)
            trim->places[trim->alive++] = (uint16_t)i;
    }
}

/* Character number `at` (0 = first) is `c`: which candidates are left? One that has come to
 * its end was a repeat, whatever follows. */
static void narrow(struct trim *trim, size_t at, char c)
{
    struct slice window = window_of(trim);
    size_t left = 0;

    for (size_t i = 0; i < trim->alive; i++) {
        size_t place = trim->places[i];
        if (place + at < window.len && window.ptr[place + at] == c)
            trim->places[left++] = (uint16_t)place;
    }
    trim->alive = left;
}

/* Candidates that are complete with `len` characters: at most one, they differ in place. */
static void look_for_ends(struct trim *trim, size_t len)
{
    size_t size = window_of(trim).len;

    for (size_t i = 0; i < trim->alive; i++) {
        if (trim->places[i] + len == size) {
            note_repeat(trim, len);
            trim->alive--;
            trim->places[i] = trim->places[trim->alive];
            return;
        }
    }
}

static void narrow_whole(struct trim *trim, char c)
{
    struct slice said = trim->said;

    /* White space before what was said may have gone with that of the continuation. */
    while (trim->whole < said.len && trim->held.len == trim->spaces + 1 &&
           is_space(said.ptr[trim->whole]))
        trim->whole++;
    if (trim->whole < said.len && said.ptr[trim->whole] == c)
        trim->whole++;
    else
        trim->is_whole = false;
    if (trim->is_whole && trim->whole == said.len) {
        size_t len = trim->held.len - trim->spaces;
        trim->is_whole = false;
        if (utf8_length(said.ptr, said.len) >= (trim->is_restart ? 1 : WHOLE_MIN))
            trim->repeated = len > trim->repeated ? len : trim->repeated;
    }
}

/* One byte; false when nothing can become a (longer) repeat any more. */
static bool take(struct trim *trim, char c)
{
    buf_putc(&trim->held, c);
    if (trim->held.len == trim->spaces + 1 && is_space(c)) {
        trim->spaces++;
        return trim->spaces <= SPACES_MAX;
    }
    size_t len = trim->held.len - trim->spaces;
    if (len == 1)
        begin(trim, c);
    else
        narrow(trim, len - 1, c);
    look_for_ends(trim, len);
    if (trim->is_whole)
        narrow_whole(trim, c);
    return trim->alive > 0 || trim->is_whole;
}

static void decide(struct trim *trim, struct buf *out)
{
    trim->is_decided = true;
    if (trim->repeated > 0) {
        trim->trimmed_bytes = trim->spaces + trim->repeated;
        buf_consume(&trim->held, trim->spaces + trim->repeated);
    }
    buf_slice(out, buf_view(&trim->held));
    buf_reset(&trim->held);
}

void trim_feed(struct trim *trim, struct slice text, struct buf *out)
{
    size_t at = 0;

    while (at < text.len && !trim->is_decided) {
        if (!take(trim, text.ptr[at++]))
            decide(trim, out);
    }
    if (at < text.len)
        buf_append(out, text.ptr + at, text.len - at);
}

void trim_end(struct trim *trim, struct buf *out)
{
    if (!trim->is_decided)
        decide(trim, out);
}
