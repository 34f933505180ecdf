/* test_prompt.c - request bodies for the three APIs. */
/* SPDX-License-Identifier: MIT */
#include "emitters/worker/prompt.h"

#include "codec/json.h"
#include "emitters/worker/cut.h"
#include "tests.h"

#include <stdio.h>

static void assert_body(const struct prompt *prompt,
                        const struct prompt_options *options, const char *expected)
{
    struct buf out;

    buf_init(&out, 10000);
    assert_true(prompt_body(&out, prompt, options));
    assert_string_equal(buf_text(&out), expected);
    assert_true(json_check(buf_view(&out)));
    buf_release(&out);
}

static void texts_are_escaped_for_each_api(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {.api = API_CHAT,
                                     .model = slice_of("m\"1"),
                                     .is_stream = true,
                                     .wants_usage = true};

    (void)state;
    prompt_add(&prompt, "system", slice_of("be \"good\""));
    prompt_add(&prompt, "user", slice_of("a\nb\xc3\xa9"));
    assert_body(&prompt, &options,
                "{\"model\":\"m\\\"1\",\"stream\":true,\"stream_options\":"
                "{\"include_usage\":true},\"messages\":[{\"role\":\"system\","
                "\"content\":\"be \\\"good\\\"\"},{\"role\":\"user\",\"content\":"
                "\"a\\nb\xc3\xa9\"}]}");
    options.api = API_RESPONSES;
    options.max_tokens = 9;
    options.temperature = slice_of("0.7");
    assert_body(&prompt, &options,
                "{\"model\":\"m\\\"1\",\"stream\":true,\"max_output_tokens\":9,"
                "\"temperature\":0.7,\"input\":[{\"role\":\"system\",\"content\":"
                "\"be \\\"good\\\"\"},{\"role\":\"user\",\"content\":"
                "\"a\\nb\xc3\xa9\"}]}");
    options.api = API_ANTHROPIC;
    options.is_stream = false;
    options.max_tokens = 0;
    assert_body(&prompt, &options,
                "{\"model\":\"m\\\"1\",\"stream\":false,\"max_tokens\":4096,"
                "\"temperature\":0.7,\"system\":\"be \\\"good\\\"\",\"messages\":["
                "{\"role\":\"user\",\"content\":\"a\\nb\xc3\xa9\"}]}");
    prompt_release(&prompt);
}

static void chat_calls_the_longest_answer_as_its_provider_does(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {
        .api = API_CHAT,
        .model = slice_of("m"),
        .max_tokens = 9,
        .client_extra = slice_of("{\"max_tokens\":7,\"max_completion_tokens\""
                                 ":7}")};

    (void)state;
    prompt_add(&prompt, "user", slice_of("q"));
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"max_tokens\":9,\"messages\":"
                "[{\"role\":\"user\",\"content\":\"q\"}]}");
    options.max_tokens_name = PROMPT_MAX_COMPLETION_TOKENS;
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"max_completion_tokens\":9,"
                "\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    /* The other two have one name each, whatever it is called here. */
    options.api = API_RESPONSES;
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"max_output_tokens\":9,"
                "\"input\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    options.api = API_ANTHROPIC;
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"max_tokens\":9,\"messages\":"
                "[{\"role\":\"user\",\"content\":\"q\"}]}");
    prompt_release(&prompt);
}

static void a_continuation_has_its_four_parts_in_order(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {.api = API_CHAT, .model = slice_of("m")};
    char expected[2000];

    (void)state;
    prompt_add(&prompt, "system", slice_of("S"));
    prompt_add(&prompt, "user", slice_of("original"));
    assert_false(prompt_continue(&prompt, slice_of("- one\n- tw"), 0));
    (void)snprintf(
        expected, sizeof(expected),
        "{\"model\":\"m\",\"stream\":false,\"messages\":[{\"role\":\"system\","
        "\"content\":\"S\"},{\"role\":\"user\",\"content\":\"original\"},"
        "{\"role\":\"assistant\",\"content\":\"- one\\n- tw\"},{\"role\":"
        "\"system\",\"content\":\"%s\"}]}",
        cut_instruction(CUT_LIST));
    assert_body(&prompt, &options, expected);
    options.api =
        API_ANTHROPIC; /* the instruction is a user's: nothing else may be last */
    (void)snprintf(
        expected, sizeof(expected),
        "{\"model\":\"m\",\"stream\":false,\"max_tokens\":4096,\"system\":\"S\","
        "\"messages\":[{\"role\":\"user\",\"content\":\"original\"},"
        "{\"role\":\"assistant\",\"content\":\"- one\\n- tw\"},{\"role\":"
        "\"user\",\"content\":\"%s\"}]}",
        cut_instruction(CUT_LIST));
    assert_body(&prompt, &options, expected);
    prompt_release(&prompt);
}

static void a_long_partial_is_shortened_and_said_so(void **state)
{
    struct prompt prompt = {0};

    (void)state;
    assert_true(prompt_continue(&prompt, slice_of("```\nabcdef"), 3));
    assert_true(slice_is(prompt.messages[0].text, "def"));
    /* the shape is that of the whole */
    assert_true(slice_is(prompt.messages[1].text, cut_instruction(CUT_CODE)));
    prompt_release(&prompt);
    assert_false(prompt_continue(&prompt, slice_of("abc"), 3));
    prompt_release(&prompt);
}

