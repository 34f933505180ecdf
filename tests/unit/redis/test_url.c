/* test_url.c - which Redis addresses are understood, and what is said of the others. */
/* SPDX-License-Identifier: MIT */
#include "redis/url.h"
#include "tests.h"

#include <string.h>

struct good_row {
    const char *text;
    const char *host;
    const char *path;
    const char *user;
    const char *password;
    unsigned port;
    unsigned db;
    const char *target;
};

static const struct good_row good[] = {
    {"redis://localhost", "localhost", NULL, NULL, NULL, 6379, 0, "localhost:6379"},
    {"redis://h:1234/", "h", NULL, NULL, NULL, 1234, 0, "h:1234"},
    {"redis://h:1234/7", "h", NULL, NULL, NULL, 1234, 7, "h:1234/7"},
    {"redis://:se%40c%2Fret@h", "h", NULL, NULL, "se@c/ret", 6379, 0, "h:6379"},
    {"redis://u:p@q@h:1/2", "h", NULL, "u", "p@q", 1, 2, "h:1/2"},
    {"redis://secret@h", "h", NULL, NULL, "secret", 6379, 0, "h:6379"},
    {"redis://u:a:b@h", "h", NULL, "u", "a:b", 6379, 0, "h:6379"},
    {"redis://[::1]:7000/3", "::1", NULL, NULL, NULL, 7000, 3, "[::1]:7000/3"},
    {"redis://[fe80::1]", "fe80::1", NULL, NULL, NULL, 6379, 0, "[fe80::1]:6379"},
    {"unix:///run/redis.sock", NULL, "/run/redis.sock", NULL, NULL, 0, 0,
     "/run/redis.sock"},
    {"unix:///r.sock?db=4", NULL, "/r.sock", NULL, NULL, 0, 4, "/r.sock/4"},
};

static void equal_or_null(const char *got, const char *want)
{
    if (want == NULL)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void good_addresses_are_taken_apart(void **state)
{
    struct buf error;

    (void)state;
    buf_init(&error, 1024);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct redis_url url;
        assert_true(redis_url_parse(good[i].text, &url, &error));
        equal_or_null(url.place.host, good[i].host);
        equal_or_null(url.place.path, good[i].path);
        equal_or_null(url.user, good[i].user);
        equal_or_null(url.password, good[i].password);
        equal_or_null(url.target, good[i].target);
        assert_int_equal(url.place.port, good[i].port);
        assert_int_equal(url.db, good[i].db);
        redis_url_release(&url);
    }
    assert_int_equal(error.len, 0);
    buf_release(&error);
}

static const char *const bad[][2] = {
    {"rediss://h", "stunnel"},
    {"http://h", "redis://, unix://"},
    {"", "redis://, unix://"},
    {"localhost:6379", "redis://, unix://"},
    {"redis://", "needs a host"},
    {"redis://:6379", "needs a host"},
    {"redis://u:hunter2@", "needs a host"},
    {"redis://u:hunter2@h:0", "port"},
    {"redis://u:hunter2@h:65536", "port"},
    {"redis://h:12x", "port"},
    {"redis://h:99999999999999999999", "port"},
    {"redis://u:hunter2@h/x", "database"},
    {"redis://u:hunter2@h/0?x=1", "database"},
    {"redis://u:hunter2%zz@h", "percent"},
    {"redis://u:hunter2%00@h", "percent"},
    {"redis://[::1", "brackets"},
    {"redis://[::1]x", "brackets"},
    {"redis://h\r\n", "blanks"},
    {"redis://hunter2 @h", "blanks"},
    {"unix://relative.sock", "absolute"},
    {"unix://", "absolute"},
    {"unix:///s?password=hunter2", "?db=N"},
    {"unix:///s?db=x", "database"},
    {"redis+sentinel://h", "name they watch"},
    {"redis+sentinel://u:hunter2@h/", "name they watch"},
    {"redis+sentinel:///m", "needs a host"},
    {"redis+sentinel://a,/m", "needs a host"},
    {"redis+sentinel://a:0/m", "port"},
    {"redis+sentinel://a/m/x", "database"},
    {"redis+sentinel://a/m?timeout=1", "sentinel_password"},
    {"redis+sentinel://a/m?sentinel_password=hunter2&sentinel_password=x", "twice"},
    {"redis+sentinel://a/m?sentinel_password=hunter2%zz", "percent"},
    {"redis+sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m", "16 sentinels"},
};

