/* test_dialect.c - one run in the words of other protocols, wherever a reader joins. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct dialect_run run = {{"t-1", 3}, 17, 5, {"m", 1}};

#define EVENT(type, rest) "{\"type\":\"" type "\"" rest "}"
#define DELTA(type, text) EVENT(type, ",\"text\":\"" text "\",\"partial\":true")
#define COMPLETION(text)  EVENT("completion", ",\"text\":\"" text "\",\"partial\":false")

static void tell(struct buf *out, struct dialect_state *state, const char *event)
{
    dialect_event(out, state, &run, slice_of(event));
}

/* Start, then each event, as one text. */
static void check(enum dialect_form form, unsigned options, const char *const *list,
                  const char *expected)
{
    struct dialect_state state;
    struct buf out;

    buf_init(&out, 100000);
    dialect_init(&state, form, options);
    dialect_start(&out, &state, &run);
    for (; *list != NULL; list++)
        tell(&out, &state, *list);
    assert_string_equal(buf_text(&out), expected);
    buf_release(&out);
}

static const char *const whole[] = {
    EVENT("queued", ""),
    DELTA("reasoning", "why\\n"),
    DELTA("text", "be\\\"c"),
    EVENT("usage", ",\"tokens_in\":5,\"tokens_out\":15,\"cost_usd\":0.00000975,"
                   "\"model\":\"gpt-4o-mini\""),
    EVENT("something", ",\"text\":\"no\""),
    COMPLETION("be\\\"c"),
    DELTA("text", "too late"),
    NULL,
};
static const char *const stopped[] = {DELTA("text", "a"),
                                      EVENT("stopped", ",\"length\":1"), NULL};
static const char *const failed[] = {
    DELTA("text", "a"),
    EVENT("error", ",\"code\":\"RATE_LIMIT\",\"message\":\"Over\\\"loaded\""), NULL};

#define CHUNK(choices)                                                                  \
    "data: {\"id\":\"chatcmpl-17\",\"object\":\"chat.completion.chunk\",\"created\":5," \
    "\"model\":\"m\",\"choices\":" choices
#define CHOICE(delta, finish)                                                          \
    "[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]"
#define ROLE CHUNK(CHOICE("{\"role\":\"assistant\",\"content\":\"\"}", "null"))
#define DONE "data: [DONE]\n\n"

static void openai_is_a_role_then_deltas_then_a_reason_then_done(void **state)
{
    (void)state;
    check(FORM_OPENAI, 0, whole,
          ROLE "}\n\n" CHUNK(CHOICE("{\"content\":\"be\\\"c\"}", "null")) "}\n\n" CHUNK(
              CHOICE("{}", "\"stop\"")) "}\n\n" DONE);
    check(FORM_OPENAI, 0, stopped,
          ROLE "}\n\n" CHUNK(CHOICE("{\"content\":\"a\"}", "null")) "}\n\n" CHUNK(
              CHOICE("{}", "\"stop\"")) "}\n\n" DONE);
}

static void openai_tells_usage_and_reasoning_to_who_asked(void **state)
{
    (void)state;
    check(
        FORM_OPENAI, DIALECT_USAGE | DIALECT_REASONING, whole,
        ROLE
        ",\"usage\":null}\n\n" CHUNK(CHOICE("{\"reasoning_content\":\"why\\n\"}", "null")) ",\"usage\":null}\n\n" CHUNK(
            CHOICE(
                "{\"content\":\"be\\\"c\"}",
                "null")) ",\"usage\":null}\n\n" CHUNK(CHOICE("{}",
                                                             "\"stop\"")) ",\"usage\":null}\n\n" CHUNK("[]") ",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":15,"
                                                                                                             "\"total_tokens\":20}}\n\n" DONE);
}

static void openai_says_an_error_and_nothing_after_it(void **state)
{
    (void)state;
    check(
        FORM_OPENAI, DIALECT_AGENT, failed,
        "data: {\"type\":\"acknowledgement\",\"choices\":[],\"task_id\":\"t-1\"}\n\n" ROLE
        "}\n\n" CHUNK(CHOICE(
            "{\"content\":\"a\"}",
            "null")) "}\n\n"
                     "data: {\"error\":{\"message\":\"Over\\\"loaded\",\"type\":\"server_error\","
                     "\"param\":null,\"code\":\"RATE_LIMIT\"}}\n\n");
}

