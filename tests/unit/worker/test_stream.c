/* test_stream.c - streams of the three protocols, cut at every byte. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"
#include "transcript.h"

struct vector {
    enum provider_api api;
    const char *body;
    const char *told;
};

#define CHAT(delta)                                                                    \
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta "}]}\n\n"
#define STOP                                                                           \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE             "data: [DONE]\n\n"
#define RESP(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define COMPLETED                                                                      \
    RESP("response.completed",                                                         \
         ",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":5,"      \
         "\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens\":7,"         \
         "\"output_tokens_details\":{\"reasoning_tokens\":3}}}")
#define MESSAGE_STOP                                                                   \
    RESP("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},"                 \
                          "\"usage\":{\"output_tokens\":15}")                          \
    RESP("message_stop", "")

static const struct vector chat_vectors[] = {
    {API_CHAT,
     CHAT("{\"role\":\"assistant\",\"content\":\"\"}") CHAT("{\"content\":\"Hel\"}")
         CHAT("{\"content\":\"lo\"}") STOP
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":15,"
     "\"total_tokens\":20,\"completion_tokens_details\":{\"reasoning_tokens\":9},"
     "\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n" DONE,
     "M m\nT Hel\nT lo\nU 5 15 9 1\nD stop\n"},
    {API_CHAT, CHAT("{\"content\":\"x\"}") STOP, "M m\nT x\nD stop\n"},
    {API_CHAT,
     CHAT("{\"reasoning_content\":\"a\",\"content\":null}")
         CHAT("{\"reasoning\":\"b\",\"content\":\"\"}")
             CHAT("{\"reasoning_text\":\"c\"}") CHAT("{\"thinking\":\"d\"}") CHAT(
                 "{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"
                 "\"e\"},{\"summary\":\"f\"},1]}")
                 CHAT("{\"reasoning\":\"g\",\"reasoning_details\":[{\"text\":\"g\"}]}")
                     CHAT("{\"content\":\"x\"}") STOP DONE,
     "M m\nR a\nR b\nR c\nR d\nR e\nR f\nR g\nT x\nD stop\n"},
    {API_CHAT,
     CHAT("{\"content\":\"<th\"}") CHAT("{\"content\":\"ink>w\"}")
         CHAT("{\"content\":\"hy</\"}") CHAT("{\"content\":\"think>\\n\\nbe\"}")
             CHAT("{\"content\":\"cause\"}") STOP DONE,
     "M m\nR w\nR hy\nT be\nT cause\nD stop\n"},
    {API_CHAT,
     CHAT("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\","
          "\"text\":\"a\"}]},{\"type\":\"text\",\"text\":\"b\"}]}") STOP DONE,
     "M m\nR a\nT b\nD stop\n"},
    {API_CHAT,
     ": OPENROUTER PROCESSING\n\n: ping\n\n" CHAT(
         "{\"content\":\"x\"}") ": ping\n\n" STOP "\n\ndata: \n\ndata: [DONE] bye\n\n",
     "M m\nT x\nD stop\n"},
    {API_CHAT,
     CHAT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\"}]}") CHAT("{\"tool_calls\":[]}") CHAT(
         "{\"function_call\":{\"name\":\"f\"}}") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n" DONE,
     "M m\nC [{\"index\":0,\"id\":\"c1\"}]\nC {\"name\":\"f\"}\nD tool_calls\n"},
    {API_CHAT,
     "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}},{\"index\":0,"
     "\"delta\":{\"content\":\"mine\"},\"finish_reason\":\"length\"}]}\n\n" DONE,
     "T mine\nD length\n"},
    {API_CHAT,
     CHAT(
         "{\"refusal\":\"no\"}") "data: {\"choices\":[{\"finish_reason\":\"content_filter\"}]}\n\n" DONE,
     "M m\nT no\nD content_filter\n"},
    /* UTF-8 split across chunks of the body; a pair cut in two by the server */
    {API_CHAT, CHAT("{\"content\":\"\xf0\x9f\x92\xa1\xc3\xa9\"}") STOP DONE,
     "M m\nT \xf0\x9f\x92\xa1\xc3\xa9\nD stop\n"},
    {API_CHAT,
     CHAT("{\"content\":\"a\\ud83d\"}") CHAT("{\"content\":\"\\udca1b\"}")
         CHAT("{\"content\":\"c\\ud83d\"}") CHAT("{\"content\":\"d\\\\ud83d\"}")
             CHAT("{\"content\":\"e\\ud83d\"}") STOP DONE,
     "M m\nT a\nT \xf0\x9f\x92\xa1"
     "b\nT c\nT \xef\xbf\xbd"
     "d\\ud83d\nT e\n"
     "T \xef\xbf\xbd\nD stop\n"},
    {API_CHAT, CHAT("{\"content\":\"a\xff\"}") STOP, "M m\nT a\xef\xbf\xbd\nD stop\n"},
    /* line ends of all kinds, a byte order mark */
    {API_CHAT,
     "\xef\xbb\xbf"
     "data:{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\n"
     "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\r\rdata: [DONE]\r\n\r\n",
     "T x\nD stop\n"},
    /* a document where a stream was asked for */
    {API_CHAT,
     "\n {\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
     "\"reasoning_content\":\"r\",\"content\":\"x\"},\"finish_reason\":\"stop\"}],"
     "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n",
     "M m\nR r\nT x\nU 1 2 0 0\nD stop\n"},
};

