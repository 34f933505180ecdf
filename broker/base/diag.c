/* diag.c - diagnostics: one line per event, a fixed phrase, then key=value. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"

#include "base/clock.h"
#include "base/quote.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

/* A value is cut here: names, addresses and reasons fit, a payload would not. */
#define VALUE_MAX_BYTES 512
#define LINE_MAX_BYTES  16384

static const char *const level_names[] = {"error", "warn", "info", "debug"};
#define LEVEL_COUNT (sizeof(level_names) / sizeof(level_names[0]))

/* The one global of the house: diagnostics must be possible from everywhere, also before
 * there is a broker. Set once at start, read afterwards. */
static enum diag_level max_level = DIAG_INFO;
static enum diag_format line_format = DIAG_TEXT;

void diag_setup(enum diag_level level, enum diag_format format)
{
    max_level = level;
    line_format = format;
}

bool diag_is_on(enum diag_level level)
{
    return level <= max_level;
}

bool diag_level_parse(const char *name, enum diag_level *level)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum diag_level)i;
            return true;
        }
    }
    return false;
}

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (c == '\0' || strchr("._:/@+,-*~#[]", c) == NULL))
            return false;
    }
    return text.len > 0;
}

static void put_value(struct buf *line, const struct diag_field *field)
{
    struct slice text = field->text;

    if (field->is_number) {
        buf_printf(line, "%" PRId64, field->number);
        return;
    }
    if (text.len > VALUE_MAX_BYTES)
        text.len = VALUE_MAX_BYTES;
    if (line_format == DIAG_TEXT && is_plain(text))
        buf_slice(line, text);
    else
        quote_json(line, text);
}

static void put_text_line(struct buf *line, enum diag_level level, const char *phrase,
                          const struct diag_field *fields, size_t count)
{
    buf_putc(line, ' ');
    buf_puts(line, level_names[level]);
    buf_putc(line, ' ');
    buf_puts(line, phrase);
    for (size_t i = 0; i < count; i++) {
        buf_putc(line, ' ');
        buf_puts(line, fields[i].key);
        buf_putc(line, '=');
        put_value(line, &fields[i]);
    }
}

static void put_json_line(struct buf *line, enum diag_level level, const char *phrase,
                          const struct diag_field *fields, size_t count)
{
    buf_puts(line, "\",\"level\":\"");
    buf_puts(line, level_names[level]);
    buf_puts(line, "\",\"message\":");
    quote_json(line, slice_of(phrase));
    for (size_t i = 0; i < count; i++) {
        buf_putc(line, ',');
        quote_json(line, slice_of(fields[i].key));
        buf_putc(line, ':');
        put_value(line, &fields[i]);
    }
    buf_putc(line, '}');
}

/* One write a line, so that the lines of several processes do not mix. */
static void write_all(struct slice text)
{
    while (text.len > 0) {
        ssize_t done = write(STDERR_FILENO, text.ptr, text.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* nowhere left to complain */
        text.ptr += done;
        text.len -= (size_t)done;
    }
}

void diag_line(enum diag_level level, const char *phrase,
               const struct diag_field *fields, size_t count)
{
    if (!diag_is_on(level))
        return;

    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_ms(), now);
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    if (line_format == DIAG_JSON) {
        buf_puts(&line, "{\"time\":\"");
        buf_puts(&line, now);
        put_json_line(&line, level, phrase, fields, count);
    } else {
        buf_puts(&line, now);
        put_text_line(&line, level, phrase, fields, count);
    }
    if (buf_putc(&line, '\n'))
        write_all(buf_view(&line));
    else
        diag_say(DIAG_WARN, "diagnostic line too long, dropped");
    buf_release(&line);
}

void diag_say(enum diag_level level, const char *phrase)
{
    diag_line(level, phrase, NULL, 0);
}

bool diag_gate_pass(struct diag_gate *gate, uint32_t burst, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;

    if (gate->second != second) {
        gate->second = second;
        gate->passed = 0;
    }
    if (gate->passed < burst) {
        gate->passed++;
        return true;
    }
    if (gate->suppressed < UINT32_MAX)
        gate->suppressed++;
    return false;
}
