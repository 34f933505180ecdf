/* models.c - GET /v1/models: the worker's models, in OpenAI's form. */
/* SPDX-License-Identifier: MIT */
#include "models.h"

#include "base/clock.h"
#include "codec/json.h"
#include "emitters/worker/providers.h"

static void put_cost(struct buf *out, const char *name, const char *cost)
{
    (void)buf_printf(out, ",\"%s\":%s", name, cost[0] == '\0' ? "null" : cost);
}

static void put_model(struct buf *out, const struct model *model, const char *owner)
{
    (void)buf_puts(out, "{\"id\":");
    (void)json_quote(out, slice_of(model->name));
    (void)buf_printf(out, ",\"object\":\"model\",\"created\":%llu,\"owned_by\":",
                     (unsigned long long)(clock_wall_ms() / 1000));
    (void)json_quote(out, slice_of(owner));
    (void)buf_puts(out, ",\"description\":");
    (void)json_quote(out, slice_of(model->description));
    if (model->max_tokens == 0)
        (void)buf_puts(out, ",\"max_tokens\":null");
    else
        (void)buf_printf(out, ",\"max_tokens\":%llu",
                         (unsigned long long)model->max_tokens);
    put_cost(out, "input_cost_per_1k", model->input_cost_per_1k);
    put_cost(out, "output_cost_per_1k", model->output_cost_per_1k);
    (void)buf_putc(out, '}');
}

static const char *owner_of(const struct providers *providers, const char *model)
{
    const struct provider *chain[CHAIN_MAX];

    return providers_route(providers, slice_of(model), chain) == 0 ? ""
                                                                   : chain[0]->name;
}

bool models_write(const struct settings *settings, struct buf *out, struct buf *error)
{
    struct providers providers = {0};
    char empty[] = "";
    struct model unlisted = {
        .description = empty, .input_cost_per_1k = empty, .output_cost_per_1k = empty};

    if (!worker_settings_providers(&settings->worker, &providers, error))
        return false;
    (void)buf_puts(out, "{\"object\":\"list\",\"data\":[");
    unlisted.name = providers.default_model;
    /* The default is one of them also where no block describes it. */
    if (providers_model(&providers, slice_of(unlisted.name)) == NULL) {
        put_model(out, &unlisted, owner_of(&providers, unlisted.name));
        (void)buf_puts(out, providers.model_count > 0 ? "," : "");
    }
    for (size_t i = 0; i < providers.model_count; i++) {
        const struct model *model = &providers.models[i];
        (void)buf_puts(out, i == 0 ? "" : ",");
        put_model(out, model, owner_of(&providers, model->name));
    }
    (void)buf_puts(out, "]}");
    providers_release(&providers);
    return true;
}
