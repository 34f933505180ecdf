/* test_site.c - which site a request is for, and which address is asked about it. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "rig.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void assert_slice(struct slice got, const char *expected)
{
    if (slice_is(got, expected))
        return;
    fail_msg("got \"%.*s\", expected \"%s\"", (int)got.len, got.ptr, expected);
}

static void a_host_name_is_found_in_whatever_holds_it(void **state)
{
    static const char *const table[][2] = {
        {"site1.local", "site1.local"},
        {"site1.local:9000", "site1.local"},
        {"http://site1.local", "site1.local"},
        {"https://site1.local:8080/x/y", "site1.local"},
        {"https://site1.local/x:y@z", "site1.local"},
        {"https://site1.local?x=//evil.local", "site1.local"},
        {"https://site1.local#@evil.local", "site1.local"},
        {"https://site1.local\\@evil.local", "site1.local"},
        {"HTTPS://Site1.LOCAL:443", "Site1.LOCAL"},
        {"https://user:pass@site1.local:8080", "site1.local"},
        {"https://user@site1.local", "site1.local"},
        {"https://a@b@site1.local", "site1.local"},
        {"http://[::1]:8000", "[::1]"},
        {"http://[2001:db8::7]", "[2001:db8::7]"},
        {"http://user:pass@[2001:db8::7]:80/", "[2001:db8::7]"},
        {"[::1]:9000", "[::1]"},
        {"127.0.0.1:9000", "127.0.0.1"},
        {"http://", ""},
        {"://", ""},
        {":8080", ""},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++)
        assert_slice(auth_hostname(slice_of(table[i][0])), table[i][1]);
    assert_slice(auth_hostname(slice_make(NULL, 0)), "");
}

static void a_site_is_the_first_of_header_default_origin_and_host(void **state)
{
    static const struct {
        const char *header;
        const char *origin;
        const char *host;
        const char *default_site;
        const char *site;
    } table[] = {
        /* the header wins over everything, and is cut to its host name */
        {"site1.local", "http://o.local", "h.local", "d.local", "site1.local"},
        {"site1.local:8080", NULL, "localhost", "d.local", "site1.local"},
        {"https://site1.local:8080", NULL, "h.local", "", "site1.local"},
        {"", "http://o.local", "h.local", "", "o.local"},
        {":80", "http://o.local", "h.local", "", "o.local"},
        /* the default only for this machine, by Host */
        {NULL, "http://o.local", "localhost", "d.local", "d.local"},
        {NULL, "http://localhost:8000", "localhost:9000", "d.local", "d.local"},
        {NULL, NULL, "127.0.0.1:9000", "d.local", "d.local"},
        {NULL, NULL, "LocalHost", "d.local", "d.local"},
        {NULL, NULL, "[::1]:9000", "d.local", "d.local"},
        {NULL, "http://localhost:8000", "h.local", "d.local", "localhost"},
        {NULL, NULL, "localhost.evil", "d.local", "localhost.evil"},
        {NULL, NULL, "localhost:9000", "", "localhost"},
        {NULL, NULL, "localhost:9000", NULL, "localhost"},
        /* then Origin, then Host */
        {NULL, "https://o.local:8443", "h.local", "d.local", "o.local"},
        {NULL, "https://u:p@o.local:8443", "h.local", NULL, "o.local"},
        {NULL, "http://[2001:db8::7]:80", "h.local", NULL, "[2001:db8::7]"},
        {NULL, NULL, "h.local:9000", NULL, "h.local"},
        {NULL, "null", "h.local:9000", NULL, "h.local"},
        {NULL, "file://", "h.local:9000", NULL, "h.local"},
        {NULL, "", "[2001:db8::7]:9000", NULL, "[2001:db8::7]"},
        {NULL, NULL, NULL, NULL, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++)
        assert_slice(auth_site(slice_of(table[i].header), slice_of(table[i].origin),
                               slice_of(table[i].host),
                               slice_of(table[i].default_site)),
                     table[i].site);
}

struct place {
    unsigned version;
    const char *web_base;
    unsigned developer_port; /* 0: developer mode is off */
    bool is_tls;
    const char *origin;
    const char *host;
    const char *base; /* NULL: nobody is asked */
};

