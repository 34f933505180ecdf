/* bundle.c - GET /socket.io/socket.io.js and its minified forms. */
/* SPDX-License-Identifier: MIT */
#include "api/bundle.h"

#include "api/internal.h"

static const struct bundle_file *find(struct slice path)
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    struct slice name =
        slice_make(slash + 1, path.len - (size_t)(slash + 1 - path.ptr));
    const struct bundle_file *file = bundle_files;

    while (file->name != NULL && !slice_is(name, file->name))
        file++;
    return file;
}

/* One tag, weak or not, as stock servers compare it: a list of tags means another cache
 * than a browser's, and gets the file. */
static bool is_current(struct slice tag)
{
    struct buf current;
    bool is_same;

    if (tag.ptr == NULL)
        return false;
    if (tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/')
        tag = slice_make(tag.ptr + 2, tag.len - 2);
    buf_init(&current, 64);
    buf_printf(&current, "\"%s\"", bundle_version);
    is_same = slice_equal(tag, buf_view(&current));
    buf_release(&current);
    return is_same;
}

void bundle_serve(void *ctx, struct http_exchange *x)
{
    const struct bundle_file *file = find(x->request->path);
    struct buf headers;

    (void)ctx;
    if (!api_has_only(x, HTTP_GET))
        return;
    buf_init(&headers, 512);
    buf_printf(&headers, "Cache-Control: public, max-age=0\r\nETag: \"%s\"\r\n",
               bundle_version);
    if (is_current(http_header(x->request, "if-none-match"))) {
        http_respond(x, 304, buf_text(&headers), slice_make("", 0));
    } else {
        buf_puts(&headers, "Content-Type: application/javascript; charset=utf-8\r\n");
        http_respond(x, 200, buf_text(&headers), slice_make(file->text, file->len));
    }
    buf_release(&headers);
}
