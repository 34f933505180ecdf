/* config.c - one table of rows serves argv, environment, file and --help. */
/* SPDX-License-Identifier: MIT */
#include "base/config.h"

#include "base/config_parts.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/quote.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES  ((size_t)1024 * 1024)
#define HELP_MAX_BYTES  ((size_t)256 * 1024)
#define ECHO_MAX_BYTES  80
#define WHERE_MAX_BYTES 512

/* From weak to strong: sources are read in this order, so the last word wins. */
enum source { SOURCE_NONE, SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENV, SOURCE_ARGV };

struct loader {
    const struct config_request *request;
    void *target;
    struct buf *error;
    unsigned char *set_by; /* per row: the enum source of what it holds */
    enum source source;
    char where[WHERE_MAX_BYTES]; /* "command line", "environment X", "file F line 3" */
};

static void put_quoted(struct buf *out, struct slice text)
{
    if (text.len > ECHO_MAX_BYTES)
        text.len = ECHO_MAX_BYTES;
    quote_json(out, text);
}

static const struct config_row *find_row(const struct loader *loader, struct slice name)
{
    for (size_t i = 0; i < loader->request->row_count; i++) {
        if (slice_is(name, loader->request->rows[i].name))
            return &loader->request->rows[i];
    }
    return NULL;
}

static bool fail_value(struct loader *loader, const struct config_row *row,
                       struct slice text)
{
    buf_printf(loader->error, "%s (%s): ", row->name, loader->where);
    /* Texts are not echoed: keys and passwords are texts. */
    if (row->type != CONFIG_TEXT && row->type != CONFIG_LIST) {
        put_quoted(loader->error, text);
        buf_putc(loader->error, ' ');
    }
    buf_puts(loader->error, "is not allowed; ");
    config_remedy(row, loader->error);
    return false;
}

static bool fail_unknown(struct loader *loader, struct slice name)
{
    const char *nearest = config_nearest(loader->request, name);

    buf_puts(loader->error, "unknown option ");
    put_quoted(loader->error, name);
    buf_printf(loader->error, " (%s); ", loader->where);
    if (nearest != NULL)
        buf_printf(loader->error, "did you mean %s?", nearest);
    else
        buf_puts(loader->error, "--help lists them all");
    return false;
}

static bool assign(struct loader *loader, const struct config_row *row,
                   struct slice text)
{
    unsigned char *set_by = &loader->set_by[row - loader->request->rows];

    if (*set_by != loader->source)
        config_empty(row, loader->target);
    *set_by = (unsigned char)loader->source;
    if (config_store(row, text, loader->target))
        return true;
    return fail_value(loader, row, text);
}

static void apply_defaults(struct loader *loader)
{
    loader->source = SOURCE_DEFAULT;
    for (size_t i = 0; i < loader->request->row_count; i++) {
        const struct config_row *row = &loader->request->rows[i];
        bool is_good = assign(loader, row, slice_of(row->default_text));
        assert(is_good && strlen(row->name) < CONFIG_NAME_MAX);
        (void)is_good;
    }
}

/* ---- the file ---- */

static bool apply_line(struct loader *loader, const struct config_line *line)
{
    const struct config_row *row = find_row(loader, line->name);
    struct slice value = line->value;

    if (row == NULL)
        return fail_unknown(loader, line->name);
    if (row->type == CONFIG_FLAG && value.len == 0)
        value = slice_of("on");
    return assign(loader, row, value);
}

static bool apply_text(struct loader *loader, const char *path, struct slice text)
{
    struct config_line line;
    unsigned number = 0;

    loader->source = SOURCE_FILE;
    while (config_next_line(&text, &line)) {
        (void)snprintf(loader->where, WHERE_MAX_BYTES, "file %s line %u", path,
                       ++number);
        if (line.name.len > 0 && !apply_line(loader, &line))
            return false;
    }
    return true;
}

static bool apply_file(struct loader *loader, const char *path)
{
    struct buf text;
    bool is_good = false;

    buf_init(&text, FILE_MAX_BYTES);
    if (file_read(path, &text)) {
        is_good = apply_text(loader, path, buf_view(&text));
    } else {
        const char *problem = strerror(errno);
        buf_puts(loader->error, "config (command line): cannot read ");
        put_quoted(loader->error, slice_of(path));
        buf_printf(loader->error, ": %s; name a readable file below 1 MiB", problem);
    }
    buf_release(&text);
    return is_good;
}

/* ---- the environment ---- */

static bool apply_variable(struct loader *loader, const struct config_row *row,
                           const char *name)
{
    const char *value = getenv(name);

    /* Compose files and units hand over empty variables for what nobody set. */
    if (value == NULL || *value == '\0')
        return true;
    (void)snprintf(loader->where, WHERE_MAX_BYTES, "environment %s", name);
    if (loader->set_by[row - loader->request->rows] == SOURCE_ENV)
        config_empty(row, loader->target);
    return assign(loader, row, slice_of(value));
}

static bool apply_environment(struct loader *loader)
{
    char name[CONFIG_ENV_SIZE];

    loader->source = SOURCE_ENV;
    for (size_t i = 0; i < loader->request->row_count; i++) {
        const struct config_row *row = &loader->request->rows[i];
        if (row->env_alias != NULL && !apply_variable(loader, row, row->env_alias))
            return false;
        config_env_name(row, name);
        if (!apply_variable(loader, row, name))
            return false;
    }
    return true;
}

/* ---- the command line ---- */

struct arguments {
    int argc;
    char **argv;
    int at;
};

static const char *next_argument(struct arguments *args)
{
    return args->at < args->argc ? args->argv[args->at++] : NULL;
}

