/* jwt.c - bearer tokens: JSON Web Tokens (RFC 7519) signed with HS256. */
/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include "auth/internal.h"

#include <errno.h>
#include <jwt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_MIN_BYTES 32 /* RFC 7518 section 3.2: as long as the hash */
#define SECRET_MAX_BYTES 4096
#define TOKEN_MAX_BYTES  8192
#define CLAIM_MAX_BYTES  1024

struct jwt_rules {
    unsigned char secret[SECRET_MAX_BYTES + 1]; /* one more shows that it is too long */
    size_t secret_len;
    char *audience;
};

void jwt_rules_free(struct jwt_rules *rules)
{
    if (rules == NULL)
        return;
    explicit_bzero(rules->secret, sizeof(rules->secret));
    free(rules->audience);
    free(rules);
}

struct jwt_rules *jwt_rules_load(const char *path, const char *audience,
                                 struct buf *error)
{
    struct jwt_rules *rules = mem_new(sizeof(*rules));
    FILE *file = fopen(path, "re");

    rules->audience = mem_text(slice_of(audience));
    if (file == NULL) {
        (void)buf_printf(error, "--jwt-secret-file %s cannot be read: %s", path,
                         strerror(errno));
        jwt_rules_free(rules);
        return NULL;
    }
    rules->secret_len = fread(rules->secret, 1, sizeof(rules->secret), file);
    (void)fclose(file);
    while (rules->secret_len > 0 && (rules->secret[rules->secret_len - 1] == '\n' ||
                                     rules->secret[rules->secret_len - 1] == '\r'))
        rules->secret_len--;
    if (rules->secret_len >= SECRET_MIN_BYTES && rules->secret_len <= SECRET_MAX_BYTES)
        return rules;
    (void)buf_printf(
        error,
        "--jwt-secret-file %s: a secret of fewer than %d characters can be "
        "guessed, and one of more than %d is not taken",
        path, SECRET_MIN_BYTES, SECRET_MAX_BYTES);
    jwt_rules_free(rules);
    return NULL;
}

/* ---- claims ---- */

static bool is_text(struct json_member claim, const char *text)
{
    return claim.kind == JSON_STRING && json_raw_is(json_string_raw(claim.value), text);
}

/* One text or a list of them. */
static bool is_for(struct slice claims, const char *audience)
{
    struct json_member claim;
    struct json_member item;
    size_t at = 0;

    if (!json_get(claims, "aud", &claim))
        return false;
    if (claim.kind != JSON_ARRAY)
        return is_text(claim, audience);
    while (json_next(claim.value, &at, &item))
        if (is_text(item, audience))
            return true;
    return false;
}

/* Seconds, perhaps with a fraction; `absent` when nothing is said; NAN, which is neither
 * before nor after anything, when it is no number. */
static double seconds_of(struct slice claims, const char *name, double absent)
{
    struct json_member claim;
    char text[64];

    if (!json_get(claims, name, &claim))
        return absent;
    if (claim.kind != JSON_NUMBER || claim.value.len >= sizeof(text))
        return NAN;
    memcpy(text, claim.value.ptr, claim.value.len);
    text[claim.value.len] = '\0';
    return strtod(text, NULL);
}

/* False when it is no text, or one that would be cut. */
static bool read_text(struct json_member claim, struct buf *out)
{
    return claim.kind == JSON_STRING &&
           json_unescape(out, json_string_raw(claim.value));
}

static bool read_user(struct slice claims, struct buf *user)
{
    struct json_member claim;

    return json_get(claims, "sub", &claim) && read_text(claim, user) && user->len > 0;
}

/* A site that cannot be understood must not become every site. */
static bool read_site(struct slice claims, struct buf *site)
{
    struct json_member claim;

    return !json_get(claims, "site", &claim) || read_text(claim, site);
}

static struct identity *judge_claims(const struct jwt_rules *rules, struct slice claims)
{
    double now = (double)clock_wall_ms() / 1000;
    struct identity *identity = NULL;
    struct buf user;
    struct buf site;

    buf_init(&user, CLAIM_MAX_BYTES);
    buf_init(&site, CLAIM_MAX_BYTES);
    if (seconds_of(claims, "exp", NAN) > now && seconds_of(claims, "nbf", 0) <= now &&
        is_for(claims, rules->audience) && read_user(claims, &user) &&
        read_site(claims, &site))
        identity = identity_of(buf_view(&user), buf_view(&site));
    buf_release(&site);
    buf_release(&user);
    return identity;
}

struct identity *jwt_rules_judge(const struct jwt_rules *rules, struct slice token)
{
    struct identity *identity = NULL;
    jwt_t *jwt = NULL;
    char *claims = NULL;
    char *text;

    if (token.len == 0 || token.len > TOKEN_MAX_BYTES)
        return NULL;
    text = mem_text(token);
    /* What the token says of its own algorithm is only believed where it is ours. */
    if (jwt_decode(&jwt, text, rules->secret, (int)rules->secret_len) == 0 &&
        jwt_get_alg(jwt) == JWT_ALG_HS256)
        claims = jwt_get_grants_json(jwt, NULL);
    if (claims != NULL && json_check(slice_of(claims)))
        identity = judge_claims(rules, slice_of(claims));
    free(claims);
    jwt_free(jwt);
    explicit_bzero(text, token.len);
    free(text);
    return identity;
}
