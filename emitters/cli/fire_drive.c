/* fire_drive.c - the fire test under way: one request after the other. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/utf8.h"
#include "emitters/cli/fire.h"
#include "emitters/cli/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#define BODY_LIMIT_BYTES    (64U << 20)
#define LINE_LIMIT_BYTES    65536
#define WHY_LIMIT_BYTES     4096
#define EARLIER_LIMIT_BYTES (1U << 20)

struct drive {
    const struct fire_target *target;
    const struct fire_options *options;
    struct loop *loop;
    struct http_client *client;
    struct fire_ask *ask;
    /* The request in flight, or the next one. */
    size_t at_case;
    size_t at_path;
    size_t at_step;
    struct buf message;
    struct buf earlier;
    char conversation[32];
    struct fire_sum row; /* of this case on this path */
    /* Of all of them. */
    struct fire_sum sum;
    uint64_t not_made;
    uint64_t slowest_ms;
    const char *slowest_case;
    const char *slowest_path;
    bool is_report_broken;
    int exit_code;
};

/* ---- which request is next ---- */

static const struct fire_case *case_of(const struct drive *drive)
{
    return &fire_cases[drive->at_case];
}

static size_t steps_of(const struct drive *drive)
{
    return fire_case_steps(case_of(drive), drive->options->limit_chars);
}

static bool is_over(const struct drive *drive)
{
    return drive->at_case == FIRE_CASES;
}

static void skip_unchosen(struct drive *drive)
{
    while (!is_over(drive) && !drive->target->is_chosen[drive->at_case])
        drive->at_case++;
}

/* The next path of the case, or the next case. */
static void end_row(struct drive *drive)
{
    fire_table_row(stdout, case_of(drive), fire_paths[drive->at_path], &drive->row);
    (void)fflush(stdout);
    drive->row = (struct fire_sum){0};
    buf_reset(&drive->earlier);
    drive->at_step = 0;
    if (++drive->at_path < FIRE_PATHS)
        return;
    drive->at_path = 0;
    drive->at_case++;
    skip_unchosen(drive);
}

/* How many requests are still to come, this one not counted. */
static uint64_t left(const struct drive *drive)
{
    uint64_t count = 0;

    for (size_t i = drive->at_case; i < FIRE_CASES; i++) {
        if (drive->target->is_chosen[i])
            count += FIRE_PATHS *
                     fire_case_steps(&fire_cases[i], drive->options->limit_chars);
    }
    return count - drive->at_path * steps_of(drive) - drive->at_step - 1;
}

/* ---- the report ---- */

static void report_line(struct drive *drive, const struct buf *line)
{
    FILE *report = drive->target->report;

    if (report == NULL || drive->is_report_broken)
        return;
    drive->is_report_broken =
        fwrite(line->data, 1, line->len, report) != line->len || fflush(report) != 0;
    if (drive->is_report_broken)
        drive->exit_code = tool_fail("fire", TOOL_RUN_FAILED,
                                     "the report breaks off: %s", strerror(errno));
}

static void report_request(struct drive *drive, const struct fire_result *result)
{
    struct buf line;

    buf_init(&line, LINE_LIMIT_BYTES);
    fire_report_request(&line, result, drive->options->model);
    report_line(drive, &line);
    buf_release(&line);
}

static void report_summary(struct drive *drive, bool is_good)
{
    struct fire_summary summary = {
        .at_ms = clock_wall_ms(),
        .url = drive->target->shown_url,
        .sum = drive->sum,
        .not_made = drive->not_made,
        .first_limit_ms = drive->options->first_limit_ms,
        .is_good = is_good,
    };
    struct buf line;

    buf_init(&line, LINE_LIMIT_BYTES);
    fire_report_summary(&line, &summary);
    report_line(drive, &line);
    buf_release(&line);
}

/* ---- one request ---- */

