/* config_case.c - one call of config_load(), with all that goes in and comes out. */
/* SPDX-License-Identifier: MIT */
#include "config_case.h"

#include "capture.h"

#define FIELD(name) offsetof(struct target, name)

static const struct config_row rows[] = {
    {"frappe", CONFIG_FLAG, FIELD(frappe), "off", 0, 0, NULL, NULL, "Adds rules.",
     "Rules"},
    {"ping-interval-ms", CONFIG_U64, FIELD(interval_ms), "25000", 100, 3600000, NULL,
     "PING_INTERVAL", "How often.", "Timing"},
    {"retain-bytes", CONFIG_U64, FIELD(retain_bytes), "64k", 1, UINT64_MAX, NULL, NULL,
     "How much is kept of each task, which is a long story that must be wrapped.",
     "Memory"},
    {"bus", CONFIG_TEXT, FIELD(bus), "memory", 0, 0, NULL, NULL, "Where from.",
     "Rules"},
    {"log-level", CONFIG_ENUM, FIELD(level), "info", 0, 0, "error|warn|info|debug",
     NULL, "How loud.", "Rules"},
    {"sites", CONFIG_LIST, FIELD(sites), "", 0, 0, NULL, "FRAPPE_SITES", "Which.",
     "Rules"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define MAX_ARGS  8

void load_begin(struct load *load)
{
    *load = (struct load){.takes_positional = false};
    buf_init(&load->error, 4096);
    buf_init(&load->output, 100000);
}

void load_end(struct load *load)
{
    config_release(rows, ROW_COUNT, &load->target);
    config_release(rows, ROW_COUNT, &load->target);
    config_list_release(&load->positional);
    buf_release(&load->error);
    buf_release(&load->output);
}

void load_run(struct load *load, const char *const *words)
{
    char *argv[MAX_ARGS];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = strdup(words[argc]);

    struct config_request request = {.program = "thinkwired",
                                     .version = "1.2.3",
                                     .intro = "A broker.",
                                     .rows = rows,
                                     .row_count = ROW_COUNT,
                                     .argc = argc,
                                     .argv = argv,
                                     .check = load->check};
    if (load->takes_positional)
        request.positional = &load->positional;
    struct capture capture;
    capture_begin(&capture, STDOUT_FILENO);
    load->outcome = config_load(&request, &load->target, &load->error);
    capture_end(&capture, &load->output);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
}

void assert_contains(struct buf *text, const char *part)
{
    if (strstr(buf_text(text), part) == NULL)
        fail_msg("no '%s' in:\n%s", part, buf_text(text));
}

void assert_failed(struct load *load, const char *part)
{
    assert_int_equal(load->outcome, CONFIG_FAILED);
    assert_contains(&load->error, part);
    assert_null(load->target.bus);
    assert_null(load->target.sites.items);
}

void assert_list(const struct config_list *list, const char *expected)
{
    struct buf joined;
    buf_init(&joined, 1000);
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&joined, "%s|", list->items[i]);
    assert_string_equal(buf_text(&joined), expected);
    buf_release(&joined);
}

int clean_environment(void **state)
{
    (void)state;
    static const char *const names[] = {
        "PING_INTERVAL",      "FRAPPE_SITES",    "THINKWIRE_FRAPPE",
        "THINKWIRE_BUS",      "THINKWIRE_SITES", "THINKWIRE_PING_INTERVAL_MS",
        "THINKWIRE_LOG_LEVEL"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
    return 0;
}
