/* emit.c - thinkwire emit: publish events from a command line or a pipe. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/emit.h"

#include "base/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

#define WORDS_LIMIT_BYTES (1U << 20)
#define FAR               "Where to"
#define WHAT              "What"
#define WAIT              "Waiting"

#define TEXT_ROW(row_name, field, preset, row_help, row_group)                         \
    {                                                                                  \
        .name = (row_name), .type = CONFIG_TEXT,                                       \
        .offset = offsetof(struct emit_options, field), .default_text = (preset),      \
        .help = (row_help), .group = (row_group)                                       \
    }
#define FLAG_ROW(row_name, field, row_help, row_group)                                 \
    {                                                                                  \
        .name = (row_name), .type = CONFIG_FLAG,                                       \
        .offset = offsetof(struct emit_options, field), .default_text = "off",         \
        .help = (row_help), .group = (row_group)                                       \
    }
#define MS_ROW(row_name, field, preset, row_help, row_group)                           \
    {                                                                                  \
        .name = (row_name), .type = CONFIG_U64,                                        \
        .offset = offsetof(struct emit_options, field), .default_text = (preset),      \
        .max = 86400000, .help = (row_help), .group = (row_group)                      \
    }

static const struct config_row rows[] = {
    TEXT_ROW("url", url, "redis://127.0.0.1:6379",
             "A Redis (redis://, redis+sentinel://, unix://) or a broker (http://, "
             "https://).",
             FAR),
    TEXT_ROW("redis", redis, "", "The same, for a Redis; wins over --url.", FAR),
    TEXT_ROW("http", http, "", "The same, for a broker; wins over --url.", FAR),
    TEXT_ROW("site", site, "", "The site (tenant) of the task.", FAR),
    TEXT_ROW("task", task, "", "The task id. Required.", FAR),
    TEXT_ROW("prefix", prefix, "tw", "Prefix of keys in Redis.", FAR),
    TEXT_ROW("token", token, "", "Bearer token for a broker that asks for one.", FAR),

    TEXT_ROW(
        "type", type, "",
        "reasoning, text, completion, status, error, stopped, queued, tool_call, or "
        "a type of your own. Default: text.",
        WHAT),
    TEXT_ROW("text", text, "", "The text, if it is not given as argument.", WHAT),
    TEXT_ROW("code", code, "ERROR", "Of --type error: its code.", WHAT),
    TEXT_ROW("json", json, "",
             "A JSON object: a whole event, or what an event of --type carries.", WHAT),
    FLAG_ROW("json-lines", json_lines, "Standard input is JSON, one event per line.",
             WHAT),
    FLAG_ROW("no-completion", no_completion,
             "At the end of standard input leave the run open, for others to go on.",
             WHAT),

    MS_ROW("window-ms", window_ms, "30",
           "The longest wait of a delta behind an unanswered publish; 0 = none.", WAIT),
    MS_ROW("connect-timeout-ms", connect_timeout_ms, "1000",
           "Give up when nobody is there for so long at the start.", WAIT),
    MS_ROW("timeout-ms", timeout_ms, "10000",
           "Give up when not all is acknowledged so long after the end.", WAIT),
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char intro[] =
    "Publishes events of a task. One event from the arguments:\n"
    "\n"
    "  thinkwire emit --task t1 --type reasoning \"Analyzing...\"\n"
    "  thinkwire emit --task t1 --type text \"Hello\"\n"
    "  thinkwire emit --task t1 --type tool_call --json '{\"tool\":\"grep\"}'\n"
    "  thinkwire emit --task t1 --type completion\n"
    "\n"
    "Such events join the run that is open, or open one; a completion without text carries "
    "all text so far. Or a whole run from standard input: each piece that comes is a delta, "
    "and its end the completion:\n"
    "\n"
    "  my-model | thinkwire emit --task t1\n"
    "  my-agent | thinkwire emit --task t1 --json-lines\n"
    "\n"
    "To a broker over HTTP, which needs no Redis:\n"
    "\n"
    "  thinkwire emit --http http://127.0.0.1:9000 --task t1 \"Hello\"\n"
    "  THINKWIRE_URL=http://127.0.0.1:9000 thinkwire emit --task t1 \"Hello\"\n"
    "\n"
    "Exit codes: 0 published, 2 malformed, 4 nobody is there, 5 refused.\n";

/* ---- exits ---- */

int emit_status(const struct emit *emit, enum thinkwire_status status)
{
    char words[160];
    switch (status) {
    case THINKWIRE_OK:
        return TOOL_OK;
    case THINKWIRE_TIMEOUT:
        if (thinkwire_trouble(emit->thinkwire, words, sizeof(words)) == 0)
            snprintf(words, sizeof(words), "no answer");
        return tool_fail("emit", TOOL_UNREACHABLE, "%s: not all was acknowledged: %s",
                         emit->shown.data, words);
    case THINKWIRE_ENDED:
        return tool_fail("emit", TOOL_REFUSED, "the run of task %s was ended meanwhile",
                         emit->options.task);
    case THINKWIRE_FENCED:
        return tool_fail("emit", TOOL_REFUSED,
                         "task %s belongs to another producer right now",
                         emit->options.task);
    case THINKWIRE_OVERFLOW:
    case THINKWIRE_REFUSED:
    case THINKWIRE_INVALID:
    case THINKWIRE_FORKED:
        break;
    }
    if (thinkwire_trouble(emit->thinkwire, words, sizeof(words)) != 0)
        return tool_fail("emit", TOOL_REFUSED, "%s: %s", emit->shown.data, words);
    return tool_fail("emit", TOOL_REFUSED, "%s", thinkwire_status_text(status));
}