static void an_agent_stream_acknowledges_first_and_says_it_all_last(void **state)
{
    static const char *const list[] = {
        DELTA("text", "a"),
        EVENT("completion", ",\"text\":\"a\",\"finish_reason\":\"length\""), NULL};

    (void)state;
    check(
        FORM_OPENAI, DIALECT_AGENT, list,
        "data: {\"type\":\"acknowledgement\",\"choices\":[],\"task_id\":\"t-1\"}\n\n" ROLE
        "}\n\n" CHUNK(CHOICE("{\"content\":\"a\"}", "null")) "}\n\n" CHUNK(CHOICE(
            "{}",
            "\"length\"")) "}\n\n"
                           "data: {\"type\":\"final_response\",\"choices\":[],\"text\":\"a\"}\n\n" DONE);
}

static void a_continued_stream_is_of_its_own_share(void **state)
{
    static const char *const list[] = {
        EVENT("continue_started", ",\"continuation_from_length\":7"),
        DELTA("text", "b"),
        EVENT("completion", ",\"text\":\"earlier bc\",\"run_text\":\"bc\""), NULL};

    (void)state;
    check(
        FORM_OPENAI, DIALECT_CONTINUED, list,
        "data: {\"type\":\"continue_started\",\"continuation_from_length\":7}\n\n" CHUNK(CHOICE(
            "{\"content\":\"b\"}",
            "null")) "}\n\n" CHUNK(CHOICE("{\"content\":\"c\"}",
                                          "null")) "}\n\n" CHUNK(CHOICE("{}",
                                                                        "\"stop\"")) "}\n\n" DONE);
}

static void chat_is_tokens_usage_and_done(void **state)
{
    (void)state;
    check(FORM_CHAT, 0, whole,
          ": Connected to chat stream\n\n"
          "event: token\ndata: {\"text\":\"be\\\"c\"}\n\n"
          "event: usage\ndata: {\"tokens_in\":5,\"tokens_out\":15,"
          "\"cost_usd\":0.00000975,\"model\":\"gpt-4o-mini\"}\n\n"
          "event: done\ndata: {\"finish_reason\":\"stop\"}\n\n");
    check(FORM_CHAT, 0, failed,
          ": Connected to chat stream\n\nevent: token\ndata: {\"text\":\"a\"}\n\n"
          "event: token\ndata: {\"text\":\"Over\\\"loaded\"}\n\n"
          "event: done\ndata: {\"finish_reason\":\"error\"}\n\n");
    check(FORM_CHAT, 0, stopped,
          ": Connected to chat stream\n\nevent: token\ndata: {\"text\":\"a\"}\n\n"
          "event: done\ndata: {\"finish_reason\":\"stop\"}\n\n");
}

#define AI(type, rest) "data: {\"type\":\"" type "\"" rest "}\n\n"
#define AI_START       AI("start", ",\"messageId\":\"msg-17\"") AI("start-step", "")

static void ai_sdk_opens_and_closes_each_part(void **state)
{
    static const char *const list[] = {DELTA("text", "a"), DELTA("reasoning", "r"),
                                       DELTA("text", "b"), DELTA("text", "c"),
                                       COMPLETION("abc"),  NULL};

    (void)state;
    check(FORM_AI_SDK, 0, list,
          AI_START AI("text-start", ",\"id\":\"t1\"")
              AI("text-delta", ",\"id\":\"t1\",\"delta\":\"a\"") AI(
                  "text-end", ",\"id\":\"t1\"") AI("reasoning-start", ",\"id\":\"r2\"")
                  AI("reasoning-delta", ",\"id\":\"r2\",\"delta\":\"r\"")
                      AI("reasoning-end", ",\"id\":\"r2\"")
                          AI("text-start", ",\"id\":\"t3\"")
                              AI("text-delta", ",\"id\":\"t3\",\"delta\":\"b\"")
                                  AI("text-delta", ",\"id\":\"t3\",\"delta\":\"c\"")
                                      AI("text-end", ",\"id\":\"t3\"")
                                          AI("finish-step", "") AI("finish", "") DONE);
}

