/* roster.c - the providers at work: their keys, connections and circuit breakers. */
/* SPDX-License-Identifier: MIT */
#include "roster.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY_MAX_BYTES 4096
/* Pairs of address and model; more are not remembered, only asked twice. */
#define CHAT_ONLY_MAX 10000
/* To the memory service; more questions at once wait, within their second. */
#define MEMORY_CONNECTIONS 50

/* ---- keys ---- */

/* One line of text; NULL with words in `error`. */
static char *read_key_file(const struct provider *provider, struct buf *error)
{
    char line[KEY_MAX_BYTES];
    FILE *file = fopen(provider->key_file, "re");
    bool is_read = file != NULL && fgets(line, sizeof(line), file) != NULL;

    if (!is_read)
        (void)buf_printf(error, "provider %s: key-file %s: %s", provider->name,
                         provider->key_file,
                         file == NULL ? strerror(errno) : "no key in it");
    if (file != NULL)
        (void)fclose(file);
    return is_read ? mem_text(slice_make(line, strcspn(line, "\r\n"))) : NULL;
}

static bool find_key(const struct provider *provider, char **key, struct buf *error)
{
    *key = NULL;
    if (provider->key_file[0] != '\0') {
        *key = read_key_file(provider, error);
        return *key != NULL;
    }
    const char *value = provider->key_env[0] == '\0' ? NULL : getenv(provider->key_env);
    if (value != NULL && value[0] != '\0')
        *key = mem_text(slice_of(value));
    return true;
}

static char *make_authorization(const struct provider *provider, const char *key)
{
    struct buf line;

    buf_init(&line, KEY_MAX_BYTES + 64);
    (void)buf_printf(
        &line, "%s%s",
        provider->api == API_ANTHROPIC ? "x-api-key: " : "Authorization: Bearer ", key);
    char *text = mem_text(buf_view(&line));
    buf_release(&line);
    return text;
}

/* ---- life ---- */

static bool open_seat(struct seat *seat, struct loop *loop,
                      const struct provider *provider, struct buf *error)
{
    struct http_client_options options = {
        .max_connections_per_host = (size_t)provider->max_connections,
        .max_idle_connections = (size_t)provider->max_connections,
        .keep_alive_ms = provider->keep_alive_ms,
        .uses_proxy = true,
        .refuses_http2 = !provider->uses_http2,
        .ca_file = provider->ca_file,
    };
    char *key = NULL;

    seat->provider = provider;
    seat->breaker_settings = (struct breaker_settings){
        .threshold = (unsigned)provider->breaker_failures,
        .cooldown_ms = provider->breaker_cooldown_ms,
    };
    if (provider->is_demo)
        return true;
    if (provider->ca_file[0] != '\0' && access(provider->ca_file, R_OK) != 0) {
        (void)buf_printf(error, "provider %s: ca-file %s: %s", provider->name,
                         provider->ca_file, strerror(errno));
        return false;
    }
    if (!find_key(provider, &key, error))
        return false;
    if (key != NULL)
        seat->authorization = make_authorization(provider, key);
    free(key);
    seat->http = http_client_new(loop, &options);
    return true;
}

bool roster_open(struct roster *roster, struct loop *loop,
                 const struct providers *providers, struct buf *error)
{
    *roster = (struct roster){.providers = providers};
    roster->seats = mem_array(providers->provider_count + 1, sizeof(struct seat));
    roster->chat_only = map_new();
    roster->count = providers->provider_count;
    for (size_t i = 0; i < roster->count; i++) {
        if (!open_seat(&roster->seats[i], loop, &providers->providers[i], error)) {
            roster_close(roster);
            return false;
        }
    }
    return true;
}

void roster_close(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++) {
        http_client_free(roster->seats[i].http);
        free(roster->seats[i].authorization);
    }
    http_client_free(roster->memory);
    map_free(roster->chat_only);
    free(roster->seats);
    *roster = (struct roster){0};
}

/* ---- choosing ---- */

size_t roster_route(struct roster *roster, struct slice model,
                    struct seat *chain[CHAIN_MAX])
{
    const struct provider *names[CHAIN_MAX];
    size_t count = providers_route(roster->providers, model, names);

    for (size_t i = 0; i < count; i++)
        chain[i] = &roster->seats[names[i] - roster->providers->providers];
    return count;
}

static void write_pair(struct buf *out, const struct seat *seat, const char *model)
{
    (void)buf_printf(out, "%s %s", seat->provider->url, model);
}

enum provider_api roster_api(const struct roster *roster, const struct seat *seat,
                             const char *model)
{
    enum provider_api api = (enum provider_api)seat->provider->api;
    struct buf pair;

    if (api != API_RESPONSES)
        return api;
    buf_init(&pair, SIZE_MAX);
    write_pair(&pair, seat, model);
    bool is_known = map_get(roster->chat_only, buf_view(&pair)) != NULL;
    buf_release(&pair);
    return is_known ? API_CHAT : API_RESPONSES;
}

void roster_remember_chat(struct roster *roster, const struct seat *seat,
                          const char *model)
{
    struct buf pair;

    if (map_size(roster->chat_only) >= CHAT_ONLY_MAX)
        return;
    buf_init(&pair, SIZE_MAX);
    write_pair(&pair, seat, model);
    (void)map_set(roster->chat_only, buf_view(&pair), roster);
    buf_release(&pair);
}

struct http_client *roster_memory_client(struct roster *roster, struct loop *loop)
{
    struct http_client_options options = {
        .max_connections_per_host = MEMORY_CONNECTIONS,
        .max_idle_connections = MEMORY_CONNECTIONS,
    };

    if (roster->memory == NULL)
        roster->memory = http_client_new(loop, &options);
    return roster->memory;
}
