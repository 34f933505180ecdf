/* test_link.c - connecting, losing, coming back, and who is told what. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "tests.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One link and all it has told. */
struct witness {
    struct scene *scene;
    struct link *link;
    unsigned ups;
    unsigned downs;
    unsigned answers;
    unsigned nothings; /* NULL replies */
    unsigned told;     /* answers + nothings */
    bool is_inside;    /* link_command() is on the stack */
    bool was_told_inside;
    bool frees_on_up;
    bool frees_on_down;
    bool frees_on_answer;
    char reason[128];
    struct buf last;
};

static void free_link(struct witness *w)
{
    struct link *link = w->link;

    w->link = NULL;
    link_free(link);
}

static void on_up(void *ctx)
{
    struct witness *w = ctx;

    w->ups++;
    if (w->frees_on_up)
        free_link(w);
}

static void on_down(void *ctx, const char *reason)
{
    struct witness *w = ctx;

    w->downs++;
    (void)snprintf(w->reason, sizeof(w->reason), "%s", reason);
    if (w->frees_on_down)
        free_link(w);
}

static void on_answer(void *ctx, const struct reply *reply)
{
    struct witness *w = ctx;

    w->told++;
    w->was_told_inside |= w->is_inside;
    if (reply == NULL) {
        w->nothings++;
        return;
    }
    w->answers++;
    buf_reset(&w->last);
    buf_slice(&w->last, reply_text(reply));
    if (w->frees_on_answer && w->link != NULL)
        free_link(w);
}

static struct link_options quick_options(struct witness *w)
{
    return (struct link_options){.is_quiet = true,
                                 .backoff_min_ms = 5,
                                 .backoff_max_ms = 20,
                                 .on_up = on_up,
                                 .on_down = on_down,
                                 .ctx = w};
}

static void witness_init(struct witness *w, void **state)
{
    *w = (struct witness){.scene = *state};
    buf_init(&w->last, 16 << 20);
}

static void witness_open(struct witness *w, const char *url,
                         const struct link_options *options)
{
    struct buf error;

    buf_init(&error, 1024);
    w->link = link_new(w->scene->loop, url, options, &error);
    assert_non_null(w->link);
    assert_int_equal(error.len, 0);
    buf_release(&error);
}

static void witness_open_quick(struct witness *w)
{
    struct link_options options = quick_options(w);
    witness_open(w, w->scene->redis.url, &options);
}

static void witness_close(struct witness *w)
{
    link_free(w->link);
    buf_release(&w->last);
    assert_false(w->was_told_inside);
    assert_int_equal(w->told, w->answers + w->nothings);
}

static void tell(struct witness *w, const char *verb, const char *argument)
{
    struct slice argv[2] = {slice_of(verb), slice_of(argument)};

    w->is_inside = true;
    link_command(w->link, argv, argument == NULL ? 1 : 2, on_answer, w);
    w->is_inside = false;
}

static bool is_in_trouble(void *ctx)
{
    struct witness *w = ctx;
    return link_trouble(w->link) != NULL &&
           strcmp(link_trouble(w->link), "connecting") != 0;
}

/* ---- coming up ---- */

static void commands_are_answered_in_order(void **state)
{
    struct witness w;

    witness_init(&w, state);
    witness_open_quick(&w);
    assert_false(link_is_up(w.link));
    assert_int_equal(link_up_since_ms(w.link), 0);
    scene_until_count(w.scene, &w.ups, 1);
    assert_null(link_trouble(w.link));
    for (int i = 0; i < 5000; i++)
        tell(&w, "ECHO", i == 4999 ? "last" : "early");
    scene_until_count(w.scene, &w.told, 5000);
    assert_int_equal(w.answers, 5000);
    assert_string_equal(buf_text(&w.last), "last");
    assert_int_equal(link_stats(w.link)->commands, 5000);
    assert_int_equal(link_stats(w.link)->connects, 1);
    witness_close(&w);
}

static void an_answer_of_megabytes_arrives_whole(void **state)
{
    struct witness w;
    char *big = mem_new(5000001);

    memset(big, 'x', 5000000);
    witness_init(&w, state);
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    tell(&w, "ECHO", big);
    scene_until_count(w.scene, &w.told, 1);
    assert_int_equal(w.last.len, 5000000);
    assert_string_equal(buf_text(&w.last), big);
    witness_close(&w);
    free(big);
}

