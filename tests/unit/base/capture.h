/* capture.h - what a call writes to stdout or stderr. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TESTS_CAPTURE_H
#define THINKWIRE_TESTS_CAPTURE_H

#include "base/buf.h"

struct capture {
    int fd;    /* the one taken over */
    int saved; /* where it led before */
    int file;
};

void capture_begin(struct capture *capture, int fd);
/* Puts the descriptor back; what was written is appended to `out`. */
void capture_end(struct capture *capture, struct buf *out);

#endif
