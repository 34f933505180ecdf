/* worker_settings.c - every setting of the worker: rows that thinkwire-worker and thinkwired share. */
/* SPDX-License-Identifier: MIT */
#include "worker_settings.h"

#include "base/diag.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (1U << 20)
#define HOUR_MS        UINT64_C(3600000)

#define FIELD(name) offsetof(struct worker_settings, name)
#define NUMBER(row, field, value, low, high, alias, text)                              \
    {                                                                                  \
        .name = (row), .type = CONFIG_U64, .offset = FIELD(field),                     \
        .default_text = (value), .min = (low), .max = (high), .env_alias = (alias),    \
        .help = (text), .group = "Generating"                                          \
    }
#define WORDS(row, field, text)                                                        \
    {                                                                                  \
        .name = (row), .type = CONFIG_TEXT, .offset = FIELD(field),                    \
        .default_text = "", .help = (text), .group = "Generating"                      \
    }
#define FLAG(row, field, value, alias, text)                                           \
    {                                                                                  \
        .name = (row), .type = CONFIG_FLAG, .offset = FIELD(field),                    \
        .default_text = (value), .env_alias = (alias), .help = (text),                 \
        .group = "Generating"                                                          \
    }

const struct config_row worker_rows[] = {
    WORDS("providers", providers,
          "File of model providers (see emitters/worker/providers.conf); without it "
          "OPENAI_API_KEY, LLM_MODEL and LLM_URL count, else a demo provider answers."),
    FLAG(
        "fallback", fallback, "on", "AGENT_FALLBACK_ENABLED",
        "Whether a failed call may go to another provider or be asked without streaming."),
    FLAG(
        "route-around-open", route_around_open, "off", NULL,
        "Whether requests go to the next provider while the first one's breaker is open."),
    NUMBER("max-retries", max_retries, "2", 0, 20, NULL,
           "Times the same call is repeated after a passing failure, before a token."),
    NUMBER("retry-backoff-ms", retry_backoff_ms, "200", 1, 60000, NULL,
           "Wait before the first retry; doubles with each."),
    NUMBER("retry-total-ms", retry_total_ms, "900", 0, HOUR_MS, NULL,
           "All waits between retries of one request together."),
    NUMBER("answer-limit-bytes", answer_limit_bytes, "4m", 1024, 1U << 26, NULL,
           "Largest event or document that is taken from a provider."),
    WORDS("system-prompt", system_prompt,
          "Told to the model before every conversation."),
    NUMBER("max-generations", max_generations, "1000", 1, 100000, NULL,
           "Runs that are generated at once."),
    NUMBER("lease-ms", lease_ms, "10000", 500, HOUR_MS, NULL,
           "How long a run outlives a worker that fell silent."),
    NUMBER("job-silent-ms", job_silent_ms, "15000", 500, HOUR_MS, NULL,
           "A request whose worker has said nothing about it for so long is handed to "
           "another one."),
    NUMBER("finish-ms", finish_ms, "30000", 0, HOUR_MS, NULL,
           "How long a worker that was told to end goes on with what runs."),
    FLAG("telemetry", telemetry, "on", "ENABLE_TELEMETRY",
         "Whether a line of JSON is kept about each run: times, tokens, how it ended."),
    {.name = "telemetry-dir",
     .type = CONFIG_TEXT,
     .offset = FIELD(telemetry_dir),
     .default_text = "telemetry_data",
     .env_alias = "TELEMETRY_DIR",
     .help = "Folder for these lines, a file per day; made when it does not exist.",
     .group = "Generating"},
    NUMBER("telemetry-keep-days", telemetry_keep_days, "30", 0, 36500, NULL,
           "Files of days longer ago are deleted; 0 = never."),
    NUMBER("telemetry-day-bytes", telemetry_day_bytes, "256m", 65536, UINT64_C(1) << 40,
           NULL, "What a day's file may hold; lines beyond it are lost, and counted."),
    WORDS(
        "memory-url", memory_url,
        "Memory service that requests with \"memory\" ask first; empty: there is none."),
    WORDS("memory-key-env", memory_key_env,
          "Environment variable that holds the memory service's key."),
    NUMBER(
        "memory-timeout-ms", memory_timeout_ms, "1000", 1, 60000, NULL,
        "How long the memory service is waited for; then the request goes on without."),
    NUMBER("memory-top-k", memory_top_k, "10", 1, 1000, NULL,
           "Most results that are taken (fast profile: 5)."),
    NUMBER("memory-token-budget", memory_token_budget, "1500", 1, 1000000, NULL,
           "Most tokens of results that are taken (fast profile: 800)."),
    NUMBER("memory-clip-sentences", memory_clip_sentences, "2", 0, 1000, NULL,
           "Sentences of each result, 0 = all (fast profile: 1)."),
    NUMBER("memory-min-score-percent", memory_min_score_percent, "70", 0, 100, NULL,
           "Results that are less relevant are left out (fast profile: 80)."),
};
const size_t worker_row_count = sizeof(worker_rows) / sizeof(worker_rows[0]);

