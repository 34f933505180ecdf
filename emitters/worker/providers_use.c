/* providers_use.c - prices, and providers without a file. */
/* SPDX-License-Identifier: MIT */
#include "providers.h"

#include <inttypes.h>
#include <stdio.h>

/* Decimals of a price for 1000 tokens; with them one token is counted in 10^-12 USD. */
#define DECIMALS   9
#define PICO       UINT64_C(1000000000000)
#define TOKENS_MAX UINT64_C(1000000000)

bool price_parse(struct slice text, uint64_t *per_token)
{
    uint64_t sum = 0;
    unsigned decimals = 0;
    bool has_point = false;
    bool has_digit = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && !has_point) {
            has_point = true;
            continue;
        }
        if (c < '0' || c > '9' || decimals == DECIMALS || sum > PICO)
            return false;
        sum = sum * 10 + (uint64_t)(c - '0');
        decimals += has_point ? 1 : 0;
        has_digit = true;
    }
    for (; decimals < DECIMALS; decimals++)
        sum *= 10;
    *per_token = sum;
    return has_digit && sum <= 1000 * UINT64_C(1000000000); /* 1000 USD */
}

/* Whole dollars and twelve decimals, those at the end that say nothing left out. */
static void print_pico(unsigned __int128 pico, char out[COST_SIZE])
{
    int len = snprintf(out, COST_SIZE, "%" PRIu64 ".%012" PRIu64,
                       (uint64_t)(pico / PICO), (uint64_t)(pico % PICO));

    while (out[len - 1] == '0')
        out[--len] = '\0';
    if (out[len - 1] == '.')
        out[len - 1] = '\0';
}

bool model_cost(const struct model *model, uint64_t tokens_in, uint64_t tokens_out,
                char out[COST_SIZE])
{
    uint64_t in;
    uint64_t written;

    if (!price_parse(slice_of(model->input_cost_per_1k), &in) ||
        !price_parse(slice_of(model->output_cost_per_1k), &written) ||
        tokens_in > TOKENS_MAX || tokens_out > TOKENS_MAX)
        return false;
    print_pico((unsigned __int128)in * tokens_in +
                   (unsigned __int128)written * tokens_out,
               out);
    return true;
}

/* ---- without a file ---- */

static bool is_set(const char *value)
{
    return value != NULL && value[0] != '\0';
}

/* LLM_URL names the endpoint, a provider's url what stands before it. */
static struct slice base_of(const char *url)
{
    static const char path[] = "/chat/completions";
    struct slice base = slice_of(url);

    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    if (base.len >= sizeof(path) - 1 &&
        memcmp(base.ptr + base.len - (sizeof(path) - 1), path, sizeof(path) - 1) == 0)
        base.len -= sizeof(path) - 1;
    return base;
}

/* A value that goes into a line of ours. */
static bool is_one_word(const char *value)
{
    return strpbrk(value, " \t\r\n#") == NULL;
}

static void put_provider(struct buf *file,
                         const struct providers_environment *environment)
{
    static const char openai[] = "https://api.openai.com/v1";
    bool has_url = is_set(environment->llm_url);
    struct slice base = has_url ? base_of(environment->llm_url) : slice_of(openai);

    buf_puts(file, "provider openai\nurl ");
    buf_slice(file, base);
    if (slice_is(base, openai))
        buf_puts(file, "\nmax-tokens-name max_completion_tokens");
    buf_puts(file, has_url ? "\napi chat\n" : "\napi responses\n");
    if (is_set(environment->openai_api_key))
        buf_puts(file, "key-env OPENAI_API_KEY\n");
}

bool providers_from_environment(struct providers *providers,
                                const struct providers_environment *environment,
                                struct buf *error)
{
    const char *model =
        is_set(environment->llm_model) ? environment->llm_model : "gpt-4o-mini";
    struct buf file;

    if (!is_set(environment->openai_api_key) && !is_set(environment->llm_url))
        return providers_parse(
            providers,
            slice_of("default-model demo\nprovider demo\ndemo on\n"
                     "model demo\ndescription Built-in demonstration: "
                     "no model answers here\n"),
            error);
    if (is_set(environment->llm_url) && !is_one_word(environment->llm_url)) {
        buf_puts(error, "LLM_URL: give one URL");
        return false;
    }
    if (!is_one_word(model)) {
        buf_puts(error, "LLM_MODEL: give one name");
        return false;
    }
    buf_init(&file, 100000);
    buf_printf(&file, "default-model %s\n", model);
    put_provider(&file, environment);
    buf_puts(&file, "model gpt-4o-mini\nmax-tokens 16384\n"
                    "input-cost-per-1k 0.00015\noutput-cost-per-1k 0.0006\n");
    if (strcmp(model, "gpt-4o-mini") != 0)
        buf_printf(&file, "model %s\n", model);
    bool is_good = providers_parse(providers, buf_view(&file), error);
    buf_release(&file);
    return is_good;
}
