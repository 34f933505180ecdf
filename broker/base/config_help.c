/* config_help.c - the text of --help, and the nearest name to a mistyped one. */
/* SPDX-License-Identifier: MIT */
#include "base/config_parts.h"

#include <ctype.h>
#include <inttypes.h>

#define LINE_WIDTH    78
#define INDENT        6
#define HELP_LINE_MAX 4096

struct builtin {
    const char *name;
    const char *form;
    const char *help;
};

static const struct builtin builtins[] = {
    {"config", "config FILE", "Reads `name value` lines from FILE."},
    {"check-config", "check-config", "Checks the configuration, says so and ends."},
    {"version", "version", "Prints the version and ends."},
    {"help", "help", "Prints this text and ends."},
};
#define BUILTIN_COUNT (sizeof(builtins) / sizeof(builtins[0]))

bool config_is_size(const struct config_row *row)
{
    size_t len = strlen(row->name);
    return row->type == CONFIG_U64 && len >= 6 &&
           strcmp(row->name + len - 6, "-bytes") == 0;
}

void config_env_name(const struct config_row *row, char out[CONFIG_ENV_SIZE])
{
    size_t at = 10;

    memcpy(out, "THINKWIRE_", at);
    for (const char *c = row->name; *c != '\0' && at < CONFIG_NAME_MAX + 10; c++)
        out[at++] = (char)(*c == '-' ? '_' : toupper((unsigned char)*c));
    out[at] = '\0';
}

static void put_spaces(struct buf *out, size_t count)
{
    while (count-- > 0)
        buf_putc(out, ' ');
}

/* Words of `text`, wrapped and indented. */
static void put_wrapped(struct buf *out, const char *text, size_t indent)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > LINE_WIDTH) {
            buf_putc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            put_spaces(out, indent);
            column = indent;
        } else {
            buf_putc(out, ' ');
            column++;
        }
        buf_append(out, text, word);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    buf_putc(out, '\n');
}

/* Lines that begin with a blank are examples and stay as they are; an empty line stays one;
 * others are paragraphs. */
static void put_intro(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        struct buf line;
        buf_init(&line, HELP_LINE_MAX);
        buf_append(&line, text, len);
        if (len == 0 || *text == ' ') {
            buf_slice(out, buf_view(&line));
            buf_putc(out, '\n');
        } else {
            put_wrapped(out, buf_text(&line), 0);
        }
        buf_release(&line);
        text += len + (text[len] == '\n');
    }
}

static void put_form(struct buf *out, const struct config_row *row)
{
    buf_puts(out, "  --");
    buf_puts(out, row->name);
    switch (row->type) {
    case CONFIG_FLAG:
        buf_puts(out, " [on|off]");
        break;
    case CONFIG_U64:
        buf_puts(out, config_is_size(row) ? " BYTES" : " NUMBER");
        break;
    case CONFIG_TEXT:
        buf_puts(out, " TEXT");
        break;
    case CONFIG_ENUM:
        buf_putc(out, ' ');
        buf_puts(out, row->choices);
        break;
    case CONFIG_LIST:
        buf_puts(out, " LIST (repeatable, or separated by commas)");
        break;
    }
    buf_putc(out, '\n');
}

static void put_range(struct buf *out, const struct config_row *row)
{
    if (row->max == UINT64_MAX)
        buf_printf(out, "%" PRIu64 " or more; ", row->min);
    else
        buf_printf(out, "%" PRIu64 " to %" PRIu64 "; ", row->min, row->max);
}

static void put_row(struct buf *out, const struct config_row *row)
{
    char env[CONFIG_ENV_SIZE];
    struct buf facts;
    const char *value = row->default_text;

    put_form(out, row);
    put_wrapped(out, row->help, INDENT);
    config_env_name(row, env);
    buf_init(&facts, 4096);
    buf_printf(&facts, "default: %s; ",
               value == NULL || *value == '\0' ? "none" : value);
    if (row->type == CONFIG_U64)
        put_range(&facts, row);
    buf_printf(&facts, "environment: %s", env);
    if (row->env_alias != NULL)
        buf_printf(&facts, " or %s", row->env_alias);
    put_wrapped(out, buf_text(&facts), INDENT);
    buf_release(&facts);
}

static bool is_first_of_group(const struct config_request *request, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(request->rows[i].group, request->rows[index].group) == 0)
            return false;
    }
    return true;
}

static void put_group(struct buf *out, const struct config_request *request,
                      const char *group)
{
    buf_printf(out, "\n%s\n", group);
    for (size_t i = 0; i < request->row_count; i++) {
        if (strcmp(request->rows[i].group, group) == 0)
            put_row(out, &request->rows[i]);
    }
}

void config_help(const struct config_request *request, struct buf *out)
{
    buf_printf(out, "Usage: %s [options]%s\n\n", request->program,
               request->positional == NULL ? "" : " [--] [arguments]");
    put_intro(out, request->intro);
    for (size_t i = 0; i < request->row_count; i++) {
        if (is_first_of_group(request, i))
            put_group(out, request, request->rows[i].group);
    }
    buf_puts(out, "\nGeneral\n");
    for (size_t i = 0; i < BUILTIN_COUNT; i++) {
        buf_printf(out, "  --%s\n", builtins[i].form);
        put_wrapped(out, builtins[i].help, INDENT);
    }
    buf_putc(out, '\n');
    put_wrapped(out,
                "The command line wins over the environment, the environment over the "
                "file, the file over the default.",
                0);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance of two names, both shorter than CONFIG_NAME_MAX. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[CONFIG_NAME_MAX];

    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = diagonal + (a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = least(replace, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

static void consider(const char *candidate, struct slice name, const char **best,
                     size_t *best_distance)
{
    struct slice other = slice_of(candidate);
    if (other.len >= CONFIG_NAME_MAX)
        return;

    size_t distance = edit_distance(name, other);
    if (distance < *best_distance) {
        *best = candidate;
        *best_distance = distance;
    }
}

const char *config_nearest(const struct config_request *request, struct slice name)
{
    const char *best = NULL;
    size_t best_distance = 2 + name.len / 4; /* further away it is another word */

    if (name.len >= CONFIG_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < request->row_count; i++)
        consider(request->rows[i].name, name, &best, &best_distance);
    for (size_t i = 0; i < BUILTIN_COUNT; i++)
        consider(builtins[i].name, name, &best, &best_distance);
    return best;
}
