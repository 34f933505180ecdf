/* providers.c - the provider file, line by line. */
/* SPDX-License-Identifier: MIT */
#include "providers.h"

#include "base/config_parts.h"
#include "base/mem.h"
#include "codec/json.h"

#include <ctype.h>
#include <stdlib.h>

#define NAME_LENGTH_MAX 128

struct reader {
    struct providers *providers;
    struct buf *error;
    unsigned line;
    enum { BEFORE_BLOCKS, IN_PROVIDER, IN_MODEL } place;
};

void providers_release(struct providers *providers)
{
    for (size_t i = 0; i < providers->provider_count; i++) {
        config_release(provider_rows, provider_row_count, &providers->providers[i]);
        free(providers->providers[i].name);
    }
    for (size_t i = 0; i < providers->model_count; i++) {
        config_release(model_rows, model_row_count, &providers->models[i]);
        free(providers->models[i].name);
    }
    free(providers->providers);
    free(providers->models);
    free(providers->default_model);
    *providers = (struct providers){0};
}

static struct provider *last_provider(struct reader *reader)
{
    return &reader->providers->providers[reader->providers->provider_count - 1];
}

static struct model *last_model(struct reader *reader)
{
    return &reader->providers->models[reader->providers->model_count - 1];
}

/* "line 7: provider x: url: words" */
static bool complain(struct reader *reader, unsigned line, const char *field,
                     const char *words)
{
    if (line > 0)
        buf_printf(reader->error, "line %u: ", line);
    if (reader->place == IN_PROVIDER)
        buf_printf(reader->error, "provider %s: ", last_provider(reader)->name);
    else if (reader->place == IN_MODEL)
        buf_printf(reader->error, "model %s: ", last_model(reader)->name);
    if (field != NULL)
        buf_printf(reader->error, "%s: ", field);
    buf_puts(reader->error, words);
    return false;
}

/* ---- blocks ---- */

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (!isalnum(c) && strchr("._:/@-", c) == NULL)
            return false;
    }
    return name.len > 0 && name.len <= NAME_LENGTH_MAX;
}

static const struct provider *find_provider(const struct providers *providers,
                                            struct slice name)
{
    for (size_t i = 0; i < providers->provider_count; i++) {
        if (slice_is(name, providers->providers[i].name))
            return &providers->providers[i];
    }
    return NULL;
}

const struct model *providers_model(const struct providers *providers,
                                    struct slice name)
{
    for (size_t i = 0; i < providers->model_count; i++) {
        if (slice_is(name, providers->models[i].name))
            return &providers->models[i];
    }
    return NULL;
}

static void store_defaults(const struct config_row *rows, size_t count, void *target)
{
    for (size_t i = 0; i < count; i++)
        (void)config_store(&rows[i], slice_of(rows[i].default_text), target);
}

static bool begin_provider(struct reader *reader, struct slice name)
{
    struct providers *all = reader->providers;

    if (!is_name(name))
        return complain(reader, reader->line, "provider", "give it a name");
    if (find_provider(all, name) != NULL)
        return complain(reader, reader->line, "provider", "this name was given before");
    if (all->provider_count == PROVIDERS_MAX)
        return complain(reader, reader->line, "provider", "there are too many");
    all->providers =
        mem_resize(all->providers, (all->provider_count + 1) * sizeof(*all->providers));
    all->provider_count++;
    reader->place = IN_PROVIDER;
    *last_provider(reader) =
        (struct provider){.name = mem_text(name), .line = reader->line};
    store_defaults(provider_rows, provider_row_count, last_provider(reader));
    return true;
}

static bool begin_model(struct reader *reader, struct slice name)
{
    struct providers *all = reader->providers;

    if (!is_name(name))
        return complain(reader, reader->line, "model", "give it a name");
    if (providers_model(all, name) != NULL)
        return complain(reader, reader->line, "model", "this name was given before");
    if (all->model_count == MODELS_MAX)
        return complain(reader, reader->line, "model", "there are too many");
    all->models =
        mem_resize(all->models, (all->model_count + 1) * sizeof(*all->models));
    all->model_count++;
    reader->place = IN_MODEL;
    *last_model(reader) = (struct model){.name = mem_text(name), .line = reader->line};
    store_defaults(model_rows, model_row_count, last_model(reader));
    return true;
}

/* ---- what a finished block must be ---- */

static bool is_url(const char *url)
{
    const char *host = strstr(url, "://");

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return false;
    host += 3;
    return *host != '\0' && *host != '/' && strpbrk(host, " @?#") == NULL;
}

static bool end_provider(struct reader *reader)
{
    struct provider *provider = last_provider(reader);
    size_t len = strlen(provider->url);

    while (len > 0 && provider->url[len - 1] == '/')
        provider->url[--len] = '\0';
    if (provider->is_demo && len > 0)
        return complain(reader, provider->line, "url", "the demo has none");
    if (!provider->is_demo && !is_url(provider->url))
        return complain(reader, provider->line, "url",
                        "give http://host/path or https://host/path, without a user, "
                        "a password or a query");
    if (provider->key_env[0] != '\0' && provider->key_file[0] != '\0')
        return complain(reader, provider->line, "key-file",
                        "key-env was given too, only one of them can be");
    struct slice extra = slice_of(provider->extra);
    if (extra.len > 0 && (extra.ptr[0] != '{' || !json_check(extra)))
        return complain(reader, provider->line, "extra", "give a JSON object");
    return true;
}

