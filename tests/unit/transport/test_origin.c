/* test_origin.c - the origin rule and the CORS lines. */
/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "transport/origin.h"

static char star[] = "*";
static char listed[] = "https://app.example";
static char *star_items[] = {star};
static char *listed_items[] = {listed};
static const struct config_list star_list = {star_items, 1};
static const struct config_list listed_list = {listed_items, 1};

static enum origin_verdict judge(const struct config_list *list, const char *origin,
                                 const char *host)
{
    struct origin_rules rules = {.origins = list};

    return origin_judge(&rules, slice_of(origin), slice_of(host));
}

static void an_origin_is_judged_by_list_and_host(void **state)
{
    (void)state;
    assert_int_equal(judge(NULL, NULL, "h"), ORIGIN_ABSENT);
    assert_int_equal(judge(&listed_list, "https://app.example", "h"), ORIGIN_LISTED);
    assert_int_equal(judge(&listed_list, "HTTPS://App.Example", "h"), ORIGIN_LISTED);
    assert_int_equal(judge(&listed_list, "http://app.example", "h"), ORIGIN_FOREIGN);
    assert_int_equal(judge(&listed_list, "https://app.example:8443", "h"),
                     ORIGIN_FOREIGN);
    assert_int_equal(judge(&listed_list, "https://app.example.evil", "h"),
                     ORIGIN_FOREIGN);
    assert_int_equal(judge(&listed_list, "https://h", "h"), ORIGIN_SAME_HOST);
    assert_int_equal(judge(NULL, "http://H:8080", "h:9000"), ORIGIN_SAME_HOST);
    assert_int_equal(judge(NULL, "http://[::1]:8080", "[::1]"), ORIGIN_SAME_HOST);
    assert_int_equal(judge(NULL, "http://[::2]", "[::1]:80"), ORIGIN_FOREIGN);
    assert_int_equal(judge(NULL, "http://xh", "h"), ORIGIN_FOREIGN);
    assert_int_equal(judge(NULL, "null", "null"), ORIGIN_FOREIGN);
    assert_int_equal(judge(NULL, "", ""), ORIGIN_FOREIGN);
    assert_int_equal(judge(NULL, "http://", ""), ORIGIN_FOREIGN);
    assert_int_equal(judge(&star_list, "null", "h"), ORIGIN_ANY);
    assert_int_equal(judge(&star_list, "*", "h"), ORIGIN_ANY);
}

static const char *lines(const struct config_list *list, bool reflect,
                         const char *origin, struct buf *out)
{
    struct origin_rules rules = {.origins = list, .reflect_credentials = reflect};

    buf_reset(out);
    origin_write_lines(&rules, slice_of(origin), slice_of("h"), out);
    return buf_text(out);
}

#define EXPOSE "Access-Control-Expose-Headers: X-Request-Id, X-Task-Id\r\n"

static void cors_lines_follow_the_options(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 2000);
    assert_string_equal(lines(NULL, false, "https://x", &out), "");
    assert_string_equal(lines(&star_list, false, "https://x", &out),
                        "Access-Control-Allow-Origin: *\r\n" EXPOSE);
    assert_string_equal(lines(&star_list, false, NULL, &out),
                        "Access-Control-Allow-Origin: *\r\n" EXPOSE);
    assert_string_equal(lines(&star_list, true, "https://x", &out),
                        "Access-Control-Allow-Origin: https://x\r\n"
                        "Access-Control-Allow-Credentials: true\r\n" EXPOSE
                        "Vary: Origin\r\n");
    assert_string_equal(lines(&star_list, true, NULL, &out), "Vary: Origin\r\n");
    assert_string_equal(lines(&listed_list, false, "https://app.example", &out),
                        "Access-Control-Allow-Origin: https://app.example\r\n"
                        "Access-Control-Allow-Credentials: true\r\n" EXPOSE
                        "Vary: Origin\r\n");
    assert_string_equal(lines(&listed_list, false, "https://evil.example", &out),
                        "Vary: Origin\r\n");
    buf_release(&out);
}

