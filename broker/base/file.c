/* file.c - a whole file in memory, bounded. */
/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>

bool file_read(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    char chunk[4096];
    bool is_good = true;
    size_t got;
    int problem;

    if (file == NULL)
        return false;
    while (is_good && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        is_good = buf_append(out, chunk, got);
    problem = ferror(file) ? errno : 0;
    (void)fclose(file);
    errno = is_good ? problem : EFBIG;
    return errno == 0;
}