static const char *peek_argument(const struct arguments *args)
{
    return args->at < args->argc ? args->argv[args->at] : NULL;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* After `--flag` a word belongs to it only when it cannot well be an argument. */
static bool flag_takes(const struct config_request *request, const char *word)
{
    bool ignored;
    if (word == NULL || !config_parse_flag(slice_of(word), &ignored))
        return false;
    return request->positional == NULL || (*word != '0' && *word != '1');
}

static bool fail_missing(struct loader *loader, struct slice name)
{
    buf_puts(loader->error, "--");
    buf_slice(loader->error, name);
    buf_printf(loader->error,
               " (%s) needs a value; one that begins with -- is given as --",
               loader->where);
    buf_slice(loader->error, name);
    buf_puts(loader->error, "=VALUE");
    return false;
}

/* The value behind an option without '='; NULL after a message when there is none. */
static const char *option_value(struct loader *loader, struct slice name,
                                struct arguments *args)
{
    const char *value = peek_argument(args);
    if (value == NULL || strncmp(value, "--", 2) == 0) {
        (void)fail_missing(loader, name);
        return NULL;
    }
    return next_argument(args);
}

static bool apply_option(struct loader *loader, const char *word,
                         struct arguments *args)
{
    bool is_long = strncmp(word, "--", 2) == 0;
    const char *text = is_long ? word + 2 : word;
    const char *equals = is_long ? strchr(text, '=') : NULL;
    struct slice name =
        equals == NULL ? slice_of(text) : slice_make(text, (size_t)(equals - text));

    /* Both were served before anything was read. */
    if (slice_is(name, "check-config") && equals == NULL)
        return true;
    if (slice_is(name, "config"))
        return equals != NULL || option_value(loader, name, args) != NULL;

    const struct config_row *row = is_long ? find_row(loader, name) : NULL;
    if (row == NULL)
        return fail_unknown(loader, name);
    if (equals != NULL)
        return assign(loader, row, slice_of(equals + 1));
    if (row->type == CONFIG_FLAG) {
        bool takes = flag_takes(loader->request, peek_argument(args));
        return assign(loader, row, slice_of(takes ? next_argument(args) : "on"));
    }
    const char *value = option_value(loader, name, args);
    return value != NULL && assign(loader, row, slice_of(value));
}

static bool apply_positional(struct loader *loader, const char *word)
{
    if (loader->request->positional == NULL) {
        buf_puts(loader->error, "unexpected argument ");
        put_quoted(loader->error, slice_of(word));
        buf_puts(loader->error, " (command line); options begin with --");
        return false;
    }
    config_list_add(loader->request->positional, slice_of(word));
    return true;
}

static bool apply_command_line(struct loader *loader)
{
    struct arguments args = {loader->request->argc, loader->request->argv, 0};
    bool options_ended = false;
    const char *word;

    loader->source = SOURCE_ARGV;
    (void)snprintf(loader->where, WHERE_MAX_BYTES, "command line");
    while ((word = next_argument(&args)) != NULL) {
        if (!options_ended && strcmp(word, "--") == 0)
            options_ended = true;
        else if (options_ended || !is_option(word)) {
            if (!apply_positional(loader, word))
                return false;
        } else if (!apply_option(loader, word, &args)) {
            return false;
        }
    }
    return true;
}

/* ---- what is served before anything is applied ---- */

struct wishes {
    bool help;
    bool version;
    bool check;
    const char *file;
};

/* Looks through the words before `--`; a value never begins with "--", so this cannot
 * mistake one for an option. */
static struct wishes read_wishes(const struct config_request *request)
{
    struct wishes wishes = {false, false, false, NULL};

    for (int i = 0; i < request->argc && strcmp(request->argv[i], "--") != 0; i++) {
        const char *word = request->argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            wishes.help = true;
        else if (strcmp(word, "--version") == 0)
            wishes.version = true;
        else if (strcmp(word, "--check-config") == 0)
            wishes.check = true;
        else if (strncmp(word, "--config=", 9) == 0)
            wishes.file = word + 9;
        else if (strcmp(word, "--config") == 0 && i + 1 < request->argc)
            wishes.file = request->argv[i + 1];
    }
    return wishes;
}

static void print_help(const struct config_request *request)
{
    struct buf text;

    buf_init(&text, HELP_MAX_BYTES);
    config_help(request, &text);
    (void)fputs(buf_text(&text), stdout);
    (void)fflush(stdout);
    buf_release(&text);
}

static void print_line(const char *first, const char *second)
{
    (void)printf("%s %s\n", first, second);
    (void)fflush(stdout);
}

enum config_outcome config_load(const struct config_request *request, void *target,
                                struct buf *error)
{
    struct wishes wishes = read_wishes(request);

    if (wishes.help || wishes.version) {
        if (wishes.help)
            print_help(request);
        else
            print_line(request->program, request->version);
        return CONFIG_DONE;
    }

    struct loader loader = {.request = request, .target = target, .error = error};
    loader.set_by = mem_array(request->row_count, 1);
    apply_defaults(&loader);
    bool is_good = (wishes.file == NULL || apply_file(&loader, wishes.file)) &&
                   apply_environment(&loader) && apply_command_line(&loader) &&
                   (request->check == NULL || request->check(target, error));
    free(loader.set_by);
    if (is_good && !wishes.check)
        return CONFIG_RUN;

    config_release(request->rows, request->row_count, target);
    if (request->positional != NULL)
        config_list_release(request->positional);
    if (!is_good)
        return CONFIG_FAILED;
    print_line("configuration", "ok");
    return CONFIG_DONE;
}
