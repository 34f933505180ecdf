/* bench.c - what a Frappe bench's own configuration says about its realtime server. */
/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_LIMIT   (4U << 20)
#define DEFAULT_PORT 9000

/* ---- files ---- */

/* False when the file is there but cannot be used; a missing one is empty. */
static bool read_file(const char *path, struct buf *out, struct buf *error)
{
    FILE *file = fopen(path, "re");
    char chunk[65536];
    size_t got;

    if (file == NULL) {
        if (errno == ENOENT)
            return true;
        buf_printf(error, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        buf_append(out, chunk, got);
    fclose(file);
    if (!out->failed && json_check(buf_view(out)))
        return true;
    buf_printf(error, "%s is not JSON", path);
    return false;
}

struct bench {
    struct buf site_config; /* sites/common_site_config.json: wins */
    struct buf config;      /* config.json */
};

/* Values that JavaScript takes for false count as not given, as in the original. */
static bool is_given(const struct json_member *member)
{
    return member->kind != JSON_NULL && member->kind != JSON_FALSE &&
           !slice_is(member->value, "\"\"") && !slice_is(member->value, "0");
}

static bool find(const struct bench *bench, const char *key, struct json_member *member)
{
    return (bench->site_config.len > 0 &&
            json_get(buf_view(&bench->site_config), key, member) && is_given(member)) ||
           (bench->config.len > 0 && json_get(buf_view(&bench->config), key, member) &&
            is_given(member));
}

/* The environment name, else the key, as text. Empty when neither is given. */
static void take(const struct bench *bench, const char *env, const char *key,
                 struct buf *out)
{
    const char *value = env == NULL ? NULL : getenv(env);
    struct json_member member;

    buf_reset(out);
    if (value != NULL && value[0] != '\0') {
        buf_puts(out, value);
    } else if (find(bench, key, &member)) {
        if (member.kind == JSON_STRING)
            json_unescape(out, json_string_raw(member.value));
        else
            buf_slice(out, member.value);
    }
}

/* ---- settings ---- */

static void set_text(char **field, struct buf *value)
{
    if (value->len == 0 || (*field)[0] != '\0')
        return;
    free(*field);
    *field = mem_text(buf_view(value));
}

static bool is_default_listen(const struct config_list *listen)
{
    return listen->count == 1 && strcmp(listen->items[0], "127.0.0.1:9000") == 0;
}

static void set_listen(struct settings *settings, const struct bench *bench,
                       struct buf *value)
{
    struct buf address;

    if (!is_default_listen(&settings->listen))
        return;
    buf_init(&address, 4096);
    take(bench, "FRAPPE_SOCKETIO_UDS", "socketio_uds", value);
    if (value->len > 0) {
        buf_printf(&address, "unix:%s", buf_text(value));
    } else {
        take(bench, "FRAPPE_SOCKETIO_PORT", "socketio_port", value);
        /* All interfaces, as the original does. */
        if (value->len > 0)
            buf_printf(&address, "0.0.0.0:%s", buf_text(value));
        else
            buf_printf(&address, "0.0.0.0:%d", DEFAULT_PORT);
    }
    free(settings->listen.items[0]);
    settings->listen.items[0] = mem_text(buf_view(&address));
    buf_release(&address);
}

static void apply(struct settings *settings, const struct bench *bench)
{
    struct buf value;

    buf_init(&value, 65536);
    settings->frappe = true;
    /* v15 and later publish on the queue Redis; older benches have one for Socket.IO. */
    take(bench, "FRAPPE_REDIS_QUEUE",
         settings->frappe_version >= 15 ? "redis_queue" : "redis_socketio", &value);
    set_text(&settings->events_redis, &value);
    take(bench, NULL, "redis_queue", &value);
    set_text(&settings->events_redis, &value);
    take(bench, "FRAPPE_SITE", "default_site", &value);
    set_text(&settings->default_site, &value);
    take(bench, NULL, "developer_mode", &value);
    if (value.len > 0)
        settings->developer_mode = true;
    take(bench, NULL, "webserver_port", &value);
    if (settings->webserver_port == 0 && value.len > 0)
        settings->webserver_port = strtoul(buf_text(&value), NULL, 10);
    set_listen(settings, bench, &value);
    buf_release(&value);
}

bool bench_apply(struct settings *settings, struct buf *error)
{
    struct bench bench;
    struct buf path;
    bool is_ok;

    buf_init(&bench.site_config, FILE_LIMIT);
    buf_init(&bench.config, FILE_LIMIT);
    buf_init(&path, 4096);
    buf_printf(&path, "%s/config.json", settings->frappe_bench);
    is_ok = read_file(buf_text(&path), &bench.config, error);
    buf_reset(&path);
    buf_printf(&path, "%s/sites/common_site_config.json", settings->frappe_bench);
    is_ok = is_ok && read_file(buf_text(&path), &bench.site_config, error);
    if (is_ok && bench.site_config.len == 0) {
        buf_printf(error, "%s is not there: --frappe-bench is the bench's directory",
                   buf_text(&path));
        is_ok = false;
    }
    if (is_ok)
        apply(settings, &bench);
    buf_release(&path);
    buf_release(&bench.config);
    buf_release(&bench.site_config);
    return is_ok;
}