static void bad_addresses_are_refused_without_repeating_a_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redis_url url;
        struct buf error;
        buf_init(&error, 1024);
        assert_false(redis_url_parse(bad[i][0], &url, &error));
        assert_non_null(strstr(buf_text(&error), bad[i][1]));
        assert_null(strstr(buf_text(&error), "hunter2"));
        assert_null(url.place.host);
        assert_null(url.password);
        buf_release(&error);
    }
}

struct sentinel_row {
    const char *text;
    const char *places;
    const char *master;
    const char *user;
    const char *password;
    const char *sentinel_password;
    unsigned db;
    const char *target;
};

static const struct sentinel_row sentinel_rows[] = {
    {"redis+sentinel://h/m", "h:26379", "m", NULL, NULL, NULL, 0, "m@h:26379"},
    {"redis+sentinel://a:1,[::1]:2,c/my-master/3", "a:1 [::1]:2 c:26379", "my-master",
     NULL, NULL, NULL, 3, "my-master@a:1,[::1]:2,c:26379/3"},
    {"redis+sentinel://u:p@q@a,b/m/0", "a:26379 b:26379", "m", "u", "p@q", NULL, 0,
     "m@a:26379,b:26379"},
    {"redis+sentinel://:p@a/my%20master/?sentinel_password=s%26s", "a:26379",
     "my master", NULL, "p", "s&s", 0, "my master@a:26379"},
};

static void addresses_of_sentinels_are_taken_apart(void **state)
{
    struct buf error;
    struct buf places;

    (void)state;
    buf_init(&error, 1024);
    buf_init(&places, 1024);
    for (size_t i = 0; i < sizeof(sentinel_rows) / sizeof(sentinel_rows[0]); i++) {
        const struct sentinel_row *row = &sentinel_rows[i];
        struct redis_url url;
        assert_true(redis_url_is_one(row->text));
        assert_true(redis_url_parse(row->text, &url, &error));
        buf_reset(&places);
        for (size_t j = 0; j < url.sentinel_count; j++) {
            if (j > 0)
                buf_putc(&places, ' ');
            redis_place_name(&url.sentinels[j], &places);
        }
        assert_string_equal(buf_text(&places), row->places);
        equal_or_null(url.master, row->master);
        equal_or_null(url.user, row->user);
        equal_or_null(url.password, row->password);
        equal_or_null(url.sentinel_password, row->sentinel_password);
        equal_or_null(url.target, row->target);
        assert_int_equal(url.db, row->db);
        assert_null(url.place.host);
        redis_url_release(&url);
    }
    assert_int_equal(error.len, 0);
    buf_release(&places);
    buf_release(&error);
}

static void an_overlong_socket_path_is_refused(void **state)
{
    char text[256] = "unix:///";
    struct redis_url url;
    struct buf error;

    (void)state;
    memset(text + 8, 'a', 150);
    buf_init(&error, 1024);
    assert_false(redis_url_parse(text, &url, &error));
    assert_non_null(strstr(buf_text(&error), "107"));
    buf_release(&error);
}

int test_url(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses_are_taken_apart),
        cmocka_unit_test(bad_addresses_are_refused_without_repeating_a_password),
        cmocka_unit_test(addresses_of_sentinels_are_taken_apart),
        cmocka_unit_test(an_overlong_socket_path_is_refused),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
