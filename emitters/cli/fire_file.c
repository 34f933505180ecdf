/* fire_file.c - where the fire test's report goes. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "emitters/cli/fire.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t tail = strlen(end);

    return len > tail && strcmp(text + len - tail, end) == 0;
}

/* 20261121T061500.123Z: the extended form has colons, which archives and other systems'
 * file names do not take. */
static void put_time(struct buf *out, uint64_t wall_ms)
{
    char iso[CLOCK_ISO_SIZE];

    clock_iso(wall_ms, iso);
    for (const char *c = iso; *c != '\0'; c++) {
        if (*c != '-' && *c != ':')
            (void)buf_putc(out, *c);
    }
}

void fire_file_name(const char *wanted, bool is_in_tree, uint64_t wall_ms,
                    struct buf *out)
{
    if (ends_in(wanted, ".jsonl") || ends_in(wanted, ".json")) {
        (void)buf_puts(out, wanted);
        return;
    }
    if (wanted[0] == '\0' && is_in_tree)
        wanted = FIRE_TREE_FOLDER "/_reports";
    (void)buf_puts(out, wanted);
    if (wanted[0] != '\0' && !ends_in(wanted, "/") && strcmp(wanted, "/") != 0)
        (void)buf_putc(out, '/');
    (void)buf_puts(out, "chat_fire_test_");
    put_time(out, wall_ms);
    (void)buf_puts(out, ".jsonl");
}

/* Every folder above `name`. Those that are there are no fault; what cannot be made is told
 * by the open that follows. */
static void make_folders(const char *name)
{
    char path[PATH_MAX];
    size_t len = strlen(name);

    if (len >= sizeof(path))
        return;
    memcpy(path, name, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        (void)mkdir(path, 0777);
        path[i] = '/';
    }
}

FILE *fire_file_open(const char *name)
{
    make_folders(name);
    errno = 0;
    return fopen(name, "we");
}