static void a_unix_socket_and_a_database_number_lead_to_the_same_server(void **state)
{
    struct witness w;
    struct link_options options;
    char url[160];

    witness_init(&w, state);
    options = quick_options(&w);
    options.name = "over-there";
    (void)snprintf(url, sizeof(url), "unix://%s?db=3", w.scene->redis.socket_path);
    witness_open(&w, url, &options);
    scene_until_count(w.scene, &w.ups, 1);
    assert_non_null(strstr(scene_ask(w.scene, "CLIENT LIST"), "name=over-there"));
    assert_non_null(strstr(buf_text(&w.scene->answer), "db=3"));
    witness_close(&w);
}

static void a_refused_connection_is_tried_again_until_the_server_is_there(void **state)
{
    struct witness w;

    witness_init(&w, state);
    private_redis_kill(&w.scene->redis);
    witness_open_quick(&w);
    scene_until(w.scene, is_in_trouble, &w);
    assert_non_null(strstr(link_trouble(w.link), "refused"));
    assert_int_equal(w.downs, 0);
    private_redis_start(&w.scene->redis);
    scene_until_count(w.scene, &w.ups, 1);
    witness_close(&w);
}

static void a_missing_socket_file_is_told(void **state)
{
    struct witness w;
    struct link_options options;

    witness_init(&w, state);
    options = quick_options(&w);
    witness_open(&w, "unix:///tmp/thinkwire-no-such.sock", &options);
    scene_until(w.scene, is_in_trouble, &w);
    assert_non_null(strstr(link_trouble(w.link), "No such file"));
    witness_close(&w);
}

static void an_unknown_host_is_told_and_never_blocks_the_loop(void **state)
{
    struct witness w;
    struct link_options options;

    witness_init(&w, state);
    options = quick_options(&w);
    witness_open(&w, "redis://no-such-host.invalid", &options);
    scene_until(w.scene, is_in_trouble, &w);
    assert_int_equal(w.ups, 0);
    witness_close(&w);
    /* Freed while the look-up is on its way. */
    witness_init(&w, state);
    witness_open(&w, "redis://no-such-host.invalid", &options);
    witness_close(&w);
}

static void
a_password_is_needed_and_a_wrong_one_is_told_without_repeating_it(void **state)
{
    struct private_redis guarded = {.password = "open-sesame"};
    struct link_options options;
    struct witness w;
    char url[128];

    private_redis_start(&guarded);
    witness_init(&w, state);
    options = quick_options(&w);
    (void)snprintf(url, sizeof(url), "redis://:wrong-word@127.0.0.1:%u", guarded.port);
    witness_open(&w, url, &options);
    scene_until(w.scene, is_in_trouble, &w);
    assert_non_null(strstr(link_trouble(w.link), "WRONGPASS"));
    assert_null(strstr(link_trouble(w.link), "wrong-word"));
    assert_null(strstr(link_target(w.link), "wrong-word"));
    witness_close(&w);

    witness_init(&w, state);
    (void)snprintf(url, sizeof(url), "redis://default:open-sesame@127.0.0.1:%u",
                   guarded.port);
    witness_open(&w, url, &options);
    scene_until_count(w.scene, &w.ups, 1);
    witness_close(&w);
    private_redis_release(&guarded);
}

/* ---- a server that is none ---- */

struct impostor {
    struct witness *w;
    int listening;
    int accepted;
    const char *says; /* NULL = nothing */
};

static void impostor_open(struct impostor *impostor, char url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);

    impostor->accepted = -1;
    impostor->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(
        bind(impostor->listening, (struct sockaddr *)(void *)&address, size), 0);
    assert_int_equal(listen(impostor->listening, 1), 0);
    (void)getsockname(impostor->listening, (struct sockaddr *)(void *)&address, &size);
    (void)snprintf(url, 64, "redis://127.0.0.1:%u", ntohs(address.sin_port));
}

static bool impostor_has_spoken(void *ctx)
{
    struct impostor *impostor = ctx;

    if (impostor->accepted < 0) {
        impostor->accepted = accept(impostor->listening, NULL, NULL);
        if (impostor->accepted >= 0 && impostor->says != NULL)
            (void)!write(impostor->accepted, impostor->says, strlen(impostor->says));
    }
    return is_in_trouble(impostor->w);
}

static unsigned meet_impostor(void **state, const char *says, const char *trouble)
{
    struct witness w;
    struct impostor impostor = {.w = &w, .says = says};
    struct link_options options;
    char url[64];

    witness_init(&w, state);
    options = quick_options(&w);
    options.connect_timeout_ms = 200;
    options.backoff_min_ms = options.backoff_max_ms = 60000;
    impostor_open(&impostor, url);
    witness_open(&w, url, &options);
    scene_until(w.scene, impostor_has_spoken, &impostor);
    assert_non_null(strstr(link_trouble(w.link), trouble));
    witness_close(&w);
    close(impostor.accepted);
    close(impostor.listening);
    return w.ups;
}

