/* file.h - a whole file in memory, bounded. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BASE_FILE_H
#define THINKWIRE_BASE_FILE_H

#include "base/buf.h"

/* Appends what is in the file, as far as `out` may grow. False with errno set, EFBIG when
 * that was not far enough; what `out` then holds is of no use. Blocks: for what is read once,
 * at the start. */
bool file_read(const char *path, struct buf *out);

#endif
