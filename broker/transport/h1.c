/* h1.c - the head of an HTTP/1 request (RFC 9112), read strictly. */
/* SPDX-License-Identifier: MIT */
#include "transport/h1.h"

#include "base/utf8.h"

#include <ctype.h>

#define TARGET_MAX_BYTES 8192
#define METHOD_MAX_BYTES 32

static const struct {
    const char *name;
    enum http_method method;
} method_names[] = {
    {"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},   {"POST", HTTP_POST},
    {"PUT", HTTP_PUT},         {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
    {"OPTIONS", HTTP_OPTIONS},
};

static const struct {
    unsigned status;
    const char *phrase;
} phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *h1_phrase(unsigned status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "";
}

/* ---- characters ---- */

/* tchar of RFC 9110 section 5.6.2 */
static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) != 0 ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char(text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

/* A header value may hold anything printable, tabs, and bytes above ASCII. */
static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[0]))
        text = slice_make(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool equals_lower(struct slice text, const char *lower)
{
    if (text.len != strlen(lower))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (tolower((unsigned char)text.ptr[i]) != lower[i])
            return false;
    }
    return true;
}

bool h1_has_token(struct slice value, const char *lower_word)
{
    while (value.len > 0) {
        const char *comma = memchr(value.ptr, ',', value.len);
        size_t len = comma == NULL ? value.len : (size_t)(comma - value.ptr);
        if (equals_lower(trim(slice_make(value.ptr, len)), lower_word))
            return true;
        size_t step = comma == NULL ? len : len + 1;
        value = slice_make(value.ptr + step, value.len - step);
    }
    return false;
}

/* ---- the head as a whole ---- */

size_t h1_head_length(struct slice data, size_t *scanned)
{
    size_t start = 0;

    while (data.len - start >= 2 && memcmp(data.ptr + start, "\r\n", 2) == 0)
        start += 2;
    size_t from = *scanned > start ? *scanned : start;
    const char *end = data.len - from < 4
                          ? NULL
                          : memmem(data.ptr + from, data.len - from, "\r\n\r\n", 4);
    if (end != NULL)
        return (size_t)(end - data.ptr) + 4;
    *scanned = data.len < 3 ? 0 : data.len - 3;
    return 0;
}

/* Cuts the next line off `*rest`; false when a line does not end in CR LF, which
 * h1_head_length() saw to for the last one. */
static bool next_line(char **at, const char *end, struct slice *line)
{
    char *feed = memchr(*at, '\n', (size_t)(end - *at));

    if (feed == NULL || feed == *at || feed[-1] != '\r')
        return false;
    *line = slice_make(*at, (size_t)(feed - 1 - *at));
    *at = feed + 1;
    return memchr(line->ptr, '\r', line->len) == NULL;
}

/* ---- request line ---- */

static enum http_method method_of(struct slice name)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
        if (slice_is(name, method_names[i].name))
            return method_names[i].method;
    }
    return HTTP_OTHER;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "/." or "/.." as a whole segment: clients resolve these before sending. */
static bool has_dot_segment(struct slice path)
{
    for (size_t i = 0; i + 1 < path.len; i++) {
        if (path.ptr[i] != '/' || path.ptr[i + 1] != '.')
            continue;
        size_t after = i + 2;
        if (after < path.len && path.ptr[after] == '.')
            after++;
        if (after == path.len || path.ptr[after] == '/')
            return true;
    }
    return false;
}

/* Decodes once, in place. An encoded slash is refused: it would make two different
 * requests look alike to whoever compares decoded paths. */
static const char *decode_path(char *path, size_t *len)
{
    size_t out = 0;

    for (size_t at = 0; at < *len; at++) {
        char c = path[at];
        if (c == '%') {
            int high = at + 2 < *len ? hex_digit(path[at + 1]) : -1;
            int low = at + 2 < *len ? hex_digit(path[at + 2]) : -1;
            if (high < 0 || low < 0)
                return "bad percent escape in the path";
            c = (char)(high * 16 + low);
            at += 2;
            if (c == '/')
                return "encoded slash in the path";
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return "control character in the path";
        path[out++] = c;
    }
    *len = out;
    if (!utf8_is_valid(path, out))
        return "the path is not UTF-8";
    if (has_dot_segment(slice_make(path, out)))
        return "dot segment in the path";
    return NULL;
}

/* Skips "http://authority" of an absolute target, which a server must understand. */
static void drop_authority(char **target, size_t *len)
{
    struct slice text = slice_make(*target, *len);
    size_t prefix = 0;

    if (text.len > 7 && equals_lower(slice_make(text.ptr, 7), "http://"))
        prefix = 7;
    else if (text.len > 8 && equals_lower(slice_make(text.ptr, 8), "https://"))
        prefix = 8;
    if (prefix == 0)
        return;
    char *slash = memchr(*target + prefix, '/', *len - prefix);
    if (slash == NULL)
        return;
    *len -= (size_t)(slash - *target);
    *target = slash;
}

static unsigned parse_target(char *target, size_t len, struct h1_head *head,
                             const char **why)
{
    *why = "malformed request target";
    if (len > TARGET_MAX_BYTES) {
        *why = "request target too long";
        return 414;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)target[i] <= 0x20 || target[i] == 0x7f || target[i] == '#')
            return 400;
    }
    drop_authority(&target, &len);
    char *mark = memchr(target, '?', len);
    size_t path_len = mark == NULL ? len : (size_t)(mark - target);
    if (mark != NULL)
        head->query = slice_make(mark + 1, len - path_len - 1);
    bool is_asterisk = head->method == HTTP_OPTIONS && len == 1 && target[0] == '*';
    if (!is_asterisk && (path_len == 0 || target[0] != '/'))
        return 400;
    const char *problem = decode_path(target, &path_len);
    if (problem != NULL) {
        *why = problem;
        return 400;
    }
    head->path = slice_make(target, path_len);
    return 0;
}

