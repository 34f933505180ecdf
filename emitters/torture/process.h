/* process.h - programs that are started, paused and killed. */
/* SPDX-License-Identifier: MIT */
#ifndef THINKWIRE_TORTURE_PROCESS_H
#define THINKWIRE_TORTURE_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whatever happens to this process, those it started go with it. */
struct process {
    char name[32];
    char log[PATH_MAX]; /* standard output and error, appended */
    pid_t pid;          /* 0: it does not run */
    bool is_paused;
    int status; /* of waitpid(), once it has ended */
};

/* `argv[0]` is a path. */
void process_start(struct process *process, const char *const argv[]);
/* Forks this very program and runs `run(ctx)` there, whose result is the exit code; no open
 * file of ours but the standard ones is there. Answers its pid. */
pid_t process_fork(int (*run)(void *ctx), void *ctx);
void process_signal(struct process *process, int signum);
/* True once it has ended; waits up to `timeout_ms` for that. */
bool process_wait(struct process *process, unsigned timeout_ms);
/* SIGKILL, and waits. */
void process_kill(struct process *process);

/* Resident bytes and open descriptors; false when it is gone. */
bool process_measure(pid_t pid, uint64_t *rss_bytes, unsigned *descriptors);

/* A program in PATH. */
bool program_find(const char *name, char path[PATH_MAX]);
/* A program beside this one. */
bool program_beside(const char *name, char path[PATH_MAX]);
/* A loopback port that is free now; 0 when there is none. */
uint16_t port_free(void);
/* Non-blocking, close on exec; -1 when it fails. */
int port_connect(uint16_t port);
int port_listen(uint16_t *port);

#endif
