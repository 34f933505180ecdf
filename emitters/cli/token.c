/* token.c - thinkwire token: mints a bearer token, for tests and by hand. */
/* SPDX-License-Identifier: MIT */
#include "emitters/cli/tool.h"

#include "base/clock.h"

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_MIN_BYTES 32
#define SECRET_MAX_BYTES 4096

struct token_options {
    char *secret_file;
    char *user;
    char *audience;
    char *site;
    uint64_t ttl_s;
};

static const char head[] = "What the token says";

static const struct config_row rows[] = {
    {"secret-file", CONFIG_TEXT, offsetof(struct token_options, secret_file), "", 0, 0,
     NULL, NULL, "The broker's --jwt-secret-file.", head},
    {"sub", CONFIG_TEXT, offsetof(struct token_options, user), "", 0, 0, NULL, NULL,
     "Whose token it is.", head},
    {"aud", CONFIG_TEXT, offsetof(struct token_options, audience), "authenticated", 0,
     0, NULL, NULL, "The broker's --jwt-audience.", head},
    {"site", CONFIG_TEXT, offsetof(struct token_options, site), "", 0, 0, NULL, NULL,
     "The only site its bearer may use; empty = any.", head},
    {"ttl-s", CONFIG_U64, offsetof(struct token_options, ttl_s), "3600", 1, 31536000,
     NULL, NULL, "Seconds until it expires.", head},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static bool read_secret(const char *path, unsigned char *secret, size_t *len)
{
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return false;
    *len = fread(secret, 1, SECRET_MAX_BYTES, file);
    (void)fclose(file);
    while (*len > 0 && (secret[*len - 1] == '\n' || secret[*len - 1] == '\r'))
        (*len)--;
    return true;
}

/* A text to free(), or NULL. */
static char *mint(const struct token_options *options, const unsigned char *secret,
                  size_t len)
{
    long now = (long)(clock_wall_ms() / 1000);
    char *text = NULL;
    jwt_t *jwt;

    if (jwt_new(&jwt) != 0)
        return NULL;
    if (jwt_set_alg(jwt, JWT_ALG_HS256, secret, (int)len) == 0 &&
        jwt_add_grant(jwt, "sub", options->user) == 0 &&
        jwt_add_grant(jwt, "aud", options->audience) == 0 &&
        (options->site[0] == '\0' || jwt_add_grant(jwt, "site", options->site) == 0) &&
        jwt_add_grant_int(jwt, "iat", now) == 0 &&
        jwt_add_grant_int(jwt, "exp", now + (long)options->ttl_s) == 0)
        text = jwt_encode_str(jwt);
    jwt_free(jwt);
    return text;
}

int tool_token(int argc, char **argv)
{
    unsigned char secret[SECRET_MAX_BYTES];
    struct token_options options = {0};
    const struct config_request request = {
        .program = "thinkwire token",
        .version = THINKWIRE_VERSION,
        .intro = "Mints a token for a broker with --auth jwt, and prints it.\n\n"
                 "  thinkwire token --secret-file FILE --sub ada@example.com\n",
        .rows = rows,
        .row_count = ROW_COUNT,
        .argc = argc,
        .argv = argv,
    };
    char *text = NULL;
    size_t len = 0;
    int code;

    if (!tool_config(&request, &options, &code))
        return code;
    code = TOOL_USAGE;
    if (options.user[0] == '\0')
        (void)tool_fail("token", code, "whose is it? --sub says so");
    else if (!read_secret(options.secret_file, secret, &len))
        (void)tool_fail("token", code, "--secret-file %s cannot be read: %s",
                        options.secret_file, strerror(errno));
    else if (len < SECRET_MIN_BYTES)
        (void)tool_fail("token", code,
                        "a secret of fewer than %d characters is refused",
                        SECRET_MIN_BYTES);
    else if ((text = mint(&options, secret, len)) == NULL)
        (void)tool_fail("token", code, "the token cannot be made");
    else
        code = printf("%s\n", text) > 0 ? TOOL_OK : TOOL_USAGE;
    explicit_bzero(secret, sizeof(secret));
    free(text);
    config_release(rows, ROW_COUNT, &options);
    return code;
}