/* ---- connecting ---- */

static void pause_ms(unsigned ms)
{
    struct timespec time = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&time, NULL);
}

static bool is_reachable(const struct emit *emit, char *words, size_t size)
{
    if (tool_is_http(emit->url))
        return broker_answers(emit, words, size);
    return thinkwire_trouble(emit->thinkwire, words, size) == 0;
}

/* The library waits in the background for ever; a person in front of a terminal should be
 * told soon. */
static int await_far(struct emit *emit)
{
    char words[160] = "no answer";
    uint64_t deadline = clock_mono_ms() + emit->options.connect_timeout_ms;
    while (!is_reachable(emit, words, sizeof(words))) {
        if (clock_mono_ms() >= deadline)
            return tool_fail(
                "emit", TOOL_UNREACHABLE,
                "nothing answers at %s (%s); start it, or name another with %s or "
                "THINKWIRE_URL",
                emit->shown.data, words,
                tool_is_http(emit->url) ? "--http" : "--redis");
        pause_ms(20);
    }
    return TOOL_OK;
}

/* Opens the connection and waits until somebody is there. TOOL_OK, or what to exit with. */
static int emit_connect(struct emit *emit)
{
    struct thinkwire_options options = THINKWIRE_OPTIONS_INIT;
    char error[160];
    struct buf bearer;
    options.prefix = emit->options.prefix;
    options.window_ms =
        emit->options.window_ms == 0 ? -1 : (int)emit->options.window_ms;
    buf_init(&bearer, 65536);
    buf_puts(&bearer, "Bearer ");
    buf_puts(&bearer, emit->options.token);
    if (emit->options.token[0] != 0)
        options.authorization = buf_text(&bearer);
    emit->thinkwire = thinkwire_connect(emit->url, &options, error, sizeof(error));
    buf_release(&bearer);
    if (emit->thinkwire == NULL)
        return tool_fail("emit", TOOL_USAGE, "%s", error);
    const struct emit_options *o = &emit->options;
    emit->run = emit->is_whole_run ? thinkwire_open(emit->thinkwire, o->site, o->task)
                                   : thinkwire_join(emit->thinkwire, o->site, o->task);
    return TOOL_OK;
}

int emit_finish(struct emit *emit)
{
    unsigned timeout_ms = (unsigned)emit->options.timeout_ms;
    return emit_status(emit, thinkwire_close(emit->run, timeout_ms));
}

/* ---- the command line ---- */

static void choose_mode(struct emit *emit)
{
    const struct emit_options *o = &emit->options;
    bool is_text = o->type[0] == 0 || strcmp(o->type, "text") == 0;
    bool is_spoken = is_text || strcmp(o->type, "reasoning") == 0;
    bool has_event = emit->has_words || o->json[0] != 0;
    emit->takes_input = o->json_lines || (!has_event && is_spoken);
    /* Reasoning alone is never all of a run. */
    emit->is_whole_run =
        emit->takes_input && !o->no_completion && (o->json_lines || is_text);
}

static int judge(const struct emit *emit)
{
    const struct emit_options *o = &emit->options;
    if (o->task[0] == 0)
        return tool_fail("emit", TOOL_USAGE,
                         "which task? give --task ID (thinkwire emit --help)");
    if (tool_check_task("emit", o->task) != TOOL_OK ||
        tool_check_site("emit", o->site) != TOOL_OK)
        return TOOL_USAGE;
    if (o->json_lines && (emit->has_words || o->json[0] != 0))
        return tool_fail(
            "emit", TOOL_USAGE,
            "--json-lines reads standard input; leave out text and --json");
    return TOOL_OK;
}

static void choose_url(struct emit *emit)
{
    const struct emit_options *o = &emit->options;
    emit->url = o->url;
    if (o->redis[0] != 0)
        emit->url = o->redis;
    if (o->http[0] != 0)
        emit->url = o->http;
    buf_init(&emit->shown, 4096);
    tool_shown_url(emit->url, &emit->shown);
    (void)buf_text(&emit->shown);
}

static void join_words(struct emit *emit, const struct config_list *positional)
{
    const char *text = emit->options.text;
    if (text[0] != 0)
        buf_puts(&emit->words, text);
    for (size_t i = 0; i < positional->count; i++) {
        if (emit->words.len > 0)
            buf_putc(&emit->words, ' ');
        buf_puts(&emit->words, positional->items[i]);
    }
    emit->has_words = text[0] != 0 || positional->count > 0;
}

static int emit_all(struct emit *emit)
{
    int code = judge(emit);
    if (code == TOOL_OK)
        code = emit_connect(emit);
    if (code == TOOL_OK)
        code = await_far(emit);
    if (code == TOOL_OK)
        code = emit->takes_input ? emit_input(emit) : emit_one(emit);
    (void)thinkwire_disconnect(emit->thinkwire, 0);
    return code;
}

int tool_emit(int argc, char **argv)
{
    struct emit emit = {.has_words = false};
    struct config_list positional = {NULL, 0};
    const struct config_request request = {
        .program = "thinkwire emit",
        .version = THINKWIRE_VERSION,
        .intro = intro,
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc,
        .argv = argv,
        .positional = &positional,
    };
    int code;
    if (!tool_config(&request, &emit.options, &code))
        goto out;
    buf_init(&emit.words, WORDS_LIMIT_BYTES);
    join_words(&emit, &positional);
    choose_url(&emit);
    choose_mode(&emit);
    code = emit_all(&emit);
    buf_release(&emit.words);
    buf_release(&emit.shown);
out:
    config_list_release(&positional);
    config_release(rows, ROW_COUNT, &emit.options);
    return code;
}