static void a_server_that_speaks_something_else_is_left(void **state)
{
    assert_int_equal(meet_impostor(state, "HTTP/1.1 400 Bad Request\r\n\r\n",
                                   "not the Redis protocol"),
                     0);
}

static void a_server_that_says_nothing_is_left_after_the_time_out(void **state)
{
    assert_int_equal(meet_impostor(state, NULL, "no connection in time"), 0);
}

static void an_answer_nobody_asked_for_ends_the_connection(void **state)
{
    /* The first two are what the handshake waits for. */
    unsigned ups = meet_impostor(state, "+PONG\r\n*1\r\n$6\r\nmaster\r\n+PONG\r\n",
                                 "nothing that was asked");
    assert_int_equal(ups, 1);
}

static void a_server_that_still_loads_is_tried_again(void **state)
{
    assert_int_equal(
        meet_impostor(state, "-LOADING Redis is loading the dataset in memory\r\n",
                      "LOADING"),
        0);
}

/* ---- losing ---- */

static void every_waiting_command_is_told_once_when_the_server_dies(void **state)
{
    struct witness w;

    witness_init(&w, state);
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    private_redis_pause(&w.scene->redis);
    for (int i = 0; i < 300; i++)
        tell(&w, "ECHO", "x");
    scene_idle(w.scene, 20);
    assert_int_equal(w.told, 0);
    private_redis_kill(&w.scene->redis);
    scene_until_count(w.scene, &w.told, 300);
    assert_int_equal(w.nothings, 300);
    assert_int_equal(w.downs, 1);
    assert_true(strlen(w.reason) > 0);
    private_redis_start(&w.scene->redis);
    scene_until_count(w.scene, &w.ups, 2);
    tell(&w, "ECHO", "again");
    scene_until_count(w.scene, &w.told, 301);
    assert_int_equal(w.answers, 1);
    assert_int_equal(link_stats(w.link)->losses, 1);
    witness_close(&w);
}

static void a_half_open_link_is_noticed_by_silence(void **state)
{
    struct witness w;
    struct link_options options;

    witness_init(&w, state);
    options = quick_options(&w);
    options.silence_ms = 50;
    options.ping_timeout_ms = 50;
    options.connect_timeout_ms = 100;
    witness_open(&w, w.scene->redis.url, &options);
    scene_until_count(w.scene, &w.ups, 1);
    /* A server that answers is never left, however quiet it is otherwise. */
    scene_idle(w.scene, 300);
    assert_int_equal(w.downs, 0);
    private_redis_pause(&w.scene->redis);
    scene_until_count(w.scene, &w.downs, 1);
    assert_string_equal(w.reason, "no answer in time");
    assert_int_equal(link_up_since_ms(w.link), 0);
    private_redis_resume(&w.scene->redis);
    scene_until_count(w.scene, &w.ups, 2);
    witness_close(&w);
}

static void it_is_not_the_server_s_fault_when_we_slept_ourselves(void **state)
{
    struct witness w;
    struct link_options options;

    witness_init(&w, state);
    options = quick_options(&w);
    options.silence_ms = 30;
    options.ping_timeout_ms = 30;
    witness_open(&w, w.scene->redis.url, &options);
    scene_until_count(w.scene, &w.ups, 1);
    for (int i = 0; i < 5; i++) {
        scene_idle(w.scene, 35);
        usleep(100000);
    }
    scene_idle(w.scene, 50);
    assert_int_equal(w.downs, 0);
    witness_close(&w);
}

static void a_command_given_while_down_is_told_nothing_later_in_the_turn(void **state)
{
    struct witness w;

    witness_init(&w, state);
    witness_open_quick(&w);
    tell(&w, "PING", NULL);
    assert_int_equal(w.told, 0);
    scene_until_count(w.scene, &w.told, 1);
    assert_int_equal(w.nothings, 1);
    assert_int_equal(link_stats(w.link)->refused, 1);
    witness_close(&w);
}

static void commands_past_the_bound_are_refused_and_the_others_answered(void **state)
{
    struct witness w;
    struct link_options options;

    witness_init(&w, state);
    options = quick_options(&w);
    options.max_in_flight = 10;
    options.max_unsent_bytes = 100000;
    witness_open(&w, w.scene->redis.url, &options);
    scene_until_count(w.scene, &w.ups, 1);
    assert_true(link_has_room(w.link, 10));
    assert_false(link_has_room(w.link, 11));
    for (int i = 0; i < 15; i++)
        tell(&w, "ECHO", "x");
    scene_until_count(w.scene, &w.told, 15);
    assert_int_equal(w.answers, 10);
    assert_int_equal(w.nothings, 5);
    char *big = mem_new(100001);
    memset(big, 'x', 100000);
    tell(&w, "ECHO", big);
    free(big);
    scene_until_count(w.scene, &w.told, 16);
    assert_int_equal(w.nothings, 6);
    assert_true(link_is_up(w.link));
    witness_close(&w);
}

