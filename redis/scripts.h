/* scripts.h - the Lua scripts, embedded at build time. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_REDIS_SCRIPTS_H
#define THINKWIRE_REDIS_SCRIPTS_H

#include <stddef.h>

struct script {
    const char *name;
    const char *text; /* common.lua, and then its own file */
    size_t len;
    const char *sha1; /* of `text`, in hex */
};

extern const struct script script_open;
extern const struct script script_publish;
extern const struct script script_end;
extern const struct script script_stop;
extern const struct script script_renew;
extern const struct script script_erase;
extern const struct script script_lift;
/* Alone, without common.lua: on the set of open runs; on who lifts; two that only read; sessions. */
extern const struct script script_unindex;
extern const struct script script_load;
extern const struct script script_session;
extern const struct script script_elect;
extern const struct script script_points;

#endif
