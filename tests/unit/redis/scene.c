/* scene.c - a private Redis and a loop that runs until something has happened. */
/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 30000

static void on_pump(struct timer *timer)
{
    struct scene *scene = LIST_ENTRY(timer, struct scene, pump);

    if (scene->is_over(scene->is_over_ctx) ||
        loop_now_ms(scene->loop) >= scene->deadline_ms)
        loop_stop(scene->loop);
}

static void run(struct scene *scene, bool (*is_over)(void *ctx), void *ctx, uint64_t ms)
{
    scene->is_over = is_over;
    scene->is_over_ctx = ctx;
    timer_start(&scene->pump, 0, 1);
    scene->deadline_ms = loop_now_ms(scene->loop) + ms;
    loop_run(scene->loop);
    timer_stop(&scene->pump);
}

void scene_until(struct scene *scene, bool (*is_over)(void *ctx), void *ctx)
{
    run(scene, is_over, ctx, PATIENCE_MS);
    assert_true(is_over(ctx));
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

void scene_until_flag(struct scene *scene, bool *flag)
{
    scene_until(scene, is_set, flag);
}

struct count_wait {
    const unsigned *count;
    unsigned wanted;
};

static bool is_counted(void *ctx)
{
    struct count_wait *wait = ctx;
    return *wait->count >= wait->wanted;
}

void scene_until_count(struct scene *scene, const unsigned *count, unsigned wanted)
{
    struct count_wait wait = {count, wanted};
    scene_until(scene, is_counted, &wait);
}

static bool is_never(void *ctx)
{
    (void)ctx;
    return false;
}

void scene_idle(struct scene *scene, uint64_t ms)
{
    run(scene, is_never, NULL, ms);
}

/* ---- the second connection ---- */

static void flatten(struct scene *scene, const struct reply *reply)
{
    if (reply_kind(reply) == REPLY_LIST) {
        for (size_t i = 0; i < reply_count(reply); i++)
            flatten(scene, reply_at(reply, i));
        return;
    }
    if (scene->answer_count++ > 0)
        buf_putc(&scene->answer, '|');
    if (reply_kind(reply) == REPLY_NUMBER)
        buf_u64(&scene->answer, reply_u64(reply));
    else
        buf_slice(&scene->answer, reply_text(reply));
}

static void on_asked(void *ctx, const struct reply *reply)
{
    struct scene *scene = ctx;

    scene->has_answer = true;
    if (reply == NULL) {
        buf_puts(&scene->answer, "(lost)");
        return;
    }
    scene->answer_number = reply_u64(reply);
    flatten(scene, reply);
}

static bool is_admin_up(void *ctx)
{
    struct scene *scene = ctx;
    return link_is_up(scene->admin);
}

static const char *ask(struct scene *scene, const struct slice *argv, size_t argc)
{
    scene_until(scene, is_admin_up, scene);
    buf_reset(&scene->answer);
    scene->answer_count = 0;
    scene->has_answer = false;
    link_command(scene->admin, argv, argc, on_asked, scene);
    scene_until_flag(scene, &scene->has_answer);
    return buf_text(&scene->answer);
}

bool next_part(struct slice *rest, char mark, struct slice *part)
{
    while (rest->len > 0 && rest->ptr[0] == mark)
        *rest = slice_make(rest->ptr + 1, rest->len - 1);
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, mark, rest->len);
    *part = slice_make(rest->ptr, end == NULL ? rest->len : (size_t)(end - rest->ptr));
    *rest = slice_make(rest->ptr + part->len, rest->len - part->len);
    return part->len > 0;
}

const char *scene_ask(struct scene *scene, const char *format, ...)
{
    char text[4096];
    struct slice argv[32];
    size_t argc = 0;
    struct slice rest;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    rest = slice_of(text);
    while (argc < 32 && next_part(&rest, ' ', &argv[argc]))
        argc++;
    return ask(scene, argv, argc);
}

const char *scene_ask_words(struct scene *scene, ...)
{
    struct slice argv[32];
    size_t argc = 0;
    va_list args;

    va_start(args, scene);
    for (const char *word; argc < 32 && (word = va_arg(args, const char *)) != NULL;)
        argv[argc++] = slice_of(word);
    va_end(args);
    return ask(scene, argv, argc);
}

/* ---- life ---- */

int scene_new(void **state)
{
    struct scene *scene = mem_new(sizeof(*scene));
    struct link_options options = {
        .name = "admin", .is_quiet = true, .backoff_max_ms = 50};

    diag_setup(DIAG_ERROR, DIAG_TEXT);
    *state = scene;
    scene->loop = loop_new();
    timer_init(&scene->pump, scene->loop, on_pump);
    buf_init(&scene->answer, 1 << 20);
    private_redis_start(&scene->redis);
    scene->admin = link_new(scene->loop, scene->redis.url, &options, &scene->answer);
    assert_non_null(scene->admin);
    return 0;
}

int scene_free(void **state)
{
    struct scene *scene = *state;

    link_free(scene->admin);
    timer_release(&scene->pump);
    loop_free(scene->loop);
    buf_release(&scene->answer);
    private_redis_release(&scene->redis);
    free(scene);
    return 0;
}

int scene_clean(void **state)
{
    struct scene *scene = *state;

    if (scene->redis.pid == 0)
        private_redis_start(&scene->redis);
    assert_string_equal(scene_ask(scene, "FLUSHALL"), "OK");
    return 0;
}