#define CLIENT                                                                            \
    "[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"a\\\"\"},"          \
    "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"name\":\"n\",\"content\":" \
    "[{\"type\":\"text\",\"text\":\"q\"},{\"type\":\"image_url\"}]},{\"role\":"           \
    "\"assistant\",\"content\":null,\"tool_calls\":[]},{\"role\":\"assistant\","          \
    "\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},{\"role\":\"tool\",\"content\":"   \
    "\"t\"}]"

static void a_client_s_messages_go_untouched_to_chat_completions(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {.api = API_CHAT, .model = slice_of("m")};
    struct buf error;

    (void)state;
    buf_init(&error, 100);
    assert_true(prompt_read(&prompt, slice_of(CLIENT), &error));
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"messages\":" CLIENT "}");
    options.api = API_RESPONSES;
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"input\":[{\"role\":\"system\","
                "\"content\":[{\"type\":\"input_text\",\"text\":\"a\\\"\"},{\"type\":"
                "\"input_text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":[{"
                "\"type\":\"input_text\",\"text\":\"q\"},{\"type\":\"image_url\"}]},{"
                "\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"assistant\","
                "\"content\":[{\"type\":\"output_text\",\"text\":\"r\"}]},{\"role\":"
                "\"user\",\"content\":\"t\"}]}");
    options.api = API_ANTHROPIC;
    struct buf out;
    buf_init(&out, 10000);
    assert_true(prompt_body(&out, &prompt, &options));
    assert_non_null(strstr(buf_text(&out), "\"system\":\"a\\\"b\",\"messages\":[{"
                                           "\"role\":\"user\""));
    assert_true(json_check(buf_view(&out)));
    buf_release(&out);
    buf_release(&error);
    prompt_release(&prompt);
}

static void a_faulty_message_is_named_and_nothing_added(void **state)
{
    static const struct {
        const char *messages;
        const char *field;
    } rows[] = {
        {"{}", "messages"},
        {"[]", "messages"},
        {"[1]", "messages[0]"},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"content\":\"a\"}]",
         "messages[1].role"},
        {"[{\"role\":\"king\",\"content\":\"a\"}]", "messages[0].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":1}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "messages[0].content"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct prompt prompt = {0};
        struct buf error;
        buf_init(&error, 100);
        assert_false(prompt_read(&prompt, slice_of(rows[i].messages), &error));
        assert_string_equal(buf_text(&error), rows[i].field);
        assert_int_equal(prompt.count, 0);
        prompt_release(&prompt);
        buf_release(&error);
    }
}

static void too_many_messages_are_refused(void **state)
{
    struct prompt prompt = {0};
    struct buf list;
    struct buf error;

    (void)state;
    buf_init(&list, 100000);
    buf_init(&error, 100);
    buf_puts(&list, "[{\"role\":\"user\",\"content\":\"a\"}");
    for (unsigned i = 0; i < PROMPT_MAX_MESSAGES; i++)
        buf_puts(&list, ",{\"role\":\"user\",\"content\":\"a\"}");
    buf_puts(&list, "]");
    assert_false(prompt_read(&prompt, buf_view(&list), &error));
    assert_string_equal(buf_text(&error), "messages[1000]");
    prompt_release(&prompt);
    buf_release(&list);
    buf_release(&error);
}

static void extras_are_added_but_never_double_a_member(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {
        .api = API_CHAT,
        .model = slice_of("m"),
        .extra = slice_of("{\"top_p\":1,\"model\":\"other\",\"store\":false}"),
        .client_extra = slice_of("{ \"top_p\":2, \"stop\":[\"x\"],\"stream\":true,"
                                 "\"messages\":[]}"),
    };

    (void)state;
    prompt_add(&prompt, "user", slice_of("q"));
    assert_body(&prompt, &options,
                "{\"model\":\"m\",\"stream\":false,\"messages\":[{\"role\":\"user\","
                "\"content\":\"q\"}],\"top_p\":1,\"store\":false,\"stop\":[\"x\"]}");
    prompt_release(&prompt);
}

static void a_body_that_does_not_fit_is_told(void **state)
{
    struct prompt prompt = {0};
    struct prompt_options options = {.api = API_CHAT, .model = slice_of("m")};
    struct buf out;

    (void)state;
    buf_init(&out, 20);
    prompt_add(&prompt, "user", slice_of("too long"));
    assert_false(prompt_body(&out, &prompt, &options));
    buf_release(&out);
    prompt_release(&prompt);
    assert_string_equal(prompt_path(API_RESPONSES), "/responses");
    assert_string_equal(prompt_path(API_CHAT), "/chat/completions");
    assert_string_equal(prompt_path(API_ANTHROPIC), "/messages");
}

int test_prompt(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped_for_each_api),
        cmocka_unit_test(chat_calls_the_longest_answer_as_its_provider_does),
        cmocka_unit_test(a_continuation_has_its_four_parts_in_order),
        cmocka_unit_test(a_long_partial_is_shortened_and_said_so),
        cmocka_unit_test(a_client_s_messages_go_untouched_to_chat_completions),
        cmocka_unit_test(a_faulty_message_is_named_and_nothing_added),
        cmocka_unit_test(too_many_messages_are_refused),
        cmocka_unit_test(extras_are_added_but_never_double_a_member),
        cmocka_unit_test(a_body_that_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
