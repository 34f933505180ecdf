/* test_identify.c - how each version is asked who somebody is, and what it refuses. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define INFO      "GET /api/method/frappe.realtime.get_user_info"
#define NO_COOKIE "No cookie transmitted."
#define NO_SID    "No sid transmitted."
#define NO_METHOD "No authentication method used. Use cookie or authorization header."
#define MISSING_ANY                                                                    \
    "Missing cookie and authorization header. Either one needed for authentication."

static void assert_text(const char *got, const char *expected)
{
    if (expected == NULL) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, expected);
}

static void a_trusted_stranger_is_let_in_without_a_question(void **state)
{
    struct auth *auth = auth_none_new();
    struct credentials nothing = {0};
    struct auth_question question = {slice_of("ToDo"), slice_of("x")};
    struct rig rig = {0};
    struct reply reply = {.rig = &rig};
    (void)state;
    auth_identify(auth, &nothing, told_identity, &reply);
    assert_int_equal(reply.times, 1);
    assert_true(reply.is_trusted);
    assert_true(reply.is_system_user);
    assert_string_equal(reply.user, "");
    auth_permit(auth, &nothing, &question, told_permission, &reply);
    assert_int_equal(reply.times, 2);
    assert_true(reply.is_allowed);
    auth_free(auth);
    auth_free(NULL);
}

/* Section 2.4: how the credentials are handed on. */
static void each_version_hands_the_credentials_on_in_its_way(void **state)
{
    static const struct {
        unsigned version;
        const char *cookie;
        const char *authorization;
        const char *line;
        const char *sent_cookie;
        const char *sent_authorization;
    } table[] = {
        {12, "sid=s1", NULL, INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {13, "a=b; sid=s1; c=d", NULL, INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {13, "sid=s1", "token k:v", INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {14, "sid=s1", NULL, INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {15, "sid=s1", NULL, INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {15, "sid=s1", "token k:v", INFO "?sid=s1 HTTP/1.1", NULL, NULL},
        {15, "a=b", "token k:v", INFO " HTTP/1.1", NULL, "token k:v"},
        {15, NULL, "token k:v", INFO " HTTP/1.1", NULL, "token k:v"},
        {16, "a=b; sid=s1", NULL, INFO " HTTP/1.1", "sid=s1", NULL},
        {16, "sid=s1", "Bearer t", INFO " HTTP/1.1", NULL, "Bearer t"},
        {16, NULL, "Bearer t", INFO " HTTP/1.1", NULL, "Bearer t"},
        {17, "sid=s1", NULL, INFO " HTTP/1.1", "sid=s1", NULL},
        {17, "sid=s1", "Bearer t", INFO " HTTP/1.1", NULL, "Bearer t"},
        {17, NULL, "Bearer t", INFO " HTTP/1.1", NULL, "Bearer t"},
        {99, NULL, "Bearer t", INFO " HTTP/1.1", NULL, "Bearer t"},
        /* nothing of a cookie can become another parameter or header */
        {15, "sid=a%20b&x=1+2", NULL, INFO "?sid=a%20b%26x%3D1%2B2 HTTP/1.1", NULL,
         NULL},
        {15, "sid=5%", NULL, INFO "?sid=5%25 HTTP/1.1", NULL, NULL},
        {16, "sid=a%20b", NULL, INFO " HTTP/1.1", "sid=a%20b", NULL},
        /* Guest is a session as any other: the backend knows */
        {14, "sid=Guest", NULL, INFO "?sid=Guest HTTP/1.1", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct rig rig;
        struct reply reply = {0};
        rig_start(&rig, table[i].version, SYSTEM_USER);
        rig_who(&rig, table[i].cookie, table[i].authorization, &reply);
        assert_string_equal(reply.error, "");
        assert_string_equal(reply.user, "a@b.c");
        assert_true(reply.is_system_user);
        assert_false(reply.is_trusted);
        assert_int_equal(rig.request_count, 1);
        assert_string_equal(rig_line(&rig, 0), table[i].line);
        assert_text(rig_header(&rig, 0, "Cookie"), table[i].sent_cookie);
        assert_text(rig_header(&rig, 0, "Authorization"), table[i].sent_authorization);
        assert_text(rig_header(&rig, 0, "X-Frappe-Site-Name"), "site1.local");
        assert_text(rig_header(&rig, 0, "X-Frappe-Socket-Secret"), NULL);
        rig_end(&rig);
    }
}

/* Section 2.4, rows 3 and 4. */
static void without_credentials_each_version_has_its_words(void **state)
{
    static const struct {
        unsigned version;
        const char *cookie;
        const char *authorization;
        const char *error;
    } table[] = {
        {13, NULL, NULL, NO_COOKIE},       {13, NULL, "token k:v", NO_COOKIE},
        {13, "", NULL, NO_COOKIE},         {13, "a=b", NULL, NO_SID},
        {13, "sid=", NULL, NO_SID},        {13, "a=b", "token k:v", NO_SID},
        {14, NULL, NULL, NO_COOKIE},       {14, "a=b", NULL, NO_SID},
        {15, NULL, NULL, NO_COOKIE},       {15, NULL, "", NO_COOKIE},
        {15, "a=b", NULL, NO_METHOD},      {15, "sid=; a=b", NULL, NO_METHOD},
        {15, "xsid=s1", NULL, NO_METHOD},  {16, NULL, NULL, NO_COOKIE},
        {16, "a=b", NULL, NO_METHOD},      {17, NULL, NULL, MISSING_ANY},
        {17, "", "", MISSING_ANY},         {17, "a=b", NULL, NO_METHOD},
        {17, "sid=\"\"", NULL, NO_METHOD},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct rig rig;
        struct reply reply = {0};
        rig_start(&rig, table[i].version, SYSTEM_USER);
        rig_identify(&rig, table[i].cookie, table[i].authorization, &reply);
        assert_int_equal(reply.times, 1); /* at once: there is nobody to ask */
        assert_string_equal(reply.error, table[i].error);
        assert_int_equal(rig.request_count, 0);
        assert_int_equal(
            rig_count(&rig, "auth_refused_total{reason=\"no_credentials\"}"), 1);
        rig_end(&rig);
    }
}

static void an_expired_session_is_whom_the_backend_says(void **state)
{
    struct rig rig;
    struct reply reply = {0};
    (void)state;
    rig_start(&rig, 15, GUEST);
    rig_who(&rig, "sid=expired", NULL, &reply);
    assert_string_equal(reply.error, "");
    assert_string_equal(reply.user, "Guest");
    assert_false(reply.is_system_user);
    rig_end(&rig);
}

static void a_user_without_a_type_is_no_system_user(void **state)
{
    static const char *const bodies[] = {
        "{\"message\":{\"user\":\"a@b.c\"}}",
        "{\"message\":{\"user\":\"a@b.c\",\"user_type\":null}}",
        "{\"message\":{\"user\":\"a@b.c\",\"user_type\":\"system user\"}}",
        "{\"message\":{\"user\":\"a@b.c\",\"user_type\":[\"System User\"]}}",
        " {\"user_type\":\"System User\", \"message\" : {\"user\":\"a@b\\u002ec\"} } ",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct rig rig;
        struct reply reply = {0};
        rig_start(&rig, 14, bodies[i]);
        rig_who(&rig, "sid=s1", NULL, &reply);
        assert_string_equal(reply.user, "a@b.c");
        assert_false(reply.is_system_user);
        rig_end(&rig);
    }
}

static void one_web_address_serves_every_site(void **state)
{
    struct rig rig;
    struct reply first = {.rig = &rig};
    struct reply second = {.rig = &rig};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig.options.web_base = rig.origin;
    rig_auth(&rig);
    struct credentials credentials = rig_credentials(&rig, "sid=s1", NULL);
    credentials.origin = slice_of("https://site1.local");
    credentials.host = slice_of("site1.local");
    rig.waiting = 2;
    auth_identify(rig.auth, &credentials, told_identity, &first);
    /* The same session id on another site is another question. */
    credentials.site = slice_of("site2.local");
    auth_identify(rig.auth, &credentials, told_identity, &second);
    rig_wait(&rig);
    assert_string_equal(second.user, "a@b.c");
    assert_int_equal(rig.request_count, 2);
    assert_string_not_equal(rig_header(&rig, 0, "X-Frappe-Site-Name"),
                            rig_header(&rig, 1, "X-Frappe-Site-Name"));
    rig_end(&rig);
}

static void without_an_origin_the_called_host_is_asked(void **state)
{
    struct rig rig;
    struct reply reply = {.rig = &rig};
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig_auth(&rig);
    struct credentials credentials = rig_credentials(&rig, NULL, "token k:v");
    credentials.origin = slice_make(NULL, 0);
    rig.waiting = 1;
    auth_identify(rig.auth, &credentials, told_identity, &reply);
    rig_wait(&rig);
    assert_string_equal(reply.user, "a@b.c");
    rig_end(&rig);
}

static void developer_mode_leads_to_the_web_server_port(void **state)
{
    struct rig rig;
    struct reply reply = {.rig = &rig};
    (void)state;
    rig_start(&rig, 16, SYSTEM_USER);
    rig.options.developer_mode = true;
    rig.options.webserver_port = scripted_port(rig.backend);
    rig_auth(&rig);
    struct credentials credentials = rig_credentials(&rig, "sid=s1", NULL);
    credentials.origin = slice_of("http://127.0.0.1:1");
    rig.waiting = 1;
    auth_identify(rig.auth, &credentials, told_identity, &reply);
    rig_wait(&rig);
    assert_string_equal(reply.user, "a@b.c");
    rig_end(&rig);
}

struct holder {
    struct rig *rig;
    struct identity *identity;
};

static void keep_identity(void *ctx, struct identity *identity, const char *error)
{
    struct holder *holder = ctx;
    assert_null(error);
    holder->identity = identity_ref(identity);
    holder->rig->waiting = 0;
    rig_stop(holder->rig);
}

static void an_identity_lives_as_long_as_somebody_holds_it(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, 15, SYSTEM_USER);
    rig_auth(&rig);
    struct holder holder = {.rig = &rig};
    struct credentials credentials = rig_credentials(&rig, "sid=s1", NULL);
    rig.waiting = 1;
    auth_identify(rig.auth, &credentials, keep_identity, &holder);
    rig_wait(&rig);
    rig_end(&rig);
    assert_string_equal(holder.identity->user, "a@b.c");
    identity_unref(holder.identity);
    identity_unref(NULL);
}

int test_identify(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_stranger_is_let_in_without_a_question),
        cmocka_unit_test(each_version_hands_the_credentials_on_in_its_way),
        cmocka_unit_test(without_credentials_each_version_has_its_words),
        cmocka_unit_test(an_expired_session_is_whom_the_backend_says),
        cmocka_unit_test(a_user_without_a_type_is_no_system_user),
        cmocka_unit_test(one_web_address_serves_every_site),
        cmocka_unit_test(without_an_origin_the_called_host_is_asked),
        cmocka_unit_test(developer_mode_leads_to_the_web_server_port),
        cmocka_unit_test(an_identity_lives_as_long_as_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
