/* request.c - a question as an HTTP request (frappe-realtime contract, section 2.4). */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"

#include <ctype.h>

#define API        "/api/method/"
#define FIXED_SIZE 256 /* names of methods, parameters and headers */

/* Releases a buffer that held a secret; it must never have grown (a buffer that grows
 * leaves copies behind): reserve first. */
static void buf_wipe(struct buf *buf)
{
    if (buf->data != NULL)
        explicit_bzero(buf->data, buf->cap);
    buf_release(buf);
}

static const char hex[] = "0123456789ABCDEF";

static void put_encoded(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (isalnum(c) != 0 || char_is_one_of((char)c, "-._~")) {
            buf_putc(out, (char)c);
            continue;
        }
        buf_putc(out, '%');
        buf_putc(out, hex[c >> 4]);
        buf_putc(out, hex[c & 15]);
    }
}

/* A cookie's value may be percent-encoded already; then it means the same as it is. */
static void put_cookie_value(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        bool is_escape = value.ptr[i] == '%' && value.len - i >= 3 &&
                         isxdigit((unsigned char)value.ptr[i + 1]) != 0 &&
                         isxdigit((unsigned char)value.ptr[i + 2]) != 0;
        if (is_escape) {
            buf_append(out, value.ptr + i, 3);
            i += 2;
        } else {
            put_encoded(out, slice_make(value.ptr + i, 1));
        }
    }
}

static const char *method_of(const struct rules *rules, enum question_kind kind)
{
    if (kind == ASK_IDENTITY)
        return "frappe.realtime.get_user_info";
    if (kind == ASK_TASK)
        return rules->task_method;
    if (rules->dialect->has_permission_method)
        return "frappe.realtime.has_permission";
    return kind == ASK_DOCTYPE ? "frappe.realtime.can_subscribe_doctype"
                               : "frappe.realtime.can_subscribe_doc";
}

/* The separator before the next parameter. */
static void put_param(struct buf *url, char *separator, const char *name)
{
    buf_putc(url, *separator);
    buf_puts(url, name);
    buf_putc(url, '=');
    *separator = '&';
}

static void write_url(struct buf *url, const struct rules *rules,
                      const struct question *question)
{
    bool has_method = rules->dialect->has_permission_method;
    enum question_kind kind = question->kind;
    char separator = '?';
    buf_slice(url, question->base);
    buf_puts(url, API);
    put_encoded(url, slice_of(method_of(rules, kind)));
    if (question->is_by_sid && rules->dialect->puts_sid_in_query) {
        put_param(url, &separator, "sid");
        put_cookie_value(url, question->credential);
    }
    if (kind == ASK_DOCTYPE || kind == ASK_DOCUMENT) {
        put_param(url, &separator, "doctype");
        put_encoded(url, question->doctype);
    }
    if (kind == ASK_DOCUMENT || (kind == ASK_DOCTYPE && has_method)) {
        put_param(url, &separator, has_method ? "name" : "docname");
        put_encoded(url, question->name);
    }
    if (kind == ASK_TASK) {
        put_param(url, &separator, "task_id");
        put_encoded(url, question->name);
    }
}

static void add_header(struct request *request, const char *name, struct slice value)
{
    size_t at = request->text.len;
    buf_puts(&request->text, name);
    buf_slice(&request->text, value);
    buf_putc(&request->text, '\0');
    request->headers[request->header_count++] = request->text.data + at;
}

static void write_headers(struct request *request, const struct rules *rules,
                          const struct question *question, struct slice secret)
{
    add_header(request, "Accept: application/json", slice_of(""));
    if (question->site.len > 0)
        add_header(request, "X-Frappe-Site-Name: ", question->site);
    if (!question->is_by_sid)
        add_header(request, "Authorization: ", question->credential);
    else if (!rules->dialect->puts_sid_in_query)
        add_header(request, "Cookie: sid=", question->credential);
    if (secret.len > 0)
        add_header(request, "X-Frappe-Socket-Secret: ", secret);
}

void request_init(struct request *request, const struct rules *rules,
                  const struct question *question, struct slice secret)
{
    /* Each byte may become three. Reserved at once: a buffer that grows leaves a copy of
     * the credential behind, and `headers` points into it. */
    size_t url_size = 3 * (question->key.len + strlen(rules->task_method)) + FIXED_SIZE;
    size_t text_size = question->key.len + secret.len + FIXED_SIZE;
    *request = (struct request){0};
    buf_init(&request->url, url_size);
    buf_init(&request->text, text_size);
    buf_reserve(&request->url, url_size);
    buf_reserve(&request->text, text_size);
    write_url(&request->url, rules, question);
    write_headers(request, rules, question, secret);
}

void request_wipe(struct request *request)
{
    buf_wipe(&request->url);
    buf_wipe(&request->text);
}
