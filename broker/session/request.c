/* request.c - what a client names when it subscribes or stops. */
/* SPDX-License-Identifier: MIT */
#include "codec/json.h"
#include "session/internal.h"

#define FIELD_LIMIT 512

void task_request_init(struct task_request *request)
{
    buf_init(&request->task_id, FIELD_LIMIT);
    buf_init(&request->since, FIELD_LIMIT);
    buf_init(&request->from, FIELD_LIMIT);
    request->epoch = 0;
}

void task_request_release(struct task_request *request)
{
    buf_release(&request->task_id);
    buf_release(&request->since);
    buf_release(&request->from);
}

static bool take_text(struct slice object, const char *key, struct buf *out)
{
    struct json_member member;

    buf_reset(out);
    if (!json_get(object, key, &member) || member.kind == JSON_NULL)
        return true;
    return member.kind == JSON_STRING &&
           json_unescape(out, json_string_raw(member.value));
}

bool task_request_parse(struct task_request *request, struct slice object,
                        const char **field)
{
    struct json_member epoch;

    *field = "task_id";
    if (!take_text(object, *field, &request->task_id) ||
        !task_id_is_native(buf_view(&request->task_id)))
        return false;
    *field = "since";
    if (!take_text(object, *field, &request->since))
        return false;
    *field = "from";
    if (!take_text(object, *field, &request->from))
        return false;
    *field = "epoch";
    if (json_get(object, *field, &epoch) && epoch.kind != JSON_NULL)
        return json_u64(epoch.value, &request->epoch);
    return true;
}

void write_error(struct buf *out, const char *code, const char *message,
                 const char *field)
{
    buf_printf(out, "\"code\":\"%s\",\"message\":", code);
    json_quote(out, slice_of(message));
    if (field != NULL)
        buf_printf(out, ",\"field\":\"%s\"", field);
}

bool session_site(const struct session_set *set, struct slice query, struct buf *site)
{
    if (!http_query_get(query, "site", site) || site->len == 0) {
        buf_reset(site);
        buf_puts(site, set->options.default_site);
    }
    return !site->failed && site_is_native(buf_view(site));
}

bool request_may_be_known(const struct session_set *set,
                          const struct http_request *request)
{
    return (set->options.frappe.on || set->options.needs_identity) &&
           (http_header(request, "cookie").ptr != NULL ||
            http_header(request, "authorization").ptr != NULL ||
            http_header(request, "x-api-key").ptr != NULL);
}