static const struct vector responses_vectors[] = {
    {API_RESPONSES,
     RESP("response.created", ",\"response\":{\"model\":\"m\"},\"sequence_number\":0")
         RESP("response.in_progress", ",\"response\":{\"model\":\"m\"}")
             RESP("response.reasoning_summary_part.added", ",\"summary_index\":0") RESP(
                 "response.reasoning_summary_text.delta", ",\"delta\":\"a\"")
                 RESP("response.reasoning_summary_text.done", ",\"text\":\"a\"") RESP(
                     "response.reasoning_summary_part.added", ",\"summary_index\":1")
                     RESP("response.reasoning_text.delta", ",\"delta\":\"b\"")
                         RESP("response.content_part.added",
                              ",\"part\":{\"type\":\"output_text\"}")
                             RESP("response.output_text.delta",
                                  ",\"delta\":\"Hel\",\"obfuscation\":\"zz\"")
                                 RESP("response.output_text.delta", ",\"delta\":\"lo\"")
                                     RESP("response.output_text.done",
                                          ",\"text\":\"Hello\"")
                                         RESP("response.something_new",
                                              ",\"delta\":\"no\"") COMPLETED DONE,
     "M m\nR a\nR \\n\\n\nR b\nT Hel\nT lo\nU 5 7 3 2\nD stop\n"},
    {API_RESPONSES, /* no event names, no sequence numbers, no deltas */
     "data: {\"type\":\"response.output_text.done\",\"text\":\"x\"}\n\n" COMPLETED,
     "T x\nU 5 7 3 2\nD stop\n"},
    {API_RESPONSES, /* all of it in the last event */
     RESP(
         "response.completed",
         ",\"response\":{\"model\":\"m\",\"output\":[{\"type\":\"reasoning\",\"summary\":"
         "[{\"text\":\"r\"}]},{\"type\":\"message\",\"content\":[{\"type\":"
         "\"output_text\",\"text\":\"x\"},{\"type\":\"refusal\",\"refusal\":\"y\"}]}]}"),
     "M m\nR r\nT x\nT y\nD stop\n"},
    {API_RESPONSES,
     RESP("response.reasoning_text.delta", ",\"delta\":\"r\"")
         RESP("response.output_text.delta", ",\"delta\":\"<think>q</think>x\"") RESP(
             "response.incomplete",
             ",\"response\":{\"status\":\"incomplete\","
             "\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"output\":["
             "{\"type\":\"message\",\"content\":[{\"text\":\"again\"}]}]}"),
     "R r\nR q\nT x\nD length\n"},
    {API_RESPONSES,
     RESP("response.refusal.delta", ",\"delta\":\"no\"") RESP("response.refusal.done",
                                                              ",\"refusal\":\"no\"")
         RESP("response.incomplete",
              ",\"response\":{\"incomplete_details\":{\"reason\":\"content_filter\"}}"),
     "T no\nD content_filter\n"},
    {API_RESPONSES,
     RESP("response.output_item.added", ",\"item\":{\"type\":\"message\"}") RESP(
         "response.output_item.added", ",\"item\":{\"type\":\"function_call\"}")
         RESP("response.function_call_arguments.delta", ",\"delta\":\"{\"") COMPLETED,
     "C {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\"}}\n"
     "C {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}\n"
     "U 5 7 3 2\nD tool_calls\n"},
    {API_RESPONSES,
     "{\"model\":\"m\",\"status\":\"completed\",\"output\":[{\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\",\"text\":\"x\"}]}],\"usage\":"
     "{\"input_tokens\":1,\"output_tokens\":2}}",
     "M m\nT x\nU 1 2 0 0\nD stop\n"},
};

