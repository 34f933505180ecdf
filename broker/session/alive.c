/* alive.c - whether there is still somebody at the other end of a pipe. */
/* SPDX-License-Identifier: MIT */
#include "session/alive.h"

void alive_init(struct alive *alive, uint64_t now_ms)
{
    *alive = (struct alive){.since_ms = now_ms};
}

uint64_t alive_look(struct alive *alive, const struct pipe *pipe, bool answers,
                    uint64_t now_ms)
{
    struct pipe_progress progress = pipe_progress(pipe);
    bool has_spoken = progress.heard != alive->heard;
    bool has_taken = alive->was_pending && progress.acked != alive->acked;
    bool owes_nothing = !answers && progress.unacked == 0;
    uint64_t silent_ms = now_ms - alive->since_ms;

    if (has_spoken || has_taken || owes_nothing) {
        alive->since_ms = now_ms;
        silent_ms = 0;
    }
    alive->heard = progress.heard;
    alive->acked = progress.acked;
    alive->was_pending = progress.unacked > 0;
    return silent_ms;
}
