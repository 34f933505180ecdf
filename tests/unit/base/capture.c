/* capture.c - what a call writes to stdout or stderr. */
/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(bool is_good)
{
    if (!is_good)
        abort();
}

void capture_begin(struct capture *capture, int fd)
{
    must(fflush(NULL) == 0);
    capture->fd = fd;
    capture->saved = dup(fd);
    capture->file = memfd_create("capture", MFD_CLOEXEC);
    must(capture->saved >= 0 && capture->file >= 0);
    must(dup2(capture->file, fd) == fd);
}

void capture_end(struct capture *capture, struct buf *out)
{
    char chunk[4096];
    ssize_t got;

    must(fflush(NULL) == 0);
    must(dup2(capture->saved, capture->fd) == capture->fd);
    must(lseek(capture->file, 0, SEEK_SET) == 0);
    while ((got = read(capture->file, chunk, sizeof(chunk))) > 0)
        buf_append(out, chunk, (size_t)got);
    must(got == 0);
    (void)close(capture->saved);
    (void)close(capture->file);
}
