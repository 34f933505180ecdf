/* cut.c - where an answer was cut off, and how to ask for its rest. */
/* SPDX-License-Identifier: MIT */
#include "cut.h"

#include "base/utf8.h"

static const struct {
    const char *name;
    const char *instruction;
} points[] = {
    [CUT_NOWHERE] = {"none",
                     "Continue the previous answer from exactly where it ends. Do not "
                     "repeat anything that was already said."},
    [CUT_SENTENCE] = {"sentence",
                      "The previous answer was cut off within a sentence. Continue it "
                      "from exactly where it ends, in the middle of the sentence. Do "
                      "not repeat anything that was already said."},
    [CUT_LIST] =
        {"list", "The previous answer was cut off within a list. Continue from exactly "
                 "where it ends, with the same kind of list and its numbering. Do not "
                 "repeat anything that was already said."},
    [CUT_CODE] =
        {"code", "The previous answer was cut off within a block of code. Continue the "
                 "code from exactly where it ends, without opening a new block, and "
                 "close the block where it is complete. Do not repeat anything that "
                 "was already said."},
};

const char *cut_point_name(enum cut_point point)
{
    return points[point].name;
}

const char *cut_instruction(enum cut_point point)
{
    return points[point].instruction;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct slice trim_end(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static struct slice skip_blanks(struct slice line)
{
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = slice_make(line.ptr + 1, line.len - 1);
    return line;
}

/* Takes the next line off `text`, without its line feed. */
static struct slice next_line(struct slice *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    struct slice line = slice_make(text->ptr, len);

    if (end != NULL)
        len++;
    *text = slice_make(text->ptr + len, text->len - len);
    return line;
}

/* Three or more of the same at the beginning of a line: how many. */
static size_t fence_of(struct slice line, char c)
{
    size_t len = 0;

    while (len < line.len && line.ptr[len] == c)
        len++;
    return len >= 3 ? len : 0;
}

/* A block ends with a fence of its own kind, at least as long and with nothing behind it. */
static bool is_in_code(struct slice text)
{
    size_t open = 0;
    char kind = '\0';

    while (text.len > 0) {
        struct slice line = trim_end(skip_blanks(next_line(&text)));
        if (line.len == 0 || (line.ptr[0] != '`' && line.ptr[0] != '~'))
            continue;
        char c = line.ptr[0];
        size_t len = fence_of(line, c);
        if (open == 0 && len > 0) {
            open = len;
            kind = c;
        } else if (c == kind && len >= open && open > 0 && len == line.len) {
            open = 0;
        }
    }
    return open > 0;
}

static struct slice last_line(struct slice text)
{
    size_t from = text.len;

    while (from > 0 && text.ptr[from - 1] != '\n')
        from--;
    return slice_make(text.ptr + from, text.len - from);
}

static bool is_item(struct slice line)
{
    size_t digits = 0;

    line = skip_blanks(line);
    if (line.len > 0 && strchr("-*+", line.ptr[0]) != NULL && line.ptr[0] != '\0')
        return line.len == 1 || line.ptr[1] == ' ' || line.ptr[1] == '\t';
    while (digits < line.len && digits < 9 && line.ptr[digits] >= '0' &&
           line.ptr[digits] <= '9')
        digits++;
    if (digits == 0 || digits == line.len)
        return false;
    if (line.ptr[digits] != '.' && line.ptr[digits] != ')')
        return false;
    return digits + 1 == line.len || line.ptr[digits + 1] == ' ';
}

/* What may stand behind the end of a sentence, or ends a block of Markdown by itself. */
static const char *const closers[] = {
    "\"", "'", ")", "]", "*", "_", "\xe2\x80\x9d", "\xe2\x80\x99", "\xc2\xbb"};
static const char *const enders[] = {".",
                                     "!",
                                     "?",
                                     "```",
                                     "~~~",
                                     "|",
                                     "\xe2\x80\xa6",
                                     "\xe3\x80\x82",
                                     "\xef\xbc\x81",
                                     "\xef\xbc\x9f"};

static bool drop_any(struct slice *text, const char *const *endings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(endings[i]);
        if (text->len >= len &&
            memcmp(text->ptr + text->len - len, endings[i], len) == 0) {
            text->len -= len;
            return true;
        }
    }
    return false;
}

static bool ends_a_sentence(struct slice text)
{
    size_t tried = 0;

    while (tried < 4 && drop_any(&text, closers, sizeof(closers) / sizeof(*closers)))
        tried++;
    return drop_any(&text, enders, sizeof(enders) / sizeof(*enders));
}

enum cut_point cut_point_of(struct slice text)
{
    struct slice said = trim_end(text);

    if (said.len == 0)
        return CUT_NOWHERE;
    if (is_in_code(text))
        return CUT_CODE;
    struct slice line = last_line(said);
    if (is_item(line))
        return CUT_LIST;
    return ends_a_sentence(said) ? CUT_NOWHERE : CUT_SENTENCE;
}

/* An item that a line feed follows may well be the last one; a bare marker never is. */
static bool is_item_complete(struct slice text)
{
    struct slice said = trim_end(text);
    size_t marked = last_line(said).len;

    if (marked <= 3 && said.len > 0 && strchr("-*+.)", said.ptr[said.len - 1]) != NULL)
        return false;
    return ends_a_sentence(said) || text.ptr[text.len - 1] == '\n';
}

bool cut_is_incomplete(struct slice text)
{
    enum cut_point point = cut_point_of(text);

    if (point == CUT_LIST)
        return !is_item_complete(text);
    return point != CUT_NOWHERE;
}

/* A full stop, or its like, with a blank behind it. */
static bool has_sentence(struct slice text)
{
    for (size_t at = 1; at < text.len; at++) {
        if (is_space(text.ptr[at]) && !is_space(text.ptr[at - 1]) &&
            ends_a_sentence(slice_make(text.ptr, at)))
            return true;
    }
    return false;
}

bool cut_breaks_off(struct slice text)
{
    return cut_is_incomplete(text) &&
           (cut_point_of(text) != CUT_SENTENCE || has_sentence(text));
}

struct slice cut_tail(struct slice text, size_t limit)
{
    size_t have = utf8_length(text.ptr, text.len);
    size_t from = 0;

    if (have <= limit)
        return text;
    for (size_t drop = have - limit; drop > 0; drop--) {
        uint32_t code_point;
        from += utf8_next(text.ptr + from, text.len - from, &code_point);
    }
    for (size_t at = from; at < text.len && at - from < limit / 10; at++) {
        if (is_space(text.ptr[at])) {
            from = at + 1;
            break;
        }
    }
    return slice_make(text.ptr + from, text.len - from);
}
