/* bench.c - what a Frappe bench's own configuration says about its realtime server. */
/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include "base/file.h"
#include "base/mem.h"
#include "codec/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define FILE_LIMIT (4U << 20)
#define SITE_LIMIT 256

/* What a bench does not say, by the version it is of. */
struct habits {
    const char *redis_key;
    const char *redis_env;
    const char *redis;
    unsigned port;
    bool has_current_site; /* sites/currentsite.txt */
};

/* v15 and later publish on the queue Redis; older benches have one for Socket.IO. */
static const struct habits older = {"redis_socketio", NULL, "redis://localhost:12311",
                                    3000, true};
static const struct habits newer = {"redis_queue", "FRAPPE_REDIS_QUEUE",
                                    "redis://localhost:11311", 9000, false};

static const struct habits *habits_of(const struct settings *settings)
{
    return settings->frappe_version >= 15 ? &newer : &older;
}

/* ---- files ---- */

/* False when the file is there but cannot be used; a missing one is empty. */
static bool read_file(const char *path, struct buf *out, struct buf *error)
{
    if (file_read(path, out) || errno == ENOENT)
        return true;
    buf_printf(error, "cannot read %s: %s", path, strerror(errno));
    return false;
}

static bool read_json(const char *path, struct buf *out, struct buf *error)
{
    if (!read_file(path, out, error))
        return false;
    if (out->len == 0 || json_check(buf_view(out)))
        return true;
    buf_printf(error, "%s is not JSON", path);
    return false;
}

struct bench {
    struct buf site_config; /* sites/common_site_config.json: wins */
    struct buf config;      /* config.json */
    struct buf current_site;
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

static bool is_port(const char *text)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    return isdigit((unsigned char)text[0]) && *end == '\0' && port > 0 && port <= 65535;
}

static bool set_listen(struct settings *settings, const struct bench *bench,
                       struct buf *value, struct buf *error)
{
    struct buf address;

    if (!is_default_listen(&settings->listen))
        return true;
    buf_init(&address, 4096);
    take(bench, "FRAPPE_SOCKETIO_UDS", "socketio_uds", value);
    if (value->len > 0) {
        buf_printf(&address, "unix:%s", buf_text(value));
    } else {
        take(bench, "FRAPPE_SOCKETIO_PORT", "socketio_port", value);
        if (value->len == 0)
            buf_u64(value, habits_of(settings)->port);
        /* All interfaces, as the original does. */
        buf_printf(&address, "0.0.0.0:%s", buf_text(value));
        if (!is_port(buf_text(value))) {
            buf_printf(error, "socketio_port of the bench is no port: %s",
                       buf_text(value));
            buf_release(&address);
            return false;
        }
    }
    free(settings->listen.items[0]);
    settings->listen.items[0] = mem_text(buf_view(&address));
    buf_release(&address);
    return true;
}

static void set_redis(struct settings *settings, const struct bench *bench,
                      struct buf *value)
{
    const struct habits *habits = habits_of(settings);

    take(bench, habits->redis_env, habits->redis_key, value);
    set_text(&settings->events_redis, value);
    take(bench, NULL, "redis_queue", value);
    set_text(&settings->events_redis, value);
    /* With a bus in Redis the events come from there. */
    buf_reset(value);
    if (strcmp(settings->bus, "memory") == 0)
        buf_puts(value, habits->redis);
    set_text(&settings->events_redis, value);
}

static void set_site(struct settings *settings, const struct bench *bench,
                     struct buf *value)
{
    const char *site = getenv("FRAPPE_SITE");

    if ((site == NULL || site[0] == '\0') && bench->current_site.len > 0) {
        buf_reset(value);
        buf_slice(value, buf_view(&bench->current_site));
    } else {
        take(bench, "FRAPPE_SITE", "default_site", value);
    }
    set_text(&settings->default_site, value);
}

static bool apply(struct settings *settings, const struct bench *bench,
                  struct buf *error)
{
    struct buf value;
    bool is_ok;

    buf_init(&value, 65536);
    settings->frappe = true;
    set_redis(settings, bench, &value);
    set_site(settings, bench, &value);
    take(bench, NULL, "developer_mode", &value);
    if (value.len > 0)
        settings->developer_mode = true;
    take(bench, NULL, "webserver_port", &value);
    if (settings->webserver_port == 0 && value.len > 0)
        settings->webserver_port = strtoul(buf_text(&value), NULL, 10);
    is_ok = set_listen(settings, bench, &value, error);
    buf_release(&value);
    return is_ok;
}

static bool read_all(struct bench *bench, const struct settings *settings,
                     struct buf *error)
{
    struct buf path;
    bool is_ok;

    buf_init(&path, 4096);
    buf_printf(&path, "%s/config.json", settings->frappe_bench);
    is_ok = read_json(buf_text(&path), &bench->config, error);
    buf_reset(&path);
    buf_printf(&path, "%s/sites/currentsite.txt", settings->frappe_bench);
    if (habits_of(settings)->has_current_site)
        is_ok = is_ok && read_file(buf_text(&path), &bench->current_site, error);
    while (
        bench->current_site.len > 0 &&
        isspace((unsigned char)bench->current_site.data[bench->current_site.len - 1]))
        bench->current_site.len--;
    buf_reset(&path);
    buf_printf(&path, "%s/sites/common_site_config.json", settings->frappe_bench);
    is_ok = is_ok && read_json(buf_text(&path), &bench->site_config, error);
    if (is_ok && bench->site_config.len == 0) {
        buf_printf(error,
                   "%s is not there, or empty: --frappe-bench is the bench's directory",
                   buf_text(&path));
        is_ok = false;
    }
    buf_release(&path);
    return is_ok;
}

bool bench_apply(struct settings *settings, struct buf *error)
{
    struct bench bench;
    bool is_ok;

    buf_init(&bench.site_config, FILE_LIMIT);
    buf_init(&bench.config, FILE_LIMIT);
    buf_init(&bench.current_site, SITE_LIMIT);
    is_ok = read_all(&bench, settings, error) && apply(settings, &bench, error);
    buf_release(&bench.current_site);
    buf_release(&bench.config);
    buf_release(&bench.site_config);
    return is_ok;
}
