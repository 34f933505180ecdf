/* sio_connect.c - who connects to which site: namespace, origin, identity. */
/* SPDX-License-Identifier: MIT */
#include "base/diag.h"
#include "codec/json.h"
#include "session/sio_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define BEARER_LIMIT 16384
#define SITE_LIMIT   256

/* ---- the site ---- */

static bool is_listed(const struct config_list *sites, struct slice site)
{
    if (sites == NULL || sites->count == 0)
        return true;
    for (size_t i = 0; i < sites->count; i++)
        if (slice_is(site, sites->items[i]))
            return true;
    return false;
}

/* The namespace names the site; "/" leaves it to the query or the default. */
static bool native_site(const struct session_set *set, struct sio_socket *socket,
                        struct buf *site)
{
    struct slice nsp = sio_nsp(socket);

    if (slice_is(nsp, "/"))
        return session_site(set, sio_handshake(socket)->query, site);
    buf_append(site, nsp.ptr + 1, nsp.len - 1);
    return !site->failed && site_is_native(buf_view(site)) &&
           is_listed(set->options.sites, buf_view(site));
}

/* For diagnostics: a client may have put its session id there. */
static struct slice without_query(struct slice nsp)
{
    const char *mark = memchr(nsp.ptr, '?', nsp.len);

    return mark == NULL ? nsp : slice_make(nsp.ptr, (size_t)(mark - nsp.ptr));
}

