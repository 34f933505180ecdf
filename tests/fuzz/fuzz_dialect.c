/* fuzz_dialect.c - dialects: whatever happens in whatever order, the stream is valid. */
/* SPDX-License-Identifier: MIT */
#include "codec/dialect.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "fuzz.h"

/* What a client of the form has seen: its grammar, and the text it holds. */
struct client {
    enum dialect_form form;
    struct buf text;
    char open[80]; /* id of the part that is open, raw, with 't' or 'r' before it */
    bool has_begun;
    bool is_over;
};

struct word {
    const char *type;
    char act; /* ( open, ) close, + delta, b begin, e end, - anything within */
};

static const struct word words[] = {
    {"start", 'b'},
    {"start-step", '-'},
    {"text-start", '('},
    {"text-delta", '+'},
    {"text-end", ')'},
    {"reasoning-start", '('},
    {"reasoning-delta", '+'},
    {"reasoning-end", ')'},
    {"finish-step", '-'},
    {"finish", 'f'},
    {"abort", 'f'},
    {"error", 'f'},
    {"RUN_STARTED", 'b'},
    {"RUN_FINISHED", 'e'},
    {"RUN_ERROR", 'e'},
    {"CUSTOM", '-'},
    {"TEXT_MESSAGE_START", '('},
    {"TEXT_MESSAGE_CONTENT", '+'},
    {"TEXT_MESSAGE_END", ')'},
    {"REASONING_START", '-'},
    {"REASONING_MESSAGE_START", '('},
    {"REASONING_MESSAGE_CONTENT", '+'},
    {"REASONING_MESSAGE_END", ')'},
    {"REASONING_END", '-'},
};

static struct slice text_of(struct slice object, const char *key)
{
    struct json_member member;

    must(json_get(object, key, &member) && member.kind == JSON_STRING);
    return json_string_raw(member.value);
}

static const struct word *word_of(struct slice type)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (json_raw_is(type, words[i].type))
            return &words[i];
    }
    abort();
}

static void see_part(struct client *client, const struct word *word,
                     struct slice object)
{
    struct slice id = text_of(object, client->form == FORM_AI_SDK ? "id" : "messageId");
    bool is_text = word->type[0] == 't' || word->type[0] == 'T';
    char name[80];

    must(id.len > 0 && id.len < sizeof(name) - 2);
    name[0] = is_text ? 't' : 'r';
    memcpy(name + 1, id.ptr, id.len);
    name[id.len + 1] = '\0';
    if (word->act == '(') {
        must(client->open[0] == '\0');
        memcpy(client->open, name, sizeof(name));
        return;
    }
    must(strcmp(client->open, name) == 0);
    if (word->act == ')')
        client->open[0] = '\0';
    else if (is_text)
        json_unescape(&client->text, text_of(object, "delta"));
}

static void see_word(struct client *client, struct slice object)
{
    const struct word *word = word_of(text_of(object, "type"));

    must((word->act == 'b') != client->has_begun);
    client->has_begun = true;
    if (strchr("(+)", word->act) != NULL)
        see_part(client, word, object);
    else if (word->act != '-')
        must(client->open[0] == '\0');
    if (word->act == 'e')
        client->is_over = true;
}

static void see_chunk(struct client *client, struct slice object)
{
    struct json_member choices;
    struct json_member choice;
    struct json_member delta;
    struct json_member content;
    size_t at = 0;

    if (!json_get(object, "choices", &choices)) {
        client->is_over = json_get(object, "error", &choices);
        return;
    }
    if (!json_next(choices.value, &at, &choice))
        return;
    must(json_get(choice.value, "delta", &delta));
    must(json_get(delta.value, "role", &content) == !client->has_begun);
    client->has_begun = true;
    if (json_get(delta.value, "content", &content))
        json_unescape(&client->text, json_string_raw(content.value));
}

