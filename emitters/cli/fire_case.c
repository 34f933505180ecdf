/* fire_case.c - the cases of the fire test: what is asked. */
/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "codec/json.h"
#include "emitters/cli/fire.h"

#define EARLIER_ANSWER_BYTES 2000

const char *const fire_paths[FIRE_PATHS] = {
    "/api/v2/chat/streaming/stream",
    "/api/streaming/stream",
};

static const char *const math[] = {
    "What is 17 + 25? Answer with the number alone.",
};
static const char *const reasoning[] = {
    "A bat and a ball cost 1.10 together; the bat costs 1.00 more than the ball. What "
    "does the ball cost? Explain in two sentences.",
};
static const char *const planning[] = {
    "Plan in at most five short steps how to move a small web service to a new server "
    "without an interruption.",
};
static const char *const autonomous[] = {
    "Find out how many days there are from 1 March to 15 April of one year, and check "
    "the result in another way. Answer in one sentence.",
};
static const char *const steps[] = {
    "Name three rivers of Europe. Answer with their names alone.",
    "Which of these is the longest? Answer with its name alone.",
    "Into which sea does that one flow? Answer in one short sentence.",
};

const struct fire_case fire_cases[FIRE_CASES] = {
    {"basic_math_chat", "chat", math, 1},
    {"reasoning_short", "chat", reasoning, 1},
    {"planning", "agent", planning, 1},
    {"long_context", "chat", NULL, 0},
    {"autonomous_simple", "autonomous", autonomous, 1},
    {"multi_step", "agent", steps, 3},
};

int fire_case_find(const char *name)
{
    for (size_t i = 0; i < FIRE_CASES; i++) {
        if (strcmp(fire_cases[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- long_context ---- */

static const size_t sizes[] = {4000, 8000, 12000};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static size_t size_of_step(size_t step, size_t limit_chars)
{
    if (step < SIZE_COUNT && sizes[step] < limit_chars)
        return sizes[step];
    return limit_chars;
}

size_t fire_case_steps(const struct fire_case *which, size_t limit_chars)
{
    size_t count = 0;

    if (which->asks != NULL)
        return which->ask_count;
    while (count < SIZE_COUNT && sizes[count] < limit_chars)
        count++;
    return count + 1;
}

static size_t length_of(const struct buf *text)
{
    return utf8_length(text->data, text->len);
}

/* Exactly `chars` code points: notes, and a question behind them. */
static void put_notes(struct buf *out, size_t chars)
{
    static const char head[] =
        "Here are notes from a weather station. A question follows them.\n";
    static const char question[] =
        "\nWhich note is the first one? Answer with its number alone.";
    size_t rest = chars - (sizeof(head) - 1) - (sizeof(question) - 1);
    struct buf note;

    buf_init(&note, 256);
    (void)buf_puts(out, head);
    for (unsigned number = 1;; number++) {
        buf_reset(&note);
        (void)buf_printf(&note,
                         "Note %u: %u °C in the shade, wind from the %s – calm.\n",
                         number, 10 + number % 15, number % 2 == 0 ? "west" : "süd");
        if (length_of(&note) > rest)
            break;
        rest -= length_of(&note);
        (void)buf_slice(out, buf_view(&note));
    }
    while (rest-- > 0)
        (void)buf_putc(out, '.');
    (void)buf_puts(out, question);
    buf_release(&note);
}

void fire_case_message(const struct fire_case *which, size_t step, size_t limit_chars,
                       struct buf *out)
{
    if (which->asks != NULL)
        (void)buf_puts(out, which->asks[step]);
    else
        put_notes(out, size_of_step(step, limit_chars));
}

/* ---- the body ---- */

static void put_member(struct buf *out, const char *name, struct slice text)
{
    (void)buf_printf(out, ",\"%s\":", name);
    (void)json_quote(out, text);
}

static void put_turn(struct buf *out, const char *role, struct slice text)
{
    (void)buf_printf(out, "{\"role\":\"%s\"", role);
    put_member(out, "content", text);
    (void)buf_putc(out, '}');
}

void fire_body(const struct fire_wish *wish, struct buf *out)
{
    (void)buf_printf(out, "{\"mode\":\"%s\"", wish->which->mode);
    if (wish->model[0] != '\0')
        put_member(out, "model", slice_of(wish->model));
    put_member(out, "conversation_id", slice_of(wish->conversation_id));
    if (wish->earlier.len == 0) {
        put_member(out, "message", wish->message);
    } else {
        (void)buf_puts(out, ",\"messages\":[");
        (void)buf_slice(out, wish->earlier);
        put_turn(out, "user", wish->message);
        (void)buf_putc(out, ']');
    }
    (void)buf_putc(out, '}');
}

void fire_earlier_add(struct buf *earlier, struct slice message, struct slice answer)
{
    if (answer.len > EARLIER_ANSWER_BYTES) {
        answer.ptr += answer.len - EARLIER_ANSWER_BYTES;
        answer.len = EARLIER_ANSWER_BYTES;
        /* Not in the middle of a character. */
        while (answer.len > 0 && ((unsigned char)answer.ptr[0] & 0xc0) == 0x80) {
            answer.ptr++;
            answer.len--;
        }
    }
    put_turn(earlier, "user", message);
    (void)buf_putc(earlier, ',');
    put_turn(earlier, "assistant", answer);
    (void)buf_putc(earlier, ',');
}
