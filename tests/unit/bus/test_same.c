/* test_same.c - the memory bus answers as the scripts do, whatever it is asked. */
/* SPDX-License-Identifier: MIT */
#include "tests.h"

#include <stdio.h>
#include <string.h>

enum { STEPS = 400, MAX_EPOCHS = STEPS + 1 };

/* A bus of its own hub, and the epochs it has given out: told by their number, since their
 * values differ. */
struct side {
    struct stage *stage;
    struct counters *counters;
    struct hub *hub;
    struct bus *bus;
    uint64_t epochs[MAX_EPOCHS];
    size_t epoch_count;
    unsigned told;
    struct buf answer;
};

struct pair {
    struct side memory;
    struct side redis;
    uint32_t seed;
    bool was_submitted; /* of draw_points() */
    bool is_open;
};

static uint32_t roll(struct pair *pair, uint32_t n)
{
    pair->seed = pair->seed * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)pair->seed * n) >> 32);
}

static size_t epoch_number(struct side *side, uint64_t epoch)
{
    for (size_t i = 0; i < side->epoch_count; i++)
        if (side->epochs[i] == epoch)
            return i;
    assert_true(side->epoch_count < MAX_EPOCHS);
    side->epochs[side->epoch_count] = epoch;
    return side->epoch_count++;
}

static void write_id(struct side *side, struct event_id id)
{
    if (id.epoch != 0)
        buf_printf(&side->answer, " %zu-%llu", epoch_number(side, id.epoch),
                   (unsigned long long)id.seq);
}

static void on_published(void *ctx, const struct publish_result *result)
{
    struct side *side = ctx;

    buf_puts(&side->answer, publish_status_name(result->status));
    write_id(side, result->first);
    write_id(side, result->last);
    if (result->status == PUBLISH_GAP || result->status == PUBLISH_ENDED)
        buf_printf(&side->answer, " expected %llu",
                   (unsigned long long)result->expected_counter);
    side->told++;
}

static void on_opened(void *ctx, enum publish_status status, uint64_t epoch)
{
    struct side *side = ctx;

    buf_printf(&side->answer, "%s %zu", publish_status_name(status),
               epoch_number(side, epoch));
    side->told++;
}

static void on_stopped(void *ctx, enum stop_status status)
{
    struct side *side = ctx;

    buf_puts(&side->answer, stop_status_name(status));
    side->told++;
}

static void on_erased(void *ctx, bool ok)
{
    struct side *side = ctx;

    buf_puts(&side->answer, ok ? "erased" : "not erased");
    side->told++;
}

static void on_item(void *ctx, const struct bus_task *task)
{
    struct side *side = ctx;

    buf_printf(&side->answer, "%s", run_state_name(task->state));
    write_id(side, task->last);
}

static void on_recalled(void *ctx, const struct bus_kept *kept)
{
    struct side *side = ctx;

    assert_non_null(kept);
    buf_printf(&side->answer, "%s '%.*s' '%.*s'", run_state_name(kept->state),
               (int)kept->request.len, kept->request.ptr, (int)kept->text.len,
               kept->text.ptr);
    if (kept->state != RUN_UNKNOWN)
        buf_printf(&side->answer, " %zu", epoch_number(side, kept->epoch));
    side->told++;
}

static void on_pointed(void *ctx, const struct task_points *points)
{
    struct side *side = ctx;

    assert_non_null(points);
    buf_printf(&side->answer, "%s", run_state_name(points->state));
    for (size_t i = 0; i < points->count; i++) {
        const struct task_point *point = &points->points[i];
        buf_printf(&side->answer, " %llu %.*s %zu %llu %llu",
                   (unsigned long long)point->number, (int)point->kind.len,
                   point->kind.ptr, epoch_number(side, point->epoch),
                   (unsigned long long)point->length, (unsigned long long)point->from);
    }
    side->told++;
}

static void on_listed(void *ctx, bool ok)
{
    struct side *side = ctx;

    assert_true(ok);
    side->told++;
}

/* ---- what is asked ---- */

enum verb { PUBLISH, OPEN, SUBMIT, RECALL, POINTS, STOP, ERASE, LIST };

/* Epochs are the number of one, counted back from the newest; none = 0. */
struct question {
    enum verb verb;
    const char *producer;
    bool has_epoch;
    size_t epochs_back;
    uint64_t counter;
    size_t count;
    unsigned kinds; /* two bits per event */
    bool is_queued;
    bool keeps_text;
    bool has_request; /* also where text is kept */
    uint64_t from_point;
    unsigned salt; /* so that texts differ */
};

static uint64_t epoch_of(const struct side *side, const struct question *question)
{
    if (!question->has_epoch || side->epoch_count == 0)
        return 0;
    if (question->epochs_back >= side->epoch_count)
        return side->epochs[side->epoch_count - 1] + 1000; /* of the future */
    return side->epochs[side->epoch_count - 1 - question->epochs_back];
}