static unsigned parse_version(struct slice version, struct h1_head *head,
                              const char **why)
{
    *why = "malformed request line";
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 ||
        isdigit((unsigned char)version.ptr[5]) == 0 || version.ptr[6] != '.' ||
        isdigit((unsigned char)version.ptr[7]) == 0)
        return 400;
    if (version.ptr[5] != '1') {
        *why = "only HTTP/1.1 and HTTP/1.0 are spoken here";
        return 505;
    }
    head->is_http10 = version.ptr[7] == '0';
    return 0;
}

static unsigned parse_request_line(char *line, size_t len, struct h1_head *head,
                                   const char **why)
{
    *why = "malformed request line";
    char *space = memchr(line, ' ', len);
    if (space == NULL)
        return 400;
    struct slice method = slice_make(line, (size_t)(space - line));
    char *target = space + 1;
    size_t rest = len - method.len - 1;
    char *second = memchr(target, ' ', rest);
    if (second == NULL || !is_token(method) || method.len > METHOD_MAX_BYTES)
        return 400;
    size_t target_len = (size_t)(second - target);
    unsigned status =
        parse_version(slice_make(second + 1, rest - target_len - 1), head, why);
    if (status != 0)
        return status;
    head->method = method_of(method);
    return parse_target(target, target_len, head, why);
}

/* ---- header lines ---- */

static unsigned parse_header_line(struct slice line, char *name, struct h1_head *head,
                                  const char **why)
{
    const char *colon = memchr(line.ptr, ':', line.len);

    *why = "malformed header line";
    if (colon == NULL)
        return 400;
    size_t name_len = (size_t)(colon - line.ptr);
    struct slice value =
        trim(slice_make(line.ptr + name_len + 1, line.len - name_len - 1));
    if (!is_token(slice_make(name, name_len)) || !is_field_value(value))
        return 400;
    if (head->header_count == H1_MAX_HEADERS) {
        *why = "too many headers";
        return 431;
    }
    for (size_t i = 0; i < name_len; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    head->headers[head->header_count++] = (struct http_header){
        .name = slice_make(name, name_len),
        .value = value,
    };
    return 0;
}

static bool parse_length(struct slice text, uint64_t *length)
{
    if (text.len == 0 || text.len > 15)
        return false;
    *length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (isdigit((unsigned char)text.ptr[i]) == 0)
            return false;
        *length = *length * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return true;
}

struct framing_headers {
    size_t hosts;
    size_t lengths;
    bool upgrades;
    bool is_websocket;
    bool has_bad_expect;
    bool keeps_alive;
};

static bool note_header(const struct http_header *header, struct h1_head *head,
                        struct framing_headers *seen)
{
    if (slice_is(header->name, "host")) {
        seen->hosts++;
    } else if (slice_is(header->name, "content-length")) {
        seen->lengths++;
        head->has_length = true;
        return parse_length(header->value, &head->content_length);
    } else if (slice_is(header->name, "transfer-encoding")) {
        head->has_transfer_encoding = true;
    } else if (slice_is(header->name, "connection")) {
        seen->upgrades = seen->upgrades || h1_has_token(header->value, "upgrade");
        head->wants_close = head->wants_close || h1_has_token(header->value, "close");
        seen->keeps_alive =
            seen->keeps_alive || h1_has_token(header->value, "keep-alive");
    } else if (slice_is(header->name, "upgrade")) {
        seen->is_websocket =
            seen->is_websocket || h1_has_token(header->value, "websocket");
    } else if (slice_is(header->name, "expect")) {
        head->wants_continue = equals_lower(header->value, "100-continue");
        seen->has_bad_expect = !head->wants_continue;
    }
    return true;
}

static unsigned judge_headers(struct h1_head *head, const char **why)
{
    struct framing_headers seen = {0};

    for (size_t i = 0; i < head->header_count; i++) {
        if (!note_header(&head->headers[i], head, &seen)) {
            *why = "malformed Content-Length";
            return 400;
        }
    }
    if (seen.lengths > 1) {
        *why = "more than one Content-Length";
        return 400;
    }
    if (seen.hosts > 1 || (seen.hosts == 0 && !head->is_http10)) {
        *why = "exactly one Host header is needed";
        return 400;
    }
    if (seen.has_bad_expect) {
        *why = "unknown expectation";
        return 417;
    }
    if (head->is_http10) {
        head->wants_close = head->wants_close || !seen.keeps_alive;
        head->wants_continue = false;
    }
    /* Any other Upgrade (h2c above all) is ignored, as RFC 9110 section 7.8 allows. */
    head->is_upgrade = seen.upgrades && seen.is_websocket && !head->is_http10;
    return 0;
}

unsigned h1_parse(char *data, size_t len, struct h1_head *head, const char **why)
{
    char *at = data;
    const char *end = data + len;
    struct slice line;

    memset(head, 0, offsetof(struct h1_head, headers));
    head->header_count = 0;
    while (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
        at += 2;
    char *start = at;
    *why = "malformed request line";
    if (!next_line(&at, end, &line))
        return 400;
    unsigned status = parse_request_line(start, line.len, head, why);
    while (status == 0) {
        start = at;
        *why = "malformed header line";
        if (!next_line(&at, end, &line))
            return 400;
        if (line.len == 0)
            return judge_headers(head, why);
        status = parse_header_line(line, start, head, why);
    }
    return status;
}