static void ai_sdk_ends_by_abort_or_error(void **state)
{
    (void)state;
    check(FORM_AI_SDK, 0, stopped,
          AI_START AI("text-start", ",\"id\":\"t1\"")
              AI("text-delta", ",\"id\":\"t1\",\"delta\":\"a\"")
                  AI("text-end", ",\"id\":\"t1\"") AI("abort", "") DONE);
    check(FORM_AI_SDK, 0, failed,
          AI_START AI("text-start", ",\"id\":\"t1\"")
              AI("text-delta", ",\"id\":\"t1\",\"delta\":\"a\"")
                  AI("text-end", ",\"id\":\"t1\"")
                      AI("error", ",\"errorText\":\"Over\\\"loaded\"") DONE);
}

#define AG_RUN ",\"threadId\":\"t-1\",\"runId\":\"17\""

static void ag_ui_is_one_run_with_its_messages(void **state)
{
    (void)state;
    check(
        FORM_AG_UI, 0, whole,
        AI("RUN_STARTED", AG_RUN) AI("REASONING_START", ",\"messageId\":\"17-1\"") AI(
            "REASONING_MESSAGE_START", ",\"messageId\":\"17-1\",\"role\":\"reasoning\"")
            AI("REASONING_MESSAGE_CONTENT",
               ",\"messageId\":\"17-1\",\"delta\":\"why\\n\"")
                AI("REASONING_MESSAGE_END", ",\"messageId\":\"17-1\"")
                    AI("REASONING_END", ",\"messageId\":\"17-1\"") AI(
                        "TEXT_MESSAGE_START",
                        ",\"messageId\":\"17-2\",\"role\":\"assistant\"")
                        AI("TEXT_MESSAGE_CONTENT",
                           ",\"messageId\":\"17-2\",\"delta\":\"be\\\"c\"")
                            AI("CUSTOM",
                               ",\"name\":\"usage\",\"value\":{\"tokens_in\":5,\"tokens_out\":15}")
                                AI("TEXT_MESSAGE_END", ",\"messageId\":\"17-2\"")
                                    AI("RUN_FINISHED", AG_RUN));
    check(FORM_AG_UI, 0, failed,
          AI("RUN_STARTED", AG_RUN) AI("TEXT_MESSAGE_START",
                                       ",\"messageId\":\"17-1\",\"role\":\"assistant\"")
              AI("TEXT_MESSAGE_CONTENT", ",\"messageId\":\"17-1\",\"delta\":\"a\"")
                  AI("TEXT_MESSAGE_END", ",\"messageId\":\"17-1\"")
                      AI("RUN_ERROR",
                         ",\"message\":\"Over\\\"loaded\",\"code\":\"RATE_LIMIT\""));
    check(FORM_AG_UI, 0, stopped,
          AI("RUN_STARTED", AG_RUN)
              AI("TEXT_MESSAGE_START", ",\"messageId\":\"17-1\",\"role\":\"assistant\"")
                  AI("TEXT_MESSAGE_CONTENT", ",\"messageId\":\"17-1\",\"delta\":\"a\"")
                      AI("TEXT_MESSAGE_END", ",\"messageId\":\"17-1\"")
                          AI("CUSTOM", ",\"name\":\"stopped\",\"value\":{\"length\":1}")
                              AI("RUN_FINISHED", AG_RUN));
}

/* ---- joins and resyncs ---- */

static void a_snapshot_tells_only_what_is_missing(void **state)
{
    struct dialect_state reader;
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    dialect_init(&reader, FORM_CHAT, 0);
    dialect_snapshot(&out, &reader, &run, slice_of("why"), slice_of("\xc3\xa9\n"));
    assert_string_equal(buf_text(&out),
                        ": Connected to chat stream\n\n"
                        "event: token\ndata: {\"text\":\"\xc3\xa9\\n\"}\n\n");
    buf_reset(&out);
    tell(&out, &reader, DELTA("text", "\\u00e9"));
    buf_reset(&out);
    dialect_snapshot(&out, &reader, &run, slice_of(""), slice_of("\xc3\xa9\n\xc3\xa9"));
    assert_int_equal(out.len, 0);
    dialect_snapshot(&out, &reader, &run, slice_of(""),
                     slice_of("\xc3\xa9\n\xc3\xa9!"));
    assert_string_equal(buf_text(&out), "event: token\ndata: {\"text\":\"!\"}\n\n");
    assert_false(dialect_is_over(&reader));
    buf_release(&out);
}

