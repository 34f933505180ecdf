/* config_parts.h - what the files of the configuration table share. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_CONFIG_PARTS_H
#define THINKWIRE_BASE_CONFIG_PARTS_H

#include "base/config.h"

/* Names of rows are shorter than this. */
#define CONFIG_NAME_MAX 64
#define CONFIG_ENV_SIZE (sizeof("THINKWIRE_") + CONFIG_NAME_MAX)

/* ---- config_value.c ---- */
/* Parses `text` into the row's field; a list gets its items added. False when it is not
 * allowed there: the field is then to be given up. */
bool config_store(const struct config_row *row, struct slice text, void *target);
/* Empties a text or a list; other fields keep what they have. */
void config_empty(const struct config_row *row, void *target);
/* "give a whole number from 1 to 5" */
void config_remedy(const struct config_row *row, struct buf *out);
bool config_parse_flag(struct slice text, bool *value);
void config_list_add(struct config_list *list, struct slice item);

/* A file of `name value` lines: takes the next line off `text`, false at its end. A # begins
 * a comment at the start of a line or after white space, so that it may stand inside an
 * address or a password; of a line that says nothing the name is empty. */
struct config_line {
    struct slice name;
    struct slice value; /* without the white space around it; may be empty */
};
bool config_next_line(struct slice *text, struct config_line *line);

/* ---- config_help.c ---- */
/* True for rows whose numbers may carry k, m or g. */
bool config_is_size(const struct config_row *row);
/* "THINKWIRE_PING_INTERVAL_MS" */
void config_env_name(const struct config_row *row, char out[CONFIG_ENV_SIZE]);
/* The whole --help text. */
void config_help(const struct config_request *request, struct buf *out);
/* The row or built-in option whose name is nearest to `name`, or NULL when none is near. */
const char *config_nearest(const struct config_request *request, struct slice name);

#endif
