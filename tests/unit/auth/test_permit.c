/* test_permit.c - how each version is asked what somebody may see. */
/* SPDX-License-Identifier: MIT */
#include "rig.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define API          "GET /api/method/frappe.realtime."

/* Section 3: which method, which parameters. */
static void each_version_is_asked_with_its_own_method(void **state)
{
    static const struct {
        unsigned version;
        const char *doctype;
        const char *name;
        const char *line;
    } table[] = {
        {13, "ToDo", NULL, API "can_subscribe_doctype?sid=s1&doctype=ToDo HTTP/1.1"},
        {13, "ToDo", "a b",
         API "can_subscribe_doc?sid=s1&doctype=ToDo&docname=a%20b HTTP/1.1"},
        {14, "ToDo", "x",
         API "can_subscribe_doc?sid=s1&doctype=ToDo&docname=x HTTP/1.1"},
        {15, "Sales Order", NULL,
         API "can_subscribe_doctype?sid=s1&doctype=Sales%20Order HTTP/1.1"},
        {15, "ToDo", "", API "can_subscribe_doc?sid=s1&doctype=ToDo&docname= HTTP/1.1"},
        {15, "A&sid=x", "\xc3\xa9#?/",
         API "can_subscribe_doc?sid=s1&doctype=A%26sid%3Dx&docname=%C3%A9%23%3F%2F "
             "HTTP/1.1"},
        {16, "ToDo", NULL, API "has_permission?doctype=ToDo&name= HTTP/1.1"},
        {16, "ToDo", "x y", API "has_permission?doctype=ToDo&name=x%20y HTTP/1.1"},
        {17, "ToDo", "x", API "has_permission?doctype=ToDo&name=x HTTP/1.1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct rig rig;
        rig_start(&rig, table[i].version, YES);
        assert_true(rig_may(&rig, "sid=s1", table[i].doctype, table[i].name));
        assert_int_equal(rig.request_count, 1);
        assert_string_equal(rig_line(&rig, 0), table[i].line);
        const char *cookie = rig_header(&rig, 0, "Cookie");
        if (table[i].version < 16)
            assert_null(cookie);
        else
            assert_string_equal(cookie, "sid=s1");
        assert_string_equal(rig_header(&rig, 0, "X-Frappe-Site-Name"), "site1.local");
        rig_end(&rig);
    }
}

/* Section 3: what counts as yes. Denials are answers, all else is trouble. */
static void each_version_says_yes_in_its_way(void **state)
{
    static const struct {
        unsigned version;
        unsigned status;
        const char *body;
        bool is_allowed;
        bool is_trouble;
    } table[] = {
        {13, 200, "", true, false},
        {15, 200, "{\"message\":false}", true, false},
        {15, 200, "<h1>fine</h1>", true, false},
        {13, 403, "{}", false, false},
        {15, 401, "", false, false},
        {15, 404, "", false, true},
        {15, 500, "", false, true},
        {15, 204, "", false, true},
        {15, 302, "", false, true},
        {16, 200, YES, true, false},
        {16, 200, "{\"message\":1}", true, false},
        {16, 200, "{\"message\":-0.5e3}", true, false},
        {16, 200, "{\"message\":\"0\"}", true, false},
        {16, 200, "{\"message\":[]}", true, false},
        {16, 200, "{\"message\":{}}", true, false},
        {16, 200, "{\"message\":false}", false, false},
        {16, 200, "{\"message\":null}", false, false},
        {16, 200, "{\"message\":0}", false, false},
        {16, 200, "{\"message\":-0.0e9}", false, false},
        {16, 200, "{\"message\":\"\"}", false, false},
        {16, 200, "{}", false, false},
        {16, 403, YES, false, false},
        {16, 500, YES, false, true},
        {16, 200, "<h1>fine</h1>", false, true},
        {16, 200, "true", false, true},
        {17, 200, YES, true, false},
        {17, 200, "{\"message\":false}", false, false},
        {17, 200, "{\"message\":{}}", false, true}, /* it does not know us */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct rig rig;
        rig_start(&rig, table[i].version, "");
        rig_say(&rig, 0, table[i].status, table[i].body);
        assert_int_equal(rig_may(&rig, "sid=s1", "ToDo", "x"), table[i].is_allowed);
        bool is_denied = !table[i].is_allowed && !table[i].is_trouble;
        assert_int_equal(rig_count(&rig, "auth_denied_total"), is_denied);
        /* An answer is remembered, trouble is asked again. */
        rig_say(&rig, 0, table[i].version < 16 ? 403 : 200, "{\"message\":false}");
        assert_int_equal(rig_may(&rig, "sid=s1", "ToDo", "x"), table[i].is_allowed);
        assert_int_equal(rig.request_count, table[i].is_trouble ? 2 : 1);
        rig_end(&rig);
    }
}

static void a_question_about_a_type_is_not_one_about_a_document(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, 15, "");
    rig_say(&rig, 1, 403, "");
    rig.sayings[0] = (struct saying){.status = 200, .body = ""};
    assert_true(rig_may(&rig, "sid=s1", "ToDo", NULL));
    assert_false(rig_may(&rig, "sid=s1", "ToDo", ""));
    assert_false(rig_may(&rig, "sid=s1", "ToD", "o"));
    assert_false(rig_may(&rig, "sid=s2", "ToDo", NULL));
    assert_true(rig_may(&rig, "sid=s1", "ToDo", NULL));
    assert_int_equal(rig.request_count, 4);
    rig_end(&rig);
}

