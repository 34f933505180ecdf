/* config.h - one table of rows serves argv, environment, file and --help. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_CONFIG_H
#define THINKWIRE_BASE_CONFIG_H

#include "base/buf.h"

#include <stdint.h>

/*
 * Precedence: `--name value` (or --name=value), then environment THINKWIRE_NAME and the
 * row's alias, then `name value` lines of --config FILE (# starts a comment), then the
 * default. Repeatable rows replace, as a whole, what a weaker source gave.
 *
 * On the command line a value may begin with "--" only in the form --name=value. `--flag`
 * takes a following word only if that is on, off, true or false (1 and 0 too where there
 * are no positional arguments). An empty environment variable counts as not set. In the
 * file a # starts a comment at the beginning of a line or after white space.
 */
enum config_type {
    CONFIG_FLAG, /* bool; --name, or name on|off|true|false|1|0 */
    CONFIG_U64, /* within min..max; suffixes k m g (1024) for rows whose name ends in -bytes */
    CONFIG_TEXT, /* any text without control characters */
    CONFIG_ENUM, /* one of the words of `choices`, "a|b|c": stored as its index */
    CONFIG_LIST  /* repeatable or comma separated text: struct config_list */
};

struct config_list {
    char **items;
    size_t count;
};

struct config_row {
    const char *name; /* "ping-interval-ms" */
    enum config_type type;
    size_t offset;            /* of the field in the caller's struct */
    const char *default_text; /* parsed as if given; "" is empty text or list */
    uint64_t min;
    uint64_t max;
    const char *choices;
    const char *env_alias; /* an environment name other deployments use, or NULL */
    const char *help;      /* one sentence, printed by --help */
    const char *group;     /* heading in --help */
};

/* Field types: bool, uint64_t, char * (owned), unsigned, struct config_list (owned). */

enum config_outcome {
    CONFIG_RUN,   /* go on */
    CONFIG_DONE,  /* --help, --version or --check-config were served: exit 0 */
    CONFIG_FAILED /* a message naming the row, the source and the remedy is in `error` */
};

struct config_request {
    const char *program; /* "thinkwired" */
    const char *version;
    /* Printed above the options by --help: paragraphs, one per line; lines that begin with a
     * blank are examples and stay as they are. */
    const char *intro;
    const struct config_row *rows;
    size_t row_count;
    int argc; /* without argv[0] */
    char **argv;
    /* Looks at what was read as a whole, and may complete it: false with a message in `error`.
     * NULL: no row depends on another. --check-config asks it too. */
    bool (*check)(void *target, struct buf *error);
    /* Positional arguments are collected here when not NULL, else they are an error. */
    struct config_list *positional;
};

/* Fills `target` (zeroed by the caller). --help goes to stdout, `error` is for stderr.
 * Unless the answer is CONFIG_RUN nothing is kept: `target` and `positional` own nothing. */
enum config_outcome config_load(const struct config_request *request, void *target,
                                struct buf *error);
/* Frees owned fields of `target` and empties them; may be called again. */
void config_release(const struct config_row *rows, size_t row_count, void *target);
/* Frees the items and empties the list. */
void config_list_release(struct config_list *list);

#endif
