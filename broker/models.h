/* models.h - which models can be asked for. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_MODELS_H
#define THINKWIRE_MODELS_H

#include "settings.h"

/* Appends OpenAI's list of models (R18), from the same provider file or environment that a
 * worker with these settings has. False with words in `error`. */
bool models_write(const struct settings *settings, struct buf *out, struct buf *error);

#endif
