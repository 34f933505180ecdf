/* tail_view.c - how a task looks on a terminal, and without one. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define DIM   "\033[2m"
#define PLAIN "\033[0m"
/* From the cursor to the end of the screen. */
#define CLEAR_BELOW "\033[J"

void view_init(struct view *view, bool only_text)
{
    *view = (struct view){.only_text = only_text, .at_line_start = true};
    view->is_terminal = isatty(STDOUT_FILENO) == 1;
}

/* What others wrote must not steer this terminal. */
static void put_clean(const struct view *view, struct slice utf8)
{
    if (utf8.len > 0 && !view->is_terminal) {
        fwrite(utf8.ptr, 1, utf8.len, stdout);
        return;
    }
    for (size_t i = 0; i < utf8.len; i++) {
        unsigned char c = (unsigned char)utf8.ptr[i];
        bool is_c1 =
            c == 0xC2 && i + 1 < utf8.len && (unsigned char)utf8.ptr[i + 1] < 0xA0;
        if (is_c1)
            i++;
        if (is_c1 || c == 0x7F || (c < ' ' && c != '\n' && c != '\t'))
            fputs("\xEF\xBF\xBD", stdout);
        else
            putchar(c);
    }
}

void view_no_thinking(struct view *view)
{
    if (view->has_status)
        fputs(CLEAR_BELOW, stdout);
    view->has_status = false;
    fflush(stdout);
}

/* Down one line and up again makes room below without leaving the column; the line is
 * written there, and the cursor comes back to where the text ends. */
void view_thinking(struct view *view, uint64_t seconds)
{
    if (!view->is_terminal || view->only_text)
        return;
    if (view->at_line_start)
        printf("\0337" CLEAR_BELOW "💡 Thinking %" PRIu64 "s\0338", seconds);
    else
        printf(CLEAR_BELOW "\033D\033[A\0337\r\n💡 Thinking %" PRIu64 "s\0338", seconds);
    view->has_status = true;
    fflush(stdout);
}

static void start_line(struct view *view)
{
    if (!view->at_line_start)
        putchar('\n');
    view->at_line_start = true;
}

void view_say(struct view *view, enum event_type type, struct slice utf8)
{
    bool is_dim = type == EVENT_REASONING && view->is_terminal;
    if (utf8.len == 0 || (view->only_text && type != EVENT_TEXT))
        return;
    view_no_thinking(view);
    if (view->last != type && view->last != EVENT_OTHER) {
        start_line(view);
        putchar('\n'); /* an empty line between reasoning and text */
    }
    if (is_dim)
        fputs(DIM, stdout);
    put_clean(view, utf8);
    if (is_dim)
        fputs(PLAIN, stdout);
    view->last = type;
    view->at_line_start = utf8.ptr[utf8.len - 1] == '\n';
    fflush(stdout);
}

void view_note(struct view *view, const char *mark, struct slice words)
{
    if (view->only_text)
        return;
    view_no_thinking(view);
    start_line(view);
    if (view->is_terminal)
        fputs(DIM, stdout);
    fputs(mark, stdout);
    if (words.len > 0)
        putchar(' ');
    put_clean(view, words);
    if (view->is_terminal)
        fputs(PLAIN, stdout);
    putchar('\n');
    fflush(stdout);
}

void view_end(struct view *view)
{
    view_no_thinking(view);
    start_line(view);
    fflush(stdout);
}
