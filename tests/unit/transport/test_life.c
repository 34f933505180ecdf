/* test_life.c - listening, bounds at the door, stopping, a thousand clients. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void set_listen(struct world *world, const char *address)
{
    free(world->listen_item);
    world->listen_item = strdup(address);
}

/* A world whose server could not listen: the message. */
static void expect_refusal(const char *address, const char *message)
{
    struct world world;
    struct buf error;

    world_init(&world);
    set_listen(&world, address);
    buf_init(&error, 1000);
    world.server = server_new(world.loop, &world.options, world.counters, &error);
    assert_non_null(world.server);
    assert_false(server_listen(world.server, &error));
    if (strstr(buf_text(&error), message) == NULL)
        fail_msg("%s", buf_text(&error));
    buf_release(&error);
    world_end(&world);
}

static void a_taken_address_is_named_with_the_remedy(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world_start(&world);
    const char *address = server_address(world.server, 0);
    expect_refusal(address, address);
    expect_refusal(address, "Address already in use; another program listens there");
    assert_null(server_address(world.server, 1));
    world_end(&world);
}

static void unusable_addresses_are_explained(void **state)
{
    char path[300] = "unix:/";

    (void)state;
    expect_refusal("nonsense", "write HOST:PORT, [IPV6]:PORT or unix:/path");
    expect_refusal("::1:80", "write HOST:PORT, [IPV6]:PORT or unix:/path");
    expect_refusal("127.0.0.1:", "write HOST:PORT");
    expect_refusal("127.0.0.1:http!", "cannot listen on 127.0.0.1:http!");
    expect_refusal("192.0.2.1:0", "no interface of this machine has this address");
    expect_refusal("unix:/nowhere/at/all", "cannot listen on unix:/nowhere/at/all");
    memset(path + 6, 'x', 200);
    expect_refusal(path, "name too long");
}

static int connect_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static void a_socket_file_is_served_and_removed(void **state)
{
    struct world world;
    struct client client = {0};
    char directory[] = "/tmp/thinkwire-test-XXXXXX";
    char path[64];
    char address[80];

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/sock", directory);
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    for (int round = 0; round < 2; round++) {
        world_init(&world);
        set_listen(&world, address);
        world_start(&world);
        assert_string_equal(server_address(world.server, 0), address);
        expect_refusal(address, "Address already in use");
        client.world = &world;
        client.is_ended = false;
        client.fd = connect_unix(path);
        assert_true(client.fd >= 0);
        buf_init(&client.in, SIZE_MAX);
        client_send(&client, WS_REQUEST "\r\n");
        assert_int_equal(client_answer(&client, NULL), 101);
        client_close(&client);
        world_end(&world);
        assert_int_equal(access(path, F_OK), -1);
        /* What a crash leaves behind does not stand in the way. */
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
        int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(stale, (struct sockaddr *)&name, sizeof(name)), 0);
        (void)close(stale);
    }
    (void)unlink(path);
    (void)rmdir(directory);
}

static void several_addresses_are_listened_on(void **state)
{
    struct world world;
    char one[] = "127.0.0.1:0";
    char two[] = "[::1]:0";
    char *items[] = {one, two};

    (void)state;
    world_init(&world);
    world.listen = (struct config_list){items, 2};
    world_start(&world);
    assert_memory_equal(server_address(world.server, 0), "127.0.0.1:", 10);
    assert_memory_equal(server_address(world.server, 1), "[::1]:", 6);
    assert_null(server_address(world.server, 2));
    world_end(&world);
}

static void connections_are_bounded_in_all_and_per_address(void **state)
{
    struct world world;
    struct client clients[3];

    (void)state;
    for (int round = 0; round < 2; round++) {
        world_init(&world);
        if (round == 0)
            world.options.max_connections = 2;
        else
            world.options.max_connections_per_ip = 2;
        world_start(&world);
        for (int i = 0; i < 2; i++) {
            client_open(&clients[i], &world);
            client_send(&clients[i], "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
            world_until_held(&world);
            world.held->on_closed = NULL;
            world.held = NULL;
        }
        client_open(&clients[2], &world);
        assert_memory_equal(client_wait_end(&clients[2]), "HTTP/1.1 503 ", 13);
        client_close(&clients[2]);
        assert_int_equal(
            world_counter(
                &world,
                round == 0
                    ? "connections_refused_total{reason=\"max-connections\"}"
                    : "connections_refused_total{reason=\"max-connections-per-ip\"}"),
            1);
        client_close(&clients[0]);
        world_until_connections(&world, 1);
        client_open(&clients[2], &world);
        client_send(&clients[2], "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(client_answer(&clients[2], NULL), 200);
        client_close(&clients[1]);
        client_close(&clients[2]);
        world_until_connections(&world, 0);
        world_end(&world);
    }
}

/* Uses up every descriptor below `limit`; answers how many it took. */
static size_t use_up_files(int *files, size_t room, rlim_t limit)
{
    struct rlimit rule;
    size_t count = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rule), 0);
    rule.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rule), 0);
    while (count < room &&
           (files[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    assert_int_equal(errno, EMFILE);
    return count;
}

static void running_out_of_files_refuses_newcomers_and_spares_the_rest(void **state)
{
    struct world world;
    struct client old;
    struct client upgrading;
    struct client late;
    int files[300];

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open(&old, &world);
    client_send(&old, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&old, NULL), 200);
    client_open(&upgrading, &world);
    world_until_connections(&world, 2);
    client_open(&late, &world); /* waits at the door */
    size_t count = use_up_files(files, 300, 256);
    client_send(&upgrading, WS_REQUEST "\r\n"); /* needs no file of its own */
    assert_int_equal(client_answer(&upgrading, NULL), 101);
    assert_memory_equal(client_wait_end(&late), "HTTP/1.1 503 ", 13);
    client_send(&old, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&old, NULL), 200);
    assert_int_equal(
        world_counter(&world, "connections_refused_total{reason=\"files\"}"), 1);
    assert_int_equal(world.tokens, 0);
    while (count > 0)
        (void)close(files[--count]);
    client_close(&upgrading);
    client_close(&late);
    client_close(&old);
    world_end(&world);
}

