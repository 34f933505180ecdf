/* test_providers.c - the provider file: what it means, and what is wrong with it. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/prompt.h"
#include "emitters/worker/providers.h"

#include "tests.h"

#include <stdio.h>

static void parse_good(struct providers *providers, const char *text)
{
    struct buf error;

    buf_init(&error, 1000);
    *providers = (struct providers){0};
    if (!providers_parse(providers, slice_of(text), &error))
        fail_msg("%s", buf_text(&error));
    buf_release(&error);
}

static void assert_bad(const char *text, const char *words)
{
    struct providers providers = {0};
    struct buf error;

    buf_init(&error, 1000);
    assert_false(providers_parse(&providers, slice_of(text), &error));
    assert_string_equal(buf_text(&error), words);
    assert_null(providers.providers);
    assert_null(providers.default_model);
    buf_release(&error);
}

static void a_block_has_its_settings_and_defaults(void **state)
{
    struct providers providers;

    (void)state;
    parse_good(&providers,
               "# comment\r\n\nprovider a # here\n\turl  http://h:1/v1/ \n"
               "  key-env KEY\napi anthropic\nmodels x, y*\nidle-timeout-ms 7\n"
               "http2 off\nextra {\"a\":[1]}\n\nmodel x\nchain a\ndescription One two\n"
               "max-tokens 9\n");
    const struct provider *a = &providers.providers[0];
    assert_string_equal(a->name, "a");
    assert_string_equal(a->url, "http://h:1/v1");
    assert_string_equal(a->key_env, "KEY");
    assert_string_equal(a->key_file, "");
    assert_int_equal(a->api, API_ANTHROPIC);
    assert_int_equal(a->models.count, 2);
    assert_int_equal(a->idle_timeout_ms, 7);
    assert_int_equal(a->connect_timeout_ms, 5000);
    assert_int_equal(a->first_token_timeout_ms, 60000);
    assert_int_equal(a->total_timeout_ms, 600000);
    assert_int_equal(a->plain_timeout_ms, 30000);
    assert_int_equal(a->max_connections, 50);
    assert_int_equal(a->keep_alive_ms, 60000);
    assert_int_equal(a->breaker_failures, 5);
    assert_int_equal(a->breaker_cooldown_ms, 30000);
    assert_false(a->uses_http2);
    assert_true(a->wants_usage);
    assert_int_equal(a->max_tokens_name, PROMPT_MAX_TOKENS);
    assert_string_equal(a->extra, "{\"a\":[1]}");
    assert_string_equal(providers.models[0].description, "One two");
    assert_int_equal(providers.models[0].max_tokens, 9);
    assert_string_equal(providers.default_model, "x");
    providers_release(&providers);
}

#define A "provider a\nurl http://h\n"

static void each_fault_is_named_with_line_and_field(void **state)
{
    (void)state;
    assert_bad("", "there is no provider");
    assert_bad("hello world", "line 1: expected default-model, provider or model");
    assert_bad("default-model a b", "line 1: default-model: give a model's name");
    assert_bad("provider", "line 1: provider: give it a name");
    assert_bad(A "provider a\nurl http://h",
               "line 3: provider a: provider: this name was given before");
    assert_bad("provider a\napi soap", "line 2: provider a: api: give one of "
                                       "responses|chat|anthropic");
    assert_bad(A "nonsense 1", "line 3: provider a: no such line in this block");
    assert_bad(A "idle-timeout-ms 0",
               "line 3: provider a: idle-timeout-ms: give a whole number from 1 to "
               "86400000");
    assert_bad(A "http2 maybe", "line 3: provider a: http2: give on or off");
    assert_bad("\nprovider a\n", "line 2: provider a: url: give http://host/path or "
                                 "https://host/path, without a user, a password or a "
                                 "query");
    assert_bad("provider a\nurl http://h\ndemo on",
               "line 1: provider a: url: the demo has none");
    assert_bad(A "key-env X\nkey-file Y",
               "line 1: provider a: key-file: key-env was given too, only one of them "
               "can be");
    assert_bad(A "extra [1]", "line 1: provider a: extra: give a JSON object");
    assert_bad(A "extra {1}", "line 1: provider a: extra: give a JSON object");
    assert_bad(
        A "model m\ninput-cost-per-1k cheap",
        "line 3: model m: input-cost-per-1k: give a price in USD such as 0.00015");
    assert_bad(
        A "model m\noutput-cost-per-1k 1.0000000001",
        "line 3: model m: output-cost-per-1k: give a price in USD such as 0.0006");
    assert_bad(A "model m\nchain a, b",
               "line 3: model m: chain: no provider is called b");
    assert_bad(A "model m\nchain a,a,a,a,a,a,a,a,a",
               "line 3: model m: chain: at most 8 providers");
    assert_bad(A "model m\nmodel m",
               "line 4: model m: model: this name was given before");
    assert_bad(A, "default-model: name one, or give a model block");
    assert_bad("default-model z\n" A "models x", "default-model: no provider has it");
}

static void a_url_has_no_secrets(void **state)
{
    static const char *const urls[] = {"h/v1",         "ftp://h",      "http://",
                                       "http:///v1",   "http://u:p@h", "http://h/?k=1",
                                       "https://h/#x", "http://h /x"};

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        struct providers providers = {0};
        struct buf text;
        struct buf error;
        buf_init(&text, 1000);
        buf_init(&error, 1000);
        buf_printf(&text, "default-model m\nprovider a\nurl %s\n", urls[i]);
        assert_false(providers_parse(&providers, buf_view(&text), &error));
        assert_null(strstr(buf_text(&error), "u:p"));
        assert_null(strstr(buf_text(&error), "k=1"));
        buf_release(&text);
        buf_release(&error);
    }
}

static void assert_route(const struct providers *providers, const char *model,
                         const char *names)
{
    const struct provider *chain[CHAIN_MAX];
    struct buf got;
    size_t count = providers_route(providers, slice_of(model), chain);

    buf_init(&got, 1000);
    for (size_t i = 0; i < count; i++)
        buf_printf(&got, "%s%s", i > 0 ? " " : "", chain[i]->name);
    assert_string_equal(buf_text(&got), names);
    buf_release(&got);
}

static void a_model_is_asked_of_its_chain_or_of_who_has_it(void **state)
{
    struct providers providers;

    (void)state;
    parse_good(&providers, A "models gpt-*, special\nprovider b\nurl http://h\n"
                             "models gpt-4\nmodel gpt-5\nchain b, a\nmodel gpt-4\n");
    assert_string_equal(providers.default_model, "gpt-5");
    assert_route(&providers, "gpt-5", "b a");
    assert_route(&providers, "gpt-4", "a b");
    assert_route(&providers, "gpt-3", "a");
    assert_route(&providers, "special", "a");
    assert_route(&providers, "specials", "");
    assert_route(&providers, "gp", "");
    assert_route(&providers, "", "");
    providers_release(&providers);
}

static void the_cost_is_exact(void **state)
{
    struct providers providers;
    char cost[COST_SIZE];

    (void)state;
    parse_good(&providers, A "model m\ninput-cost-per-1k 0.00015\n"
                             "output-cost-per-1k 0.0006\nmodel free\n"
                             "input-cost-per-1k 0\noutput-cost-per-1k 0.0\n"
                             "model dear\ninput-cost-per-1k 1000\n"
                             "output-cost-per-1k 0.000000001\nmodel unknown\n");
    assert_true(model_cost(&providers.models[0], 5, 15, cost));
    assert_string_equal(cost, "0.00000975");
    assert_true(model_cost(&providers.models[0], 0, 0, cost));
    assert_string_equal(cost, "0");
    assert_true(model_cost(&providers.models[1], 5, 15, cost));
    assert_string_equal(cost, "0");
    assert_true(model_cost(&providers.models[2], 1000000000, 1, cost));
    assert_string_equal(cost, "1000000000.000000000001");
    assert_false(model_cost(&providers.models[2], 1000000001, 1, cost));
    assert_false(model_cost(&providers.models[3], 5, 15, cost));
    providers_release(&providers);
}

static void from_environment(struct providers *providers, const char *key,
                             const char *model, const char *url)
{
    struct providers_environment environment = {key, model, url};
    struct buf error;

    buf_init(&error, 1000);
    *providers = (struct providers){0};
    assert_true(providers_from_environment(providers, &environment, &error));
    assert_int_equal(error.len, 0);
    buf_release(&error);
}

static void the_environment_will_do_without_a_file(void **state)
{
    struct providers providers;
    char cost[COST_SIZE];

    (void)state;
    from_environment(&providers, "k", NULL, "");
    assert_string_equal(providers.providers[0].url, "https://api.openai.com/v1");
    assert_string_equal(providers.providers[0].key_env, "OPENAI_API_KEY");
    assert_int_equal(providers.providers[0].api, API_RESPONSES);
    assert_int_equal(providers.providers[0].max_tokens_name,
                     PROMPT_MAX_COMPLETION_TOKENS);
    assert_string_equal(providers.default_model, "gpt-4o-mini");
    assert_true(model_cost(&providers.models[0], 5, 15, cost));
    assert_string_equal(cost, "0.00000975");
    providers_release(&providers);

    from_environment(&providers, NULL, "llama3:8b", "http://h:1/v1/chat/completions");
    assert_string_equal(providers.providers[0].url, "http://h:1/v1");
    assert_string_equal(providers.providers[0].key_env, "");
    assert_int_equal(providers.providers[0].api, API_CHAT);
    assert_int_equal(providers.providers[0].max_tokens_name, PROMPT_MAX_TOKENS);
    assert_string_equal(providers.default_model, "llama3:8b");
    assert_route(&providers, "anything", "openai");
    providers_release(&providers);

    from_environment(&providers, "k", "o9",
                     "https://api.openai.com/v1/chat/completions");
    assert_int_equal(providers.providers[0].api, API_CHAT);
    assert_int_equal(providers.providers[0].max_tokens_name,
                     PROMPT_MAX_COMPLETION_TOKENS);
    providers_release(&providers);

    from_environment(&providers, "", "gpt-4o", NULL);
    assert_int_equal(providers.provider_count, 1);
    assert_true(providers.providers[0].is_demo);
    assert_string_equal(providers.default_model, "demo");
    providers_release(&providers);
}

static void a_broken_environment_is_told(void **state)
{
    static const struct providers_environment bad[] = {
        {"k", "a b", NULL}, {"k", NULL, "http://h\nprovider x"}, {"k", NULL, "h"}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct providers providers = {0};
        struct buf error;
        buf_init(&error, 1000);
        assert_false(providers_from_environment(&providers, &bad[i], &error));
        assert_true(error.len > 0);
        buf_release(&error);
    }
}

static void the_example_means_what_it_says(void **state)
{
    FILE *file = fopen(PROVIDERS_EXAMPLE, "re");
    struct providers providers;
    char text[8192];

    (void)state;
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    parse_good(&providers, text);
    assert_route(&providers, "gpt-4o-mini", "openai local");
    assert_route(&providers, "claude-x", "anthropic");
    assert_route(&providers, "demo", "demo");
    /* every line of the tables is in it, and with its default where it is a comment */
    for (size_t i = 0; i < provider_row_count; i++) {
        char line[200];
        const struct config_row *row = &provider_rows[i];
        (void)snprintf(line, sizeof(line), "# %s %s", row->name, row->default_text);
        bool is_default = row->type == CONFIG_U64 ||
                          (row->type == CONFIG_FLAG && strcmp(row->name, "demo") != 0);
        assert_non_null(strstr(text, is_default ? line : row->name));
    }
    for (size_t i = 0; i < model_row_count; i++)
        assert_non_null(strstr(text, model_rows[i].name));
    providers_release(&providers);
}

int test_providers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_has_its_settings_and_defaults),
        cmocka_unit_test(each_fault_is_named_with_line_and_field),
        cmocka_unit_test(a_url_has_no_secrets),
        cmocka_unit_test(a_model_is_asked_of_its_chain_or_of_who_has_it),
        cmocka_unit_test(the_cost_is_exact),
        cmocka_unit_test(the_environment_will_do_without_a_file),
        cmocka_unit_test(a_broken_environment_is_told),
        cmocka_unit_test(the_example_means_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