static void a_dropped_link_comes_back(void **state)
{
    struct witness w;

    witness_init(&w, state);
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    tell(&w, "PING", NULL);
    link_drop(w.link, "because");
    assert_int_equal(w.downs, 0);
    scene_until_count(w.scene, &w.ups, 2);
    assert_string_equal(w.reason, "because");
    assert_int_equal(w.told, 1);
    witness_close(&w);
}

/* ---- freeing ---- */

static void freeing_tells_all_who_wait(void **state)
{
    struct witness w;

    witness_init(&w, state);
    witness_open_quick(&w);
    tell(&w, "PING", NULL);
    free_link(&w);
    assert_int_equal(w.nothings, 1);
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    for (int i = 0; i < 100; i++)
        tell(&w, "PING", NULL);
    free_link(&w);
    assert_int_equal(w.nothings, 101);
    scene_idle(w.scene, 10);
    assert_int_equal(w.told, 101);
    witness_close(&w);
}

static void a_link_may_be_freed_when_it_comes_up(void **state)
{
    struct witness w;

    witness_init(&w, state);
    w.frees_on_up = true;
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    assert_null(w.link);
    scene_idle(w.scene, 20);
    assert_int_equal(w.ups, 1);
    witness_close(&w);
}

static void a_link_may_be_freed_when_it_goes_down(void **state)
{
    struct witness w;

    witness_init(&w, state);
    w.frees_on_down = true;
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    private_redis_pause(&w.scene->redis);
    for (int i = 0; i < 10; i++)
        tell(&w, "PING", NULL);
    scene_idle(w.scene, 10);
    private_redis_kill(&w.scene->redis);
    scene_until_count(w.scene, &w.downs, 1);
    assert_null(w.link);
    assert_int_equal(w.nothings, 10);
    witness_close(&w);
}

static void a_link_may_be_freed_inside_an_answer(void **state)
{
    struct witness w;

    witness_init(&w, state);
    w.frees_on_answer = true;
    witness_open_quick(&w);
    scene_until_count(w.scene, &w.ups, 1);
    for (int i = 0; i < 10; i++)
        tell(&w, "PING", NULL);
    scene_until_count(w.scene, &w.told, 10);
    assert_int_equal(w.answers, 1);
    assert_int_equal(w.nothings, 9);
    witness_close(&w);
}

int test_link(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_answered_in_order),
        cmocka_unit_test(an_answer_of_megabytes_arrives_whole),
        cmocka_unit_test(a_unix_socket_and_a_database_number_lead_to_the_same_server),
        cmocka_unit_test(a_refused_connection_is_tried_again_until_the_server_is_there),
        cmocka_unit_test(a_missing_socket_file_is_told),
        cmocka_unit_test(an_unknown_host_is_told_and_never_blocks_the_loop),
        cmocka_unit_test(
            a_password_is_needed_and_a_wrong_one_is_told_without_repeating_it),
        cmocka_unit_test(a_server_that_speaks_something_else_is_left),
        cmocka_unit_test(a_server_that_says_nothing_is_left_after_the_time_out),
        cmocka_unit_test(an_answer_nobody_asked_for_ends_the_connection),
        cmocka_unit_test(a_server_that_still_loads_is_tried_again),
        cmocka_unit_test(every_waiting_command_is_told_once_when_the_server_dies),
        cmocka_unit_test(a_half_open_link_is_noticed_by_silence),
        cmocka_unit_test(it_is_not_the_server_s_fault_when_we_slept_ourselves),
        cmocka_unit_test(a_command_given_while_down_is_told_nothing_later_in_the_turn),
        cmocka_unit_test(commands_past_the_bound_are_refused_and_the_others_answered),
        cmocka_unit_test(a_dropped_link_comes_back),
        cmocka_unit_test(freeing_tells_all_who_wait),
        cmocka_unit_test(a_link_may_be_freed_when_it_comes_up),
        cmocka_unit_test(a_link_may_be_freed_when_it_goes_down),
        cmocka_unit_test(a_link_may_be_freed_inside_an_answer),
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].setup_func = scene_clean;
    return cmocka_run_group_tests_name("link", tests, scene_new, scene_free);
}
