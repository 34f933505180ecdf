/* config_case.h - one call of config_load(), with all that goes in and comes out. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_CONFIG_CASE_H
#define THINKWIRE_TESTS_CONFIG_CASE_H

#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* The fields of a table with a row of each type; see config_case.c. */
struct target {
    bool frappe;
    uint64_t interval_ms;
    uint64_t retain_bytes;
    char *bus;
    unsigned level;
    struct config_list sites;
};

/* One load: arguments in, outcome, target, message and positional arguments out. */
struct load {
    struct target target;
    struct config_list positional;
    bool takes_positional;
    bool (*check)(void *target, struct buf *error);
    struct buf error;
    struct buf output;
    enum config_outcome outcome;
};

struct expected {
    const char *text;
    const char *part; /* of the message */
};

void load_begin(struct load *load);
void load_end(struct load *load);
/* `words` ends with NULL. */
void load_run(struct load *load, const char *const *words);
#define LOAD(load, ...) load_run((load), (const char *const[]){__VA_ARGS__, NULL})

void assert_contains(struct buf *text, const char *part);
/* The outcome is a failure, the message holds `part`, and nothing is kept. */
void assert_failed(struct load *load, const char *part);
/* `expected` is the items, each followed by a bar. */
void assert_list(const struct config_list *list, const char *expected);

/* A set-up that removes the variables of the table. */
int clean_environment(void **state);
#define CLEAN_TEST(name) cmocka_unit_test_setup(name, clean_environment)

#endif