static bool end_model(struct reader *reader)
{
    struct model *model = last_model(reader);
    uint64_t price;

    if (model->chain.count > CHAIN_MAX)
        return complain(reader, model->line, "chain", "at most 8 providers");
    if (model->input_cost_per_1k[0] != '\0' &&
        !price_parse(slice_of(model->input_cost_per_1k), &price))
        return complain(reader, model->line, "input-cost-per-1k",
                        "give a price in USD such as 0.00015");
    if (model->output_cost_per_1k[0] != '\0' &&
        !price_parse(slice_of(model->output_cost_per_1k), &price))
        return complain(reader, model->line, "output-cost-per-1k",
                        "give a price in USD such as 0.0006");
    return true;
}

static bool end_block(struct reader *reader)
{
    if (reader->place == IN_PROVIDER)
        return end_provider(reader);
    return reader->place != IN_MODEL || end_model(reader);
}

/* ---- lines ---- */

static bool take_top(struct reader *reader, struct slice name, struct slice value)
{
    if (!slice_is(name, "default-model"))
        return complain(reader, reader->line, NULL,
                        "expected default-model, provider or model");
    if (!is_name(value))
        return complain(reader, reader->line, "default-model", "give a model's name");
    free(reader->providers->default_model);
    reader->providers->default_model = mem_text(value);
    return true;
}

static bool take_setting(struct reader *reader, struct slice name, struct slice value)
{
    bool is_provider = reader->place == IN_PROVIDER;
    const struct config_row *rows = is_provider ? provider_rows : model_rows;
    size_t count = is_provider ? provider_row_count : model_row_count;
    void *target =
        is_provider ? (void *)last_provider(reader) : (void *)last_model(reader);

    for (size_t i = 0; i < count; i++) {
        if (!slice_is(name, rows[i].name))
            continue;
        if (config_store(&rows[i], value, target))
            return true;
        struct buf remedy;
        buf_init(&remedy, 1000);
        config_remedy(&rows[i], &remedy);
        complain(reader, reader->line, rows[i].name, buf_text(&remedy));
        buf_release(&remedy);
        return false;
    }
    return complain(reader, reader->line, NULL, "no such line in this block");
}

static bool take_line(struct reader *reader, const struct config_line *line)
{
    bool is_provider = slice_is(line->name, "provider");
    bool is_model = slice_is(line->name, "model");

    if ((is_provider || is_model) && !end_block(reader))
        return false;
    if (is_provider)
        return begin_provider(reader, line->value);
    if (is_model)
        return begin_model(reader, line->value);
    if (reader->place == BEFORE_BLOCKS)
        return take_top(reader, line->name, line->value);
    return take_setting(reader, line->name, line->value);
}

static bool take_lines(struct reader *reader, struct slice text)
{
    struct config_line line;

    while (config_next_line(&text, &line)) {
        reader->line++;
        if (line.name.len > 0 && !take_line(reader, &line))
            return false;
    }
    return end_block(reader);
}

static bool check_chains(struct reader *reader)
{
    struct providers *all = reader->providers;

    for (size_t i = 0; i < all->model_count; i++) {
        const struct model *model = &all->models[i];
        for (size_t k = 0; k < model->chain.count; k++) {
            if (find_provider(all, slice_of(model->chain.items[k])) != NULL)
                continue;
            buf_printf(reader->error,
                       "line %u: model %s: chain: no provider is called %s",
                       model->line, model->name, model->chain.items[k]);
            return false;
        }
    }
    return true;
}

static bool check_whole(struct reader *reader)
{
    const struct provider *chain[CHAIN_MAX];
    struct providers *all = reader->providers;

    reader->place = BEFORE_BLOCKS;
    if (all->provider_count == 0)
        return complain(reader, 0, NULL, "there is no provider");
    if (!check_chains(reader))
        return false;
    if (all->default_model == NULL && all->model_count == 0)
        return complain(reader, 0, "default-model", "name one, or give a model block");
    if (all->default_model == NULL)
        all->default_model = mem_text(slice_of(all->models[0].name));
    if (providers_route(all, slice_of(all->default_model), chain) == 0)
        return complain(reader, 0, "default-model", "no provider has it");
    return true;
}

bool providers_parse(struct providers *providers, struct slice text, struct buf *error)
{
    struct reader reader = {.providers = providers, .error = error};

    if (take_lines(&reader, text) && check_whole(&reader))
        return true;
    providers_release(providers);
    return false;
}

/* ---- whom to ask ---- */

static bool has_model(const struct provider *provider, struct slice model)
{
    for (size_t i = 0; i < provider->models.count; i++) {
        struct slice pattern = slice_of(provider->models.items[i]);
        if (slice_equal(pattern, model))
            return true;
        if (pattern.ptr[pattern.len - 1] == '*' && model.len >= pattern.len - 1 &&
            memcmp(pattern.ptr, model.ptr, pattern.len - 1) == 0)
            return true;
    }
    return provider->models.count == 0;
}

size_t providers_route(const struct providers *providers, struct slice model,
                       const struct provider *chain[CHAIN_MAX])
{
    const struct model *block = providers_model(providers, model);
    size_t count = 0;

    if (model.len == 0)
        return 0;
    if (block != NULL && block->chain.count > 0) {
        for (; count < block->chain.count; count++)
            chain[count] =
                find_provider(providers, slice_of(block->chain.items[count]));
        return count;
    }
    for (size_t i = 0; i < providers->provider_count && count < CHAIN_MAX; i++) {
        if (has_model(&providers->providers[i], model))
            chain[count++] = &providers->providers[i];
    }
    return count;
}
