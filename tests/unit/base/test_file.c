/* test_file.c - whole files, and those that cannot be had. */
/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_BYTES 10000 /* more than one read() */

/* A file of FILE_BYTES 'x'; its name is in `path`. */
static void write_file(char *path)
{
    char text[FILE_BYTES];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    memset(text, 'x', sizeof(text));
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    assert_int_equal(close(fd), 0);
}

static void a_file_is_appended_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/thinkwire-file-XXXXXX";
    struct buf out;
    write_file(path);
    buf_init(&out, FILE_BYTES + 1);
    buf_puts(&out, "!");
    assert_true(file_read(path, &out));
    assert_int_equal(out.len, FILE_BYTES + 1);
    assert_int_equal(out.data[0], '!');
    assert_int_equal(out.data[FILE_BYTES], 'x');
    buf_release(&out);
    unlink(path);
}

static void a_file_beyond_the_bound_is_told_as_too_big(void **state)
{
    (void)state;
    char path[] = "/tmp/thinkwire-file-XXXXXX";
    struct buf out;
    write_file(path);
    buf_init(&out, FILE_BYTES - 1);
    assert_false(file_read(path, &out));
    assert_int_equal(errno, EFBIG);
    buf_release(&out);
    unlink(path);
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_false(file_read("/nonexistent/thinkwire", &out));
    assert_int_equal(errno, ENOENT);
    assert_false(file_read("/tmp", &out));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_appended_whole),
        cmocka_unit_test(a_file_beyond_the_bound_is_told_as_too_big),
        cmocka_unit_test(what_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
