/* config_value.c - one value of the configuration table: parsed, checked, stored. */
/* SPDX-License-Identifier: MIT */
#include "base/config_parts.h"
#include "base/mem.h"
#include "base/quote.h"

#include <inttypes.h>
#include <stdlib.h>

static void *field_of(const struct config_row *row, void *target)
{
    return (char *)target + row->offset;
}

void config_list_release(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){NULL, 0};
}

void config_list_add(struct config_list *list, struct slice item)
{
    list->items = mem_resize(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] = mem_text(item);
}

static void release_row(const struct config_row *row, void *target)
{
    void *field = field_of(row, target);

    if (row->type == CONFIG_LIST) {
        config_list_release(field);
    } else if (row->type == CONFIG_TEXT) {
        char **text = field;
        free(*text);
        *text = NULL;
    }
}

void config_release(const struct config_row *rows, size_t row_count, void *target)
{
    for (size_t i = 0; i < row_count; i++)
        release_row(&rows[i], target);
}

bool config_parse_flag(struct slice text, bool *value)
{
    static const char *const words[] = {"off", "on", "false", "true", "0", "1"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_is(text, words[i])) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static unsigned suffix_shift(char c)
{
    switch (c | 0x20) {
    case 'k':
        return 10;
    case 'm':
        return 20;
    case 'g':
        return 30;
    default:
        return 0;
    }
}

static bool parse_u64(const struct config_row *row, struct slice text, uint64_t *value)
{
    unsigned shift = 0;
    uint64_t number = 0;

    if (text.len > 1 && config_is_size(row))
        shift = suffix_shift(text.ptr[text.len - 1]);
    if (shift > 0)
        text.len--;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (number > UINT64_MAX >> shift)
        return false;
    number <<= shift;
    *value = number;
    return number >= row->min && number <= row->max;
}

static bool parse_enum(const struct config_row *row, struct slice text, unsigned *value)
{
    const char *at = row->choices;

    for (unsigned index = 0;; index++) {
        size_t len = strcspn(at, "|");
        if (slice_equal(text, slice_make(at, len))) {
            *value = index;
            return true;
        }
        if (at[len] == '\0')
            return false;
        at += len + 1;
    }
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < 0x20 || byte == 0x7f)
            return true;
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = slice_make(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* ---- lines of a file ---- */

static size_t comment_at(struct slice line)
{
    size_t at = 0;

    while (at < line.len &&
           (line.ptr[at] != '#' || (at > 0 && !is_blank(line.ptr[at - 1]))))
        at++;
    return at;
}

bool config_next_line(struct slice *text, struct config_line *line)
{
    const char *end;
    struct slice said;
    size_t name_len = 0;

    if (text->len == 0)
        return false;
    end = memchr(text->ptr, '\n', text->len);
    said = slice_make(text->ptr, end == NULL ? text->len : (size_t)(end - text->ptr));
    *text = end == NULL ? slice_make(NULL, 0)
                        : slice_make(end + 1, text->len - said.len - 1);
    if (said.len > 0 && said.ptr[said.len - 1] == '\r')
        said.len--;
    said = trim(slice_make(said.ptr, comment_at(said)));
    while (name_len < said.len && !is_blank(said.ptr[name_len]))
        name_len++;
    line->name = slice_make(said.ptr, name_len);
    line->value = trim(slice_make(said.ptr + name_len, said.len - name_len));
    return true;
}

/* ---- storing ---- */

static void add_items(struct config_list *list, struct slice text)
{
    size_t from = 0;

    if (text.len == 0)
        return;
    for (size_t at = 0; at <= text.len; at++) {
        if (at < text.len && text.ptr[at] != ',')
            continue;
        struct slice item = trim(slice_make(text.ptr + from, at - from));
        if (item.len > 0)
            config_list_add(list, item);
        from = at + 1;
    }
}

bool config_store(const struct config_row *row, struct slice text, void *target)
{
    void *field = field_of(row, target);

    switch (row->type) {
    case CONFIG_FLAG:
        return config_parse_flag(text, field);
    case CONFIG_U64:
        return parse_u64(row, text, field);
    case CONFIG_ENUM:
        return parse_enum(row, text, field);
    case CONFIG_TEXT:
        if (has_control(text))
            return false;
        free(*(char **)field);
        *(char **)field = mem_text(text);
        return true;
    case CONFIG_LIST:
        if (has_control(text))
            return false;
        add_items(field, text);
        return true;
    }
    abort();
}

void config_empty(const struct config_row *row, void *target)
{
    release_row(row, target);
}

void config_remedy(const struct config_row *row, struct buf *out)
{
    switch (row->type) {
    case CONFIG_FLAG:
        buf_puts(out, "give on or off");
        break;
    case CONFIG_U64:
        buf_printf(out, "give a whole number from %" PRIu64 " to %" PRIu64 "%s",
                   row->min, row->max,
                   config_is_size(row) ? ", with k, m or g if you like" : "");
        break;
    case CONFIG_ENUM:
        buf_printf(out, "give one of %s", row->choices);
        break;
    case CONFIG_TEXT:
    case CONFIG_LIST:
        buf_puts(out, "give text without control characters");
        break;
    }
}
