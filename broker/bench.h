/* bench.h - what a Frappe bench's own configuration says about its realtime server. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_BENCH_H
#define THINKWIRE_BENCH_H

#include "settings.h"

/* Reads config.json and sites/common_site_config.json of the bench at settings->frappe_bench
 * (the later file wins where it has a value; before v15 also sites/currentsite.txt), then
 * the environment names that the original knows, and sets what nobody set on the command line: events-redis, listen, default-site,
 * developer mode, the web server's port; and Frappe mode itself. False with a message that
 * names the file. */
bool bench_apply(struct settings *settings, struct buf *error);

#endif
