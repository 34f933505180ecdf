/* think.c - reasoning that a model writes into its text: <think>...</think>. */
/* SPDX-License-Identifier: MIT */
#include "think.h"

static const char open_tag[] = "<think>";
static const char close_tag[] = "</think>";

#define OPEN_LENGTH  (sizeof(open_tag) - 1)
#define CLOSE_LENGTH (sizeof(close_tag) - 1)

void think_init(struct think *think,
                void (*on_piece)(void *ctx, bool is_reasoning, struct slice text),
                void *ctx)
{
    *think = (struct think){.on_piece = on_piece, .ctx = ctx};
}

static void tell(struct think *think, const char *text, size_t len)
{
    if (len > 0)
        think->on_piece(think->ctx, think->state == THINK_INSIDE,
                        slice_make(text, len));
}

static void tell_held(struct think *think)
{
    size_t len = think->held_len;

    think->held_len = 0;
    tell(think, think->held, len);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Takes one byte; true when more are wanted in this state. What is held is white space and
 * then a beginning of the tag. */
static bool take_start(struct think *think, char c)
{
    size_t spaces = 0;

    while (spaces < think->held_len && is_space(think->held[spaces]))
        spaces++;
    size_t matched = think->held_len - spaces;
    if (matched == 0 && is_space(c)) {
        if (think->was_inside)
            return true;
        if (think->held_len == THINK_HELD - OPEN_LENGTH)
            return false;
        think->held[think->held_len++] = c;
        return true;
    }
    if (c != open_tag[matched])
        return false;
    think->held[think->held_len++] = c;
    if (matched + 1 == OPEN_LENGTH) {
        think->held_len = 0;
        think->state = THINK_INSIDE;
        think->has_said = false;
    }
    return true;
}

/* The beginning of the answer: how many bytes of it are dealt with. */
static size_t feed_start(struct think *think, struct slice text)
{
    size_t at = 0;

    while (at < text.len && think->state == THINK_START) {
        if (take_start(think, text.ptr[at])) {
            at++;
            continue;
        }
        think->state = THINK_TEXT;
        tell_held(think);
    }
    return at;
}

static size_t skip_first_space(struct think *think, struct slice text)
{
    size_t at = 0;

    if (think->has_said || think->held_len > 0)
        return 0;
    while (at < text.len && is_space(text.ptr[at]))
        at++;
    return at;
}

/* White space before the closing tag is not held: it has been told, and does no harm. */
static size_t feed_inside(struct think *think, struct slice text)
{
    size_t from = skip_first_space(think, text);
    size_t at = from;

    for (; at < text.len; at++) {
        char c = text.ptr[at];
        if (think->held_len > 0 && c != close_tag[think->held_len]) {
            /* Only its first byte can begin the tag: no other '<' is in it. */
            think->has_said = true;
            tell_held(think);
            from = at;
        }
        if (c != close_tag[think->held_len])
            continue;
        if (think->held_len == 0) {
            think->has_said = think->has_said || at > from;
            tell(think, text.ptr + from, at - from);
        }
        think->held[think->held_len++] = c;
        from = at + 1;
        if (think->held_len == CLOSE_LENGTH) {
            think->held_len = 0;
            think->was_inside = true;
            think->state = THINK_START;
            return at + 1;
        }
    }
    think->has_said = think->has_said || at > from;
    tell(think, text.ptr + from, at - from);
    return at;
}

void think_feed(struct think *think, struct slice text)
{
    while (text.len > 0) {
        size_t taken = text.len;
        if (think->state == THINK_START)
            taken = feed_start(think, text);
        else if (think->state == THINK_INSIDE)
            taken = feed_inside(think, text);
        else
            tell(think, text.ptr, text.len);
        text = slice_make(text.ptr + taken, text.len - taken);
    }
}

void think_end(struct think *think)
{
    if (think->state == THINK_START && think->held_len > 0)
        think->state = THINK_TEXT;
    tell_held(think);
}
