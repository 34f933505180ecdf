/* fuzz_providers.c - the provider file: whatever it says, one line of words or a route. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/providers.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct provider *chain[CHAIN_MAX];
    struct providers providers = {0};
    char cost[COST_SIZE];
    struct buf error;

    buf_init(&error, 1000);
    if (!providers_parse(&providers, fuzz_input(data, size), &error)) {
        must(error.len > 0 && providers.providers == NULL);
        must(memchr(error.data, '\n', error.len) == NULL);
        buf_release(&error);
        return 0;
    }
    must(error.len == 0 && providers.provider_count > 0);
    size_t count =
        providers_route(&providers, slice_of(providers.default_model), chain);
    must(count > 0 && count <= CHAIN_MAX);
    for (size_t i = 0; i < providers.model_count; i++) {
        if (model_cost(&providers.models[i], size, 7, cost))
            must(strlen(cost) > 0);
    }
    providers_release(&providers);
    buf_release(&error);
    return 0;
}