static void a_text_that_is_another_one_ends_the_stream(void **state)
{
    static const char *const others[] = {"ab", "abd", "xbcd", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        struct dialect_state reader;
        struct buf out;
        buf_init(&out, 10000);
        dialect_init(&reader, FORM_AG_UI, 0);
        tell(&out, &reader, DELTA("text", "abc"));
        buf_reset(&out);
        dialect_snapshot(&out, &reader, &run, slice_of(""), slice_of(others[i]));
        assert_string_equal(buf_text(&out),
                            AI("TEXT_MESSAGE_END", ",\"messageId\":\"17-1\"")
                                AI("RUN_ERROR",
                                   ",\"message\":\"The answer has begun anew.\","
                                   "\"code\":\"SUPERSEDED\""));
        assert_true(dialect_is_over(&reader));
        buf_reset(&out);
        dialect_fail(&out, &reader, &run, "GONE", "gone");
        tell(&out, &reader, DELTA("text", "x"));
        assert_int_equal(out.len, 0);
        buf_release(&out);
    }
}

static void a_run_without_deltas_says_it_all_at_its_end(void **state)
{
    static const char *const list[] = {
        EVENT("completion", ",\"text\":\"a\\u00e9\",\"reasoning\":\"r\""), NULL};

    (void)state;
    check(FORM_AI_SDK, 0, list,
          AI_START AI("reasoning-start", ",\"id\":\"r1\"")
              AI("reasoning-delta", ",\"id\":\"r1\",\"delta\":\"r\"")
                  AI("reasoning-end", ",\"id\":\"r1\"")
                      AI("text-start", ",\"id\":\"t2\"")
                          AI("text-delta", ",\"id\":\"t2\",\"delta\":\"a\xc3\xa9\"")
                              AI("text-end", ",\"id\":\"t2\"") AI("finish-step", "")
                                  AI("finish", "") DONE);
}

static void an_end_may_carry_usage_for_late_readers(void **state)
{
    static const char *const list[] = {
        EVENT("completion", ",\"text\":\"\",\"tokens_in\":5,\"tokens_out\":7"), NULL};
    static const char *const twice[] = {
        EVENT("usage", ",\"tokens_in\":1,\"tokens_out\":2"),
        EVENT("completion", ",\"text\":\"\",\"tokens_in\":5"), NULL};

    static const char *const halted[] = {EVENT("stopped", ",\"tokens_in\":5"), NULL};

    (void)state;
    check(
        FORM_OPENAI, DIALECT_USAGE, list,
        ROLE
        ",\"usage\":null}\n\n" CHUNK(CHOICE("{}", "\"stop\"")) ",\"usage\":null}\n\n" CHUNK(
            "[]") ",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,"
                  "\"total_tokens\":12}}\n\n" DONE);
    check(FORM_CHAT, 0, halted,
          ": Connected to chat stream\n\n"
          "event: usage\ndata: {\"tokens_in\":5,\"tokens_out\":0,\"cost_usd\":0,"
          "\"model\":\"\"}\n\nevent: done\ndata: {\"finish_reason\":\"stop\"}\n\n");
    check(FORM_AG_UI, 0, twice,
          AI("RUN_STARTED", AG_RUN)
              AI("CUSTOM",
                 ",\"name\":\"usage\",\"value\":{\"tokens_in\":1,\"tokens_out\":2}")
                  AI("RUN_FINISHED", AG_RUN));
}

static void a_failure_that_is_no_event_ends_each_form(void **state)
{
    (void)state;
    for (unsigned form = 0; form < DIALECT_FORMS; form++) {
        struct dialect_state reader;
        struct buf out;
        buf_init(&out, 10000);
        dialect_init(&reader, (enum dialect_form)form, 0);
        dialect_fail(&out, &reader, &run, "GONE", "It is \"gone\".");
        assert_non_null(strstr(buf_text(&out), "It is \\\"gone\\\"."));
        assert_true(dialect_is_over(&reader));
        buf_release(&out);
    }
}

