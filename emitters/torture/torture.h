/* torture.h - thinkwire torture: faults from a seed, and the proof that nothing was lost. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_TORTURE_H
#define THINKWIRE_TORTURE_TORTURE_H

/* The subcommand, without the program and its name. Exits with 0: nothing was violated,
 * 1: something was, 2: it could not run. */
int tool_torture(int argc, char **argv);

#endif
