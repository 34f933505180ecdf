/* question.c - what a request shows becomes a question for its site's backend. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "base/http.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>

#define BASE_MAX_BYTES 1024

static const char no_cookie[] = "No cookie transmitted.";
static const char no_method[] =
    "No authentication method used. Use cookie or authorization header.";
static const char unauthorized[] = "Unauthorized";

/* v13, v14 | v15 | v16 | v17, as the table of section 2.4. One kindness: v15 and v16 take an
 * Authorization header without any cookie, which the originals refuse by mistake. */
static const struct dialect dialects[] = {
    {
        .no_header = no_cookie,
        .no_session = "No sid transmitted.",
        .puts_sid_in_query = true,
    },
    {
        .no_header = no_cookie,
        .no_session = no_method,
        .takes_authorization = true,
        .puts_sid_in_query = true,
    },
    {
        .no_header = no_cookie,
        .no_session = no_method,
        .takes_authorization = true,
        .prefers_authorization = true,
        .has_permission_method = true,
        .swaps_port = true,
    },
    {
        .no_header = "Missing cookie and authorization header. Either one needed for "
                     "authentication.",
        .no_session = no_method,
        .takes_authorization = true,
        .prefers_authorization = true,
        .has_permission_method = true,
        .swaps_port = true,
        .knows_secret = true,
    },
};

static const struct dialect *dialect_of(unsigned version)
{
    if (version <= 14)
        return &dialects[0];
    if (version >= 17)
        return &dialects[3];
    return &dialects[version - 14];
}

void rules_init(struct rules *rules, const struct auth_frappe_options *options)
{
    struct slice base = slice_of(options->web_base);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    *rules = (struct rules){
        .dialect = dialect_of(options->version),
        .web_base = mem_text(base),
        .task_method = mem_text(slice_of(options->task_method)),
        .developer_mode = options->developer_mode,
        .webserver_port = options->webserver_port,
    };
}

void rules_release(struct rules *rules)
{
    free(rules->web_base);
    free(rules->task_method);
}

/* ---- whom to ask ---- */

/* Only what may stand in a host name or an address: the client wrote it. */
static bool is_host(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (isalnum((unsigned char)c) == 0 && !char_is_one_of(c, "-._[]:"))
            return false;
    }
    return name.len > 0;
}

/* "" or ":8080" */
static bool is_port(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (i == 0 ? text.ptr[0] != ':' : isdigit((unsigned char)text.ptr[i]) == 0)
            return false;
    }
    return text.len == 0 || (text.len >= 2 && text.len <= 6);
}

static struct slice scheme_of(struct slice origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i]);
        if (origin.len > len && strncasecmp(origin.ptr, schemes[i], len) == 0)
            return slice_make(origin.ptr, len);
    }
    return slice_make(NULL, 0);
}

/* The page's own origin; without one (no browser) the address that was called. */
static bool write_base_of_client(const struct rules *rules, const struct credentials *c,
                                 struct buf *out)
{
    bool has_origin = c->origin.len > 0;
    struct slice scheme = has_origin ? scheme_of(c->origin)
                                     : slice_of(c->is_tls ? "https://" : "http://");
    struct slice authority = auth_authority(has_origin ? c->origin : c->host);
    struct slice name = auth_hostname(authority);
    if (scheme.len == 0 || !is_host(name) || name.ptr != authority.ptr)
        return false; /* with user:pass@ the name does not begin the authority */
    struct slice port = slice_make(name.ptr + name.len, authority.len - name.len);
    if (!is_port(port))
        return false;
    buf_slice(out, scheme);
    buf_slice(out, name);
    if (rules->dialect->swaps_port && rules->developer_mode &&
        rules->webserver_port != 0)
        return buf_putc(out, ':') && buf_u64(out, rules->webserver_port);
    return buf_slice(out, port);
}

static bool write_base(const struct rules *rules, const struct credentials *c,
                       struct buf *out)
{
    if (rules->web_base[0] != '\0')
        return buf_puts(out, rules->web_base);
    return write_base_of_client(rules, c, out);
}