static void tell_failure(struct drive *drive, const struct fire_result *result)
{
    struct buf words;

    buf_init(&words, WHY_LIMIT_BYTES);
    (void)buf_printf(&words, "%s on %s", result->which->name, result->path);
    if (result->which->asks == NULL)
        (void)buf_printf(&words, ", a message of %zu characters", result->chars);
    else if (steps_of(drive) > 1)
        (void)buf_printf(&words, ", step %zu", result->step + 1);
    (void)tool_fail("fire", 0, "%s: %.*s", buf_text(&words), (int)result->failure.len,
                    result->failure.ptr);
    buf_release(&words);
}

static int code_of(const struct fire_result *result)
{
    if (result->status == 401 || result->status == 403)
        return TOOL_REFUSED;
    if (result->outcome == HTTP_CLIENT_NO_CONNECT)
        return TOOL_UNREACHABLE;
    return result->outcome == HTTP_CLIENT_REFUSED ? TOOL_USAGE : TOOL_RUN_FAILED;
}

static void take_slowest(struct drive *drive, const struct fire_result *result)
{
    if (!result->has_first || result->first_ms < drive->slowest_ms)
        return;
    drive->slowest_ms = result->first_ms;
    drive->slowest_case = result->which->name;
    drive->slowest_path = result->path;
}

static void count(struct drive *drive, struct fire_result *result)
{
    struct buf why;

    buf_init(&why, WHY_LIMIT_BYTES);
    (void)fire_judge(result, &why);
    result->failure = buf_view(&why);
    fire_sum_add(&drive->row, result);
    fire_sum_add(&drive->sum, result);
    take_slowest(drive, result);
    if (why.len > 0) {
        tell_failure(drive, result);
        drive->exit_code = code_of(result);
    }
    report_request(drive, result);
    buf_release(&why);
}

static void ask_next(struct drive *drive);

static void on_over(void *ctx, struct fire_result *result)
{
    struct drive *drive = ctx;
    bool is_last;

    drive->ask = NULL;
    result->which = case_of(drive);
    result->path = fire_paths[drive->at_path];
    result->step = drive->at_step;
    result->chars = utf8_length(drive->message.data, drive->message.len);
    count(drive, result);
    if (fire_is_hopeless(result)) {
        drive->not_made += left(drive);
        end_row(drive);
        loop_stop(drive->loop);
        return;
    }
    is_last = drive->at_step + 1 == steps_of(drive);
    if (!is_last && result->which->asks != NULL && drive->row.failed > 0) {
        drive->not_made +=
            steps_of(drive) - drive->at_step - 1; /* they need this answer */
        is_last = true;
    }
    if (result->which->asks != NULL)
        fire_earlier_add(&drive->earlier, buf_view(&drive->message),
                         buf_view(&result->answer->said));
    drive->at_step++;
    if (is_last)
        end_row(drive);
    ask_next(drive);
}

static void start(struct drive *drive, struct slice body)
{
    struct buf url;
    struct buf key;
    struct buf bearer;
    const char *headers[4] = {"Content-Type: application/json",
                              "Accept: text/event-stream"};
    size_t header_count = 2;

    buf_init(&url, 8192);
    buf_init(&key, 65536);
    buf_init(&bearer, 65536);
    (void)buf_printf(&url, "%s%s", drive->target->url, fire_paths[drive->at_path]);
    if (drive->options->site[0] != '\0')
        (void)buf_printf(&url, "?site=%s", drive->options->site);
    (void)buf_printf(&key, "X-API-Key: %s", drive->options->api_key);
    (void)buf_printf(&bearer, "Authorization: Bearer %s", drive->options->token);
    if (drive->options->api_key[0] != '\0')
        headers[header_count++] = buf_text(&key);
    if (drive->options->token[0] != '\0')
        headers[header_count++] = buf_text(&bearer);
    const struct fire_ask_options options = {
        .loop = drive->loop,
        .client = drive->client,
        .url = buf_text(&url),
        .headers = headers,
        .header_count = header_count,
        .body = body,
        .timeout_ms = drive->options->timeout_ms,
        .on_over = on_over,
        .ctx = drive,
    };
    drive->ask = fire_ask_start(&options);
    buf_release(&url);
    buf_release(&key);
    buf_release(&bearer);
}

