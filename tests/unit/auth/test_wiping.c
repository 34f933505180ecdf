/* test_wiping.c - no credential stays behind in memory that was given back. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <malloc.h>

#define SID    "f00dcafe-this-is-the-session-id"
#define TICKET "f00dcafe-this-is-the-bearer-token"
#define SHARED "f00dcafe-this-is-the-shared-secret"
#define MARK   "f00dcafe-"

/* The linker leads free() and realloc() of the house's own code here; libcurl's are out of
 * reach. Its copies, freed and handed out again to us, must not be taken for ours: what is
 * new in a block is cleared (calloc() does that by itself). */
static bool is_watching;
static unsigned left_behind;

/* The linker's names, not ours.
 * NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */
void __real_free(void *memory);
void *__real_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
void *__wrap_realloc(void *memory, size_t size);

static void look(void *memory)
{
    if (!is_watching || memory == NULL)
        return;
    if (memmem(memory, malloc_usable_size(memory), MARK, strlen(MARK)) != NULL)
        left_behind++;
}

void __wrap_free(void *memory)
{
    look(memory);
    __real_free(memory);
}

/* It may move, and leave the old place as it was. */
void *__wrap_realloc(void *memory, size_t size)
{
    size_t known = memory == NULL ? 0 : malloc_usable_size(memory);
    look(memory);
    char *block = __real_realloc(memory, size);
    size_t got = block == NULL ? 0 : malloc_usable_size(block);
    if (got > known)
        memset(block + known, 0, got - known);
    return block;
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static void fetch(void *ctx, void (*done)(void *done_ctx, struct slice secret),
                  void *done_ctx)
{
    (void)ctx;
    done(done_ctx, slice_of(SHARED));
}

static void watch(unsigned version, struct rig *rig)
{
    rig_start(rig, version, SYSTEM_USER);
    rig->options.secret = fetch;
    rig->options.task_method = "app.may_watch";
    left_behind = 0;
    is_watching = true;
}

static void assert_clean(struct rig *rig)
{
    auth_free(rig->auth);
    rig->auth = NULL;
    is_watching = false;
    assert_int_equal(left_behind, 0);
    rig_end(rig);
}

static void the_watch_itself_sees_what_is_left_behind(void **state)
{
    struct rig rig;
    (void)state;
    watch(15, &rig);
    struct buf buf;
    buf_init(&buf, 100);
    buf_puts(&buf, SID);
    buf_release(&buf);
    assert_int_equal(left_behind, 1);
    left_behind = 0;
    assert_clean(&rig);
}

static void answered_questions_leave_nothing(void **state)
{
    (void)state;
    for (unsigned version = 13; version <= 17; version++) {
        struct rig rig;
        struct reply reply = {0};
        watch(version, &rig);
        rig_who(&rig, "sid=" SID, NULL, &reply);
        rig_who(&rig, "sid=" SID, "Bearer " TICKET, &reply);
        rig_who(&rig, "sid=" SID, NULL, &reply); /* from memory */
        (void)rig_may(&rig, "sid=" SID, "ToDo", "x");
        (void)rig_may(&rig, "sid=" SID, NULL, "task");
        assert_clean(&rig);
    }
}

static void forgotten_answers_leave_nothing(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    watch(17, &rig);
    rig.options.cache_ms = 20;
    rig.options.max_cached = 2;
    rig_who(&rig, "sid=" SID "-1", NULL, &reply);
    rig_who(&rig, "sid=" SID "-2", NULL, &reply);
    rig_who(&rig, "sid=" SID "-3", NULL, &reply);
    rig_pass_ms(&rig, 60);
    assert_clean(&rig);
}

static void refused_questions_leave_nothing(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    struct reply busy = {0};
    (void)state;
    watch(17, &rig);
    rig.options.max_questions = 1;
    rig_say(&rig, 0, 500, "");
    rig_who(&rig, "sid=" SID, NULL, &reply);
    rig_who(&rig, NULL, "Bearer a\r\n" TICKET, &reply); /* cannot be sent */
    rig_say(&rig, 0, 0, NULL);
    rig_identify(&rig, "sid=" SID, NULL, &reply); /* is still waiting at the end */
    rig_identify(&rig, NULL, "Bearer " TICKET, &busy);
    assert_string_equal(busy.error, "Unauthorized");
    assert_clean(&rig);
}

int test_wiping(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_watch_itself_sees_what_is_left_behind),
        cmocka_unit_test(answered_questions_leave_nothing),
        cmocka_unit_test(forgotten_answers_leave_nothing),
        cmocka_unit_test(refused_questions_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