struct slice question_shown_base(const struct question *question, struct buf *scratch)
{
    struct slice base = question->base;
    struct slice authority = auth_authority(base);
    const char *at =
        authority.len == 0 ? NULL : memrchr(authority.ptr, '@', authority.len);
    if (at == NULL)
        return base;
    buf_append(scratch, base.ptr, (size_t)(authority.ptr - base.ptr));
    buf_append(scratch, at + 1, (size_t)(base.ptr + base.len - at) - 1);
    return buf_view(scratch);
}

/* ---- with which credential ---- */

/* NULL, or the text of refusal. */
static const char *pick_credential(const struct dialect *dialect,
                                   const struct credentials *c,
                                   struct slice *credential, bool *is_by_sid)
{
    struct slice sid = http_cookie(c->cookie, "sid");
    bool has_authorization = dialect->takes_authorization && c->authorization.len > 0;
    if (c->cookie.len == 0 && !has_authorization)
        return dialect->no_header;
    if (sid.len == 0 && !has_authorization)
        return dialect->no_session;
    *is_by_sid = sid.len > 0 && !(has_authorization && dialect->prefers_authorization);
    *credential = *is_by_sid ? sid : c->authorization;
    return NULL;
}

/* ---- the whole ---- */

const char *question_text(enum question_kind kind)
{
    static const char *const texts[] = {"user", "doctype", "document", "task"};
    return texts[kind];
}

#define PART_COUNT 5

static struct slice *part_of(struct question *question, size_t index)
{
    struct slice *const parts[PART_COUNT] = {&question->base, &question->site,
                                             &question->credential, &question->doctype,
                                             &question->name};
    return parts[index];
}

static struct question *pack(const struct question *loose)
{
    /* kind, credential, the lengths, the parts: no two questions write the same bytes. */
    struct question shape = *loose;
    size_t lengths[PART_COUNT];
    size_t total = 2 + sizeof(lengths);
    for (size_t i = 0; i < PART_COUNT; i++) {
        lengths[i] = part_of(&shape, i)->len;
        if (lengths[i] > QUESTION_MAX_BYTES)
            return NULL;
        total += lengths[i];
    }
    if (total > QUESTION_MAX_BYTES)
        return NULL;
    struct question *question = mem_new(sizeof(*question) + total);
    *question = shape;
    question->key = slice_make(question->bytes, total);
    question->bytes[0] = (char)question->kind;
    question->bytes[1] = question->is_by_sid ? 's' : 'a';
    memcpy(question->bytes + 2, lengths, sizeof(lengths));
    char *at = question->bytes + 2 + sizeof(lengths);
    for (size_t i = 0; i < PART_COUNT; i++) {
        struct slice *part = part_of(question, i);
        if (part->len > 0)
            memcpy(at, part->ptr, part->len);
        part->ptr = at;
        at += part->len;
    }
    return question;
}

struct question *question_new(const struct rules *rules,
                              const struct credentials *credentials,
                              enum question_kind kind,
                              const struct auth_question *about, struct answer *refused)
{
    struct question loose = {.kind = kind, .site = credentials->site};
    struct question *question = NULL;
    struct buf base;
    refused->error = pick_credential(rules->dialect, credentials, &loose.credential,
                                     &loose.is_by_sid);
    if (refused->error != NULL) {
        refused->refusal = REFUSED_CREDENTIALS;
        return NULL;
    }
    if (about != NULL) {
        loose.doctype = about->doctype;
        loose.name = about->name;
    }
    refused->error = unauthorized;
    refused->refusal = REFUSED_ADDRESS;
    buf_init(&base, BASE_MAX_BYTES);
    if (write_base(rules, credentials, &base)) {
        refused->refusal = REFUSED_TOO_LARGE;
        loose.base = buf_view(&base);
        question = pack(&loose);
    }
    buf_release(&base);
    return question;
}

void question_free(struct question *question)
{
    if (question == NULL)
        return;
    explicit_bzero(question->bytes, question->key.len);
    free(question);
}