static void check_place(const struct place *place)
{
    struct auth_frappe_options options = {
        .version = place->version,
        .web_base = place->web_base,
        .task_method = "",
        .developer_mode = place->developer_port != 0,
        .webserver_port = place->developer_port != 0 ? place->developer_port : 1234,
    };
    struct credentials credentials = {
        .site = slice_of("site1.local"),
        .origin = slice_of(place->origin),
        .host = slice_of(place->host),
        .cookie = slice_of("sid=x"),
        .is_tls = place->is_tls,
    };
    struct answer refused = {0};
    struct rules rules;
    rules_init(&rules, &options);
    struct question *question =
        question_new(&rules, &credentials, ASK_IDENTITY, NULL, &refused);
    if (place->base != NULL) {
        assert_non_null(question);
        assert_slice(question->base, place->base);
    } else {
        assert_null(question);
        assert_int_equal(refused.refusal, REFUSED_ADDRESS);
        assert_string_equal(refused.error, "Unauthorized");
    }
    question_free(question);
    rules_release(&rules);
}

static void the_backend_is_where_the_page_came_from(void **state)
{
    static const struct place table[] = {
        {15, "", 0, false, "https://o.local:8443", "h.local", "https://o.local:8443"},
        {15, "", 0, false, "http://o.local", "h.local", "http://o.local"},
        {15, "", 0, false, "HTTP://O.Local", "h.local", "HTTP://O.Local"},
        {15, "", 0, false, "http://o.local/", "h.local", "http://o.local"},
        {15, "", 0, false, "http://[::1]:8000", "h.local", "http://[::1]:8000"},
        {15, "", 0, false, NULL, "h.local:9000", "http://h.local:9000"},
        {15, "", 0, true, NULL, "h.local", "https://h.local"},
        {15, "", 0, true, "", "[::1]:9000", "https://[::1]:9000"},
        /* one address for everybody, where it is set */
        {15, "http://web:8000", 0, false, "https://o.local", "h", "http://web:8000"},
        {17, "http://web:8000/", 7, false, "https://o.local", "h", "http://web:8000"},
        {15, "http://web/app//", 0, false, "null", NULL, "http://web/app"},
        /* developer mode: the same host, the web server's port, from v16 on */
        {15, "", 8000, false, "http://o.local:9000", "h", "http://o.local:9000"},
        {16, "", 8000, false, "http://o.local:9000", "h", "http://o.local:8000"},
        {17, "", 8000, false, "http://o.local", "h", "http://o.local:8000"},
        {17, "", 8000, false, NULL, "h.local:9000", "http://h.local:8000"},
        {17, "", 8000, false, "http://[::1]:9000", "h", "http://[::1]:8000"},
        {17, "", 0, false, "http://o.local:9000", "h", "http://o.local:9000"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++)
        check_place(&table[i]);
}

static void an_origin_that_is_no_address_asks_nobody(void **state)
{
    static const char *const origins[] = {
        "null",
        "file://",
        "http://",
        "ftp://o.local",
        "http://user:pass@o.local",
        "http://o.local:port",
        "http://o.local:",
        "http://o.local:1234567",
        "http://o local",
        "http://o.local\r\nX: y",
        "http://o.local%2f",
        "http://[::1]x",
        "javascript://o.local",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(origins); i++) {
        struct place place = {15, "", 0, false, origins[i], "h.local", NULL};
        check_place(&place);
    }
    struct place nowhere = {15, "", 0, false, NULL, NULL, NULL};
    check_place(&nowhere);
}

static void an_operator_is_not_shown_a_password_in_the_address(void **state)
{
    static const char *const table[][2] = {
        {"http://user:pass@web:8000", "http://web:8000"},
        {"http://user:pass@web/a@b", "http://web/a@b"},
        {"http://web:8000", "http://web:8000"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct question question = {.base = slice_of(table[i][0])};
        struct buf scratch;
        buf_init(&scratch, 100);
        assert_slice(question_shown_base(&question, &scratch), table[i][1]);
        buf_release(&scratch);
    }
}

int test_site(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_name_is_found_in_whatever_holds_it),
        cmocka_unit_test(a_site_is_the_first_of_header_default_origin_and_host),
        cmocka_unit_test(the_backend_is_where_the_page_came_from),
        cmocka_unit_test(an_origin_that_is_no_address_asks_nobody),
        cmocka_unit_test(an_operator_is_not_shown_a_password_in_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