static void publish(struct side *side, const struct question *question)
{
    char text[80];
    const char *lines[] = {
        text,
        ("{\"type\":\"reasoning\",\"text\":\"\\u00e9\",\"partial\":true,\"task_id\":"
         "\"t1\"}"),
        "{\"type\":\"status\",\"task_id\":\"t1\"}",
        "{\"type\":\"completion\",\"text\":\"\",\"task_id\":\"t1\",\"partial\":false}",
    };
    struct event events[4];
    struct publish_request request = {.task = the_task(),
                                      .producer = slice_of(question->producer),
                                      .events = events,
                                      .count = question->count};

    (void)snprintf(
        text, sizeof(text),
        "{\"type\":\"text\",\"text\":\"%c\xc3\xa4%c\",\"partial\":true,\"task_id\":\"t1\"}",
        'a' + (int)(question->salt % 26), 'a' + (int)(question->salt / 26 % 26));
    for (size_t i = 0; i < question->count; i++) {
        const char *field;
        (void)event_check(slice_of(lines[(question->kinds >> (2 * i)) & 3]), &events[i],
                          &field);
    }
    if (request.producer.len > 0) {
        request.epoch = epoch_of(side, question);
        request.counter = question->counter;
    }
    side->bus->ops->publish(side->bus, &request, on_published, side);
}

static void ask(struct side *side, const struct question *question)
{
    struct task_key task = the_task();
    struct run_open_request open = {.task = task,
                                    .producer = slice_of(question->producer),
                                    .state =
                                        question->is_queued ? RUN_QUEUED : RUN_RUNNING,
                                    .keeps_text = question->keeps_text};
    unsigned before = side->told;

    buf_reset(&side->answer);
    switch (question->verb) {
    case PUBLISH:
        publish(side, question);
        break;
    case OPEN:
        side->bus->ops->open(side->bus, &open, on_opened, side);
        break;
    case SUBMIT:
        open.state = RUN_QUEUED;
        open.is_submission = true;
        open.request = slice_of(
            question->keeps_text && !question->has_request ? "" : "{\"messages\":[]}");
        open.from_point = question->keeps_text ? question->from_point : 0;
        side->bus->ops->submit(side->bus, &open, on_opened, side);
        break;
    case RECALL:
        side->bus->ops->recall(side->bus, &task, on_recalled, side);
        break;
    case POINTS:
        side->bus->ops->points(side->bus, &task, on_pointed, side);
        break;
    case STOP:
        side->bus->ops->stop(side->bus, &task, epoch_of(side, question), on_stopped,
                             side);
        break;
    case ERASE:
        side->bus->ops->erase(side->bus, &task, on_erased, side);
        break;
    case LIST:
        side->bus->ops->list(side->bus, slice_of("s"), 10, on_item, on_listed, side);
        break;
    }
    scene_until_count(side->stage->scene, &side->told, before + 1);
}

static struct question draw(struct pair *pair)
{
    static const char *const producers[] = {"a", "a", "b", ""};
    static const enum verb verbs[] = {PUBLISH, PUBLISH, PUBLISH, PUBLISH, PUBLISH,
                                      PUBLISH, OPEN,    OPEN,    SUBMIT,  RECALL,
                                      STOP,    LIST,    SUBMIT,  SUBMIT,  POINTS};
    struct question question = {
        .verb = verbs[roll(pair, 15)],
        .producer = producers[roll(pair, 4)],
        .has_epoch = roll(pair, 8) != 0,
        .epochs_back = roll(pair, 4) == 0 ? roll(pair, 3) : 0,
        .counter = 1 + roll(pair, 6),
        .count = 1 + roll(pair, 4),
        .is_queued = roll(pair, 3) == 0,
        .keeps_text = roll(pair, 3) == 0,
        .from_point = roll(pair, 4) == 0 ? 0 : 1 + roll(pair, 12),
        .salt = roll(pair, 676),
    };

    if (question.verb == SUBMIT)
        question.keeps_text = roll(pair, 8) != 0;

    if (roll(pair, 12) == 0)
        question.epochs_back = 1000;
    /* Terminal events are rare, or no run would get anywhere. */
    for (size_t i = 0; i < question.count; i++)
        question.kinds |= (roll(pair, 8) == 0 ? 3U : roll(pair, 3)) << (2 * i);
    if (question.verb == STOP && roll(pair, 4) == 0)
        question.verb = ERASE;
    return question;
}

/* One generation that is stopped, continued and gone back in all the time. */
static struct question draw_points(struct pair *pair)
{
    static const enum verb closed[] = {SUBMIT, SUBMIT, SUBMIT, RECALL, POINTS};
    struct question question = {
        .producer = "",
        .count = 1 + roll(pair, 4),
        .keeps_text = roll(pair, 60) != 0,
        .has_request = true,
        .from_point = roll(pair, 4) == 0 ? 0 : 1 + roll(pair, 40),
        .salt = roll(pair, 676),
    };