static void ask_next(struct drive *drive)
{
    struct buf body;

    if (is_over(drive)) {
        loop_stop(drive->loop);
        return;
    }
    if (drive->at_step == 0)
        (void)snprintf(drive->conversation, sizeof(drive->conversation), "fire-%08x",
                       random_below(UINT32_MAX));
    buf_init(&body, BODY_LIMIT_BYTES);
    buf_reset(&drive->message);
    fire_case_message(case_of(drive), drive->at_step, drive->options->limit_chars,
                      &drive->message);
    const struct fire_wish wish = {
        .which = case_of(drive),
        .message = buf_view(&drive->message),
        .earlier =
            case_of(drive)->asks == NULL ? slice_of("") : buf_view(&drive->earlier),
        .model = drive->options->model,
        .conversation_id = drive->conversation,
    };
    fire_body(&wish, &body);
    start(drive, buf_view(&body));
    buf_release(&body);
}

/* ---- all of them ---- */

static void on_signal(void *ctx, int signum)
{
    struct drive *drive = ctx;

    (void)signum;
    fire_ask_cancel(drive->ask);
    drive->ask = NULL;
    drive->not_made += left(drive) + 1;
    drive->exit_code = TOOL_INTERRUPTED;
    loop_stop(drive->loop);
}

static bool is_too_slow(struct drive *drive)
{
    uint64_t average = fire_sum_first_ms(&drive->sum);

    if (drive->sum.firsts == 0 || average < drive->options->first_limit_ms)
        return false;
    (void)tool_fail("fire", 0,
                    "the average time to the first token is %" PRIu64
                    " ms, not below %" PRIu64 " ms; slowest: %s on %s, %" PRIu64 " ms",
                    average, drive->options->first_limit_ms, drive->slowest_case,
                    drive->slowest_path, drive->slowest_ms);
    return true;
}

static void conclude(struct drive *drive)
{
    const struct fire_sum *sum = &drive->sum;

    if (is_too_slow(drive) && drive->exit_code == TOOL_OK)
        drive->exit_code = TOOL_RUN_FAILED;
    report_summary(drive, drive->exit_code == TOOL_OK);
    printf("\n%" PRIu64 " of %" PRIu64 " requests passed", sum->requests - sum->failed,
           sum->requests);
    if (drive->not_made > 0)
        printf(", %" PRIu64 " were not made", drive->not_made);
    if (sum->firsts > 0)
        printf("; average time to the first token %" PRIu64 " ms (limit %" PRIu64
               " ms)",
               fire_sum_first_ms(sum), drive->options->first_limit_ms);
    printf(".\n");
    if (drive->target->report != NULL)
        printf("Report: %s\n", drive->target->report_name);
    printf("%s\n", drive->exit_code == TOOL_OK ? "PASSED" : "FAILED");
}

int fire_drive(const struct fire_target *target)
{
    struct drive drive = {.target = target, .options = target->options};

    drive.loop = loop_new();
    drive.client = http_client_new(drive.loop, NULL);
    buf_init(&drive.message, BODY_LIMIT_BYTES);
    buf_init(&drive.earlier, EARLIER_LIMIT_BYTES);
    loop_on_signal(drive.loop, SIGINT, on_signal, &drive);
    loop_on_signal(drive.loop, SIGTERM, on_signal, &drive);
    printf("%s\n\n", target->shown_url);
    fire_table_head(stdout);
    (void)fflush(stdout);
    skip_unchosen(&drive);
    ask_next(&drive);
    loop_run(drive.loop);
    conclude(&drive);
    http_client_free(drive.client);
    loop_free(drive.loop);
    buf_release(&drive.message);
    buf_release(&drive.earlier);
    return drive.exit_code;
}
