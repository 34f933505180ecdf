/* test_native.c - API keys and bearer tokens. */
/* SPDX-License-Identifier: MIT */
#include "auth/auth.h"
#include "base/clock.h"
#include "base/counters.h"
#include "rig.h"

#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define KEY    "key-of-ada-0123456789"

struct files {
    struct counters *counters;
    char keys[64];
    char secret[64];
    struct auth *auth;
};

static void write_file(char path[64], const char *text)
{
    FILE *file;
    int fd;

    snprintf(path, 64, "%s", "/tmp/thinkwire-auth-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct auth *open_auth(struct files *f, struct buf *error)
{
    struct auth_native_options options = {f->keys, f->secret, "authenticated"};

    return auth_native_new(&options, NULL, f->counters, error);
}

static int with_files(void **state)
{
    struct files *f = calloc(1, sizeof(*f));
    struct buf error;

    assert_non_null(f);
    buf_init(&error, 1024);
    f->counters = counters_new();
    write_file(f->keys,
               "# who has which\n\n" KEY " ada\nkey-of-bob-0123456789 bob s2\n");
    write_file(f->secret, SECRET "\n");
    f->auth = open_auth(f, &error);
    assert_non_null(f->auth);
    buf_release(&error);
    *state = f;
    return 0;
}

static int without_files(void **state)
{
    struct files *f = *state;

    auth_free(f->auth);
    counters_free(f->counters);
    unlink(f->keys);
    unlink(f->secret);
    free(f);
    return 0;
}

/* ---- asking ---- */

static void note_who(void *ctx, struct identity *identity, const char *error)
{
    char *out = ctx;

    if (identity == NULL)
        snprintf(out, 128, "%s", error);
    else
        snprintf(out, 128, "%s@%s", identity->user,
                 identity->site == NULL ? "any" : identity->site);
}

static void is(struct files *f, const char *key, const char *authorization,
               const char *who)
{
    struct credentials credentials = {0};
    char told[128] = "nobody was told";

    if (key != NULL)
        credentials.api_key = slice_of(key);
    if (authorization != NULL)
        credentials.authorization = slice_of(authorization);
    auth_identify(f->auth, &credentials, note_who, told);
    assert_string_equal(told, who);
}

static void a_key_says_whose_it_is_and_where(void **state)
{
    is(*state, KEY, NULL, "ada@any");
    is(*state, "key-of-bob-0123456789", NULL, "bob@s2");
    is(*state, NULL, "Bearer " KEY, "ada@any");
}

static void what_is_no_key_is_refused(void **state)
{
    is(*state, NULL, NULL, "Unauthorized");
    is(*state, "", NULL, "Unauthorized");
    is(*state, "key-of-ada-012345678", NULL, "Unauthorized");
    is(*state, "key-of-ada-01234567890", NULL, "Unauthorized");
    is(*state, "# who has which", NULL, "Unauthorized");
    is(*state, NULL, "Basic " KEY, "Unauthorized");
}

static void keys_are_read_again_and_what_is_malformed_changes_nothing(void **state)
{
    struct files *f = *state;
    struct buf error;
    FILE *file = fopen(f->keys, "w");

    buf_init(&error, 1024);
    assert_non_null(file);
    assert_true(fputs("key-of-eve-0123456789 eve\n", file) >= 0);
    fclose(file);
    assert_true(auth_native_reload(f->auth, &error));
    is(f, KEY, NULL, "Unauthorized");
    is(f, "key-of-eve-0123456789", NULL, "eve@any");
    file = fopen(f->keys, "w");
    assert_non_null(file);
    assert_true(fputs("short mallory\n", file) >= 0);
    fclose(file);
    assert_false(auth_native_reload(f->auth, &error));
    assert_non_null(strstr(buf_text(&error), "line 1"));
    is(f, "key-of-eve-0123456789", NULL, "eve@any");
    buf_release(&error);
}

/* ---- tokens ---- */

static void token_is(struct files *f, jwt_alg_t alg, const char *secret,
                     const char *claims, const char *who)
{
    char header[8300] = "Bearer ";
    jwt_t *jwt;
    char *text;

    assert_int_equal(jwt_new(&jwt), 0);
    assert_int_equal(jwt_add_grants_json(jwt, claims), 0);
    assert_int_equal(jwt_set_alg(jwt, alg,
                                 secret == NULL ? NULL : (const unsigned char *)secret,
                                 secret == NULL ? 0 : (int)strlen(secret)),
                     0);
    text = jwt_encode_str(jwt);
    assert_non_null(text);
    strncat(header, text, sizeof(header) - 8);
    is(f, NULL, header, who);
    free(text);
    jwt_free(jwt);
}

static void a_token_says_who_bears_it(void **state)
{
    token_is(*state, JWT_ALG_HS256, SECRET,
             "{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":4102444800}",
             "ada@any");
    token_is(
        *state, JWT_ALG_HS256, SECRET,
        "{\"sub\":\"b\\u00f6b\",\"aud\":[\"x\",\"authenticated\"],\"exp\":4102444800,"
        "\"site\":\"s1\",\"nbf\":1}",
        "b\303\266b@s1");
}

static void what_a_token_lacks_refuses_it(void **state)
{
    static const char *const claims[] = {
        "{\"aud\":\"authenticated\",\"exp\":4102444800}",
        "{\"sub\":\"\",\"aud\":\"authenticated\",\"exp\":4102444800}",
        "{\"sub\":7,\"aud\":\"authenticated\",\"exp\":4102444800}",
        "{\"sub\":\"ada\",\"exp\":4102444800}",
        "{\"sub\":\"ada\",\"aud\":\"others\",\"exp\":4102444800}",
        "{\"sub\":\"ada\",\"aud\":[\"others\"],\"exp\":4102444800}",
        "{\"sub\":\"ada\",\"aud\":\"authenticated\"}",
        "{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":1}",
        "{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":\"4102444800\"}",
        "{\"sub\":\"a\",\"aud\":\"authenticated\",\"exp\":4102444800,\"nbf\":4102444000}",
        "{\"sub\":\"a\",\"aud\":\"authenticated\",\"exp\":4102444800,\"nbf\":\"1\"}",
        "{\"sub\":\"a\",\"aud\":\"authenticated\",\"exp\":4102444800,\"site\":7}",
        "{\"sub\":\"a\",\"aud\":\"authenticated\",\"exp\":4102444800,\"site\":[\"s1\"]}",
    };

    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        token_is(*state, JWT_ALG_HS256, SECRET, claims[i], "Unauthorized");
}