static void the_task_guard_asks_its_own_method(void **state)
{
    static const struct {
        unsigned version;
        const char *line;
    } table[] = {
        {15, "GET /api/method/app.api.may_watch?sid=s1&task_id=task_1%2F2 HTTP/1.1"},
        {17, "GET /api/method/app.api.may_watch?task_id=task_1%2F2 HTTP/1.1"},
    };
    static const struct {
        unsigned status;
        const char *body;
        bool is_allowed;
    } answers[] = {
        {200, YES, true},  {200, "{\"message\":0}", false},   {200, "{}", false},
        {403, YES, false}, {200, "<h1>fine</h1>", false},     {500, YES, false},
        {404, YES, false}, {200, "{\"message\":{}} ", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table) * COUNT(answers); i++) {
        size_t version = i / COUNT(answers);
        size_t answer = i % COUNT(answers);
        struct rig rig;
        rig_start(&rig, table[version].version, "");
        rig.options.task_method = "app.api.may_watch";
        rig_say(&rig, 0, answers[answer].status, answers[answer].body);
        bool expected = answers[answer].is_allowed;
        if (answer == COUNT(answers) - 1 && table[version].version < 17)
            expected = true; /* only v17 has a use for an empty object */
        assert_int_equal(rig_may(&rig, "sid=s1", NULL, "task_1/2"), expected);
        assert_string_equal(rig_line(&rig, 0), table[version].line);
        rig_end(&rig);
    }
}

static void a_task_guard_without_a_method_keeps_shut(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, 15, YES);
    assert_false(rig_may(&rig, "sid=s1", NULL, "task_1"));
    assert_int_equal(rig.request_count, 0);
    rig_end(&rig);
}

static void without_credentials_nothing_may_be_seen(void **state)
{
    struct rig rig;
    (void)state;
    rig_start(&rig, 15, YES);
    assert_false(rig_may(&rig, NULL, "ToDo", "x"));
    assert_false(rig_may(&rig, "a=b", "ToDo", NULL));
    assert_int_equal(rig.request_count, 0);
    assert_int_equal(rig_count(&rig, "auth_refused_total{reason=\"no_credentials\"}"),
                     2);
    rig_end(&rig);
}

int test_permit(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_is_asked_with_its_own_method),
        cmocka_unit_test(each_version_says_yes_in_its_way),
        cmocka_unit_test(a_question_about_a_type_is_not_one_about_a_document),
        cmocka_unit_test(the_task_guard_asks_its_own_method),
        cmocka_unit_test(a_task_guard_without_a_method_keeps_shut),
        cmocka_unit_test(without_credentials_nothing_may_be_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