static void tool_calls_are_told_to_openai_alone(void **state)
{
    static const char *const list[] = {
        EVENT("tool_call", ",\"tool_calls\":[{\"index\":0}]"),
        EVENT("tool_call", ",\"tool_calls\":1"), EVENT("tool_call", ""),
        EVENT("completion", ",\"text\":\"\",\"finish_reason\":\"tool_calls\""), NULL};

    (void)state;
    check(FORM_OPENAI, 0, list,
          ROLE "}\n\n" CHUNK(CHOICE(
              "{\"tool_calls\":[{\"index\":0}]}",
              "null")) "}\n\n" CHUNK(CHOICE("{}", "\"tool_calls\"")) "}\n\n" DONE);
    check(FORM_AI_SDK, 0, list, AI_START AI("finish-step", "") AI("finish", "") DONE);
}

static void one_answer_is_a_chat_completion(void **state)
{
    struct dialect_answer answer = {.text = slice_of("a\n"),
                                    .reasoning = slice_of("r"),
                                    .finish_reason = "stop",
                                    .tokens_in = 5,
                                    .tokens_out = 7};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_true(dialect_openai_answer(&out, &run, &answer));
    assert_string_equal(
        buf_text(&out),
        "{\"id\":\"chatcmpl-17\",\"object\":\"chat.completion\",\"created\":5,"
        "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"a\\n\",\"refusal\":null,\"reasoning_content\":"
        "\"r\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
        "\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}");
    assert_true(json_check(buf_view(&out)));
    buf_reset(&out);
    answer = (struct dialect_answer){.tool_calls = slice_of("[{}]"),
                                     .finish_reason = "tool_calls"};
    assert_true(dialect_openai_answer(&out, &run, &answer));
    assert_non_null(strstr(buf_text(&out), "\"content\":null,\"refusal\":null,"
                                           "\"tool_calls\":[{}]}"));
    assert_true(json_check(buf_view(&out)));
    buf_reset(&out);
    assert_true(dialect_openai_error(&out, "server_error", "X", slice_of("a\"b")));
    assert_string_equal(buf_text(&out),
                        "{\"error\":{\"message\":\"a\\\"b\",\"type\":"
                        "\"server_error\",\"param\":null,\"code\":\"X\"}}");
    buf_release(&out);
    buf_init(&out, 10);
    assert_false(dialect_openai_answer(&out, &run, &answer));
    buf_release(&out);
}

static void a_form_is_known_by_its_name(void **state)
{
    enum dialect_form form = FORM_CHAT;

    (void)state;
    assert_true(dialect_form_of(slice_of("openai"), &form));
    assert_int_equal(form, FORM_OPENAI);
    assert_true(dialect_form_of(slice_of("chat"), &form));
    assert_int_equal(form, FORM_CHAT);
    assert_true(dialect_form_of(slice_of("ai-sdk"), &form));
    assert_int_equal(form, FORM_AI_SDK);
    assert_true(dialect_form_of(slice_of("ag-ui"), &form));
    assert_int_equal(form, FORM_AG_UI);
    assert_false(dialect_form_of(slice_of("native"), &form));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openai_is_a_role_then_deltas_then_a_reason_then_done),
        cmocka_unit_test(openai_tells_usage_and_reasoning_to_who_asked),
        cmocka_unit_test(openai_says_an_error_and_nothing_after_it),
        cmocka_unit_test(an_agent_stream_acknowledges_first_and_says_it_all_last),
        cmocka_unit_test(a_continued_stream_is_of_its_own_share),
        cmocka_unit_test(chat_is_tokens_usage_and_done),
        cmocka_unit_test(ai_sdk_opens_and_closes_each_part),
        cmocka_unit_test(ai_sdk_ends_by_abort_or_error),
        cmocka_unit_test(ag_ui_is_one_run_with_its_messages),
        cmocka_unit_test(a_snapshot_tells_only_what_is_missing),
        cmocka_unit_test(a_text_that_is_another_one_ends_the_stream),
        cmocka_unit_test(a_run_without_deltas_says_it_all_at_its_end),
        cmocka_unit_test(an_end_may_carry_usage_for_late_readers),
        cmocka_unit_test(a_failure_that_is_no_event_ends_each_form),
        cmocka_unit_test(tool_calls_are_told_to_openai_alone),
        cmocka_unit_test(one_answer_is_a_chat_completion),
        cmocka_unit_test(a_form_is_known_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
