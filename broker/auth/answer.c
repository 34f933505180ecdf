/* answer.c - reading what a backend says, and what its silence means. */
/* SPDX-License-Identifier: MIT */
#include "auth/internal.h"
#include "codec/json.h"

/* Frappe's own limit of a name is 140 characters. */
#define USER_MAX_BYTES 560
#define TYPE_MAX_BYTES 64

static const char *const refusal_texts[REFUSED_COUNT] = {
    [REFUSED_NOT] = "none",
    [REFUSED_CREDENTIALS] = "no_credentials",
    [REFUSED_ADDRESS] = "no_address",
    [REFUSED_TOO_LARGE] = "too_large",
    [REFUSED_BUSY] = "busy",
    [REFUSED_FORBIDDEN] = "forbidden",
    [REFUSED_STATUS] = "status",
    [REFUSED_GARBAGE] = "garbage",
    [REFUSED_SECRET] = "secret",
    [REFUSED_TIMEOUT] = "timeout",
    [REFUSED_UNREACHABLE] = "unreachable",
    [REFUSED_BROKEN] = "broken",
    [REFUSED_UNSENT] = "unsent",
    [REFUSED_CLOSING] = "closing",
};

const char *refusal_text(enum refusal refusal)
{
    return refusal_texts[refusal];
}

/* ---- the body ---- */

/* A method that returned nothing leaves `message` out: null. */
static bool find_message(struct slice body, struct json_member *message)
{
    enum json_kind kind = JSON_NULL;
    struct slice value;
    if (!json_check(body) || json_scan(body, &kind, &value) < 0 || kind != JSON_OBJECT)
        return false;
    if (!json_get(value, "message", message))
        *message = (struct json_member){.kind = JSON_NULL};
    return true;
}

static bool is_empty_object(const struct json_member *message)
{
    struct json_member member;
    size_t at = 0;
    return message->kind == JSON_OBJECT && !json_next(message->value, &at, &member);
}

/* As JavaScript sees it, since that is who asked before us. */
static bool is_truthy(const struct json_member *member)
{
    switch (member->kind) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_STRING:
        return json_string_raw(member->value).len > 0;
    case JSON_NUMBER:
        for (size_t i = 0; i < member->value.len; i++) {
            char c = member->value.ptr[i];
            if (c == 'e' || c == 'E')
                break;
            if (c >= '1' && c <= '9')
                return true;
        }
        return false;
    default:
        return true;
    }
}

static bool read_text(struct slice object, const char *key, struct buf *out)
{
    struct json_member member;
    return json_get(object, key, &member) && member.kind == JSON_STRING &&
           json_unescape(out, json_string_raw(member.value));
}

/* A name that does not print (a NUL would even cut it short) is nobody's. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return false;
    }
    return name.len > 0;
}

static struct identity *read_identity(const struct json_member *message)
{
    struct identity *identity = NULL;
    struct buf user;
    struct buf type;
    if (message->kind != JSON_OBJECT)
        return NULL;
    buf_init(&user, USER_MAX_BYTES);
    buf_init(&type, TYPE_MAX_BYTES);
    bool is_system_user = read_text(message->value, "user_type", &type) &&
                          slice_is(buf_view(&type), "System User");
    if (read_text(message->value, "user", &user) && is_name(buf_view(&user)))
        identity = identity_new(buf_view(&user), is_system_user);
    buf_release(&user);
    buf_release(&type);
    return identity;
}

/* ---- the verdict ---- */

static enum refusal refusal_of_status(unsigned status)
{
    return status == 401 || status == 403 ? REFUSED_FORBIDDEN : REFUSED_STATUS;
}

static enum refusal refusal_of(const struct http_client_result *result)
{
    switch (result->outcome) {
    case HTTP_CLIENT_OK:
        return result->status == 200 ? REFUSED_NOT : refusal_of_status(result->status);
    case HTTP_CLIENT_TOO_LARGE:
        return result->status == 200 ? REFUSED_GARBAGE
                                     : refusal_of_status(result->status);
    case HTTP_CLIENT_CANCELLED:
        return REFUSED_CLOSING;
    case HTTP_CLIENT_REFUSED:
        return REFUSED_UNSENT;
    case HTTP_CLIENT_NO_CONNECT:
        return REFUSED_UNREACHABLE;
    case HTTP_CLIENT_TIMED_OUT:
        return REFUSED_TIMEOUT;
    case HTTP_CLIENT_BROKEN:
        break;
    }
    return REFUSED_BROKEN;
}

/* can_subscribe_*: the status alone is the answer. */
static bool answers_by_status(const struct rules *rules, enum question_kind kind)
{
    return (kind == ASK_DOCTYPE || kind == ASK_DOCUMENT) &&
           !rules->dialect->has_permission_method;
}

bool answer_read(struct answer *answer, const struct rules *rules,
                 const struct question *question,
                 const struct http_client_result *result)
{
    struct json_member message;
    answer->status = result->status;
    answer->detail = result->detail;
    answer->error = "Unauthorized";
    answer->refusal = refusal_of(result);
    if (answer->refusal == REFUSED_FORBIDDEN && question->kind != ASK_IDENTITY)
        answer->refusal = REFUSED_NOT; /* "no" is an answer: is_allowed stays false */
    if (answer->refusal != REFUSED_NOT || result->status != 200)
        return false;
    if (answers_by_status(rules, question->kind)) {
        answer->is_allowed = true;
        return false;
    }
    answer->refusal = REFUSED_GARBAGE;
    if (!find_message(result->body, &message))
        return false;
    if (rules->dialect->knows_secret && is_empty_object(&message)) {
        answer->refusal = REFUSED_SECRET;
        return true;
    }
    if (question->kind == ASK_IDENTITY)
        answer->identity = read_identity(&message);
    else
        answer->is_allowed = is_truthy(&message);
    if (question->kind != ASK_IDENTITY || answer->identity != NULL)
        answer->refusal = REFUSED_NOT;
    return false;
}