static void a_site_too_long_to_be_kept_is_not_every_site(void **state)
{
    char claims[1400];

    (void)snprintf(claims, sizeof(claims),
                   "{\"sub\":\"a\",\"aud\":\"authenticated\",\"exp\":4102444800,"
                   "\"site\":\"%01100d\"}",
                   1);
    token_is(*state, JWT_ALG_HS256, SECRET, claims, "Unauthorized");
}

static void a_token_of_another_secret_or_algorithm_is_refused(void **state)
{
    static const char claims[] =
        "{\"sub\":\"ada\",\"aud\":\"authenticated\",\"exp\":4102444800}";

    token_is(*state, JWT_ALG_HS256, "another-secret-0123456789abcdef0", claims,
             "Unauthorized");
    token_is(*state, JWT_ALG_HS512, SECRET, claims, "Unauthorized");
    token_is(*state, JWT_ALG_NONE, NULL, claims, "Unauthorized");
    is(*state, NULL, "Bearer a.b.c", "Unauthorized");
    is(*state, NULL, "Bearer ", "Unauthorized");
}

static void files_that_will_not_do_are_refused_at_the_start(void **state)
{
    struct files *f = *state;
    struct files other = {.counters = f->counters};
    struct buf error;

    buf_init(&error, 1024);
    write_file(other.secret, "0123456789abcdef0123456789abcde\n");
    snprintf(other.keys, sizeof(other.keys), "%s", f->keys);
    assert_null(open_auth(&other, &error));
    assert_non_null(strstr(buf_text(&error), "32 characters"));
    unlink(other.secret);
    buf_reset(&error);
    assert_null(open_auth(&other, &error));
    assert_non_null(strstr(buf_text(&error), "cannot be read"));
    buf_release(&error);
}

int test_native(void)
{
#define FILES_TEST(name)                                                               \
    cmocka_unit_test_setup_teardown(name, with_files, without_files)
    const struct CMUnitTest tests[] = {
        FILES_TEST(a_key_says_whose_it_is_and_where),
        FILES_TEST(what_is_no_key_is_refused),
        FILES_TEST(keys_are_read_again_and_what_is_malformed_changes_nothing),
        FILES_TEST(a_token_says_who_bears_it),
        FILES_TEST(what_a_token_lacks_refuses_it),
        FILES_TEST(a_site_too_long_to_be_kept_is_not_every_site),
        FILES_TEST(a_token_of_another_secret_or_algorithm_is_refused),
        FILES_TEST(files_that_will_not_do_are_refused_at_the_start),
    };
    return cmocka_run_group_tests_name("auth: keys and tokens", tests, NULL, NULL);
}