static void see(void *ctx, const struct sse_message *message)
{
    struct client *client = ctx;

    must(!client->is_over);
    if (slice_is(message->data, "[DONE]")) {
        must(client->form == FORM_OPENAI || client->form == FORM_AI_SDK);
        client->is_over = true;
        return;
    }
    must(json_check(message->data));
    if (client->form == FORM_CHAT) {
        client->is_over = slice_is(message->event, "done");
        if (slice_is(message->event, "token"))
            json_unescape(&client->text, text_of(message->data, "text"));
        return;
    }
    must(slice_is(message->event, "message"));
    if (client->form == FORM_OPENAI)
        see_chunk(client, message->data);
    else
        see_word(client, message->data);
}

/* One reader and the run it reads. */
struct play {
    struct dialect_state reader;
    struct buf out;
    struct buf reasoning;
    struct buf text;
    bool has_ended; /* with the text that the reader must have */
};

static const struct dialect_run run = {{"t", 1}, 7, 1, {"m", 1}};

static void emit(struct play *play, const char *type, struct slice utf8, bool is_heard)
{
    struct buf event;

    buf_init(&event, utf8.len * 6 + 100);
    buf_printf(&event, "{\"type\":\"%s\",\"text\":", type);
    json_quote(&event, utf8);
    buf_puts(&event, "}");
    if (is_heard)
        dialect_event(&play->out, &play->reader, &run, buf_view(&event));
    buf_release(&event);
}

static void resync(struct play *play)
{
    dialect_snapshot(&play->out, &play->reader, &run, buf_view(&play->reasoning),
                     buf_view(&play->text));
}

static void step(struct play *play, uint8_t command, struct slice piece, bool *is_lost)
{
    bool is_reasoning = (command & 1) != 0;
    struct buf *kept = is_reasoning ? &play->reasoning : &play->text;

    switch (command >> 1 & 7) {
    case 0:
        resync(play);
        *is_lost = false;
        return;
    case 1:
        *is_lost = true; /* the reader misses what comes until it is resynchronised */
        return;
    case 2:
        dialect_event(&play->out, &play->reader, &run,
                      slice_of("{\"type\":\"usage\",\"tokens_in\":1}"));
        return;
    default:
        break;
    }
    buf_slice(kept, piece);
    emit(play, is_reasoning ? "reasoning" : "text", piece, !*is_lost);
}

static void end(struct play *play, uint8_t command)
{
    play->has_ended = dialect_is_over(&play->reader) ? false : command % 3 != 2;
    resync(play);
    if (command % 3 == 0)
        emit(play, "completion", buf_view(&play->text), true);
    else if (command % 3 == 1)
        dialect_event(&play->out, &play->reader, &run,
                      slice_of("{\"type\":\"stopped\",\"length\":1}"));
    else
        dialect_fail(&play->out, &play->reader, &run, "GONE", "g");
    must(dialect_is_over(&play->reader));
}

static void look(const struct play *play, enum dialect_form form)
{
    struct client client = {.form = form};
    struct sse_parser *parser = sse_parser_new(play->out.len + 1, see, &client);

    buf_init(&client.text, play->out.len + 1);
    sse_parser_feed(parser, buf_view(&play->out));
    must(sse_parser_dropped(parser) == 0);
    must(client.is_over && client.open[0] == '\0');
    if (play->has_ended)
        must(slice_equal(buf_view(&client.text), buf_view(&play->text)));
    sse_parser_free(parser);
    buf_release(&client.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.has_ended = false};
    bool is_lost = false;

    if (size < 2)
        return 0;
    enum dialect_form form = (enum dialect_form)(data[0] % DIALECT_FORMS);
    buf_init(&play.out, size * 1000 + 10000);
    buf_init(&play.reasoning, size * 10);
    buf_init(&play.text, size * 10);
    dialect_init(&play.reader, form, 0);
    if (data[1] % 2 == 0)
        dialect_start(&play.out, &play.reader, &run);
    for (size_t at = 2; at < size; at++) {
        static const char pieces[] = "a\n\"\x7f z";
        char piece[3] = {pieces[data[at] >> 5 & 3], pieces[data[at] >> 6], 0};
        step(&play, data[at], slice_of(piece), &is_lost);
    }
    end(&play, data[1]);
    must(!play.out.failed);
    look(&play, form);
    buf_release(&play.out);
    buf_release(&play.reasoning);
    buf_release(&play.text);
    return 0;
}