bool worker_settings_providers(const struct worker_settings *settings,
                               struct providers *providers, struct buf *error)
{
    struct providers_environment environment = {
        .openai_api_key = getenv("OPENAI_API_KEY"),
        .llm_model = getenv("LLM_MODEL"),
        .llm_url = getenv("LLM_URL"),
    };
    struct buf text;
    struct buf why;

    if (settings->providers[0] == '\0')
        return providers_from_environment(providers, &environment, error);
    buf_init(&text, FILE_MAX_BYTES);
    buf_init(&why, 1024);
    bool is_good = file_read(settings->providers, &text);
    if (!is_good)
        (void)buf_puts(&why, text.failed ? "longer than 1 MB" : strerror(errno));
    else
        is_good = providers_parse(providers, buf_view(&text), &why);
    if (!is_good)
        (void)buf_printf(error, "--providers %s: %s", settings->providers,
                         buf_text(&why));
    buf_release(&text);
    buf_release(&why);
    return is_good;
}

struct telemetry *worker_settings_telemetry(const struct worker_settings *settings,
                                            struct counters *counters)
{
    if (!settings->telemetry || settings->telemetry_dir[0] == '\0')
        return NULL;
    return telemetry_new(
        &(struct telemetry_options){
            .dir = settings->telemetry_dir,
            .keep_days = settings->telemetry_keep_days,
            .day_bytes = settings->telemetry_day_bytes,
        },
        counters);
}

static struct memory_settings memory_of(const struct worker_settings *settings)
{
    bool has_key = settings->memory_key_env[0] != '\0';

    return (struct memory_settings){
        .url = settings->memory_url,
        .key = has_key ? getenv(settings->memory_key_env) : NULL,
        .timeout_ms = settings->memory_timeout_ms,
        .top_k = settings->memory_top_k,
        .token_budget = settings->memory_token_budget,
        .clip_sentences = settings->memory_clip_sentences,
        .min_score_percent = settings->memory_min_score_percent,
    };
}

void worker_settings_options(const struct worker_settings *settings,
                             struct worker_options *options)
{
    options->generation = (struct generation_settings){
        .judge = {.has_fallback = settings->fallback,
                  .routes_around_open = settings->route_around_open,
                  .max_retries = (unsigned)settings->max_retries,
                  .backoff_ms = settings->retry_backoff_ms,
                  .retry_total_ms = settings->retry_total_ms},
        .answer_limit_bytes = (size_t)settings->answer_limit_bytes,
        .system_prompt = settings->system_prompt,
        .memory = memory_of(settings),
    };
    options->max_generations = (size_t)settings->max_generations;
    options->lease_ms = settings->lease_ms;
}

void worker_settings_tell(const struct providers *providers)
{
    for (size_t i = 0; i < providers->provider_count; i++) {
        const struct provider *provider = &providers->providers[i];
        diag(DIAG_INFO, "provider", DIAG_S("name", provider->name),
             DIAG_S("api", provider->is_demo
                               ? "demo"
                               : provider_api_name((enum provider_api)provider->api)),
             DIAG_S("url", provider->is_demo ? "" : provider->url));
    }
    diag(DIAG_INFO, "worker ready", DIAG_S("default_model", providers->default_model));
}

bool worker_settings_check(const struct worker_settings *settings, struct buf *error)
{
    struct providers providers = {0};
    bool is_good = worker_settings_providers(settings, &providers, error);

    if (is_good)
        providers_release(&providers);
    return is_good;
}