static void every_answer_carries_them_also_errors(void **state)
{
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world.origins = star_list;
    world_start(&world);
    client_open(&client, &world);
    client_send(&client,
                "GET /nowhere HTTP/1.1\r\nHost: h\r\nOrigin: https://x\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 404);
    assert_non_null(strstr(client_last_head(), "Access-Control-Allow-Origin: *\r\n"));
    client_send(&client, WS_REQUEST "Origin: https://x\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 101);
    assert_non_null(strstr(client_last_head(), "Access-Control-Allow-Origin: *\r\n"));
    client_close(&client);
    client_open(&client, &world);
    client_send(&client, "garbage\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 400);
    assert_non_null(strstr(client_last_head(), "Access-Control-Allow-Origin: *\r\n"));
    client_close(&client);
    world_end(&world);
}

#define PREFLIGHT                                                                      \
    "OPTIONS /echo HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Method: POST\r\n"

static void preflights_are_answered_for_allowed_origins_only(void **state)
{
    struct world world;
    struct client client;
    const char *body = NULL;

    (void)state;
    world_init(&world);
    world.origins = listed_list;
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, PREFLIGHT "Origin: https://app.example\r\n"
                                   "Access-Control-Request-Headers: x-mine\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 204);
    const char *head = client_last_head();
    assert_non_null(strstr(
        head, "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"));
    assert_non_null(strstr(head, "Authorization,Content-Type,X-API-Key,Last-Event-ID"));
    assert_non_null(strstr(head, ",Thinkwire-Counter,x-mine\r\n"));
    assert_non_null(
        strstr(head, "Access-Control-Allow-Origin: https://app.example\r\n"));
    client_send(&client, PREFLIGHT "Origin: https://evil.example\r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 403);
    assert_non_null(strstr(body, "ORIGIN_NOT_ALLOWED"));
    assert_null(strstr(client_last_head(), "Access-Control-Allow-Origin"));
    /* Without Access-Control-Request-Method it is a request like others. */
    client_send(&client, "OPTIONS /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_answer(&client, &body), 200);
    assert_memory_equal(body, "OPTIONS|", 8);
    assert_int_equal(world_counter(&world, "foreign_origins_total"), 1);
    client_close(&client);
    world_end(&world);
}

static unsigned upgrade_status(struct world *world, const char *origin)
{
    struct client client;

    client_open(&client, world);
    client_send(&client, WS_REQUEST);
    client_send(&client, origin);
    client_send(&client, "\r\n");
    unsigned status = client_answer(&client, NULL);
    client_close(&client);
    return status;
}

static void a_foreign_page_cannot_open_a_websocket(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.origins = listed_list;
    world_start(&world);
    assert_int_equal(upgrade_status(&world, "Origin: https://evil.example\r\n"), 403);
    assert_int_equal(upgrade_status(&world, "Origin: null\r\n"), 403);
    assert_int_equal(upgrade_status(&world, ""), 101);
    assert_int_equal(upgrade_status(&world, "Origin: http://h:123\r\n"), 101);
    assert_int_equal(upgrade_status(&world, "Origin: https://app.example\r\n"), 101);
    world_until_connections(&world, 0);
    assert_int_equal(world.tokens, 0);
    world_end(&world);
}

static void an_address_may_judge_origins_itself(void **state)
{
    static const char request[] = "OPTIONS /own-rule HTTP/1.1\r\nHost: h\r\n"
                                  "Access-Control-Request-Method: POST\r\n"
                                  "Origin: https://evil.example\r\n\r\n";
    static const char upgrade[] =
        "GET /own-rule HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Origin: https://evil.example\r\n\r\n";
    static const char echoed[] = "Access-Control-Allow-Origin: https://evil.example\r\n"
                                 "Access-Control-Allow-Credentials: true\r\n";
    struct world world;
    struct client client;

    (void)state;
    world_init(&world);
    world.origins = listed_list;
    world_start(&world);
    client_open(&client, &world);
    client_send(&client, request);
    assert_int_equal(client_answer(&client, NULL), 204);
    assert_non_null(strstr(client_last_head(), echoed));
    client_send(&client, "GET /own-rule HTTP/1.1\r\nHost: h\r\n"
                         "Origin: https://evil.example\r\n\r\n");
    assert_int_equal(client_answer(&client, NULL), 200);
    assert_non_null(strstr(client_last_head(), echoed));
    client_send(&client, upgrade);
    assert_int_equal(client_answer(&client, NULL), 101);
    assert_non_null(strstr(client_last_head(), echoed));
    client_close(&client);
    world_until_connections(&world, 0);
    assert_int_equal(world_counter(&world, "foreign_origins_total"), 0);
    world_end(&world);
}

int run_origin_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_judged_by_list_and_host),
        cmocka_unit_test(cors_lines_follow_the_options),
        cmocka_unit_test(every_answer_carries_them_also_errors),
        cmocka_unit_test(preflights_are_answered_for_allowed_origins_only),
        cmocka_unit_test(a_foreign_page_cannot_open_a_websocket),
        cmocka_unit_test(an_address_may_judge_origins_itself),
    };

    return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
