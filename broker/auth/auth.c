/* auth.c - the one question, handed to whoever answers it; and `none`, which trusts all. */
/* SPDX-License-Identifier: MIT */
#include "base/http.h"
#include "base/mem.h"

#include "auth/internal.h"

#include <stdlib.h>

struct identity *identity_new(struct slice user, bool is_system_user)
{
    struct identity *identity = mem_new(sizeof(*identity));
    identity->refs = 1;
    identity->user = mem_text(user);
    identity->is_system_user = is_system_user;
    return identity;
}

struct identity *identity_of(struct slice user, struct slice site)
{
    struct identity *identity = identity_new(user, true);

    identity->site = site.len == 0 ? NULL : mem_text(site);
    return identity;
}

struct identity *identity_ref(struct identity *identity)
{
    identity->refs++;
    return identity;
}

void identity_unref(struct identity *identity)
{
    if (identity == NULL || --identity->refs > 0)
        return;
    free(identity->user);
    free(identity->site);
    free(identity);
}

struct credentials credentials_of(const struct http_request *request, struct slice site)
{
    return (struct credentials){
        .site = site,
        .origin = http_header(request, "origin"),
        .host = http_header(request, "host"),
        .cookie = http_header(request, "cookie"),
        .authorization = http_header(request, "authorization"),
        .api_key = http_header(request, "x-api-key"),
        .is_tls = request->is_tls,
    };
}

void auth_identify(struct auth *auth, const struct credentials *credentials,
                   auth_identified *done, void *ctx)
{
    auth->ops->identify(auth, credentials, done, ctx);
}

void auth_permit(struct auth *auth, const struct credentials *credentials,
                 const struct auth_question *question, auth_permitted *done, void *ctx)
{
    auth->ops->permit(auth, credentials, question, done, ctx);
}

void auth_free(struct auth *auth)
{
    if (auth != NULL)
        auth->ops->free(auth);
}

/* ---- none ---- */

struct auth_none {
    struct auth auth;
    struct identity *stranger;
};

static void none_identify(struct auth *auth, const struct credentials *credentials,
                          auth_identified *done, void *ctx)
{
    struct auth_none *none = LIST_ENTRY(auth, struct auth_none, auth);
    (void)credentials;
    /* The caller may free `auth` in its callback. */
    struct identity *stranger = identity_ref(none->stranger);
    done(ctx, stranger, NULL);
    identity_unref(stranger);
}

static void none_permit(struct auth *auth, const struct credentials *credentials,
                        const struct auth_question *question, auth_permitted *done,
                        void *ctx)
{
    (void)auth;
    (void)credentials;
    (void)question;
    done(ctx, true);
}

static void none_free(struct auth *auth)
{
    struct auth_none *none = LIST_ENTRY(auth, struct auth_none, auth);
    identity_unref(none->stranger);
    free(none);
}

struct auth *auth_none_new(void)
{
    static const struct auth_ops ops = {none_identify, none_permit, none_free};
    struct auth_none *none = mem_new(sizeof(*none));
    none->auth.ops = &ops;
    none->stranger = identity_new(slice_of(""), true);
    none->stranger->is_trusted = true;
    return &none->auth;
}