static void after_stop_listening_the_open_connections_live(void **state)
{
    struct world world;
    struct client ws;
    struct client http;
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&ws, &world);
    client_open(&http, &world);
    client_send(&http, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&http, NULL), 200);
    server_stop_listening(world.server);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage to;
    socklen_t len = sizeof(to);
    assert_int_equal(getpeername(http.fd, (struct sockaddr *)&to, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, len), -1);
    (void)close(fd);
    client_send_frame(&ws, 0x81, "hello", 5);
    assert_int_equal(client_frame(&ws, &payload), 0x81);
    client_send(&http, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&http, NULL), 200);
    assert_non_null(strstr(client_last_head(), "\r\nConnection: close\r\n"));
    client_close(&http);
    client_close(&ws);
    world_end(&world);
}

static void closing_the_server_tells_everyone_and_freeing_it_nobody_again(void **state)
{
    struct world world;
    struct client ws;
    struct client stream;
    struct client held;

    (void)state;
    world_init(&world);
    world_start(&world);
    client_open_ws(&ws, &world);
    client_open(&stream, &world);
    client_send(&stream, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_head_answer(&stream), 200);
    client_open(&held, &world);
    client_send(&held, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    world_until_held(&world);
    server_close(world.server);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(world.held_closed, 1);
        assert_int_equal(world.pipes_closed, 2);
        assert_int_equal(world_counter(&world, "connections"), 0);
        server_free(world.server);
        world.server = NULL;
    }
    client_close(&ws);
    client_close(&stream);
    client_close(&held);
    world_end(&world);
}

/* LeakSanitizer looks at what remains. */
static void a_thousand_come_and_go_on_each_transport(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world_start(&world);
    for (unsigned i = 0; i < 1000; i++) {
        client_open_ws(&client, &world);
        world.pipe = NULL;
        client_close(&client);
        client_open(&client, &world);
        client_send(&client, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(client_head_answer(&client), 200);
        client_close(&client);
        client_open(&client, &world);
        client_send(&client, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(client_answer(&client, NULL), 200);
        client_close(&client);
    }
    world_until_connections(&world, 0);
    assert_int_equal(world.pipes_closed, 2000);
    assert_int_equal(world.tokens, 0);
    assert_int_equal(world_counter(&world, "connections_accepted_total"), 3000);
    world_end(&world);
}

static void two_hundred_upgrades_at_once_are_taken_in_turns(void **state)
{
    struct world world;
    struct client clients[200];
    struct slice payload;

    (void)state;
    world_init(&world);
    world_start(&world);
    for (size_t i = 0; i < 200; i++) {
        client_open(&clients[i], &world);
        client_send(&clients[i], WS_REQUEST "\r\n");
    }
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(client_answer(&clients[i], NULL), 101);
        client_send_frame(&clients[i], 0x81, "x", 1);
        assert_int_equal(client_frame(&clients[i], &payload), 0x81);
    }
    for (size_t i = 0; i < 200; i++)
        client_close(&clients[i]);
    world_until(&world, &world.pipes_closed, 200);
    world_end(&world);
}

int run_life_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_address_is_named_with_the_remedy),
        cmocka_unit_test(unusable_addresses_are_explained),
        cmocka_unit_test(a_socket_file_is_served_and_removed),
        cmocka_unit_test(several_addresses_are_listened_on),
        cmocka_unit_test(connections_are_bounded_in_all_and_per_address),
        cmocka_unit_test(running_out_of_files_refuses_newcomers_and_spares_the_rest),
        cmocka_unit_test(after_stop_listening_the_open_connections_live),
        cmocka_unit_test(closing_the_server_tells_everyone_and_freeing_it_nobody_again),
        cmocka_unit_test(a_thousand_come_and_go_on_each_transport),
        cmocka_unit_test(two_hundred_upgrades_at_once_are_taken_in_turns),
    };

    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
