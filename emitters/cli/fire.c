/* fire.c - thinkwire fire: the command line of the fire test. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/fire.h"

#include "base/clock.h"
#include "emitters/cli/tool.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#define NAME_LIMIT_BYTES 8192

#define ASKING "What is asked"
#define PASS   "What passes"
#define TEXT_ROW(row_name, field, preset, row_help, row_group)                         \
    {                                                                                  \
        .name = (row_name), .type = CONFIG_TEXT,                                       \
        .offset = offsetof(struct fire_options, field), .default_text = (preset),      \
        .help = (row_help), .group = (row_group)                                       \
    }
static const struct config_row rows[] = {
    TEXT_ROW("url", url, TOOL_BROKER_URL, "The broker, or the proxy before it.",
             ASKING),
    TEXT_ROW("site", site, "", "The site (tenant) that asks.", ASKING),
    TEXT_ROW("api-key", api_key, "",
             "Sent as X-API-Key. Other users of this machine see command lines: the "
             "environment keeps it from them.",
             ASKING),
    TEXT_ROW("token", token, "", "Sent as Authorization: Bearer. As --api-key.",
             ASKING),
    TEXT_ROW("model", model, "", "Default: the worker's.", ASKING),
    {.name = "case",
     .type = CONFIG_LIST,
     .offset = offsetof(struct fire_options, cases),
     .default_text = "",
     .help = "Only these of basic_math_chat, reasoning_short, planning, long_context, "
             "autonomous_simple, multi_step.",
     .group = ASKING},
    {.name = "max-message-chars",
     .type = CONFIG_U64,
     .offset = offsetof(struct fire_options, limit_chars),
     .default_text = "16000",
     .min = FIRE_LIMIT_MIN,
     .max = 16U << 20,
     .env_alias = "MAX_MESSAGE_LENGTH",
     .help = "The longest message that long_context sends, in characters: the broker's "
             "setting of the same name, up to which nothing may be refused.",
     .group = ASKING},
    {.name = "max-ttft-ms",
     .type = CONFIG_U64,
     .offset = offsetof(struct fire_options, first_limit_ms),
     .default_text = "2000",
     .min = 1,
     .max = 86400000,
     .help = "The average time to the first token must be below it.",
     .group = PASS},
    {.name = "timeout-ms",
     .type = CONFIG_U64,
     .offset = offsetof(struct fire_options, timeout_ms),
     .default_text = "120000",
     .min = 1,
     .max = 86400000,
     .help = "A request that has not ended by then has failed.",
     .group = PASS},
    TEXT_ROW(
        "report", report, "",
        "A folder, or a file that ends in .jsonl; \"none\" writes no report. "
        "Default: tests/e2e/_reports in Thinkwire's source tree, the current folder "
        "elsewhere.",
        "The report"),
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char intro[] =
    "Fire test: asks a running system (a broker with a worker, on any bus) real questions "
    "through its chat endpoints, as a client would, and judges the answers. Whatever model "
    "is configured is really asked: 22 short answers.\n"
    "\n"
    "  thinkwire fire\n"
    "  THINKWIRE_API_KEY=... thinkwire fire --url https://chat.example.com\n"
    "  thinkwire fire --case basic_math_chat --report /tmp\n"
    "\n"
    "Each case is asked on /api/v2/chat/streaming/stream and on /api/streaming/stream: "
    "basic_math_chat, reasoning_short, planning, long_context (messages of 4000, 8000, 12000 "
    "and --max-message-chars characters), autonomous_simple (mode autonomous), multi_step "
    "(three questions, each about the answer before).\n"
    "\n"
    "It passes when every answer streams at least one token, ends with a final_response that "
    "says what the tokens said and with [DONE], no message up to the limit is refused, and "
    "the average time to the first token is below --max-ttft-ms. Each failure is one line on "
    "standard error.\n"
    "\n"
    "The report chat_fire_test_<ISO time>.jsonl has a line for each request and a summary as "
    "its last; where it went is printed. It holds no text of any answer, no key and no "
    "token.\n"
    "\n"
    "Exit codes: 0 all passed, 1 something failed, 2 malformed or no report can be written, "
    "4 the broker is not there, 5 the key or token is refused.\n";

struct fire {
    struct fire_options options;
    struct fire_target target;
    struct buf shown_url;
    struct buf report_name;
};

static bool choose_cases(struct fire *fire)
{
    const struct config_list *wanted = &fire->options.cases;

    for (size_t i = 0; i < FIRE_CASES; i++)
        fire->target.is_chosen[i] = wanted->count == 0;
    for (size_t i = 0; i < wanted->count; i++) {
        int at = fire_case_find(wanted->items[i]);
        if (at < 0) {
            (void)tool_fail("fire", 0,
                            "there is no case \"%.40s\" (thinkwire fire --help)",
                            wanted->items[i]);
            return false;
        }
        fire->target.is_chosen[at] = true;
    }
    return true;
}

static bool open_report(struct fire *fire)
{
    struct fire_target *target = &fire->target;

    if (strcmp(fire->options.report, FIRE_NO_REPORT) == 0)
        return true;
    fire_file_name(fire->options.report, access(FIRE_TREE_FOLDER, F_OK) == 0,
                   clock_wall_ms(), &fire->report_name);
    target->report_name = buf_text(&fire->report_name);
    target->report = fire_file_open(target->report_name);
    if (target->report != NULL)
        return true;
    (void)tool_fail(
        "fire", 0,
        "the report %s cannot be written: %s; --report names another folder "
        "or file, --report none does without",
        target->report_name, strerror(errno));
    return false;
}

static bool prepare(struct fire *fire)
{
    struct fire_target *target = &fire->target;

    target->options = &fire->options;
    target->url = tool_broker_url(fire->options.url);
    if (target->url == NULL) {
        (void)tool_fail("fire", 0, "a broker is asked: --url http://host:port");
        return false;
    }
    tool_shown_url(target->url, &fire->shown_url);
    target->shown_url = buf_text(&fire->shown_url);
    return tool_check_site("fire", fire->options.site) == TOOL_OK &&
           choose_cases(fire) && open_report(fire);
}

int tool_fire(int argc, char **argv)
{
    struct fire fire = {0};
    const struct config_request request = {
        .program = "thinkwire fire",
        .version = THINKWIRE_VERSION,
        .intro = intro,
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc,
        .argv = argv,
    };
    int code = TOOL_OK;

    if (!tool_config(&request, &fire.options, &code))
        return code;
    buf_init(&fire.shown_url, NAME_LIMIT_BYTES);
    buf_init(&fire.report_name, NAME_LIMIT_BYTES);
    code = prepare(&fire) ? fire_drive(&fire.target) : TOOL_USAGE;
    if (fire.target.report != NULL)
        (void)fclose(fire.target.report);
    buf_release(&fire.shown_url);
    buf_release(&fire.report_name);
    config_release(rows, ROW_COUNT, &fire.options);
    return code;
}
