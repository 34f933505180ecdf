/* native.c - who shows an API key or a bearer token; all others are the backend's to know. */
/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include "auth/internal.h"

#include <stdlib.h>

struct auth_native {
    struct auth auth;
    char *keys_file;
    struct api_keys *keys;   /* NULL: no such way */
    struct jwt_rules *rules; /* likewise */
    struct auth *backend;    /* likewise */
    struct counter *known;
    struct counter *refused;
};

static struct slice bearer_of(struct slice authorization)
{
    if (authorization.len <= 7 || strncasecmp(authorization.ptr, "bearer ", 7) != 0)
        return (struct slice){0};
    return slice_make(authorization.ptr + 7, authorization.len - 7);
}

/* One reference, or NULL. */
static struct identity *recognise(const struct auth_native *native,
                                  const struct credentials *credentials)
{
    struct slice bearer = bearer_of(credentials->authorization);
    struct identity *identity = NULL;

    if (native->keys != NULL && credentials->api_key.len > 0)
        return api_keys_find(native->keys, credentials->api_key);
    if (native->rules != NULL && bearer.len > 0)
        identity = jwt_rules_judge(native->rules, bearer);
    /* Clients of OpenAI's form can send a key no other way. */
    if (identity == NULL && native->keys != NULL && bearer.len > 0)
        identity = api_keys_find(native->keys, bearer);
    return identity;
}

static void native_identify(struct auth *auth, const struct credentials *credentials,
                            auth_identified *done, void *ctx)
{
    struct auth_native *native = LIST_ENTRY(auth, struct auth_native, auth);
    struct identity *identity = recognise(native, credentials);

    if (identity == NULL && native->backend != NULL && credentials->api_key.len == 0) {
        auth_identify(native->backend, credentials, done, ctx);
        return;
    }
    counter_add(identity == NULL ? native->refused : native->known, 1);
    done(ctx, identity, identity == NULL ? "Unauthorized" : NULL);
    identity_unref(identity);
}

static void native_permit(struct auth *auth, const struct credentials *credentials,
                          const struct auth_question *question, auth_permitted *done,
                          void *ctx)
{
    struct auth_native *native = LIST_ENTRY(auth, struct auth_native, auth);

    if (native->backend != NULL)
        auth_permit(native->backend, credentials, question, done, ctx);
    else
        done(ctx, false); /* documents are a backend's */
}

static void native_free(struct auth *auth)
{
    struct auth_native *native = LIST_ENTRY(auth, struct auth_native, auth);

    auth_free(native->backend);
    api_keys_free(native->keys);
    jwt_rules_free(native->rules);
    free(native->keys_file);
    free(native);
}

static const struct auth_ops ops = {native_identify, native_permit, native_free};

struct auth *auth_native_new(const struct auth_native_options *options,
                             struct auth *backend, struct counters *counters,
                             struct buf *error)
{
    struct auth_native *native = mem_new(sizeof(*native));

    native->auth.ops = &ops;
    native->backend = backend;
    native->known =
        counters_add(counters, COUNTER_TOTAL, "auth_native_total", "result=\"known\"",
                     "Requests with an API key or a token, by result");
    native->refused =
        counters_add(counters, COUNTER_TOTAL, "auth_native_total", "result=\"refused\"",
                     "Requests with an API key or a token, by result");
    if (options->keys_file != NULL) {
        native->keys_file = mem_text(slice_of(options->keys_file));
        native->keys = api_keys_load(options->keys_file, error);
    }
    if (options->secret_file != NULL)
        native->rules = jwt_rules_load(options->secret_file, options->audience, error);
    if ((options->keys_file == NULL || native->keys != NULL) &&
        (options->secret_file == NULL || native->rules != NULL))
        return &native->auth;
    native_free(&native->auth);
    return NULL;
}

bool auth_native_reload(struct auth *auth, struct buf *error)
{
    struct auth_native *native = LIST_ENTRY(auth, struct auth_native, auth);
    struct api_keys *keys;

    if (auth->ops != &ops || native->keys_file == NULL)
        return true;
    keys = api_keys_load(native->keys_file, error);
    if (keys == NULL)
        return false;
    api_keys_free(native->keys);
    native->keys = keys;
    return true;
}
