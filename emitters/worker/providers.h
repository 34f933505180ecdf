/* providers.h - who can be asked for which model, from a configuration file. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_WORKER_PROVIDERS_H
#define THINKWIRE_WORKER_PROVIDERS_H

#include "base/buf.h"
#include "base/config.h"
#include "failure.h"

/*
 * The file has the lines of --config, `name value`, in blocks that begin with `provider NAME`
 * or `model NAME`; providers.conf beside this header explains each line. Without a file three
 * environment variables will do, and without these there is the demo provider. Pure: who
 * calls reads file, environment and keys.
 */
#define PROVIDERS_MAX 32
#define MODELS_MAX    256
#define CHAIN_MAX     8 /* as JUDGE_MAX_CANDIDATES */

struct provider {
    char *name;
    unsigned line; /* of the file, for messages */
    bool is_demo;  /* built in, no network */
    char *url;     /* base, without a slash at the end */
    char *key_env; /* "" = no key from there */
    char *key_file;
    char *ca_file;             /* "" = the system's */
    unsigned api;              /* enum provider_api */
    struct config_list models; /* names, or beginnings with a * behind; none = all */
    uint64_t connect_timeout_ms;
    uint64_t first_token_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t total_timeout_ms;
    uint64_t plain_timeout_ms;
    uint64_t max_connections;
    uint64_t keep_alive_ms;
    bool uses_http2;
    bool wants_usage;
    unsigned max_tokens_name; /* enum prompt_max_tokens */
    uint64_t context_chars;   /* of a partial answer in a prompt; 0 = all (S10) */
    uint64_t breaker_failures;
    uint64_t breaker_cooldown_ms;
    char *extra; /* a JSON object, or "" */
};

struct model {
    char *name;
    unsigned line;
    struct config_list chain; /* names of providers, first choice first */
    char *description;
    uint64_t max_tokens;     /* 0 = unknown */
    char *input_cost_per_1k; /* USD, decimal, as written; "" = unknown */
    char *output_cost_per_1k;
};

struct providers {
    char *default_model; /* NULL only while empty */
    struct provider *providers;
    size_t provider_count;
    struct model *models;
    size_t model_count;
};

void providers_release(struct providers *providers);
/* `providers` is zeroed by the caller. False with one line of words in `error` ("line 3:
 * provider x: url: ..."); nothing is kept then. */
bool providers_parse(struct providers *providers, struct slice text, struct buf *error);

/* What existing deployments have in their environment; each may be NULL or "". */
struct providers_environment {
    const char *openai_api_key; /* only whether it is there */
    const char *llm_model;
    const char *llm_url; /* of a chat completions endpoint */
};
/* Without a file. With neither key nor URL: the demo provider alone. */
bool providers_from_environment(struct providers *providers,
                                const struct providers_environment *environment,
                                struct buf *error);

/* Whom to ask for `model`, in order: its own chain, or all providers that have it. The count,
 * at most CHAIN_MAX; 0 = nobody has it. */
size_t providers_route(const struct providers *providers, struct slice model,
                       const struct provider *chain[CHAIN_MAX]);
/* The model's block, or NULL. */
const struct model *providers_model(const struct providers *providers,
                                    struct slice name);

#define COST_SIZE 48
/* What the tokens cost, in USD, exactly: "0.00000975" (C17). False when the model has no
 * price, or the sum is out of all bounds. */
bool model_cost(const struct model *model, uint64_t tokens_in, uint64_t tokens_out,
                char out[COST_SIZE]);

/* ---- inside: providers.c and providers_table.c ---- */
extern const struct config_row provider_rows[];
extern const size_t provider_row_count;
extern const struct config_row model_rows[];
extern const size_t model_row_count;
/* A price as 10^-12 USD per token; false when it is none. */
bool price_parse(struct slice text, uint64_t *per_token);

#endif