    for (size_t i = 0; i < question.count; i++)
        question.kinds |= roll(pair, 3) << (2 * i);
    if (pair->was_submitted && strncmp(buf_text(&pair->memory.answer), "OK", 2) == 0)
        pair->is_open = true;
    if (!pair->is_open)
        question.verb = closed[roll(pair, 5)];
    else
        question.verb = roll(pair, 3) == 0 ? STOP : PUBLISH;
    if (question.verb == STOP)
        pair->is_open = false;
    pair->was_submitted = question.verb == SUBMIT;
    return question;
}

/* ---- both ---- */

static void side_open(struct side *side, struct stage *stage, bool is_memory)
{
    struct hub_limits limits = *hub_limits(stage->hub);

    side->stage = stage;
    side->counters = counters_new();
    side->hub = hub_new(stage->scene->loop, &limits, side->counters);
    side->bus = is_memory ? bus_memory_new(stage->scene->loop, side->hub,
                                           &stage->limits, side->counters)
                          : bus_redis_new(stage->scene->loop, side->hub,
                                          stage->scene->redis.url, "tw", &stage->limits,
                                          side->counters, &stage->listed);
    buf_init(&side->answer, 4096);
}

static void side_close(struct side *side)
{
    side->bus->ops->free(side->bus);
    hub_free(side->hub);
    counters_free(side->counters);
    buf_release(&side->answer);
}

static bool is_well(void *ctx)
{
    struct side *side = ctx;
    return side->bus->ops->trouble(side->bus) == NULL;
}

static void compare(void **state, uint32_t seed,
                    struct question (*next)(struct pair *pair))
{
    struct stage stage;
    struct pair pair = {.seed = seed};
    struct eye eye;

    stage_open(&stage, state);
    side_open(&pair.memory, &stage, true);
    side_open(&pair.redis, &stage, false);
    scene_until(stage.scene, is_well, &pair.redis);
    eye_attach(&eye,
               hub_topic(pair.redis.hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    for (int i = 0; i < STEPS; i++) {
        struct question question = next(&pair);
        ask(&pair.memory, &question);
        ask(&pair.redis, &question);
        if (strcmp(buf_text(&pair.memory.answer), buf_text(&pair.redis.answer)) != 0)
            print_message("seed %u step %d verb %d producer '%s' epoch %d back %zu "
                          "counter %llu count %zu\n",
                          seed, i, (int)question.verb, question.producer,
                          question.has_epoch, question.epochs_back,
                          (unsigned long long)question.counter, question.count);
        assert_string_equal(buf_text(&pair.memory.answer),
                            buf_text(&pair.redis.answer));
    }
    /* And the readers of both have the same. */
    const struct run *mine =
        topic_run(hub_find(pair.memory.hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    const struct run *theirs = topic_run(eye.topic);
    for (int i = 0; i < 100 && (theirs->last_seq != mine->last_seq ||
                                theirs->state != mine->state);
         i++)
        scene_idle(stage.scene, 10);
    assert_int_equal(mine->state, theirs->state);
    assert_int_equal(mine->last_seq, theirs->last_seq);
    assert_true(slice_equal(buf_view(&mine->text.utf8), buf_view(&theirs->text.utf8)));
    assert_true(slice_equal(buf_view(&mine->reasoning.utf8),
                            buf_view(&theirs->reasoning.utf8)));
    eye_close(&eye);
    side_close(&pair.memory);
    side_close(&pair.redis);
    stage_close(&stage);
}

static void both_buses_give_the_same_answers(void **state)
{
    for (uint32_t seed = 1; seed <= 12; seed++) {
        (void)scene_clean(state);
        compare(state, seed, draw);
    }
}

static void both_buses_go_back_to_the_same_words(void **state)
{
    for (uint32_t seed = 1; seed <= 6; seed++) {
        (void)scene_clean(state);
        compare(state, seed, draw_points);
    }
}

static void on_open(void *ctx, enum publish_status status, uint64_t epoch)
{
    (void)epoch;
    assert_int_equal(status, PUBLISH_OK);
    *(bool *)ctx = true;
}

static void a_queued_run_in_memory_times_out_too(void **state)
{
    struct stage stage;
    struct side side = {0};
    struct eye eye;
    struct run_open_request open = {
        .task = the_task(), .producer = slice_of("p"), .state = RUN_QUEUED};
    bool is_open = false;

    stage_open(&stage, state);
    stage.limits.queue_timeout_ms = 200;
    side_open(&side, &stage, true);
    eye_attach(&eye, hub_topic(side.hub, TOPIC_TASK, slice_of("s"), slice_of("t1")));
    side.bus->ops->open(side.bus, &open, on_open, &is_open);
    assert_true(is_open);
    eye_until_seen(&eye, &stage, 1);
    assert_string_equal(buf_text(&eye.log), "1:error ");
    assert_non_null(strstr(buf_text(&eye.last), "\"code\":\"QUEUE_TIMEOUT\""));
    eye_close(&eye);
    side_close(&side);
    stage_close(&stage);
}

int test_same(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(both_buses_give_the_same_answers),
        cmocka_unit_test(both_buses_go_back_to_the_same_words),
        cmocka_unit_test(a_queued_run_in_memory_times_out_too),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("same", tests, scene_new, scene_free);
}