/* Host names are the same in upper and lower case. */
static bool is_same_host(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* As the bench names it, or from a host's name, which is in lower case then. */
static struct slice find_site(const struct session_set *set,
                              const struct sio_handshake *shake, struct buf *site)
{
    struct slice named = slice_of(set->options.default_site);
    struct slice found =
        auth_site(shake->site_header, shake->origin, shake->host, named);
    bool is_host = auth_hostname(shake->site_header).len == 0 && found.ptr != named.ptr;

    buf_slice(site, found);
    /* Host names know no case, sites do: upper case letters of a host become lower ones. */
    for (size_t i = 0; is_host && i < site->len; i++)
        if (site->data[i] >= 'A' && site->data[i] <= 'Z')
            site->data[i] |= 0x20;
    return buf_view(site);
}

/* A bench's rules. The root namespace is mapped to the site that the headers tell: there
 * older clients live, and newer ones that name no site and heard nothing before. */
static const char *frappe_site(const struct session_set *set, struct sio_socket *socket,
                               struct buf *site)
{
    const struct sio_handshake *shake = sio_handshake(socket);
    struct slice nsp = sio_nsp(socket);
    struct slice found = find_site(set, shake, site);

    if (site->failed || !site_is_native(found) || !is_listed(set->options.sites, found))
        return "Invalid namespace";
    if (!slice_is(nsp, "/") &&
        !slice_equal(slice_make(nsp.ptr + 1, nsp.len - 1), found)) {
        diag(DIAG_WARN, "namespace is not the site",
             DIAG_SLICE("nsp", without_query(nsp)), DIAG_SLICE("site", found),
             DIAG_SLICE("host", shake->host), DIAG_SLICE("origin", shake->origin));
        return "Invalid namespace";
    }
    if (shake->origin.ptr == NULL)
        return set->options.frappe.needs_origin ? "Invalid origin" : NULL;
    if (is_same_host(auth_hostname(shake->origin), auth_hostname(shake->host)))
        return NULL;
    diag(DIAG_WARN, "origin is not the host", DIAG_SLICE("origin", shake->origin),
         DIAG_SLICE("host", shake->host));
    return "Invalid origin";
}

static const char *site_of(const struct session_set *set, struct sio_socket *socket,
                           struct buf *site)
{
    if (set->options.frappe.on)
        return frappe_site(set, socket, site);
    return native_site(set, socket, site) ? NULL : "Invalid namespace";
}

/* ---- accepting ---- */

static void tell_connected(const struct sio_session *reader, bool is_recovered)
{
    struct sio_socket *socket = reader->socket;

    diag(DIAG_INFO, "socket connected", DIAG_SLICE("socket", sio_shown_id(socket)),
         DIAG_S("transport", sio_transport(socket)), DIAG_SLICE("nsp", sio_nsp(socket)),
         DIAG_S("recovered", is_recovered ? "yes" : "no"));
}

void sio_accept_fresh(struct sio_session *reader, struct slice auth)
{
    struct sio_socket *socket = reader->socket;
    struct slice id = sio_id(socket);

    reader->first_order = hub_last_order(reader->session.set->hub);
    reader->told.order = reader->first_order;
    snprintf(reader->id, sizeof(reader->id), "%.*s", (int)id.len, id.ptr);
    sio_offer_recovery(reader, auth);
    sio_join_rooms(reader);
    tell_connected(reader, false);
    sio_accept_as(socket, (struct slice){0}, slice_of(reader->pid));
}

void sio_accept_returned(struct sio_session *reader)
{
    tell_connected(reader, true);
    sio_accept_as(reader->socket, slice_of(reader->id), slice_of(reader->pid));
    sio_recheck(reader);
    session_mark(&reader->session);
}

static void accept_again(struct sio_session *reader, struct sio_session *fresh)
{
    struct sio_socket *socket = fresh->socket;

    fresh->socket = NULL;
    reader->socket = socket;
    reader->connected_ms = fresh->connected_ms;
    sio_set_data(socket, reader);
    session_bury(&fresh->session);
    sio_accept_as(socket, slice_of(reader->id), slice_of(reader->pid));
    tell_connected(reader, true); /* by the id that it has again */
    sio_recheck(reader);
    session_mark(&reader->session);
}

void sio_accept_here(struct sio_session *reader, struct slice auth)
{
    struct sio_session *saved = sio_recover(reader, auth);

    if (saved != NULL)
        accept_again(saved, reader);
    else
        sio_accept_fresh(reader, auth);
}

/* ---- identity: asked of the backend, the socket may go meanwhile ---- */

struct identify_call {
    struct errand errand;
    char *auth;
};

static void identified(void *ctx, struct identity *identity, const char *error)
{
    struct identify_call *call = ctx;
    struct session *session = errand_done(&call->errand);

    if (session != NULL && !session->is_dead) {
        struct sio_session *reader = sio_session_of(session);
        if (identity != NULL && identity->site != NULL &&
            strcmp(identity->site, reader->site) != 0) {
            identity = NULL;
            error = "Unauthorized";
        }
        if (identity == NULL) {
            struct sio_socket *socket = reader->socket;
            diag(DIAG_INFO, "socket refused", DIAG_SLICE("nsp", sio_nsp(socket)),
                 DIAG_S("reason", error));
            reader->socket = NULL;
            sio_set_data(socket, NULL);
            session_bury(session);
            sio_refuse(socket, error, (struct slice){0});
        } else {
            reader->who = identity_ref(identity);
            if (!sio_claim(reader, slice_of(call->auth)))
                sio_accept_here(reader, slice_of(call->auth));
        }
    }
    free(call->auth);
    free(call);
}

/* A browser's socket can send no header: {auth: {token}}, as is the custom. */
static void take_token(struct slice auth, struct buf *bearer)
{
    struct json_member token;

    (void)buf_reserve(bearer, BEARER_LIMIT);
    if (auth.len == 0 || !json_get(auth, "token", &token) || token.kind != JSON_STRING)
        return;
    (void)buf_puts(bearer, "Bearer ");
    if (!json_unescape(bearer, json_string_raw(token.value)))
        buf_reset(bearer);
}

static void identify(struct sio_session *reader, struct slice auth)
{
    struct credentials credentials = sio_credentials(reader);
    struct identify_call *call = calloc(1, sizeof(*call));
    struct buf bearer;

    buf_init(&bearer, BEARER_LIMIT);
    take_token(auth, &bearer);
    if (reader->session.set->options.needs_identity && bearer.len > 0)
        credentials.authorization = buf_view(&bearer);

    if (call == NULL)
        abort();
    call->auth = strndup(auth.ptr == NULL ? "" : auth.ptr, auth.len);
    if (call->auth == NULL)
        abort();
    errand_begin(&call->errand, &reader->session);
    auth_identify(reader->session.set->options.auth, &credentials, identified, call);
    explicit_bzero(bearer.data, bearer.len);
    buf_release(&bearer);
}

void sio_on_connect(void *ctx, struct sio_socket *socket, struct slice auth)
{
    struct session_set *set = ctx;
    struct sio_session *reader;
    const char *refusal;
    struct buf site;

    buf_init(&site, SITE_LIMIT);
    refusal = site_of(set, socket, &site);
    if (refusal != NULL) {
        buf_release(&site);
        sio_refuse(socket, refusal, (struct slice){0});
        return;
    }
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        abort();
    session_init(&reader->session, set, &sio_reader_ops, DIALECT_SIO_OBJECT);
    list_init(&reader->saved);
    list_init(&reader->kept);
    reader->session.is_site_nsp = !slice_is(sio_nsp(socket), "/");
    reader->connected_ms = loop_now_ms(set->loop);
    reader->socket = socket;
    reader->site = strdup(buf_text(&site));
    if (reader->site == NULL)
        abort();
    buf_release(&site);
    sio_set_data(socket, reader);
    identify(reader, auth);
}