static const struct vector anthropic_vectors[] = {
    {API_ANTHROPIC,
     RESP("message_start",
          ",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":5,"
          "\"cache_read_input_tokens\":3,\"cache_creation_input_tokens\":2,"
          "\"output_tokens\":1}}")
         RESP("content_block_start",
              ",\"index\":0,\"content_block\":{\"type\":\"thinking\","
              "\"thinking\":\"\"}") RESP("ping", "")
             RESP("content_block_delta",
                  ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
                  "\"thinking\":\"why\"}")
                 RESP("content_block_delta", ",\"delta\":{\"type\":\"signature_delta\","
                                             "\"signature\":\"s\"}")
                     RESP("content_block_stop", ",\"index\":0")
                         RESP("content_block_start",
                              ",\"index\":1,\"content_block\":{\"type\":\"text\","
                              "\"text\":\"be\"}")
                             RESP("content_block_delta",
                                  ",\"index\":1,\"delta\":{\"type\":\"text_delta\","
                                  "\"text\":\"cause\"}")
                                 RESP("vault_opened", ",\"delta\":{\"text\":\"no\"}")
                                     MESSAGE_STOP,
     "M m\nR why\nT be\nT cause\nU 10 15 0 3\nD stop\n"},
    {API_ANTHROPIC,
     RESP("content_block_start", ",\"content_block\":{\"type\":\"tool_use\"}")
         RESP("content_block_delta", ",\"delta\":{\"type\":\"input_json_delta\","
                                     "\"partial_json\":\"{\"}")
             RESP("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"}")
                 RESP("message_stop", ""),
     "C {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\"}}\n"
     "C {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
     "\"partial_json\":\"{\"}}\nD tool_calls\n"},
    {API_ANTHROPIC,
     RESP("content_block_delta", ",\"delta\":{\"text\":\"x\"}")
         RESP("message_delta", ",\"delta\":{\"stop_reason\":\"max_tokens\"}")
             RESP("message_stop", ""),
     "T x\nD length\n"},
    {API_ANTHROPIC,
     "{\"type\":\"message\",\"model\":\"m\",\"content\":[{\"type\":\"thinking\","
     "\"thinking\":\"r\"},{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"tool_use\"}],"
     "\"stop_reason\":\"refusal\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}",
     "M m\nR r\nT x\nC {\"type\":\"tool_use\"}\nU 1 2 0 0\nD content_filter\n"},
};

static void check(const struct vector *vector)
{
    struct slice body = slice_of(vector->body);
    struct buf told;

    for (size_t piece = 0; piece < 9; piece++) {
        transcript_of(&told, vector->api, body, piece);
        assert_string_equal(buf_text(&told), vector->told);
        buf_release(&told);
    }
    for (size_t cut = 0; cut <= body.len; cut++) {
        transcript_of_cut(&told, vector->api, body, cut);
        assert_string_equal(buf_text(&told), vector->told);
        buf_release(&told);
    }
}

#define CHECK_ALL(vectors)                                                             \
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*(vectors)); i++)                  \
    check(&(vectors)[i])

static void chat_completions_are_read_however_they_are_cut(void **state)
{
    (void)state;
    CHECK_ALL(chat_vectors);
}

static void responses_are_read_however_they_are_cut(void **state)
{
    (void)state;
    CHECK_ALL(responses_vectors);
}

static void anthropic_messages_are_read_however_they_are_cut(void **state)
{
    (void)state;
    CHECK_ALL(anthropic_vectors);
}

/* The numbers are reproducible: a linear congruence, the seed in the message. */
static void random_pieces_make_no_difference(void **state)
{
    const struct vector *vector = &responses_vectors[0];
    struct slice body = slice_of(vector->body);
    uint32_t seed = 7;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct buf told;
        buf_init(&told, 10000);
        struct stream *stream =
            stream_new(vector->api, TRANSCRIPT_LIMIT, transcript_add, &told);
        for (size_t at = 0; at < body.len;) {
            seed = seed * 1664525u + 1013904223u;
            size_t len = 1 + (seed >> 16) % 50;
            len = len > body.len - at ? body.len - at : len;
            stream_feed(stream, slice_make(body.ptr + at, len));
            at += len;
        }
        stream_end(stream);
        assert_string_equal(buf_text(&told), vector->told);
        stream_free(stream);
        buf_release(&told);
    }
}

int test_stream(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_completions_are_read_however_they_are_cut),
        cmocka_unit_test(responses_are_read_however_they_are_cut),
        cmocka_unit_test(anthropic_messages_are_read_however_they_are_cut),
        cmocka_unit_test(random_pieces_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
